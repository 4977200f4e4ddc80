// Tools: functions with described inputs and outputs.

import { Failed, Invalid } from "../errors.js";
import { type Converter, type InferInput, type InferOutput, type Schema, check, jsonSchema } from "../schema.js";
import { type Annotations, Content, type Context, type Descriptor, type Effects } from "../types.js";

/** What a tool is made of. */
export interface ToolOptions<Input extends Schema, Output extends Schema | undefined> {
  /** Unique within the plugin: ASCII letters, digits, `-`, `_` and `.`, at most 64. */
  readonly name: string;
  /** For people; the name unless said. */
  readonly title?: string;
  /** What a model reads: what the tool does, when to use it, at most 4 KiB. */
  readonly description: string;
  /** Checked by the host against its JSON Schema, and here by the library, defaults and transforms included. */
  readonly input: Input;
  /** What `run` gives back; the host checks it too. Left out: any JSON. */
  readonly output?: Output;
  /** What the host goes by when it repeats a call; `once`, the careful one, unless said. */
  readonly effects?: Effects;
  readonly annotations?: Annotations;
  /** Does the work. Throw `Invalid`, `Transient`, `Conflict` or `Failed`; anything else that is thrown is `Failed`. */
  run(input: InferOutput<Input>, context: Context): Answer<Output> | Promise<Answer<Output>>;
}

/** What `run` may give back: the value, or the value with parts beside it. */
export type Answer<Output extends Schema | undefined> = Output extends Schema
  ? InferInput<Output> | Content<InferInput<Output>>
  : unknown;

/** A tool, ready to be exported as `default`. */
export interface Tool {
  readonly kind: "tool";
  readonly name: string;
  /** Its descriptor; made while the plugin is built. */
  describe(convert?: Converter): Descriptor;
  /** Checks, runs, checks. */
  call(input: unknown, context: Context): Promise<unknown>;
}

/** Makes a tool. Export it as `default`, alone or in an array with others. */
export function defineTool<Input extends Schema, Output extends Schema | undefined = undefined>(
  options: ToolOptions<Input, Output>,
): Tool {
  const { name, input, output } = options;
  return {
    kind: "tool",
    name,
    describe: (convert) => ({
      name,
      title: options.title ?? name,
      description: options.description,
      inputSchema: jsonSchema(input, "input", convert),
      ...(output === undefined ? {} : { outputSchema: jsonSchema(output, "output", convert) }),
      effects: options.effects ?? "once",
      annotations: options.annotations ?? {},
    }),
    async call(given, context) {
      const checked = await check(input, given, "the input", Invalid);
      const answer: unknown = await options.run(checked as InferOutput<Input>, context);
      if (output === undefined) {
        return answer;
      }
      if (answer instanceof Content) {
        return new Content(await check(output, answer.value, "the result", Failed), answer.parts);
      }
      return check(output, answer, "the result", Failed);
    },
  };
}
