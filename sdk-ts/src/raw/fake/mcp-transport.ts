// Outside of a component: whatever fake host is in place.

import type { McpTransport } from "../contract.js";
import { current } from "../current.js";

const mcptransport: McpTransport = current("mcp-transport");
export default mcptransport;
