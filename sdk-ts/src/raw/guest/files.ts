// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:files/files@0.1.0";

import type { Files } from "../contract.js";

const files: Files = raw;
export default files;
