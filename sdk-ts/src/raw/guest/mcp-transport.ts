// In a component: the import itself. Whoever imports this file makes the component ask for it.

import * as raw from "flowhost:mcp-transport/mcp-transport@0.1.0";

import type { McpTransport } from "../contract.js";

const mcptransport: McpTransport = raw;
export default mcptransport;
