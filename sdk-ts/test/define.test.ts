// The four kinds, called as the host calls them.

import * as v from "valibot";
import { expect, test } from "vitest";
import * as z from "zod";

import { Failed, Invalid, content, defineAgent, defineGuardrail, defineMcpAdapter, defineTool, deny, output, pass, rewrite } from "@flowhost/sdk";
import { fakeHost } from "@flowhost/sdk/testing";

const double = defineTool({
  name: "double",
  description: "Doubles a number.",
  input: z.object({ n: z.number(), times: z.number().default(2) }),
  output: z.object({ n: z.number() }),
  effects: "none",
  annotations: { readOnly: true },
  run: async ({ n, times }) => content({ n: n * times }, `${n} times ${times}`),
});

test("a tool checks its input, fills defaults in, and gives value and parts", async () => {
  const host = fakeHost();
  const answer = await host.call(double, { n: 4 });
  expect(answer).toMatchObject({ value: { n: 8 }, parts: [{ type: "text", text: "4 times 2" }] });
  await expect(host.call(double, { n: "4" })).rejects.toThrow(/^the input does not fit: n: /);
  await expect(host.call(double, { n: "4" })).rejects.toBeInstanceOf(Invalid);
});

test("a result that does not fit is the plugin's failure, not the caller's", async () => {
  const wrong = defineTool({ name: "w", description: "w", input: z.object({}), output: z.number().max(1), run: () => 2 });
  await expect(fakeHost().call(wrong, {})).rejects.toBeInstanceOf(Failed);
});

test("what JSON cannot say is an error and not a silent loss", async () => {
  const tool = (value: unknown) => defineTool({ name: "t", description: "t", input: z.object({}), run: () => ({ value }) });
  for (const value of [Number.NaN, 1n, () => 1]) {
    await expect(fakeHost().call(tool(value), {})).rejects.toThrow(/which JSON cannot say/);
  }
});

test("of several tools one is called by its name", async () => {
  const half = defineTool({ name: "half", description: "h", input: z.number(), run: (n) => n / 2 });
  expect((await fakeHost().call([double, half], 4, { name: "half" })).value).toBe(2);
  await expect(fakeHost().call([double, half], 4)).rejects.toThrow(/name one of double, half/);
});

test("a descriptor has the schema of what goes in, and of what comes out", () => {
  expect(double.describe()).toEqual({
    name: "double",
    title: "double",
    description: "Doubles a number.",
    inputSchema: { type: "object", properties: { n: { type: "number" }, times: { type: "number", default: 2 } }, required: ["n"] },
    outputSchema: { type: "object", properties: { n: { type: "number" } }, required: ["n"], additionalProperties: false },
    effects: "none",
    annotations: { readOnly: true },
  });
});

test("a schema that says no JSON Schema is told with the cure", () => {
  const tool = defineTool({ name: "t", description: "t", input: v.object({}), run: () => 1 });
  expect(() => tool.describe()).toThrow(/npm install --save-dev @valibot\/to-json-schema/);
});

test("an agent checks what comes, works, and answers messages", async () => {
  const agent = defineAgent({
    config: z.object({ name: z.string() }),
    input: z.object({ q: z.string() }),
    output: z.object({ a: z.string() }),
    onPlan: ({ input, prompt }) => output({ a: `${prompt}${input.q}` }, "a note"),
    onMessage: ({ payload, id }) => [{ topic: "out", payload, correlation: id }],
  });
  const host = fakeHost();
  await host.start(agent, { name: "x" });
  await expect(host.start(agent, {})).rejects.toBeInstanceOf(Invalid);
  expect(await host.plan(agent, { q: "why" }, { prompt: "P " })).toEqual({ content: { a: "P why" }, notes: ["a note"] });
  await expect(host.plan(agent, { q: 1 })).rejects.toBeInstanceOf(Invalid);
  expect(await host.deliver(agent, "in", 5)).toEqual([{ topic: "out", payload: 5, correlation: "message" }]);
  await host.finish(agent);
});

test("a guardrail passes, stops and rewrites", async () => {
  const guardrail = defineGuardrail({
    config: v.object({ word: v.string() }),
    check: ({ value }, { word }) =>
      value === word ? deny({ code: "word", message: "no" }) : value === "odd" ? rewrite("even") : pass(),
  });
  const ask = (value: unknown) => fakeHost().check(guardrail, value, { config: { word: "bad" } });
  expect([(await ask("bad")).action, (await ask("odd")).action, (await ask("good")).action]).toEqual(["deny", "rewrite", "pass"]);
  await expect(fakeHost().check(guardrail, 1)).rejects.toThrow(/the configuration does not fit/);
});

test("an adapter without resources and prompts has empty lists, and says so when asked for one", async () => {
  const session = { name: "s", version: "1", protocol: "2025-11-25", capabilities: {}, instructions: "", state: "" };
  const adapter = defineMcpAdapter({ connect: () => session, listTools: () => ({ items: [] }), callTool: () => null });
  const context = {} as never;
  expect(await adapter.listResources(session, undefined, context)).toEqual({ items: [] });
  expect(() => adapter.readResource(session, "a:b", context)).toThrow(Invalid);
  expect(() => adapter.getPrompt(session, "a", {}, context)).toThrow(Invalid);
});
