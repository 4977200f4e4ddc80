// Standard Schema (zod, valibot, arktype, …): checks values, and gives the JSON Schema that the host and
// models see. Libraries say that schema themselves (Standard JSON Schema); for valibot its own converter
// is asked, at build time only.

import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";

import { Failed, Invalid } from "./errors.js";
import type { Json } from "./types.js";

/** Any Standard Schema. */
export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>;
/** What a schema accepts. */
export type InferInput<S extends Schema> = StandardSchemaV1.InferInput<S>;
/** What a schema hands on. */
export type InferOutput<S extends Schema> = StandardSchemaV1.InferOutput<S>;

type Issue = StandardSchemaV1.Issue;

/** Checks a value, and gives what the schema makes of it. `fault` is the error that does not fit deserves.
 * @internal */
export async function check<S extends Schema>(
  schema: S,
  value: unknown,
  what: string,
  fault: new (message: string) => Error = Invalid,
): Promise<InferOutput<S>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues) {
    throw new fault(`${what} does not fit: ${result.issues.map(issueText).join("; ")}`);
  }
  return result.value;
}

function issueText(issue: Issue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

/** What gives the JSON Schema of a library that does not say it itself.
 * @internal */
export type Converter = (schema: Schema, side: "input" | "output") => Json | undefined;

const TARGET = { target: "draft-2020-12" } as const;

/** The JSON Schema of what a schema accepts (`input`) or hands on (`output`).
 * @internal */
export function jsonSchema(schema: Schema, side: "input" | "output", convert?: Converter): Json {
  const standard = schema["~standard"] as Partial<StandardJSONSchemaV1.Props> & StandardSchemaV1.Props;
  const said = standard.jsonSchema?.[side](TARGET) ?? convert?.(schema, side);
  if (said === undefined) {
    throw new Failed(
      `the schema library "${standard.vendor}" does not say JSON Schema (Standard JSON Schema). ` +
        (standard.vendor === "valibot"
          ? "Install its converter: npm install --save-dev @valibot/to-json-schema"
          : "Use zod 4.2, arktype 2.1.28, valibot 1.2 or later, or another library with `~standard.jsonSchema`"),
    );
  }
  const { $schema: _, ...rest } = said as Record<string, Json>;
  return rest;
}
