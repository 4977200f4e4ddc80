// A tool as a declaration in TypeScript, which models read with fewer tokens than a JSON Schema.

import type { Descriptor, Json } from "@flowhost/sdk";

/** Levels of a type that are written out, and what they may come to; below that it is `unknown`. */
const DEPTH_MAX = 6;
const CHARS_MAX = 4 * 1024;
const DEPTH_SHORT = 2;
/** Characters of a description. */
const SAID_MAX = 300;
const NOTE_MAX = 80;
/** Literals of a union. */
const LITERALS_MAX = 24;

type Members = { readonly [key: string]: Json | undefined };

/** `tools.shop.find(args: { … }): Promise<…>`, with what its author says of it. */
export function declaration(tool: Descriptor): string {
  const whole = written(tool, DEPTH_MAX);
  return whole.length <= CHARS_MAX ? whole : written(tool, DEPTH_SHORT);
}

function written(tool: Descriptor, depth: number): string {
  const input = new Writer(tool.inputSchema).type(tool.inputSchema, depth);
  const output = tool.outputSchema === undefined ? "unknown" : new Writer(tool.outputSchema).type(tool.outputSchema, depth);
  const said = comment(tool.description || tool.title, SAID_MAX);
  return `${said === "" ? "" : `${said}\n`}${access(tool.name)}(args: ${input}): Promise<${output}>;`;
}

function access(name: string): string {
  return `tools${name.split("/").map((part) => (isName(part) ? `.${part}` : `[${JSON.stringify(part)}]`)).join("")}`;
}

const isName = (text: string): boolean => /^[A-Za-z_$][\w$]*$/.test(text);

function comment(text: string, most: number): string {
  const line = text.replace(/\s+/g, " ").replaceAll("*/", "* /").trim();
  return line === "" ? "" : `/** ${line.length > most ? `${line.slice(0, most)}…` : line} */`;
}

/** Types of one schema, whose own definitions it knows. */
class Writer {
  constructor(readonly root: Json) {}

  type(schema: Json | undefined, depth: number): string {
    if (!isMembers(schema) || depth === 0) {
      return "unknown";
    }
    const { $ref, const: constant, enum: literals, anyOf, oneOf, allOf, type } = schema;
    if (typeof $ref === "string") {
      return this.type(this.#resolved($ref), depth - 1);
    }
    if (constant !== undefined) {
      return JSON.stringify(constant);
    }
    if (Array.isArray(literals)) {
      return joined(literals.slice(0, LITERALS_MAX).map((value) => JSON.stringify(value)), " | ");
    }
    for (const union of [anyOf, oneOf]) {
      if (Array.isArray(union)) {
        return joined(union.map((part: Json) => this.type(part, depth - 1)), " | ");
      }
    }
    if (Array.isArray(allOf)) {
      return joined(allOf.map((part: Json) => this.type(part, depth - 1)), " & ");
    }
    const kinds = Array.isArray(type) ? type : [type ?? (schema["properties"] === undefined ? undefined : "object")];
    return joined(kinds.map((kind: Json | undefined) => this.#kind(kind, schema, depth)), " | ");
  }

  #kind(kind: Json | undefined, schema: Members, depth: number): string {
    switch (kind) {
      case "string":
      case "boolean":
      case "null":
        return kind;
      case "number":
      case "integer":
        return "number";
      case "array": {
        const item = this.type(schema["items"], depth - 1);
        return /[|&]/.test(item) && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
      }
      case "object":
        return this.#object(schema, depth);
      default:
        return "unknown";
    }
  }

  #object(schema: Members, depth: number): string {
    const properties = isMembers(schema["properties"]) ? schema["properties"] : {};
    const required = Array.isArray(schema["required"]) ? schema["required"] : [];
    const members = Object.entries(properties).map(([name, property]) => {
      const said = isMembers(property) && typeof property["description"] === "string" ? `${comment(property["description"], NOTE_MAX)} ` : "";
      const key = isName(name) ? name : JSON.stringify(name);
      return `${said}${key}${required.includes(name) ? "" : "?"}: ${this.type(property, depth - 1)}`;
    });
    const more = schema["additionalProperties"];
    if (members.length === 0) {
      return more === false ? "{}" : `Record<string, ${isMembers(more) ? this.type(more, depth - 1) : "unknown"}>`;
    }
    return `{ ${members.join("; ")} }`;
  }

  /** A definition of the schema's own; another document's is not read. */
  #resolved(reference: string): Json | undefined {
    if (reference !== "#" && !reference.startsWith("#/")) {
      return undefined;
    }
    const steps = reference.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    return steps.reduce<Json | undefined>((at, step) => (isMembers(at) && Object.hasOwn(at, step) ? at[step] : undefined), this.root);
  }
}

const isMembers = (value: Json | undefined): value is Members => typeof value === "object" && value !== null && !Array.isArray(value);

/** A union without repetitions; nothing is `unknown`, and whatever holds `unknown` is. */
function joined(types: readonly string[], sign: string): string {
  const different = [...new Set(types)];
  return different.length === 0 ? "unknown" : different.join(sign);
}
