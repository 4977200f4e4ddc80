// Names that libraries look up while they load and rarely use, in an engine that lacks them: a class that can
// be compared with, and says what is wrong when somebody makes one.

import { Failed } from "../errors.js";

/** Puts values where the engine has none. */
export function supply(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    const found: unknown = Reflect.get(globalThis, name);
    if (found === undefined || (typeof found === "function" && absent.has(found))) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  }
}

const absent = new WeakSet<object>();

function none(name: string): unknown {
  const stand = class {
    constructor() {
      throw new Failed(`${name} is not in this engine: build with --engine spidermonkey, or bring a package that has it`);
    }
  };
  absent.add(stand);
  return stand;
}

supply({ self: globalThis });
supply(
  Object.fromEntries(
    ["Blob", "File", "FormData", "Headers", "Request", "Response", "URL", "URLSearchParams"].map((name) => [name, none(name)]),
  ),
);
