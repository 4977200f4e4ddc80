// The role `agent` over what `defineAgent` made.

import { messageOf } from "../convert.js";
import type { Agent, Outcome } from "../define/agent.js";
import { parse, write } from "../json.js";
import type { RawMessage } from "../raw/contract.js";
import type { Context } from "../types.js";
import { perform } from "./boundary.js";
import { contextOf } from "./context.js";

interface RawTask {
  id: string;
  input: string;
  prompt: string;
  promptVersion: string;
  schema: string;
}

/** The exports. */
export function serve(agent: Agent) {
  return {
    onStart: (context: Context, config: string) =>
      perform(() => agent.onStart(parse(config, "the configuration"), contextOf(context))),
    onMessage: (context: Context, message: RawMessage) =>
      perform(async () => {
        const outgoing = await agent.onMessage(messageOf(message), contextOf(context));
        return outgoing.map(({ topic, payload, correlation }) => ({
          topic,
          correlation: correlation ?? "",
          payload: write(payload, `a message to ${topic}`),
        }));
      }),
    onPlan: (context: Context, task: RawTask) =>
      perform(async () => {
        const { id, prompt, promptVersion, schema } = task;
        const input = parse(task.input, "the input");
        const wanted = schema === "" ? undefined : parse(schema, "the output's schema");
        const { content, notes } = await agent.onPlan({ id, input, prompt, promptVersion, schema: wanted }, contextOf(context));
        return { content: write(content, "the result"), notes: [...notes] };
      }),
    onFinish: (context: Context, outcome: Outcome) => perform(() => agent.onFinish(outcome, contextOf(context))),
  };
}
