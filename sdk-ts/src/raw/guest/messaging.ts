// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:messaging/messaging@0.1.0";

import type { Messaging } from "../contract.js";

const messaging: Messaging = raw;
export default messaging;
