// JSON at the boundary: texts come in and go out, authors see values.

import { Failed, Invalid } from "./errors.js";
import type { Json } from "./types.js";

/** Reads a JSON text; `what` names it in the error.
 * @internal */
export function parse(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new Invalid(`${what} is not valid JSON: ${(error as Error).message}`);
  }
}

/** Writes a value; `undefined` is `null`, and what JSON cannot say is an error instead of a silent loss.
 * @internal */
export function write(value: unknown, what: string): string {
  const text = JSON.stringify(value ?? null, (key, inner: unknown) => {
    if (typeof inner === "number" && !Number.isFinite(inner)) {
      throw new Failed(`${what} holds ${String(inner)} at "${key}", which JSON cannot say`);
    }
    if (typeof inner === "bigint" || typeof inner === "function" || typeof inner === "symbol") {
      throw new Failed(`${what} holds a ${typeof inner} at "${key}", which JSON cannot say`);
    }
    return inner;
  });
  return text;
}

