// The context of a call, as both engines hand it over.

import type { Context } from "../types.js";

/** A copy that authors may keep. */
export function contextOf(from: Context): Context {
  const { run, call, step, attempt, actor, traceparent, deadlineMs, seed, key } = from;
  return { run, call, step, attempt, actor, traceparent, deadlineMs, seed, key };
}
