// `Date` and `performance.now` by the host's clock.

import * as clock from "../host/clock.js";
import { dateOver } from "./dates.js";
import { Native } from "./denied.js";

globalThis.Date = dateOver(Native, clock.nowMs);
Native.prototype.constructor = globalThis.Date;
Object.assign(performance, { now: clock.elapsedMs });
