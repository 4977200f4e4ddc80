// `fetch` over the host's `http`: what most code uses of it. Redirects are handed back, as the host hands
// them back, bodies are whole, and there is no cancelling: a call has a deadline.

import { Invalid } from "../errors.js";
import * as http from "../host/http.js";
import { toBytes, toText } from "../host/call.js";

type Pairs = Iterable<readonly [string, string]>;

/** Header fields by name, in lower case. */
export class HostHeaders {
  readonly #fields = new Map<string, string>();

  constructor(from: Pairs | Readonly<Record<string, string>> | HostHeaders | undefined = undefined) {
    const pairs = from === undefined ? [] : Symbol.iterator in from ? (from as Pairs) : Object.entries(from);
    for (const [name, value] of pairs) {
      this.append(name, value);
    }
  }

  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${value}`);
  }
  set(name: string, value: string): void {
    this.#fields.set(name.toLowerCase(), String(value).trim());
  }
  get(name: string): string | null {
    return this.#fields.get(name.toLowerCase()) ?? null;
  }
  has(name: string): boolean {
    return this.#fields.has(name.toLowerCase());
  }
  delete(name: string): void {
    this.#fields.delete(name.toLowerCase());
  }
  forEach(each: (value: string, name: string) => void): void {
    this.#fields.forEach((value, name) => each(value, name));
  }
  keys = (): IterableIterator<string> => this.#fields.keys();
  values = (): IterableIterator<string> => this.#fields.values();
  entries = (): IterableIterator<[string, string]> => this.#fields.entries();
  [Symbol.iterator] = (): IterableIterator<[string, string]> => this.#fields.entries();
}

type Body = string | Uint8Array | ArrayBuffer | { toString(): string } | null | undefined;

function bodyBytes(body: Body): Uint8Array | undefined {
  if (body === null || body === undefined) {
    return undefined;
  }
  if (ArrayBuffer.isView(body)) {
    const view = body as ArrayBufferView;
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }
  return toBytes(body instanceof ArrayBuffer ? body : String(body));
}

/** What a request was answered with. */
export class HostResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HostHeaders;
  readonly url: string;
  readonly redirected = false;
  readonly type = "default";
  readonly #body: Uint8Array;
  bodyUsed = false;

  constructor(body?: Body, init: { status?: number; statusText?: string; headers?: Pairs | Record<string, string>; url?: string } = {}) {
    this.status = init.status ?? 200;
    this.statusText = init.statusText ?? "";
    this.headers = new HostHeaders(init.headers);
    this.url = init.url ?? "";
    this.#body = bodyBytes(body) ?? new Uint8Array();
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }
  async bytes(): Promise<Uint8Array> {
    if (this.bodyUsed) {
      throw new TypeError("the body was read already");
    }
    this.bodyUsed = true;
    return this.#body;
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    const copy = new Uint8Array(await this.bytes());
    return copy.buffer;
  }
  async text(): Promise<string> {
    return toText(await this.bytes());
  }
  async json(): Promise<unknown> {
    return JSON.parse(await this.text()) as unknown;
  }
  clone(): HostResponse {
    const { status, statusText, url } = this;
    return new HostResponse(this.#body, { status, statusText, url, headers: this.headers });
  }
}

/** What `fetch` takes beside the address. */
export interface FetchOptions {
  method?: string;
  headers?: Pairs | Record<string, string>;
  body?: Body;
  redirect?: string;
  signal?: unknown;
}

/** The host's `fetch`. */
export async function hostFetch(url: string | { toString(): string }, options: FetchOptions = {}): Promise<HostResponse> {
  if (options.signal !== undefined && options.signal !== null) {
    throw new Invalid("fetch: a signal cannot stop a request of a plugin; use http.send with timeoutMs");
  }
  if (options.redirect === "error" || options.redirect === "follow") {
    throw new Invalid(`fetch: redirect "${options.redirect}" is not the host's way: redirects are handed back ("manual")`);
  }
  const body = bodyBytes(options.body);
  const headers = new HostHeaders(options.headers);
  if (typeof options.body === "string" && !headers.has("content-type")) {
    headers.set("content-type", "text/plain;charset=UTF-8");
  }
  const answer = http.send({
    method: options.method ?? "GET",
    url: String(url),
    headers: [...headers],
    ...(body === undefined ? {} : { body }),
  });
  return new HostResponse(answer.body, { status: answer.status, headers: answer.headers, url: String(url) });
}
