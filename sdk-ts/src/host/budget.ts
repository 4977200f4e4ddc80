// What is left. Needs `budget = true` below `[needs]` and in the profile.

import raw from "#raw/budget";

import { ask } from "./call.js";

/** Amounts left for this call or run. */
export interface Remaining {
  readonly fuel: bigint;
  readonly hostCalls: bigint;
  readonly deadlineMs: number;
  readonly tokens: bigint;
  /** Millionths of a US dollar. */
  readonly microUsd: bigint;
}

/** Reads the budget. */
export function left(): Remaining {
  const { fuel, hostCalls, deadlineMs, tokens, microUsd } = ask("budget.left", () => raw.left());
  return { fuel: BigInt(fuel), hostCalls: BigInt(hostCalls), deadlineMs, tokens: BigInt(tokens), microUsd: BigInt(microUsd) };
}
