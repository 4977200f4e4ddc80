// The contract's records as TypeScript sees them (`flowhost:types/types`). Names are the contract's in
// camelCase; what is `none` there is `undefined` here, and JSON texts are values.

/** Anything that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** Who is calling, for what, and until when. */
export interface Context {
  /** ULID of the run. */
  readonly run: string;
  /** Id of this call within the run: no two calls of a run share it, attempts included. */
  readonly call: string;
  /** Deterministic id of the step. */
  readonly step: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** `<tenant>/<plugin>`: this plugin, as the host knows it. */
  readonly actor: string;
  /** W3C trace context, `traceparent` form. */
  readonly traceparent: string;
  /** Milliseconds that this call may still take. */
  readonly deadlineMs: number;
  /** 64 hexadecimal digits, the same for every attempt and every replay of the step. */
  readonly seed: string;
  /** The key of what this call does to the world: the same for every attempt at the same work. */
  readonly key: string;
}

/** A message between actors. `sender` is the host's word, not the sender's. */
export interface Message {
  readonly id: string;
  readonly topic: string;
  /** `<tenant>/<plugin>` of the sender. */
  readonly sender: string;
  /** Id of the conversation; empty for none. */
  readonly correlation: string;
  readonly payload: Json;
}

/** What a model call used. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Millionths of a US dollar. */
  readonly costMicroUsd: number;
}

/** What repeating a call does to the world: nothing; nothing more; nothing more under the same key; every call counts. */
export type Effects = "none" | "idempotent" | "keyed" | "once";

/** What a tool's author says of it, for people and models; the host goes by none of it. */
export interface Annotations {
  /** It changes nothing. */
  readonly readOnly?: boolean;
  /** What it changes may be lost. */
  readonly destructive?: boolean;
  /** Repeating it with the same input changes nothing more. */
  readonly idempotent?: boolean;
  /** It meets things outside of what the host knows. */
  readonly openWorld?: boolean;
}

/** What a tool takes and gives. */
export interface Descriptor {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** JSON Schema 2020-12 of the input. */
  readonly inputSchema: Json;
  /** JSON Schema of the value that comes back. */
  readonly outputSchema?: Json;
  readonly effects: Effects;
  readonly annotations: Annotations;
}

/** For whom a part or resource is. */
export interface Hints {
  /** Empty: for everyone. */
  readonly audience?: readonly ("user" | "assistant")[];
  /** 0 (may be left out) to 1 (needed). */
  readonly priority?: number;
  /** When it last changed (RFC 3339). */
  readonly lastModified?: string;
}

/** Something with an address. */
export interface ResourceInfo {
  readonly uri: string;
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly mimeType?: string;
  /** Bytes, decimal. */
  readonly size?: string;
  readonly hints?: Hints;
}

/** What stands at an address: a text or bytes. */
export interface ResourceContents {
  readonly uri: string;
  readonly mimeType?: string;
  readonly data: string | Uint8Array;
}

/** One part of what a tool answers, for a person or a model to read, look at or listen to. */
export type Part = { readonly hints?: Hints } & (
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image" | "audio"; readonly mimeType: string; readonly data: Uint8Array }
  | { readonly type: "resource-link"; readonly resource: ResourceInfo }
  | { readonly type: "embedded-resource"; readonly resource: ResourceContents }
);

/** What a tool gives back: a value that fits its output schema, and parts beside it. */
export class Content<Value = Json> {
  constructor(
    readonly value: Value,
    readonly parts: readonly Part[] = [],
  ) {}
}

/** A value with parts beside it; returned by a tool's `run` in place of the plain value. */
export function content<Value>(value: Value, ...parts: readonly (Part | string)[]): Content<Value> {
  return new Content(
    value,
    parts.map((part) => (typeof part === "string" ? { type: "text", text: part } : part)),
  );
}
