import { expect, test } from "vitest";

import { Invalid } from "@flowhost/sdk";
import { fakeHost } from "@flowhost/sdk/testing";

import plugin from "./index.js";

test("refuses a text without words", async () => {
  await expect(fakeHost().call(plugin, { text: " \n" })).rejects.toBeInstanceOf(Invalid);
});

test("counts words and characters", async () => {
  const { value } = await fakeHost().call(plugin, { text: "zwei Wörter" });
  expect(value).toEqual({ words: 2, characters: 11 });
});
