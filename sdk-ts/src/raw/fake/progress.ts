// Outside of a component: whatever fake host is in place.

import type { Progress } from "../contract.js";
import { current } from "../current.js";

const progress: Progress = current("progress");
export default progress;
