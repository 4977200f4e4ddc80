// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:budget/budget@0.1.0";

import type { Budget } from "../contract.js";

const budget: Budget = raw;
export default budget;
