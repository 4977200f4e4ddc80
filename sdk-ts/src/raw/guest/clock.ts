// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:clock/clock@0.1.0";

import type { Clock } from "../contract.js";

const clock: Clock = raw;
export default clock;
