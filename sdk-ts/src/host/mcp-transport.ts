// A way to one MCP server whose process or connection the host owns: JSON-RPC frames on streams. Only for
// plugins of the kind `mcp-adapter`.

import raw from "#raw/mcp-transport";

import { parse, write } from "../json.js";
import { fromRaw } from "../errors.js";
import type { RawEnd, RawHead } from "../raw/contract.js";
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
  | { readonly type: "frame"; readonly frame: Json }
  | { readonly type: "end"; readonly why: "closed" | "cancelled" | "broken" | "failed"; readonly reason: string };

const list = (headers: Headers): { name: string; value: string }[] => headers.map(([name, value]) => ({ name, value }));

const head = (from: RawHead): Head => ({
  status: from.status,
  headers: from.headers.map(({ name, value }) => [name, value] as const),
  body: bytes(from.body),
});

/** Says for this call that the server is at this address. Without it the server is a process. */
export const at = (url: string): void => ask("mcpTransport.at", () => raw.at(url));
/** Sends a request and returns the stream that its answer comes on. */
export const open = (frame: Json, headers: Headers = []): string =>
  ask("mcpTransport.open", () => raw.open(write(frame, "the frame"), list(headers)));
/** Sends what has no answer. Returns what HTTP said to it. */
export function send(frame: Json, headers: Headers = []): Head | undefined {
  const said = ask("mcpTransport.send", () => raw.send(write(frame, "the frame"), list(headers)));
  return said == null ? undefined : head(said);
}
/** Hears what the server says by itself; `frame` asks for it in the era that has a request for that. */
export const listen = (frame?: Json, headers: Headers = []): string =>
  ask("mcpTransport.listen", () => raw.listen(frame === undefined ? "" : write(frame, "the frame"), list(headers)));
/** The next thing on any of these streams, or undefined when nothing came in time. */
export function next(streams: readonly string[], timeoutMs: number): { stream: string; event: TransportEvent } | undefined {
  for (;;) {
    const arrival = ask("mcpTransport.next", () => raw.next([...streams], timeoutMs));
    if (arrival == null) {
      return undefined;
    }
    const { stream, event } = arrival;
    switch (event.tag) {
      case "head":
        return { stream, event: { type: "head", head: head(event.val) } };
      case "frame": {
        const text = (begun.get(stream) ?? "") + event.val.json;
        if (event.val.more) {
          begun.set(stream, text);
          continue;
        }
        begun.delete(stream);
        return { stream, event: { type: "frame", frame: parse(text, "a frame of the server") } };
      }
      case "end":
        begun.delete(stream);
        return { stream, event: { type: "end", ...ended(event.val) } };
    }
  }
}
/** Frames of which not all pieces have come, by stream: a large one comes in pieces. */
const begun = new Map<string, string>();

function ended(end: RawEnd): { why: "closed" | "cancelled" | "broken" | "failed"; reason: string } {
  switch (end.tag) {
    case "broken":
      return { why: end.tag, reason: end.val };
    case "failed":
      return { why: end.tag, reason: fromRaw(end.val).message };
    default:
      return { why: end.tag, reason: "" };
  }
}
/** Stops a stream. */
export const cancel = (stream: string): void => ask("mcpTransport.cancel", () => raw.cancel(stream));
