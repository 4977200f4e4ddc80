// How far a call is, for whoever waits for it. Needs `log = true` below `[needs]` and in the profile: it is
// words for people, as a log line is, and counts against `limits.log`.

import raw from "#raw/progress";

import { ask } from "./call.js";

/** Tells how far the call is: `done` of `total` (undefined: not known) in any unit, and what it is at. */
export const report = (done: number, total?: number, message = ""): void =>
  ask("progress.report", () => raw.report(done, total, message));
