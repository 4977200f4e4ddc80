// What the guardrail looks for, for whoever reads it next.

import * as v from "valibot";

import { defineGuardrail, deny, pass } from "@flowhost/sdk";

export default defineGuardrail({
  // The guardrail's configuration: `with:` in the plan.
  config: v.strictObject({
    longest: v.pipe(v.number(), v.description("Most characters that a value may have as JSON.")),
  }),
  check({ value }, { longest }) {
    const { length } = JSON.stringify(value);
    return length <= longest
      ? pass()
      : deny({ code: "too-long", message: `has ${length} characters, and ${longest} are the most` });
  },
});
