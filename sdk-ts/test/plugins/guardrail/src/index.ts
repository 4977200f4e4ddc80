// A guardrail with each of its three answers.

import { type } from "arktype";

import { defineGuardrail, deny, pass, rewrite } from "@flowhost/sdk";

export default defineGuardrail({
  config: type({ stop: "string", "hide?": "string" }),
  check({ value }, { stop, hide }) {
    const text = JSON.stringify(value);
    if (text.includes(stop)) {
      return deny({ code: "stopped-word", message: `it says "${stop}"` });
    }
    if (hide !== undefined && text.includes(hide)) {
      return rewrite(JSON.parse(text.replaceAll(hide, "…")), { code: "hidden-word", message: "one word less", severity: "info" });
    }
    return pass();
  },
});
