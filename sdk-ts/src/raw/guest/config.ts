// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:config/config@0.1.0";

import type { Config } from "../contract.js";

const config: Config = raw;
export default config;
