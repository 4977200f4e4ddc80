// Calls to language models. The host holds the keys. Needs `model = "granted"` below `[needs]` and
// `[model]` in the profile.

import raw from "#raw/model";

import { parse, write } from "../json.js";
import { type Converter, type InferOutput, type Schema, check, jsonSchema } from "../schema.js";
import { Failed } from "../errors.js";
import type { Json, Usage } from "../types.js";
import { ask } from "./call.js";

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Json;
}

export type Turn =
  | { readonly speaker: "system" | "user"; readonly content: string }
  | { readonly speaker: "assistant"; readonly content: string; readonly toolCalls?: readonly ToolCall[] }
  /** The answer to a tool call. */
  | { readonly speaker: "tool"; readonly content: string; readonly answers: string };

export interface Prompt {
  /** `provider/name`, decided against `model.allow`. */
  readonly model: string;
  /** A text stands for one turn of the user. */
  readonly turns: string | readonly Turn[];
  /** Tools that the model may ask for. */
  readonly tools?: readonly { readonly name: string; readonly description: string; readonly inputSchema: Json }[];
  /** JSON Schema of the answer. */
  readonly answerSchema?: Json;
  /** 0 to 2; the provider's own unless said. */
  readonly temperature?: number;
  /** 1,024 unless said. */
  readonly maxTokens?: number;
  /** The run's own unless said. */
  readonly seed?: string;
  readonly stop?: readonly string[];
}

export interface Completion {
  readonly content: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finish: "stop" | "length" | "tool-calls" | "content-filter";
  readonly usage: Usage;
  /** The model that answered, as the provider names it. */
  readonly model: string;
}

/** Completes a conversation. Throws `Denied` (model, budget), `LimitReached` (tokens, usd), `Invalid`,
 * `Transient` (rate limit, provider), `Failed`. */
export function complete(prompt: Prompt): Completion {
  const turns: readonly Turn[] =
    typeof prompt.turns === "string" ? [{ speaker: "user", content: prompt.turns }] : prompt.turns;
  const answer = ask("model.complete", () =>
    raw.complete({
      model: prompt.model,
      turns: turns.map((turn) => ({
        speaker: turn.speaker,
        content: turn.content,
        toolCalls: turn.speaker === "assistant" ? (turn.toolCalls ?? []).map(rawCall) : [],
        answers: turn.speaker === "tool" ? turn.answers : "",
      })),
      tools: (prompt.tools ?? []).map((tool) => ({
        name: tool.name,
        description: tool.description,
        inputSchema: write(tool.inputSchema, `the input schema of ${tool.name}`),
      })),
      answerSchema: prompt.answerSchema === undefined ? "" : write(prompt.answerSchema, "the answer's schema"),
      // Below 0 is the contract's word for the provider's own.
      temperature: prompt.temperature ?? -1,
      maxTokens: prompt.maxTokens ?? 1024,
      seed: prompt.seed ?? "",
      stop: [...(prompt.stop ?? [])],
    }),
  );
  return {
    content: answer.content,
    toolCalls: answer.toolCalls.map(({ id, name, arguments: text }) => ({
      id,
      name,
      arguments: parse(text, `what the model gives the tool ${name}`),
    })),
    finish: answer.finish,
    usage: usage(answer.usage),
    model: answer.model,
  };
}

/** Completes a conversation whose answer is a value: the schema goes to the model, and what comes back is
 * checked against it. Throws `Failed` when it does not fit. */
export async function completeAs<S extends Schema>(
  schema: S,
  prompt: Omit<Prompt, "answerSchema">,
  convert?: Converter,
): Promise<{ value: InferOutput<S>; completion: Completion }> {
  const completion = complete({ ...prompt, answerSchema: jsonSchema(schema, "input", convert) });
  let said: Json;
  try {
    said = JSON.parse(completion.content) as Json;
  } catch (error) {
    throw new Failed(`the model's answer is not JSON: ${(error as Error).message}`);
  }
  return { value: await check(schema, said, "the model's answer", Failed), completion };
}

/** Embeds texts: one vector each. */
export function embed(model: string, texts: readonly string[]): { vectors: number[][]; usage: Usage } {
  const answer = ask("model.embed", () => raw.embed(model, [...texts]));
  return { vectors: answer.vectors.map((vector) => Array.from(vector)), usage: usage(answer.usage) };
}

function rawCall(call: ToolCall): { id: string; name: string; arguments: string } {
  return { id: call.id, name: call.name, arguments: write(call.arguments, `the arguments of ${call.name}`) };
}

function usage(from: Usage): Usage {
  const { promptTokens, completionTokens, costMicroUsd } = from;
  return { promptTokens, completionTokens, costMicroUsd };
}
