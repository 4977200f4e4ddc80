// What the agent does, for whoever reads it next.

import * as v from "valibot";

import { Invalid, defineAgent, log, model } from "@flowhost/sdk";

export default defineAgent({
  // The step's input: `with:` in the plan.
  input: v.strictObject({ question: v.string() }),
  output: v.object({ answer: v.string() }),
  onPlan({ input: { question } }) {
    if (question.trim() === "") {
      throw new Invalid("the question is empty");
    }
    log.info("asking the model");
    return { answer: model.complete({ model: "mock/any", turns: question }).content };
  },
});
