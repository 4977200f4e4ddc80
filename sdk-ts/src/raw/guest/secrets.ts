// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:secrets/secrets@0.1.0";

import type { Secrets } from "../contract.js";

const secrets: Secrets = raw;
export default secrets;
