// One request in, one response out. Needs `http = "granted"` below `[needs]` and an `[[http]]` rule in the
// profile. The host sends, injects credentials, and hands redirects back instead of following them.

import raw from "#raw/http";

import type { Json } from "../types.js";
import { ask, bytes, toBytes, toText } from "./call.js";

/** What is sent. */
export interface HttpRequest {
  /** `GET` unless said. */
  readonly method?: string;
  /** Absolute, `http` or `https`. */
  readonly url: string | { toString(): string };
  /** Framing headers, `host` and the proxy headers are the host's; they are refused here. */
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array | ArrayBuffer;
  /** Sent as the body, with `content-type: application/json`; not beside `body`. */
  readonly json?: unknown;
  /** Milliseconds; the call's deadline unless said. */
  readonly timeoutMs?: number;
}

/** What came back. */
export class HttpResponse {
  constructor(
    /** 100 to 599; a redirect is an answer like any other. */
    readonly status: number,
    /** In the order in which they came; names may repeat. */
    readonly headers: readonly (readonly [string, string])[],
    readonly body: Uint8Array<ArrayBuffer>,
  ) {}

  /** Whether the status is 200 to 299. */
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The values of a header, joined by `, `. */
  header(name: string): string | undefined {
    const lower = name.toLowerCase();
    const values = this.headers.filter(([found]) => found.toLowerCase() === lower).map(([, value]) => value);
    return values.length === 0 ? undefined : values.join(", ");
  }

  /** The body as UTF-8. */
  text(): string {
    return toText(this.body);
  }

  /** The body as JSON. */
  json(): Json {
    return JSON.parse(this.text()) as Json;
  }
}

/** Sends a request. Throws `Denied` (rule or address), `LimitReached`, `Invalid` (URL, method, header),
 * `Transient` (connect, timeout), `Failed` (TLS, protocol). */
export function send(request: HttpRequest): HttpResponse {
  const given = request.headers ?? [];
  const pairs = Array.isArray(given) ? given : Object.entries(given);
  const headers = (pairs as (readonly [string, string])[]).map(([name, value]) => ({ name, value }));
  let body = request.body;
  if (request.json !== undefined) {
    body = JSON.stringify(request.json);
    if (!headers.some(({ name }) => name.toLowerCase() === "content-type")) {
      headers.push({ name: "content-type", value: "application/json" });
    }
  }
  const answer = ask("http.send", () =>
    raw.send({
      method: (request.method ?? "GET").toUpperCase(),
      url: String(request.url),
      headers,
      body: toBytes(body ?? ""),
      timeoutMs: request.timeoutMs ?? 0,
    }),
  );
  return new HttpResponse(
    answer.status,
    answer.headers.map(({ name, value }) => [name, value] as const),
    bytes(answer.body),
  );
}

type Options = Omit<HttpRequest, "url" | "method">;

/** `send` with `GET`. */
export const get = (url: string, options: Options = {}): HttpResponse => send({ ...options, url, method: "GET" });
/** `send` with `POST`. */
export const post = (url: string, options: Options = {}): HttpResponse => send({ ...options, url, method: "POST" });
