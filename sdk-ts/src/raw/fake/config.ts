// Outside of a component: whatever fake host is in place.

import type { Config } from "../contract.js";
import { current } from "../current.js";

const config: Config = current("config");
export default config;
