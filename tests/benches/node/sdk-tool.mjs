// The tool `run` as a user writes it with the official TypeScript SDK: the server whose calls the goals of the benchmarks
// are held against (docs/adr/0051).
//
// Of the SDK's two generations this is the one that the published reference servers depend on, `@modelcontextprotocol/sdk`.
// Measured beside it under one load, the newer `@modelcontextprotocol/server` 2.4 took as much processor time a call over
// stdio and a third more over HTTP: it would have been the kinder peer for us.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import * as z from "zod/v4";

// The same schema as the component's manifest has (src/mcp/mod.rs). The SDK holds the arguments of each call against
// it, as `mcp serve` does.
const inputSchema = { text: z.string(), count: z.number().int(), tags: z.array(z.string()) };

export function server() {
  const made = new McpServer({ name: "echo", version: "0.1.0" });
  made.registerTool("run", { description: "Echoes", inputSchema }, async (given) => ({
    content: [{ type: "text", text: JSON.stringify(given) }],
    structuredContent: given,
  }));
  return made;
}
