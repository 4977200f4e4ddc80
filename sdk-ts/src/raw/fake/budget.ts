// Outside of a component: whatever fake host is in place.

import type { Budget } from "../contract.js";
import { current } from "../current.js";

const budget: Budget = current("budget");
export default budget;
