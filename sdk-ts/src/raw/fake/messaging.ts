// Outside of a component: whatever fake host is in place.

import type { Messaging } from "../contract.js";
import { current } from "../current.js";

const messaging: Messaging = current("messaging");
export default messaging;
