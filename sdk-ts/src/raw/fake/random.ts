// Outside of a component: whatever fake host is in place.

import type { Random } from "../contract.js";
import { current } from "../current.js";

const random: Random = current("random");
export default random;
