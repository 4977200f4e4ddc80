// The server of sdk-tool.mjs over stdio, as the SDK's own examples start one.
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { server } from "./sdk-tool.mjs";

await server().connect(new StdioServerTransport());
