// The globals while a plugin runs against a fake host: routed as in a component, so that a test fails where
// the component would.

import { dateOver } from "../globals/dates.js";
import { HostHeaders, HostResponse, hostFetch } from "../globals/fetch.js";
import * as clock from "../host/clock.js";
import * as log from "../host/log.js";
import * as random from "../host/random.js";

const line =
  (level: "debug" | "info" | "warn" | "error") =>
  (...values: unknown[]): void =>
    log.write(level, values.map((value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? String(value)))).join(" "));

function routed(): Record<string, unknown> {
  return {
    Date: dateOver(Date, clock.nowMs),
    fetch: hostFetch,
    Headers: HostHeaders,
    Response: HostResponse,
    crypto: {
      randomUUID: random.uuid,
      getRandomValues<View extends ArrayBufferView>(view: View): View {
        new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(random.bytes(view.byteLength));
        return view;
      },
    },
    console: { log: line("info"), info: line("info"), debug: line("debug"), warn: line("warn"), error: line("error") },
  };
}

/** Routes them, and gives back what undoes it. */
export function routeGlobals(): () => void {
  const values = routed();
  const before = new Map(Object.keys(values).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  const native = Math.random;
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  Math.random = random.number;
  return () => {
    Math.random = native;
    for (const [name, descriptor] of before) {
      if (descriptor !== undefined) {
        Object.defineProperty(globalThis, name, descriptor);
      }
    }
  };
}
