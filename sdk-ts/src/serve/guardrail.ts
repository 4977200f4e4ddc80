// The role `guardrail` over what `defineGuardrail` made.

import type { Guardrail, Subject } from "../define/guardrail.js";
import { parse, write } from "../json.js";
import type { Context } from "../types.js";
import { perform } from "./boundary.js";
import { contextOf } from "./context.js";

interface RawSubject {
  phase: Subject["phase"];
  step: string;
  value: string;
}

/** The exports. */
export function serve(guardrail: Guardrail) {
  return {
    check: (context: Context, subject: RawSubject, config: string) =>
      perform(async () => {
        const { phase, step } = subject;
        const value = parse(subject.value, "the value");
        const verdict = await guardrail.check({ phase, step, value }, parse(config, "the configuration"), contextOf(context));
        return {
          action: verdict.action,
          findings: verdict.findings.map((finding) => ({
            severity: finding.severity ?? "error",
            code: finding.code,
            message: finding.message,
            pointer: finding.pointer ?? "",
          })),
          value: verdict.action === "rewrite" ? write(verdict.value, "the rewritten value") : "",
        };
      }),
  };
}
