// Outside of a component: whatever fake host is in place.

import type { Secrets } from "../contract.js";
import { current } from "../current.js";

const secrets: Secrets = current("secrets");
export default secrets;
