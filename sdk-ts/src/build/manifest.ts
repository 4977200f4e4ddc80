// `plugin.toml`: what the plugin is and asks for. The author writes it without tools; those come from the
// code, so that schema and types cannot disagree. The host reads the result by its own rules, which count.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { TomlError, parse, stringify } from "smol-toml";

import type { Descriptor } from "../types.js";
import { BuildFailure } from "./failure.js";

export type Kind = "agent" | "guardrail" | "mcp-adapter" | "tool";
const KINDS: readonly Kind[] = ["agent", "guardrail", "mcp-adapter", "tool"];

/** What the build needs to know of it. */
export interface Manifest {
  readonly name: string;
  readonly kind: Kind;
  /** The rights that it asks for, by their profile keys. */
  readonly asked: ReadonlySet<string>;
  /** As it was written. */
  readonly text: string;
}

/** Reads `plugin.toml` of a project. */
export function readManifest(folder: string): Manifest {
  const path = join(folder, "plugin.toml");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new BuildFailure(`${path} cannot be read: ${(error as Error).message}`, "start a project with: flowhost plugin new NAME --lang ts");
  }
  return manifestOf(text);
}

/** Reads the text of a `plugin.toml`. */
export function manifestOf(text: string): Manifest {
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    if (error instanceof TomlError) {
      throw new BuildFailure(`plugin.toml:${error.line}:${error.column}: ${error.message.split("\n")[0]}`);
    }
    throw error;
  }
  const { name, kind, needs = {}, tools } = document;
  if (typeof name !== "string" || !/^[a-z0-9][a-z0-9-]*$/.test(name)) {
    throw new BuildFailure("plugin.toml: `name` is missing or not made of a-z, 0-9 and `-`", 'add a line such as: name = "word-count"');
  }
  if (!KINDS.includes(kind as Kind)) {
    throw new BuildFailure(`plugin.toml: \`kind\` is not one of ${KINDS.join(", ")}`, 'add a line such as: kind = "tool"');
  }
  if (tools !== undefined) {
    throw new BuildFailure("plugin.toml: `[[tools]]` is made from the code", "remove it: name, description and schemas stand in defineTool");
  }
  if (typeof needs !== "object" || needs === null) {
    throw new BuildFailure("plugin.toml: `needs` is not a table", "write [needs] on a line of its own");
  }
  const asked = Object.entries(needs).filter(([, value]) => value !== false);
  return { name, kind: kind as Kind, asked: new Set(asked.map(([key]) => key)), text };
}

/** The manifest that travels with the component: the author's text, and the tools of the code. */
export function withTools(manifest: Manifest, tools: readonly Descriptor[]): string {
  if (tools.length === 0) {
    return manifest.text;
  }
  const tables = tools.map(({ name, title, description, effects, inputSchema, outputSchema, annotations }) => ({
    name,
    title,
    description,
    effects,
    input: inputSchema,
    ...(outputSchema === undefined ? {} : { output: outputSchema }),
    ...(Object.keys(annotations).length === 0
      ? {}
      : {
          annotations: Object.fromEntries(
            Object.entries(annotations).map(([key, value]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
          ),
        }),
  }));
  return `${manifest.text.trimEnd()}\n\n# From the code, by flowhost-build.\n${stringify({ tools: tables }).trimEnd()}\n`;
}
