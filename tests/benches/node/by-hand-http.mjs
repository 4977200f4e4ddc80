// The server of by-hand-stdio.mjs over Streamable HTTP, without sessions. Its address is the first line that it writes.
import http from "node:http";

const results = {
  initialize: () => ({
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "echo", version: "0.1.0" },
  }),
  "tools/list": () => ({ tools: [{ name: "run", description: "Echoes", inputSchema: { type: "object" } }] }),
  "tools/call": ({ arguments: given }) => ({
    content: [{ type: "text", text: JSON.stringify(given) }],
    structuredContent: given,
  }),
};

const server = http.createServer((request, response) => {
  if (request.method !== "POST") return response.writeHead(405).end();
  let body = "";
  request.setEncoding("utf8").on("data", (piece) => { body += piece; }).on("end", () => {
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) return response.writeHead(202).end();
    const made = results[method];
    const outcome = made ? { result: made(params) } : { error: { code: -32601, message: `no method ${method}` } };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...outcome }));
  });
});
server.listen(0, "127.0.0.1", () => console.log(`mcp: http://127.0.0.1:${server.address().port}/mcp`));
