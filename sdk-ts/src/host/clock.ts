// Time as the profile's `[clock] wall` gives it: real, or virtual. Needs `clock = "granted"` below `[needs]`.
// `Date` and `performance.now` read it too.

import raw from "#raw/clock";

import { ask } from "./call.js";

/** Milliseconds since the Unix epoch. */
export const nowMs = (): number => ask("clock.nowMs", () => raw.nowMs());
/** Milliseconds since this call began. */
export const elapsedMs = (): number => ask("clock.elapsedMs", () => raw.elapsedMs());
