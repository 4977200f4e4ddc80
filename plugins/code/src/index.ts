// The tool `code`: a program in place of one tool call per turn of a model. What it does to the world it does
// through the host's `tools`, call by call; here is no wall, and none is needed: the sandbox is around all of it.

import { content, defineTool } from "@flowhost/sdk";

import { run } from "./program.js";
import { schema } from "./schema.js";
import { Catalogue } from "./catalogue.js";

/** Longest program, in bytes: one that a model writes in a turn is a hundredth of it. */
const SOURCE_MAX = 64 * 1024;
/** Declarations that one search shows, unless said, and at most. */
const FOUND = 8;
const FOUND_MAX = 32;

const RUN = `Runs a program in JavaScript (ES2023, strict; TypeScript's types are removed) as the body of an async function, and gives \
what it returns, or the value of its last expression. In reach: \`await tools.PLUGIN.TOOL(args)\` for each tool, \`await tools.all([...])\`, \
\`tools.search("words")\` and \`tools.describe("plugin/tool")\` for declarations, \`console.log\`, and \`input\`. There are no files, \
network, clock, random numbers and modules. Do as much as possible in one program, and return only what you need to read.`;

const SEARCH = `Finds tools that a program may call, by words of their names and descriptions, and shows how each is called, as \
declarations in TypeScript. Without words it lists names.`;

interface Program {
  readonly source: string;
  readonly input?: unknown;
}

interface Query {
  readonly query: string;
  readonly limit?: number;
}

export default [
  defineTool({
    name: "run",
    title: "Run a program",
    description: RUN,
    input: schema<Program>({
      type: "object",
      required: ["source"],
      additionalProperties: false,
      properties: {
        source: { type: "string", minLength: 1, maxLength: SOURCE_MAX, description: "the program" },
        input: { description: "what the program sees as `input`" },
      },
    }),
    output: schema<unknown>({
      type: "object",
      required: ["result", "calls", "bytes"],
      additionalProperties: false,
      properties: {
        result: { description: "what the program returned" },
        calls: { type: "integer", minimum: 0, description: "tools that it called" },
        bytes: { type: "integer", minimum: 0, description: "characters of JSON that they answered" },
        console: { type: "array", items: { type: "string" } },
      },
    }),
    effects: "once",
    run: ({ source, input }) => run(source, input, SOURCE_MAX),
  }),
  defineTool({
    name: "search",
    title: "Find tools",
    description: SEARCH,
    input: schema<Query>({
      type: "object",
      required: ["query"],
      additionalProperties: false,
      properties: {
        query: { type: "string", maxLength: 1024, description: "words, or nothing for the names of all tools" },
        limit: { type: "integer", minimum: 1, maximum: FOUND_MAX, description: `declarations to show, ${FOUND} unless said` },
      },
    }),
    effects: "none",
    annotations: { readOnly: true },
    run: ({ query, limit }) => content(null, new Catalogue().told(query, limit ?? FOUND)),
  }),
];
