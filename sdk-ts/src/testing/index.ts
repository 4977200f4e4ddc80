// Tests of a plugin without a component: the plugin's own code against a host made of plain values. What the
// test does not give, the host does not have, and using it is an error that says so.
//
// It does not stand in for the sandbox: rights, limits and schemas are held by the real host, so run the built
// component as well (`flowhost plugin test`, or a plan).

import { contentOf, rawContent } from "../convert.js";
import type { Agent, Outcome, Outgoing, Output, Task } from "../define/agent.js";
import type { Guardrail, Subject, Verdict } from "../define/guardrail.js";
import type { Tool } from "../define/tool.js";
import { Invalid } from "../errors.js";
import { parse, write } from "../json.js";
import type { Host, Level, RawPrompt } from "../raw/contract.js";
import { place } from "../raw/current.js";
import type { Content, Context, Json, Message } from "../types.js";
import {
  type HttpFake,
  type ModelFake,
  type Published,
  type SentRequest,
  type ToolsFake,
  fakeFiles,
  fakeHttp,
  fakeMessages,
  fakeModel,
  fakeRandom,
  fakeSecrets,
  fakeState,
  fakeTools,
} from "./fakes.js";
import { routeGlobals } from "./globals.js";

export type { FakeAnswer, FakeResponse, HttpFake, ModelFake, Published, SentRequest, ToolsFake } from "./fakes.js";

/** What the host has. */
export interface FakeHostOptions {
  /** Files by guest path. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Answers by `METHOD URL` or URL, or a function. Throw `Denied` to refuse. */
  readonly http?: HttpFake;
  /** Answers in turn, or a function of the prompt. */
  readonly model?: ModelFake;
  /** Tools of other plugins, `plugin/tool`. */
  readonly tools?: ToolsFake;
  /** What is answered to requests, by topic; `{}` to publish only. */
  readonly messages?: Readonly<Record<string, (payload: Json) => unknown>>;
  /** Values by namespace and key. */
  readonly state?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The plugin's configuration. */
  readonly config?: Readonly<Record<string, Json>>;
  readonly secrets?: Readonly<Record<string, string>>;
  /** The time; it moves by what `advance` says. */
  readonly clock?: { readonly nowMs: number };
  /** A seed. */
  readonly random?: number;
  readonly budget?: { readonly tokens?: number; readonly microUsd?: number };
}

/** A log line of the plugin. */
export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** The context of a call in a test. */
export const context = (given: Partial<Context> = {}): Context => ({
  run: "01J00000000000000000000000",
  call: "1",
  step: "step",
  attempt: 1,
  actor: "default/plugin",
  traceparent: "00-00000000000000000000000000000001-0000000000000001-00",
  deadlineMs: 10_000,
  seed: "0".repeat(64),
  key: "key-of-the-call",
  ...given,
});

/** A host in memory, and what a plugin did with it. */
export class FakeHost {
  readonly logs: LogLine[] = [];
  readonly progress: { done: number; total: number | undefined; message: string }[] = [];
  readonly requests: readonly SentRequest[];
  readonly prompts: readonly RawPrompt[];
  readonly published: readonly Published[];
  /** Files as they are now. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** A value of the state as it is now. */
  readonly stateOf: (namespace: string, key: string) => string | undefined;
  #now: number;
  readonly #raw: Partial<Host>;

