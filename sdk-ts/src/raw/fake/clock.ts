// Outside of a component: whatever fake host is in place.

import type { Clock } from "../contract.js";
import { current } from "../current.js";

const clock: Clock = current("clock");
export default clock;
