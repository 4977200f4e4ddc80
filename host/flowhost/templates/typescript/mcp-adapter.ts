// Speaks to one MCP server over the transport that the host owns.

import {
  type Descriptor,
  Failed,
  type Json,
  type Part,
  type Session,
  Transient,
  content,
  defineMcpAdapter,
  mcpTransport,
} from "@flowhost/sdk";

/** The protocol revision that this adapter speaks. */
const PROTOCOL = "2025-11-25";
/** Longest wait for one answer; the call's own deadline may be shorter. */
const WAIT_MS = 30_000;

type Fields = { readonly [key: string]: Json | undefined };

export default defineMcpAdapter({
  connect() {
    const clientInfo = { name: "{{name}}", version: "0.1.0" };
    const session = sessionOf(ask("initialize", { protocolVersion: PROTOCOL, capabilities: {}, clientInfo }));
    // A server may wait for it before it answers anything else.
    mcpTransport.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    return session;
  },
  listTools(_session, cursor) {
    const { tools, nextCursor } = ask("tools/list", cursor === undefined ? {} : { cursor });
    if (!Array.isArray(tools)) {
      throw new Failed("the server lists no tools");
    }
    const items = (tools as readonly Fields[]).map(descriptorOf);
    return typeof nextCursor === "string" ? { items, next: nextCursor } : { items };
  },
  callTool: (_session, name, input) => contentOf(ask("tools/call", { name, arguments: input })),
});

/** Sends one request and waits for its answer. */
function ask(method: string, params: Fields): Fields {
  const stream = mcpTransport.open({ jsonrpc: "2.0", id: 1, method, params });
  try {
    return answerOn(stream);
  } finally {
    mcpTransport.cancel(stream);
  }
}

function answerOn(stream: string): Fields {
  for (;;) {
    const event = mcpTransport.next([stream], WAIT_MS)?.event;
    if (event === undefined || event.type === "end") {
      throw new Transient("the server does not answer");
    }
    if (event.type === "head" && (event.head.status < 200 || event.head.status > 299)) {
      throw new Failed(`the server answered ${event.head.status}`);
    }
    const answer = event.type === "frame" ? answerOf(event.frame as Fields) : undefined;
    if (answer !== undefined) {
      return answer;
    }
  }
}

/** What a frame says to the request; undefined for what is not an answer (a notification of the server). */
export function answerOf(frame: Fields): Fields | undefined {
  if (frame["error"] !== undefined) {
    throw new Failed(`the server: ${text((frame["error"] as Fields)["message"]) || "no reason given"}`);
  }
  return frame["result"] as Fields | undefined;
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

export function sessionOf(result: Fields): Session {
  const protocol = text(result["protocolVersion"]);
  if (protocol !== PROTOCOL) {
    throw new Failed(`the server speaks "${protocol}", and this adapter ${PROTOCOL}`);
  }
  const server = (result["serverInfo"] ?? {}) as Fields;
  return {
    name: text(server["name"]),
    version: text(server["version"]),
    protocol,
    capabilities: result["capabilities"] ?? {},
    instructions: text(result["instructions"]),
    state: "",
  };
}

function descriptorOf(tool: Fields): Descriptor {
  const said = (tool["annotations"] ?? {}) as Fields;
  const { outputSchema } = tool;
  return {
    name: text(tool["name"]),
    title: text(tool["title"]),
    description: text(tool["description"]),
    inputSchema: tool["inputSchema"] ?? {},
    ...(outputSchema === undefined ? {} : { outputSchema }),
    // A server's word is no reason to repeat a call.
    effects: "once",
    annotations: said["readOnlyHint"] === true ? { readOnly: true } : {},
  };
}

export function contentOf(result: Fields) {
  const all = (result["content"] ?? []) as readonly Fields[];
  const parts: Part[] = all
    .filter((part) => part["type"] === "text")
    .map((part) => ({ type: "text", text: text(part["text"]) }));
  if (result["isError"] === true) {
    throw new Failed(parts.map((part) => (part.type === "text" ? part.text : "")).join("\n"));
  }
  return content(result["structuredContent"] ?? null, ...parts);
}
