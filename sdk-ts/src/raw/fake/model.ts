// Outside of a component: whatever fake host is in place.

import type { Model } from "../contract.js";
import { current } from "../current.js";

const model: Model = current("model");
export default model;
