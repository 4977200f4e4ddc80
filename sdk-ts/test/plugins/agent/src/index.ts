// An agent with a schema for all that comes and goes.

import * as z from "zod/mini";

import { Invalid, defineAgent, model, output, state } from "@flowhost/sdk";

export default defineAgent({
  config: z.object({ model: z.string() }),
  input: z.object({ question: z.string() }),
  output: z.object({ answer: z.string(), started: z.string(), prompt: z.string() }),
  onStart(config, context) {
    if (config.model === "") {
      throw new Invalid("name a model");
    }
    state.set("agent", "model", config.model);
    state.set("agent", "actor", context.actor);
  },
  async onPlan({ input, prompt }) {
    const name = state.get("agent", "model")?.text() ?? "";
    const { content } = model.complete({
      model: name,
      turns: [
        { speaker: "system", content: "Answer." },
        { speaker: "user", content: input.question },
      ],
    });
    return output({ answer: content, started: state.get("agent", "actor")?.text() ?? "", prompt }, `asked ${name}`);
  },
  onMessage(message) {
    return [{ topic: "answers", payload: { heard: message.payload }, correlation: message.id }];
  },
});
