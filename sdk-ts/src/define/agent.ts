// Agents: actors that do a step's work and read messages.

import { Failed, Invalid } from "../errors.js";
import { type InferInput, type InferOutput, type Schema, check } from "../schema.js";
import type { Context, Json, Message } from "../types.js";

/** A step's work. */
export interface Task<Input = Json> {
  /** The step's id in the plan. */
  readonly id: string;
  /** The rendered `with:`. */
  readonly input: Input;
  /** The text of the plan's prompt file, as it stands there; empty for none. */
  readonly prompt: string;
  /** The version that the plan gives this prompt; empty for none. */
  readonly promptVersion: string;
  /** JSON Schema of the wanted output; undefined for none. */
  readonly schema: Json | undefined;
}

/** A step's result with short remarks for the report. */
export class Output<Value = Json> {
  constructor(
    readonly content: Value,
    readonly notes: readonly string[] = [],
  ) {}
}

/** A result with remarks; returned by `onPlan` in place of the plain value. */
export const output = <Value>(content: Value, ...notes: string[]): Output<Value> => new Output(content, notes);

/** A message that the host delivers after the call, if the profile's `messages.publish` allows. */
export interface Outgoing {
  readonly topic: string;
  readonly payload: unknown;
  /** Id of the conversation. */
  readonly correlation?: string;
}

/** How the run ended for this agent. */
export interface Outcome {
  /** One of the run's statuses: `ok`, `failed`, `halted`, … */
  readonly status: string;
  /** Empty when there is none. */
  readonly reason: string;
}

/** What an agent is made of. Only `onPlan` is asked for; the rest does nothing unless written. Each call may
 * be an instance of its own: what must outlive it goes into `state`. */
export interface AgentOptions<Input extends Schema, Result extends Schema, Config extends Schema> {
  /** Checks the step's input. */
  readonly input?: Input;
  /** Checks what `onPlan` gives back. */
  readonly output?: Result;
  /** Checks the plan's `config:` before the run starts. */
  readonly config?: Config;
  /** Called once before anything else, with the plan's `config:`. */
  onStart?(config: InferOutput<Config>, context: Context): void | Promise<void>;
  /** The step's work. */
  onPlan(
    task: Task<InferOutput<Input>>,
    context: Context,
  ): InferInput<Result> | Output<InferInput<Result>> | Promise<InferInput<Result> | Output<InferInput<Result>>>;
  /** Called for each message of a subscribed topic. Needs `messages.subscribe`. */
  onMessage?(message: Message, context: Context): void | readonly Outgoing[] | Promise<void | readonly Outgoing[]>;
  /** Called once at the end. Its errors are recorded and change nothing. */
  onFinish?(outcome: Outcome, context: Context): void | Promise<void>;
}

/** An agent, ready to be exported as `default`. */
export interface Agent {
  readonly kind: "agent";
  onStart(config: Json, context: Context): Promise<void>;
  onPlan(task: Task, context: Context): Promise<Output<unknown>>;
  onMessage(message: Message, context: Context): Promise<readonly Outgoing[]>;
  onFinish(outcome: Outcome, context: Context): Promise<void>;
}

/** Makes an agent. Export it as `default`. */
export function defineAgent<
  Input extends Schema = Schema<Json>,
  Result extends Schema = Schema<unknown>,
  Config extends Schema = Schema<Json>,
>(options: AgentOptions<Input, Result, Config>): Agent {
  return {
    kind: "agent",
    async onStart(given, context) {
      // Checked even when nobody reads it: a wrong configuration ends the run before it does anything.
      const config = options.config === undefined ? given : await check(options.config, given, "the configuration", Invalid);
      await options.onStart?.(config as InferOutput<Config>, context);
    },
    async onPlan(task, context) {
      const input = options.input === undefined ? task.input : await check(options.input, task.input, "the input", Invalid);
      const answer: unknown = await options.onPlan({ ...task, input: input as InferOutput<Input> }, context);
      const { content, notes } = answer instanceof Output ? answer : new Output(answer);
      const checked = options.output === undefined ? content : await check(options.output, content, "the result", Failed);
      return new Output(checked, notes);
    },
    async onMessage(message, context) {
      return (await options.onMessage?.(message, context)) ?? [];
    },
    async onFinish(outcome, context) {
      await options.onFinish?.(outcome, context);
    },
  };
}
