// Servers that others wrote, of both generations of the TypeScript SDK, to judge flowhost's client by: the first with
// sessions, a store of events and a stream of its own words (2025-11-25), the second without any of it (2026-07-28).

import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { McpServer as Older } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import * as z from 'zod/v4';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (said) => ({ content: [{ type: 'text', text: said }], structuredContent: { text: said } });

// The same tools for both. `changed` says that there is one more, `breakOff` closes the stream of the call at work.
function tools(server, schema, { tell, changed, breakOff }) {
  server.registerTool('echo', { description: 'Says it again.', inputSchema: schema, outputSchema: schema }, async ({ text: said }) => text(said));
  server.registerTool('large', { description: 'Says it often.', inputSchema: schema, outputSchema: schema }, async ({ text: said }) => text(said.repeat(200_000)));
  server.registerTool('steps', { description: 'Says how far it is.', inputSchema: schema, outputSchema: schema }, async ({ text: said }, extra) => {
    for (const progress of [1, 2]) await tell(extra, progress);
    return text(said);
  });
  server.registerTool('broken', { description: 'Loses its stream.', inputSchema: schema, outputSchema: schema }, async ({ text: said }, extra) => {
    await breakOff(extra);
    return text(said);
  });
  server.registerTool('grow', { description: 'Has another tool afterwards.', inputSchema: schema, outputSchema: schema }, async ({ text: said }, extra) => {
    await changed(extra);
    return text(said);
  });
}

// With sessions. Sessions that are open are counted.
export function older() {
  const open = new Map();
  const counts = { begun: 0, resumed: 0 };
  const handle = async (request, response) => {
    const id = request.headers['mcp-session-id'];
    if (request.headers['last-event-id']) counts.resumed += 1;
    let transport = open.get(id);
    if (id === undefined) {
      const server = new Older({ name: 'older', version: '1' }, { capabilities: { tools: { listChanged: true } } });
      tools(server, { text: z.string() }, {
        tell: (extra, progress) => extra.sendNotification({ method: 'notifications/progress', params: { progressToken: extra._meta.progressToken, progress, total: 2 } }),
        changed: async () => {
          server.registerTool('late', { description: 'Came later.', inputSchema: {} }, async () => ({ content: [] }));
          await sleep(300);
        },
        breakOff: async (extra) => {
          extra.closeSSEStream?.();
          await sleep(300);
        },
      });
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        eventStore: new InMemoryEventStore(),
        retryInterval: 50,
        onsessioninitialized: (session) => { counts.begun += 1; open.set(session, transport); },
        onsessionclosed: (session) => { open.delete(session); },
      });
      await server.connect(transport);
    } else if (transport === undefined) {
      response.writeHead(404).end();
      return;
    }
    await transport.handleRequest(request, response);
  };
  return listen(handle, { open: () => open.size, counts });
}

// Without sessions: each request is answered by itself.
export function newer() {
  let late = false;
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'newer', version: '1' }, { capabilities: { tools: { listChanged: true } } });
    tools(server, z.object({ text: z.string() }), {
      tell: (extra, progress) => extra.mcpReq.notify({ method: 'notifications/progress', params: { progressToken: extra.mcpReq._meta.progressToken, progress, total: 2 } }),
      changed: async () => {
        late = true;
        handler.notify.toolsChanged();
        await sleep(300);
      },
      breakOff: async () => {},
    });
    if (late) server.registerTool('late', { description: 'Came later.' }, async () => ({ content: [] }));
    return server;
  }, { legacy: 'reject' });
  const handle = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const closed = new AbortController();
    response.on('close', () => closed.abort());
    const asked = new Request(`http://127.0.0.1${request.url}`, {
      method: request.method,
      headers: Object.entries(request.headers),
      signal: closed.signal,
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    });
    const answer = await handler.fetch(asked);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.flushHeaders();
    if (answer.body !== null) {
      try {
        for await (const piece of answer.body) response.write(piece);
      } catch {
        // Whoever asked has gone.
      }
    }
    response.end();
  };
  return listen(handle, { open: () => 0, counts: { begun: 0, resumed: 0 } });
}

function listen(handle, about) {
  const server = http.createServer((request, response) => {
    handle(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => {
    resolve({ ...about, port: server.address().port, close: () => { server.closeAllConnections(); server.close(); } });
  }));
}
