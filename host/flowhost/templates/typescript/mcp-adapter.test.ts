import { expect, test } from "vitest";

import { Failed } from "@flowhost/sdk";

import { answerOf, contentOf, sessionOf } from "./index.js";

test("refuses a server of another revision", () => {
  expect(() => sessionOf({ protocolVersion: "2024-11-05" })).toThrow(Failed);
});

test("an error of a tool is an error here", () => {
  expect(() => contentOf({ isError: true, content: [{ type: "text", text: "no" }] })).toThrow(new Failed("no"));
});

test("a notification is not an answer and a result is", () => {
  expect(answerOf({ jsonrpc: "2.0", method: "notifications/progress" })).toBeUndefined();
  expect(answerOf({ jsonrpc: "2.0", id: 1, result: { tools: [] } })).toEqual({ tools: [] });
});
