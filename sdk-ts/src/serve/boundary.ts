// The edge of a component: work that is written with promises is done when this returns, and whatever was
// thrown leaves as one of the contract's errors.

import { Failed } from "../errors.js";
import { takeUnhandled } from "../globals/promise.js";
import { drain } from "../globals/queue.js";
import { described, rawError } from "./trace.js";

type Outcome<T> = { ok: T } | { thrown: unknown };

/** Does the work of one call of an export. */
export function perform<T>(work: () => T | Promise<T>): T {
  const component = globalThis.__flowhost;
  if (component !== undefined) {
    component.inCall = true;
  }
  try {
    return settle(work);
  } catch (thrown) {
    // The engines hand a plain `{ tag, val }` on as the contract's error; anything else would be a trap.
    throw rawError(thrown);
  }
}

function settle<T>(work: () => T | Promise<T>): T {
  const seen: { outcome?: Outcome<T> } = {};
  new Promise<T>((resolve) => resolve(work())).then(
    (ok) => {
      seen.outcome = { ok };
    },
    (thrown: unknown) => {
      seen.outcome = { thrown };
    },
  );
  drain();
  const { outcome } = seen;
  const lost = takeUnhandled();
  if (outcome === undefined) {
    throw new Failed("the plugin waits for a promise that nobody resolves: nothing is left that could");
  }
  if ("thrown" in outcome) {
    throw outcome.thrown;
  }
  if (lost.length > 0) {
    throw new Failed(`a promise was rejected and nobody looked: ${described(lost[0])}`);
  }
  return outcome.ok;
}
