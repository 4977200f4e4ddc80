// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:tools/tools@0.1.0";

import type { Tools } from "../contract.js";

const tools: Tools = raw;
export default tools;
