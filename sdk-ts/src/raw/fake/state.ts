// Outside of a component: whatever fake host is in place.

import type { State } from "../contract.js";
import { current } from "../current.js";

const state: State = current("state");
export default state;
