// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:model/model@0.1.0";

import type { Model } from "../contract.js";

const model: Model = raw;
export default model;
