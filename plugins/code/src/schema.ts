// A JSON Schema as it stands, in the form that the SDK takes schemas in. The host holds every input and result
// against it, so nothing is checked a second time here.

import type { Json, Schema } from "@flowhost/sdk";

/** The schema of a value that is a `Value`. */
export function schema<Value>(json: Json): Schema<Value> {
  const standard = {
    version: 1 as const,
    vendor: "flowhost-code",
    validate: (value: unknown) => ({ value: value as Value }),
    jsonSchema: { input: () => json, output: () => json },
  };
  return { "~standard": standard } as unknown as Schema<Value>;
}
