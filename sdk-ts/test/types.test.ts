// What the compiler knows of a plugin from its schemas. A line that should not compile says so, and `tsc`
// fails when it does.

import { type } from "arktype";
import * as v from "valibot";
import { expect, test } from "vitest";
import * as z from "zod";

import { content, defineAgent, defineGuardrail, defineTool, pass } from "@flowhost/sdk";

test("input and output types come from the schema of any library", () => {
  const byZod = defineTool({
    name: "a",
    description: "a",
    input: z.object({ text: z.string(), times: z.number().default(1) }),
    output: z.object({ length: z.number() }),
    run: ({ text, times }) => ({ length: text.length * times }),
  });
  const byValibot = defineTool({
    name: "b",
    description: "b",
    input: v.object({ text: v.optional(v.string(), "x") }),
    run: ({ text }) => text.toUpperCase(),
  });
  const byArktype = defineTool({
    name: "c",
    description: "c",
    input: type({ text: "string", "n?": "number" }),
    output: type({ n: "number" }),
    run: async ({ text, n }) => content({ n: n ?? text.length }, "a text"),
  });
  expect([byZod, byValibot, byArktype].map(({ name }) => name)).toEqual(["a", "b", "c"]);
});

test("what does not fit a schema does not compile", () => {
  const input = z.object({ text: z.string() });
  defineTool({
    name: "a",
    description: "a",
    input,
    // @ts-expect-error: there is no `txt` in the schema
    run: ({ txt }) => txt,
  });
  defineTool({
    name: "b",
    description: "b",
    input,
    output: z.object({ length: z.number() }),
    // @ts-expect-error: a text is no number
    run: ({ text }) => ({ length: text }),
  });
  // @ts-expect-error: a tool has a description, which models read
  defineTool({ name: "c", input, run: () => null });
  defineTool({
    name: "d",
    description: "d",
    input,
    // @ts-expect-error: there are four kinds of effects
    effects: "some",
    run: () => null,
  });
  defineAgent({
    input,
    output: z.object({ answer: z.string() }),
    // @ts-expect-error: `answer` is missing
    onPlan: ({ input: { text } }) => ({ reply: text }),
  });
  // @ts-expect-error: a verdict is asked for
  defineGuardrail({ check: () => true });
  expect(defineGuardrail({ check: () => pass() }).kind).toBe("guardrail");
});
