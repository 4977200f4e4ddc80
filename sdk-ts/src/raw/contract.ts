// The host functions as the component boundary carries them, one interface per WIT package below `wit/`.
// Nothing here is for authors: `src/host` makes it pleasant, `src/testing` fakes it.

import type { RawError } from "../errors.js";

/** `none` is `null` or `undefined`, as each engine likes it. */
export type Option<T> = T | null | undefined;

export interface RawHints {
  audience: ("user" | "assistant")[];
  priority: Option<number>;
  lastModified: string;
}
export interface RawResourceInfo {
  uri: string;
  name: string;
  title: string;
  description: string;
  mimeType: string;
  size: string;
  hints: Option<RawHints>;
}
export interface RawResourceContents {
  uri: string;
  mimeType: string;
  data: { tag: "text"; val: string } | { tag: "blob"; val: Uint8Array };
}
export type RawBody =
  | { tag: "text"; val: string }
  | { tag: "image" | "audio"; val: { mimeType: string; data: Uint8Array } }
  | { tag: "resource-link"; val: RawResourceInfo }
  | { tag: "embedded-resource"; val: RawResourceContents };
export interface RawPart {
  body: RawBody;
  hints: Option<RawHints>;
}
export interface RawContent {
  value: string;
  parts: RawPart[];
}
export interface RawAnnotations {
  readOnly: Option<boolean>;
  destructive: Option<boolean>;
  idempotent: Option<boolean>;
  openWorld: Option<boolean>;
}
export interface RawDescriptor {
  name: string;
  title: string;
  description: string;
  inputSchema: string;
  outputSchema: string;
  effects: "none" | "idempotent" | "keyed" | "once";
  annotations: RawAnnotations;
}
export interface RawMessage {
  id: string;
  topic: string;
  sender: string;
  correlation: string;
  payload: string;
}
export interface RawUsage {
  promptTokens: number;
  completionTokens: number;
  costMicroUsd: number;
}
export interface Header {
  name: string;
  value: string;
}

export interface Budget {
  left(): { fuel: string; hostCalls: string; deadlineMs: number; tokens: string; microUsd: string };
}
export interface Clock {
  nowMs(): number;
  elapsedMs(): number;
}
export interface Config {
  get(key: string): Option<string>;
  all(): string;
}
export interface FileEntry {
  name: string;
  kind: "file" | "directory" | "other";
  size: string;
  target: Option<string>;
}
export interface Files {
  roots(): string[];
  read(path: string): Uint8Array;
  readRange(path: string, offset: string, length: number): Uint8Array;
  list(path: string): FileEntry[];
  stat(path: string): FileEntry;
  write(path: string, contents: Uint8Array): void;
  append(path: string, contents: Uint8Array): void;
  makeDirectory(path: string): void;
  remove(path: string): void;
}
export interface RawRequest {
  method: string;
  url: string;
  headers: Header[];
  body: Uint8Array;
  timeoutMs: number;
}
export interface RawResponse {
  status: number;
  headers: Header[];
  body: Uint8Array;
}
export interface Http {
  send(request: RawRequest): RawResponse;
}
export type Level = "trace" | "debug" | "info" | "warn" | "error";
export interface Log {
  write(level: Level, message: string, fields: { key: string; value: string }[]): void;
}
export interface RawHead {
  status: number;
  headers: Header[];
  body: Uint8Array;
}
export type RawEvent =
  | { tag: "head"; val: RawHead }
  | { tag: "frame"; val: { json: string; more: boolean } }
  | { tag: "end"; val: RawEnd };
export type RawEnd =
  | { tag: "closed" }
  | { tag: "cancelled" }
  | { tag: "broken"; val: string }
  | { tag: "failed"; val: RawError };
export interface McpTransport {
  at(url: string): void;
  open(frame: string, headers: Header[]): string;
  send(frame: string, headers: Header[]): Option<RawHead>;
  listen(frame: string, headers: Header[]): string;
  next(streams: string[], timeoutMs: number): Option<{ stream: string; event: RawEvent }>;
  cancel(stream: string): void;
}
export interface Messaging {
  publish(topic: string, correlation: string, payload: string): string;
  request(topic: string, payload: string, timeoutMs: number): RawMessage;
}
export interface RawToolCall {
  id: string;
  name: string;
  arguments: string;
}
export interface RawTurn {
  speaker: "system" | "user" | "assistant" | "tool";
  content: string;
  toolCalls: RawToolCall[];
  answers: string;
}
export interface RawPrompt {
  model: string;
  turns: RawTurn[];
  tools: { name: string; description: string; inputSchema: string }[];
  answerSchema: string;
  temperature: number;
  maxTokens: number;
  seed: string;
  stop: string[];
}
export interface RawCompletion {
  content: string;
  toolCalls: RawToolCall[];
  finish: "stop" | "length" | "tool-calls" | "content-filter";
  usage: RawUsage;
  model: string;
}
export interface Model {
  complete(prompt: RawPrompt): RawCompletion;
  embed(model: string, texts: string[]): { vectors: ArrayLike<number>[]; usage: RawUsage };
}
export interface Progress {
  report(done: number, total: Option<number>, message: string): void;
}
export interface Random {
  bytes(length: number): Uint8Array;
}
export interface Secrets {
  names(): string[];
  reveal(name: string): string;
}
export interface State {
  get(namespace: string, key: string): Option<{ value: Uint8Array; revision: string }>;
  set(namespace: string, key: string, value: Uint8Array): string;
  compareAndSwap(namespace: string, key: string, expected: string, value: Uint8Array): Option<string>;
  delete(namespace: string, key: string): boolean;
  list(namespace: string, prefix: string): string[];
}
export interface Tools {
  list(): RawDescriptor[];
  call(name: string, input: string): RawContent;
}

/** Every capability by its WIT package. */
export interface Host {
  budget: Budget;
  clock: Clock;
  config: Config;
  files: Files;
  http: Http;
  log: Log;
  "mcp-transport": McpTransport;
  messaging: Messaging;
  model: Model;
  progress: Progress;
  random: Random;
  secrets: Secrets;
  state: State;
  tools: Tools;
}
