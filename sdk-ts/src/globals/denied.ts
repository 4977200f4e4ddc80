// What the globals are while their right is not asked for. The engines would answer with what was true when
// the plugin was built, or trap without a word: an error that names the line to add is better than both.

import { Failed } from "../errors.js";
import { dateOver } from "./dates.js";

function refuse(what: string, right: string, line: string): () => never {
  return () => {
    throw new Failed(
      globalThis.__flowhost?.inCall === false
        ? `${what} was used at the top level of a module, which runs while the plugin is built: move it into run`
        : `${what} was used, and this plugin does not ask for the ${right}: add \`${line}\` below [needs] in plugin.toml, and the right to the profile`,
    );
  };
}

const CLOCK = ["clock", 'clock = "granted"'] as const;
const RANDOM = ["random numbers of the host", 'random = "granted"'] as const;

const Native = Date;
globalThis.Date = dateOver(Native, refuse("Date", ...CLOCK));
Native.prototype.constructor = globalThis.Date;
Object.defineProperty(globalThis, "performance", {
  value: { now: refuse("performance.now", ...CLOCK) },
  configurable: true,
  writable: true,
});
Math.random = refuse("Math.random", ...RANDOM);
Object.defineProperty(globalThis, "crypto", {
  value: { getRandomValues: refuse("crypto.getRandomValues", ...RANDOM), randomUUID: refuse("crypto.randomUUID", ...RANDOM) },
  configurable: true,
  writable: true,
});
globalThis.fetch = refuse("fetch", "right to send requests", 'http = "granted"') as unknown as typeof fetch;

/** Lines that nobody may read: without the right to log there is no one to tell. The build says so. */
const silent = () => undefined;
globalThis.console = Object.fromEntries(
  ["log", "debug", "info", "warn", "error", "trace", "assert", "dir", "table", "group", "groupEnd", "time", "timeEnd", "count"].map(
    (name) => [name, silent],
  ),
) as unknown as Console;

/** The engine's own `Date`. */
export { Native };