  constructor(given: FakeHostOptions) {
    const files = fakeFiles(given.files ?? {});
    const http = fakeHttp(given.http ?? {});
    const model = fakeModel(given.model ?? []);
    const messages = fakeMessages(given.messages ?? {});
    const state = fakeState(given.state ?? {});
    this.files = files.files;
    this.requests = http.requests;
    this.prompts = model.prompts;
    this.published = messages.published;
    this.stateOf = state.read;
    const start = given.clock?.nowMs ?? 0;
    this.#now = start;
    const config = given.config ?? {};
    this.#raw = {
      log: {
        write: (level, message, fields) =>
          void this.logs.push({ level, message, fields: Object.fromEntries(fields.map(({ key, value }) => [key, value])) }),
      },
      progress: { report: (done, total, message) => void this.progress.push({ done, total: total ?? undefined, message }) },
      ...(given.files && { files: files.raw }),
      ...(given.http && { http: http.raw }),
      ...(given.model && { model: model.raw }),
      ...(given.messages && { messaging: messages.raw }),
      ...(given.state && { state: state.raw }),
      ...(given.tools && { tools: fakeTools(given.tools) }),
      ...(given.secrets && { secrets: fakeSecrets(given.secrets) }),
      ...(given.random !== undefined && { random: fakeRandom(given.random) }),
      ...(given.clock && { clock: { nowMs: () => this.#now, elapsedMs: () => this.#now - start } }),
      ...(given.config && {
        config: {
          get: (key: string) => (key in config ? write(config[key], "the configuration") : undefined),
          all: () => write(config, "the configuration"),
        },
      }),
      ...(given.budget && {
        budget: {
          left: () => ({
            fuel: "1000000000",
            hostCalls: "1000",
            deadlineMs: 10_000,
            tokens: String(given.budget?.tokens ?? 0),
            microUsd: String(given.budget?.microUsd ?? 0),
          }),
        },
      }),
    };
  }

  /** Lets time pass. */
  advance(ms: number): void {
    this.#now += ms;
  }

  /** Runs anything with this host in place. One at a time: globals are routed while it runs. */
  async run<T>(work: () => T | Promise<T>): Promise<T> {
    const before = place(this.#raw);
    const undo = routeGlobals();
    try {
      return await work();
    } finally {
      undo();
      place(before);
    }
  }

  /** Calls a tool, by name where the plugin has several. Values go through JSON, as they do in the host. */
  async call(plugin: Tool | readonly Tool[], input: unknown, options: { name?: string; context?: Partial<Context> } = {}): Promise<Content> {
    const tools = [plugin].flat() as Tool[];
    const tool = options.name === undefined && tools.length === 1 ? tools[0] : tools.find(({ name }) => name === options.name);
    if (tool === undefined) {
      throw new Invalid(`there is no tool "${options.name ?? ""}" here: name one of ${tools.map(({ name }) => name).join(", ")}`);
    }
    const answer = await this.run(() => tool.call(through(input, "the input"), context(options.context)));
    return contentOf(rawContent(answer, "the result"));
  }

  /** Gives an agent a step's work. */
  async plan(agent: Agent, input: unknown, task: Partial<Omit<Task, "input">> & { context?: Partial<Context> } = {}): Promise<Output> {
    const { context: given, ...rest } = task;
    const whole: Task = { id: "step", prompt: "", promptVersion: "", schema: undefined, ...rest, input: through(input, "the input") };
    const { content, notes } = await this.run(() => agent.onPlan(whole, context(given)));
    return { content: through(content, "the result"), notes };
  }

  /** Starts an agent with a configuration. */
  start = (agent: Agent, config: Json = {}): Promise<void> => this.run(() => agent.onStart(config, context()));

  /** Delivers a message to an agent, and gives what it sends. */
  deliver(agent: Agent, topic: string, payload: Json, message: Partial<Message> = {}): Promise<readonly Outgoing[]> {
    const whole = { id: "message", topic, sender: "default/other", correlation: "", payload, ...message };
    return this.run(() => agent.onMessage(whole, context()));
  }

  /** Ends an agent. */
  finish = (agent: Agent, outcome: Outcome = { status: "ok", reason: "" }): Promise<void> =>
    this.run(() => agent.onFinish(outcome, context()));

  /** Asks a guardrail. */
  check(guardrail: Guardrail, value: unknown, options: { config?: Json } & Partial<Omit<Subject, "value">> = {}): Promise<Verdict> {
    const { config = {}, phase = "after", step = "step" } = options;
    return this.run(() => guardrail.check({ phase, step, value: through(value, "the value") }, config, context()));
  }
}

/** Through JSON and back, as everything goes that enters or leaves a component. */
function through(value: unknown, what: string): Json {
  return parse(write(value, what), what);
}

/** Makes a host in memory. */
export const fakeHost = (given: FakeHostOptions = {}): FakeHost => new FakeHost(given);
