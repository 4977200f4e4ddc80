// One fake per capability, over plain values. Each keeps the contract's errors and its order of things, and
// nothing else of the host: what a profile allows is the host's matter, and tested with it.

import { parse, write } from "../json.js";
import { rawContent } from "../convert.js";
import { Failed, FlowhostError, Invalid, Transient } from "../errors.js";
import type { Completion } from "../host/model.js";
import type * as Raw from "../raw/contract.js";
import type { Content, Json } from "../types.js";

/** What a fake server answers. */
export interface FakeResponse {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Sent as the body. */
  readonly json?: unknown;
}

/** A request as the plugin sent it. */
export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  text(): string;
}

/** An answer of a fake model: its text, or more of it. */
export type FakeAnswer = string | Partial<Completion>;

/** A host's error as the engines throw it, so that it takes the way of a real one. */
export function thrown(error: unknown): unknown {
  return error instanceof FlowhostError ? Object.assign(new Error(error.message), { payload: error.raw() }) : error;
}

/** Calls what a test gave, and throws its errors as the host would. */
function guarded<Values extends unknown[], Result>(call: (...values: Values) => Result): (...values: Values) => Result {
  return (...values) => {
    try {
      return call(...values);
    } catch (error) {
      throw thrown(error);
    }
  };
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function fakeFiles(given: Readonly<Record<string, string | Uint8Array>>): { raw: Raw.Files; files: Map<string, Uint8Array> } {
  const files = new Map(Object.entries(given).map(([path, data]) => [path, typeof data === "string" ? encode(data) : data]));
  const folders = new Set<string>();
  const isFolder = (path: string): boolean => folders.has(path) || [...files.keys()].some((file) => file.startsWith(`${path.replace(/\/$/, "")}/`));
  const read = (path: string): Uint8Array => {
    const found = files.get(path);
    if (found === undefined) {
      throw new Invalid(isFolder(path) ? `${path} is not a file` : `${path} is not there`);
    }
    return found;
  };
  const entry = (path: string): Raw.FileEntry => {
    const name = path.split("/").at(-1) ?? "";
    const data = files.get(path);
    if (data === undefined && !isFolder(path)) {
      throw new Invalid(`${path} is not there`);
    }
    return { name, kind: data === undefined ? "directory" : "file", size: String(data?.length ?? 0), target: undefined };
  };
  const raw: Raw.Files = {
    roots: () => [...new Set([...files.keys()].map((path) => `/${path.split("/")[1] ?? ""}`))].sort(),
    read: guarded(read),
    readRange: guarded((path: string, offset: string, length: number) => read(path).subarray(Number(offset), Number(offset) + length)),
    list: guarded((path: string) => {
      const base = `${path.replace(/\/$/, "")}/`;
      const inside = [...files.keys(), ...folders].filter((file) => file.startsWith(base));
      if (inside.length === 0 && !folders.has(path)) {
        throw new Invalid(files.has(path) ? `${path} is not a directory` : `${path} is not there`);
      }
      const names = new Set(inside.map((file) => file.slice(base.length).split("/")[0] ?? ""));
      return [...names].sort().map((name) => entry(base + name));
    }),
    stat: guarded(entry),
    write: (path, contents) => void files.set(path, contents.slice()),
    append: (path, contents) => void files.set(path, Uint8Array.from([...(files.get(path) ?? []), ...contents])),
    makeDirectory: (path) => void folders.add(path),
    remove: guarded((path: string) => {
      if (!files.delete(path) && !folders.delete(path)) {
        throw new Invalid(`${path} is not there`);
      }
    }),
  };
  return { raw, files };
}

export type HttpFake = Readonly<Record<string, FakeResponse>> | ((request: SentRequest) => FakeResponse);

export function fakeHttp(given: HttpFake): { raw: Raw.Http; requests: SentRequest[] } {
  const requests: SentRequest[] = [];
  const send = ({ method, url, headers, body }: Raw.RawRequest): Raw.RawResponse => {
    const request: SentRequest = {
      method,
      url,
      headers: headers.map(({ name, value }) => [name, value] as const),
      body,
      text: () => decode(body),
    };
    requests.push(request);
    const answer = typeof given === "function" ? given(request) : (given[`${method} ${url}`] ?? given[url]);
    if (answer === undefined) {
      throw new Transient(`the fake host has no answer to ${method} ${url}`);
    }
    const text = answer.json === undefined ? (answer.body ?? "") : JSON.stringify(answer.json);
    const said = Object.entries(answer.headers ?? (answer.json === undefined ? {} : { "content-type": "application/json" }));
    return {
      status: answer.status ?? 200,
      headers: said.map(([name, value]) => ({ name, value })),
      body: typeof text === "string" ? encode(text) : text,
    };
  };
  return { raw: { send: guarded(send) }, requests };
}

export type ModelFake = readonly FakeAnswer[] | ((prompt: Raw.RawPrompt) => FakeAnswer);

export function fakeModel(given: ModelFake): { raw: Raw.Model; prompts: Raw.RawPrompt[] } {
  const prompts: Raw.RawPrompt[] = [];
  const usage = { promptTokens: 1, completionTokens: 1, costMicroUsd: 0 };
  const complete = (prompt: Raw.RawPrompt): Raw.RawCompletion => {
    const answer = typeof given === "function" ? given(prompt) : given[prompts.length];
    prompts.push(prompt);
    if (answer === undefined) {
      throw new Failed(`the fake model was asked ${prompts.length} times and has ${typeof given === "function" ? "no answer" : `${given.length} answers`}`);
    }
    const { content = "", toolCalls = [], finish, model = prompt.model, usage: used = usage } = typeof answer === "string" ? { content: answer } : answer;
    return {
      content,
      toolCalls: toolCalls.map(({ id, name, arguments: values }) => ({ id, name, arguments: write(values, "the arguments") })),
      finish: finish ?? (toolCalls.length > 0 ? "tool-calls" : "stop"),
      usage: used,
      model,
    };
  };
  // A vector that is the same for the same text and another for another, which is all that a test can want.
  const vector = (text: string): number[] => [text.length, [...text].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 997, 7)];
  const embed: Raw.Model["embed"] = (_, texts) => ({ vectors: texts.map(vector), usage });
  return { raw: { complete: guarded(complete), embed }, prompts };
}

