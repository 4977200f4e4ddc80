// A way to one MCP server whose process or connection the host owns: JSON-RPC frames on streams. Only for
// plugins of the kind `mcp-adapter`.

import raw from "#raw/mcp-transport";

import { parse, write } from "../json.js";
import type { RawHead } from "../raw/contract.js";
import type { Json } from "../types.js";
import { ask, bytes } from "./call.js";

export type Headers = readonly (readonly [string, string])[];

/** Status and headers that open an answer over HTTP. */
export interface Head {
  readonly status: number;
  readonly headers: Headers;
  /** A body that is neither JSON nor an event stream. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** What comes on a stream: over HTTP one head, then frames, then one end. */
export type TransportEvent =
  | { readonly type: "head"; readonly head: Head }
  | { readonly type: "frame"; readonly frame: Json; readonly event: string }
  | { readonly type: "end"; readonly why: "closed" | "cancelled" | "broken"; readonly reason: string };

const list = (headers: Headers): { name: string; value: string }[] => headers.map(([name, value]) => ({ name, value }));

const head = (from: RawHead): Head => ({
  status: from.status,
  headers: from.headers.map(({ name, value }) => [name, value] as const),
  body: bytes(from.body),
});

/** What is at the other end. */
export const peer = (): "stdio" | "http" => ask("mcpTransport.peer", () => raw.peer());
/** Sends a request and returns the stream that its answer comes on. */
export const open = (frame: Json, headers: Headers = []): string =>
  ask("mcpTransport.open", () => raw.open(write(frame, "the frame"), list(headers)));
/** Sends what has no answer. Returns what HTTP said to it. */
export function send(frame: Json, headers: Headers = []): Head | undefined {
  const said = ask("mcpTransport.send", () => raw.send(write(frame, "the frame"), list(headers)));
  return said == null ? undefined : head(said);
}
/** Opens the stream of what the server says by itself, from after the event `after`. */
export const listen = (headers: Headers = [], after = ""): string =>
  ask("mcpTransport.listen", () => raw.listen(list(headers), after));
/** The next thing on any of these streams, or undefined when nothing came in time. */
export function next(streams: readonly string[], timeoutMs: number): { stream: string; event: TransportEvent } | undefined {
  const arrival = ask("mcpTransport.next", () => raw.next([...streams], timeoutMs));
  if (arrival == null) {
    return undefined;
  }
  const { stream, event } = arrival;
  switch (event.tag) {
    case "head":
      return { stream, event: { type: "head", head: head(event.val) } };
    case "frame":
      return { stream, event: { type: "frame", frame: parse(event.val.json, "a frame of the server"), event: event.val.event } };
    case "end":
      return { stream, event: { type: "end", why: event.val.tag, reason: event.val.tag === "broken" ? event.val.val : "" } };
  }
}
/** Stops a stream. */
export const cancel = (stream: string): void => ask("mcpTransport.cancel", () => raw.cancel(stream));
