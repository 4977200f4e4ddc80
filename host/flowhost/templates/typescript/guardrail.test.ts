import { expect, test } from "vitest";

import { fakeHost } from "@flowhost/sdk/testing";

import plugin from "./index.js";

test("stops one character too many and passes the last that fits", async () => {
  const judged = async (longest: number) => (await fakeHost().check(plugin, "abc", { config: { longest } })).action;
  expect([await judged(4), await judged(5)]).toEqual(["deny", "pass"]);
});
