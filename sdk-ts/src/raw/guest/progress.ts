// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:progress/progress@0.1.0";

import type { Progress } from "../contract.js";

const progress: Progress = raw;
export default progress;
