// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:log/log@0.1.0";

import type { Log } from "../contract.js";

const log: Log = raw;
export default log;
