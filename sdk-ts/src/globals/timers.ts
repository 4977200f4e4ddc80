// Timers: the contract has none, and a component that waits would wait for ever. A delay of 0 is the usual
// way to say "later, but in this call"; any other is an error that says so.

import { Failed } from "../errors.js";
import { enqueue } from "./queue.js";

const cleared = new Set<number>();
let last = 0;

function later(name: string) {
  return (work: (...values: unknown[]) => void, delay = 0, ...values: unknown[]): number => {
    if (Number(delay) > 0 || name === "setInterval") {
      throw new Failed(
        `${name} was called, and a call of a plugin has no timers: let the plan wait or repeat (retry, schedule), or ask the host with a timeout`,
      );
    }
    const id = ++last;
    enqueue(() => {
      if (!cleared.delete(id)) {
        work(...values);
      }
    });
    return id;
  };
}

Object.assign(globalThis, {
  setTimeout: later("setTimeout"),
  setInterval: later("setInterval"),
  setImmediate: (work: (...values: unknown[]) => void, ...values: unknown[]) => later("setImmediate")(work, 0, ...values),
  clearTimeout: (id: number) => void cleared.add(id),
  clearInterval: (id: number) => void cleared.add(id),
  queueMicrotask: enqueue,
});
