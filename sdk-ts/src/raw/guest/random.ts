// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:random/random@0.1.0";

import type { Random } from "../contract.js";

const random: Random = raw;
export default random;
