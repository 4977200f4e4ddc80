import { expect, test } from "vitest";

import { Invalid } from "@flowhost/sdk";
import { fakeHost } from "@flowhost/sdk/testing";

import plugin from "./index.js";

test("refuses an empty question before it costs anything", async () => {
  const host = fakeHost({ model: ["never given"] });
  await expect(host.plan(plugin, { question: " " })).rejects.toBeInstanceOf(Invalid);
  expect(host.prompts).toEqual([]);
});

test("hands back what the model says", async () => {
  const host = fakeHost({ model: ["Because."] });
  expect((await host.plan(plugin, { question: "Why?" })).content).toEqual({ answer: "Because." });
  expect(host.logs.map(({ message }) => message)).toEqual(["asking the model"]);
});
