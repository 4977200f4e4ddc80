// The server of sdk-tool.mjs over Streamable HTTP with sessions, as the SDK's documentation shows it: its own Express app, a
// transport and a server for each session, and what the transport does when nobody says otherwise (answers are streams of
// events; no store of them, which would take time). Its address is the first line that it writes.
import { randomUUID } from "node:crypto";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import { server } from "./sdk-tool.mjs";

const sessions = new Map();

async function opened() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => { sessions.set(id, transport); },
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await server().connect(transport);
  return transport;
}

const app = createMcpExpressApp();
app.all("/mcp", async (request, response) => {
  const id = request.headers["mcp-session-id"];
  const begins = id === undefined && isInitializeRequest(request.body);
  const transport = begins ? await opened() : sessions.get(id);
  if (transport === undefined) {
    const error = { code: -32000, message: "no such session" };
    response.status(id === undefined ? 400 : 404).json({ jsonrpc: "2.0", error, id: null });
    return;
  }
  await transport.handleRequest(request, response, request.body);
});
const listening = app.listen(0, "127.0.0.1", () => {
  console.log(`mcp: http://127.0.0.1:${listening.address().port}/mcp`);
});
