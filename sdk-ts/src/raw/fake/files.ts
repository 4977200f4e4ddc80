// Outside of a component: whatever fake host is in place.

import type { Files } from "../contract.js";
import { current } from "../current.js";

const files: Files = current("files");
export default files;
