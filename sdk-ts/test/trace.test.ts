// Places of the author's in the stack traces of both engines.

import { expect, test } from "vitest";

import { Conflict, Failed } from "@flowhost/sdk";
import { authorPlaces, described, rawError } from "@flowhost/sdk/internal/serve/trace";

const LINES = JSON.stringify([
  ["src/broken.ts", [10, 3, 11, 4]],
  ["src/index.ts", [20, 7]],
]);

test("frames of either engine become the author's lines, innermost first, without what packages add", () => {
  const quickjs = "    at broken (/plugin.js:11:29)\n    at validate (/plugin.js:15:1)\n    at run (/plugin.js:20:5)\n";
  const spidermonkey = "broken@plugin.js:11:29\nvalidate@plugin.js:15:1\nrun@plugin.js:20:5\ncall@/tmp/x/initializer.js:1622:28\n";
  for (const stack of [quickjs, spidermonkey]) {
    expect(authorPlaces(stack, LINES)).toEqual(["src/broken.ts:4", "src/index.ts:7"]);
  }
});

test("a frame of a loop or a recursion stands once, and very long traces are cut", () => {
  const stack = "at f (/p.js:10:1)\n".repeat(3) + "at f (/p.js:11:1)\nat f (/p.js:10:1)\n".repeat(50);
  expect(authorPlaces(stack, LINES)).toHaveLength(4);
});

test("what was thrown says what it is", () => {
  expect(described(new TypeError("a is undefined"))).toBe("TypeError: a is undefined");
  expect(described("a text")).toBe('"a text" was thrown (throw an Error, so that its place is known)');
  expect(rawError(new Conflict("taken"))).toEqual({ tag: "conflict", val: "taken" });
  expect(rawError(new Failed("no"))).toEqual({ tag: "failed", val: "no" });
  expect(rawError(new RangeError("deep"))).toEqual({ tag: "failed", val: "RangeError: deep" });
  const fromHost = { payload: { tag: "limit", val: { name: "n", used: "2", allowed: "1" } } };
  expect(rawError(fromHost)).toEqual(fromHost.payload);
});
