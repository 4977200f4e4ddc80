// Outside of a component: whatever fake host is in place.

import type { Log } from "../contract.js";
import { current } from "../current.js";

const log: Log = current("log");
export default log;