export function fakeState(given: Readonly<Record<string, Readonly<Record<string, string>>>>): {
  raw: Raw.State;
  read(namespace: string, key: string): string | undefined;
} {
  const kept = new Map<string, { value: Uint8Array; revision: string }>();
  let revisions = 0;
  const at = (namespace: string, key: string): string => `${namespace}\u0000${key}`;
  const set = (namespace: string, key: string, value: Uint8Array): string => {
    revisions += 1;
    kept.set(at(namespace, key), { value: value.slice(), revision: String(revisions) });
    return String(revisions);
  };
  for (const [namespace, entries] of Object.entries(given)) {
    Object.entries(entries).forEach(([key, value]) => set(namespace, key, encode(value)));
  }
  const raw: Raw.State = {
    get: (namespace, key) => kept.get(at(namespace, key)),
    set,
    compareAndSwap: (namespace, key, expected, value) =>
      (kept.get(at(namespace, key))?.revision ?? "") === expected ? set(namespace, key, value) : undefined,
    delete: (namespace, key) => kept.delete(at(namespace, key)),
    list: (namespace, prefix) =>
      [...kept.keys()]
        .filter((name) => name.startsWith(at(namespace, prefix)))
        .map((name) => name.slice(namespace.length + 1))
        .sort(),
  };
  const read = (namespace: string, key: string): string | undefined => {
    const found = kept.get(at(namespace, key));
    return found === undefined ? undefined : decode(found.value);
  };
  return { raw, read };
}

export type ToolsFake = Readonly<Record<string, (input: Json) => unknown | Content<unknown>>>;

export function fakeTools(given: ToolsFake): Raw.Tools {
  return {
    list: () =>
      Object.keys(given)
        .sort()
        .map((name) => ({
          name,
          title: name,
          description: name,
          inputSchema: "{}",
          outputSchema: "",
          effects: "once",
          annotations: { readOnly: undefined, destructive: undefined, idempotent: undefined, openWorld: undefined },
        })),
    call: guarded((name: string, input: string) => {
      const tool = given[name];
      if (tool === undefined) {
        throw new Invalid(`the fake host has no tool ${name}`);
      }
      return rawContent(tool(parse(input, "the input")), `the answer of ${name}`);
    }),
  };
}

/** A message that a plugin published. */
export interface Published {
  readonly topic: string;
  readonly payload: Json;
  readonly correlation: string;
}

export function fakeMessages(answers: Readonly<Record<string, (payload: Json) => unknown>>): { raw: Raw.Messaging; published: Published[] } {
  const published: Published[] = [];
  const publish = (topic: string, correlation: string, payload: string): string => {
    published.push({ topic, correlation, payload: parse(payload, "the message") });
    return `message-${published.length}`;
  };
  const request = (topic: string, payload: string): Raw.RawMessage => {
    const id = publish(topic, "", payload);
    const answer = answers[topic];
    if (answer === undefined) {
      throw new Transient(`nobody answered on ${topic}: fakeHost({ messages: { "${topic}": (payload) => … } })`);
    }
    return { id, topic, sender: "default/fake", correlation: id, payload: write(answer(parse(payload, "the message")), "the answer") };
  };
  return { raw: { publish, request: guarded(request) }, published };
}

export function fakeSecrets(given: Readonly<Record<string, string>>): Raw.Secrets {
  return {
    names: () => Object.keys(given).sort(),
    reveal: guarded((name: string) => {
      const value = given[name];
      if (value === undefined) {
        throw new Failed(`the fake host has no value for ${name}`);
      }
      return value;
    }),
  };
}

/** Numbers that are the same for the same seed: not random, and good enough to be told apart. */
export function fakeRandom(seed: number): Raw.Random {
  let state = (seed >>> 0) || 1;
  const byte = (): number => {
    // xorshift32.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  };
  return { bytes: (length) => Uint8Array.from({ length }, byte) };
}

