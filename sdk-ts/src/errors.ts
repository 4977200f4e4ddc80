// What can go wrong, by class. The contract has six cases and no others (`flowhost:types/types`, error):
// the host maps each to retry, exit code and ledger, so a plugin chooses its class with care.

/** The contract's `error`, as a component's boundary carries it. */
export type RawError =
  | { tag: "denied"; val: { right: string; wanted: string; rule: string } }
  | { tag: "limit"; val: { name: string; used: string; allowed: string } }
  | { tag: "invalid" | "transient" | "failed" | "conflict"; val: string };

/** Any error of the contract. Throw one of its classes; catch this one to catch them all. */
export abstract class FlowhostError extends Error {
  /** The contract's name of the class. */
  abstract readonly kind: RawError["tag"];
  /** The form that leaves the component. */
  abstract raw(): RawError;
}

/** Policy said no. Never retried. Normally comes from a host function. */
export class Denied extends FlowhostError {
  readonly kind = "denied";
  override readonly name = "Denied";
  /**
   * @param right the profile key that was missing: `http`, `files`, `tools.call`
   * @param wanted what was asked for
   * @param rule the rule that decided
   */
  constructor(
    readonly right: string,
    readonly wanted: string,
    readonly rule: string,
  ) {
    super(`denied: ${right}: ${wanted} (${rule})`);
  }
  override raw(): RawError {
    return { tag: "denied", val: { right: this.right, wanted: this.wanted, rule: this.rule } };
  }
}

/** A limit was reached. Never retried. Numbers are decimal texts in the limit's own unit. */
export class LimitReached extends FlowhostError {
  readonly kind = "limit";
  override readonly name = "LimitReached";
  constructor(
    readonly limit: string,
    readonly used: string,
    readonly allowed: string,
  ) {
    super(`limit ${limit}: used ${used}, allowed ${allowed}`);
  }
  override raw(): RawError {
    return { tag: "limit", val: { name: this.limit, used: this.used, allowed: this.allowed } };
  }
}

/** The input was wrong. Never retried. */
export class Invalid extends FlowhostError {
  readonly kind = "invalid";
  override readonly name = "Invalid";
  override raw(): RawError {
    return { tag: "invalid", val: this.message };
  }
}

/** It may work next time. Retried as the plan says. */
export class Transient extends FlowhostError {
  readonly kind = "transient";
  override readonly name = "Transient";
  override raw(): RawError {
    return { tag: "transient", val: this.message };
  }
}

/** It did not work and will not. */
export class Failed extends FlowhostError {
  readonly kind = "failed";
  override readonly name = "Failed";
  override raw(): RawError {
    return { tag: "failed", val: this.message };
  }
}

/** The world is not as the call needs it: the thing is there already, or somebody changed it first. */
export class Conflict extends FlowhostError {
  readonly kind = "conflict";
  override readonly name = "Conflict";
  override raw(): RawError {
    return { tag: "conflict", val: this.message };
  }
}

/** The class for a raw error.
 * @internal */
export function fromRaw(raw: RawError): FlowhostError {
  switch (raw.tag) {
    case "denied":
      return new Denied(raw.val.right, raw.val.wanted, raw.val.rule);
    case "limit":
      return new LimitReached(raw.val.name, raw.val.used, raw.val.allowed);
    case "invalid":
      return new Invalid(raw.val);
    case "transient":
      return new Transient(raw.val);
    case "failed":
      return new Failed(raw.val);
    case "conflict":
      return new Conflict(raw.val);
  }
}

const TAGS = new Set(["denied", "limit", "invalid", "transient", "failed", "conflict"]);

/** The contract's error inside what an engine throws when a host function says no, or undefined. Both
 * engines put it into `payload`; SpiderMonkey throws from another realm, so no `instanceof` here.
 * @internal */
export function rawOf(thrown: unknown): RawError | undefined {
  const payload: unknown = (thrown as { payload?: unknown } | null | undefined)?.payload;
  const tag: unknown = (payload as { tag?: unknown } | null | undefined)?.tag;
  return typeof tag === "string" && TAGS.has(tag) ? (payload as RawError) : undefined;
}
