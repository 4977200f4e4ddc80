// Outside of a component: whatever fake host is in place.

import type { Tools } from "../contract.js";
import { current } from "../current.js";

const tools: Tools = current("tools");
export default tools;
