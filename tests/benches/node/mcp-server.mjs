// What a user would pick instead of a component: an MCP server in Node over stdio. Hand-written and
// without dependencies, so it is faster than one made with an SDK: the comparison is kind to it.
import { createInterface } from "node:readline";

const answer = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\n");

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize") {
    answer(id, {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "echo", version: "0.1.0" },
    });
  } else if (method === "tools/list") {
    answer(id, { tools: [{ name: "run", description: "Echoes", inputSchema: { type: "object" } }] });
  } else if (method === "tools/call") {
    answer(id, {
      content: [{ type: "text", text: JSON.stringify(params.arguments) }],
      structuredContent: params.arguments,
    });
  }
});
