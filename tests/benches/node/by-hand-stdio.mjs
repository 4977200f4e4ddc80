// The least that answers as an MCP server over stdio: a loop by hand, without any protocol library. It checks neither the
// frames nor the arguments, so nobody would ship it; it shows what Node itself needs for a call, and no goal is held against
// it (docs/adr/0051). What a user would write is sdk-stdio.mjs.
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
