// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:state/state@0.1.0";

import type { State } from "../contract.js";

const state: State = raw;
export default state;
