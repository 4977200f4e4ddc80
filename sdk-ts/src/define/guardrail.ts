// Guardrails: they look at a value before or after a step, and pass it, rewrite it or stop it.

import { Invalid } from "../errors.js";
import { type InferOutput, type Schema, check } from "../schema.js";
import type { Context, Json } from "../types.js";

/** What a guardrail looks at. */
export interface Subject {
  readonly phase: "before" | "after";
  /** The step's id in the plan. */
  readonly step: string;
  /** The step's input (before) or output (after). */
  readonly value: Json;
}

/** One thing found. */
export interface Finding {
  /** Stable name of the rule: `banned-word`. */
  readonly code: string;
  readonly message: string;
  /** `error` unless said. */
  readonly severity?: "info" | "warning" | "error";
  /** RFC 6901 pointer into the value; the whole unless said. */
  readonly pointer?: string;
}

/** What to do. The plan's `on_fail` decides what `deny` means for the run. */
export type Verdict =
  | { readonly action: "pass" | "deny"; readonly findings: readonly Finding[] }
  | { readonly action: "rewrite"; readonly findings: readonly Finding[]; readonly value: unknown };

/** Nothing against it. */
export const pass = (...findings: Finding[]): Verdict => ({ action: "pass", findings });
/** It must not go on. */
export const deny = (...findings: Finding[]): Verdict => ({ action: "deny", findings });
/** It goes on as `value`. */
export const rewrite = (value: unknown, ...findings: Finding[]): Verdict => ({ action: "rewrite", value, findings });

/** What a guardrail is made of. */
export interface GuardrailOptions<Config extends Schema> {
  /** Checks the guardrail's rendered `with:`. */
  readonly config?: Config;
  /** Judges a value: `pass()`, `deny(…)` or `rewrite(…)`. */
  check(subject: Subject, config: InferOutput<Config>, context: Context): Verdict | Promise<Verdict>;
}

/** A guardrail, ready to be exported as `default`. */
export interface Guardrail {
  readonly kind: "guardrail";
  check(subject: Subject, config: Json, context: Context): Promise<Verdict>;
}

/** Makes a guardrail. Export it as `default`. */
export function defineGuardrail<Config extends Schema = Schema<Json>>(options: GuardrailOptions<Config>): Guardrail {
  return {
    kind: "guardrail",
    async check(subject, given, context) {
      const config = options.config === undefined ? given : await check(options.config, given, "the configuration", Invalid);
      return options.check(subject, config as InferOutput<Config>, context);
    },
  };
}
