// Each host module against the fake host: values, errors by class, and what a test did not give.

import { describe, expect, test } from "vitest";

import {
  Conflict,
  Denied,
  Failed,
  Invalid,
  LimitReached,
  Transient,
  budget,
  clock,
  config,
  files,
  http,
  log,
  messages,
  model,
  progress,
  random,
  secrets,
  state,
  tools,
} from "@flowhost/sdk";
import { fakeHost } from "@flowhost/sdk/testing";

test("without a host a call says how to get one", () => {
  expect(() => clock.nowMs()).toThrow(/there is no host: in a test, make one with fakeHost/);
});

test("a capability that the test did not give is named", async () => {
  const host = fakeHost();
  await expect(host.run(() => files.read("/a"))).rejects.toThrow(/the fake host has no files: give it one/);
  await expect(host.run(() => Date.now())).rejects.toThrow(/has no clock/);
  await expect(host.run(() => Math.random())).rejects.toThrow(/has no random/);
  await expect(host.run(() => fetch("http://127.0.0.1:9/"))).rejects.toThrow(/has no http/);
});

test("globals are the test's own again afterwards", async () => {
  const before = [Date, Math.random, fetch, console, crypto];
  await expect(fakeHost().run(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect([Date, Math.random, fetch, console, crypto]).toEqual(before);
});

describe("errors come by class", () => {
  const cases = [
    new Denied("http", "https://example.com/", "http#none"),
    new LimitReached("http.request", "2", "1"),
    new Invalid("a"),
    new Transient("b"),
    new Failed("c"),
    new Conflict("d"),
  ];
  test.each(cases)("$kind", async (error) => {
    const host = fakeHost({
      http: () => {
        throw error;
      },
    });
    const found: unknown = await host.run(() => {
      try {
        return http.get("https://example.com/");
      } catch (thrown) {
        return thrown;
      }
    });
    expect(found).toBeInstanceOf(error.constructor);
    expect(found).not.toBe(error);
    expect((found as Error).message).toBe(error.message);
  });
});

test("files are bytes and texts below paths", async () => {
  const host = fakeHost({ files: { "/docs/a.txt": "ä€", "/docs/deep/b.bin": Uint8Array.of(1, 2, 255) } });
  await host.run(() => {
    expect(files.roots()).toEqual(["/docs"]);
    expect(files.readText("/docs/a.txt")).toBe("ä€");
    expect(() => files.readText("/docs/deep/b.bin")).toThrow(TypeError);
    expect([...files.readRange("/docs/deep/b.bin", 1, 9)]).toEqual([2, 255]);
    expect(files.list("/docs").map(({ name, kind, size }) => [name, kind, size])).toEqual([
      ["a.txt", "file", 5],
      ["deep", "directory", 0],
    ]);
    files.write("/docs/c.txt", "x");
    files.append("/docs/c.txt", "y");
    files.remove("/docs/a.txt");
    expect(() => files.stat("/docs/a.txt")).toThrow(Invalid);
  });
  expect(new TextDecoder().decode(host.files.get("/docs/c.txt"))).toBe("xy");
});

test("http sends JSON and reads it, by its own name and by fetch", async () => {
  const host = fakeHost({
    http: {
      "POST https://example.com/a": { status: 201, json: { ok: true }, headers: { "Content-Type": "application/json", A: "1" } },
      "https://example.com/b": { status: 302, headers: { location: "/a" } },
    },
  });
  await host.run(async () => {
    const answer = http.post("https://example.com/a", { json: { n: 1 }, headers: { "X-A": "b" } });
    expect([answer.status, answer.ok, answer.json(), answer.header("a")]).toEqual([201, true, { ok: true }, "1"]);
    const fetched = await fetch(new URL("https://example.com/a"), { method: "post", body: new URLSearchParams({ a: "ä" }) });
    expect([fetched.ok, await fetched.json(), fetched.headers.get("A")]).toEqual([true, { ok: true }, "1"]);
    await expect(fetched.text()).rejects.toThrow(/read already/);
    expect((await fetch("https://example.com/b")).status).toBe(302);
    await expect(fetch("https://example.com/b", { redirect: "follow" })).rejects.toThrow(/redirects are handed back/);
    await expect(fetch("https://example.com/b", { signal: AbortSignal.timeout(1) })).rejects.toThrow(/timeoutMs/);
  });
  expect(host.requests[0]?.headers).toEqual([
    ["X-A", "b"],
    ["content-type", "application/json"],
  ]);
  expect(host.requests.map((request) => request.text())).toEqual(['{"n":1}', "a=%C3%A4", ""]);
});

test("a model answers in turn, by values, and out of answers it says so", async () => {
  const call = { id: "1", name: "look", arguments: { at: [1] } };
  const host = fakeHost({ model: ["hello", { toolCalls: [call] }] });
  await host.run(() => {
    expect(model.complete({ model: "mock/a", turns: "hi" }).content).toBe("hello");
    const second = model.complete({
      model: "mock/a",
      turns: [
        { speaker: "assistant", content: "", toolCalls: [call] },
        { speaker: "tool", content: "seen", answers: "1" },
      ],
      answerSchema: { type: "object" },
    });
    expect([second.finish, second.toolCalls]).toEqual(["tool-calls", [call]]);
    expect(() => model.complete({ model: "mock/a", turns: "more" })).toThrow(Failed);
    const { vectors } = model.embed("mock/e", ["a", "b"]);
    expect(vectors[0]).not.toEqual(vectors[1]);
  });
  expect(host.prompts[0]).toMatchObject({ temperature: -1, maxTokens: 1024, answerSchema: "" });
  expect(host.prompts[1]?.turns).toMatchObject([{ toolCalls: [{ arguments: '{"at":[1]}' }] }, { answers: "1" }]);
});

test("state swaps only from the revision that was seen", async () => {
  const host = fakeHost({ state: { notes: { a: "1" } } });
  await host.run(() => {
    const seen = state.get("notes", "a");
    expect(seen?.json()).toBe(1);
    expect(state.compareAndSwap("notes", "a", seen?.revision, "2")).toBeDefined();
    expect(state.compareAndSwap("notes", "a", seen?.revision, "3")).toBeUndefined();
    expect(state.compareAndSwap("notes", "b", undefined, "new")).toBeDefined();
    state.setJson("notes", "c", { n: 1 });
    expect(state.list("notes")).toEqual(["a", "b", "c"]);
    expect([state.remove("notes", "a"), state.remove("notes", "a")]).toEqual([true, false]);
  });
  expect(host.stateOf("notes", "c")).toBe('{"n":1}');
});

test("time moves when the test says so, and Date follows it", async () => {
  const host = fakeHost({ clock: { nowMs: 1_000 } });
  await host.run(() => {
    expect([clock.nowMs(), Date.now(), new Date().getTime(), clock.elapsedMs()]).toEqual([1_000, 1_000, 1_000, 0]);
    host.advance(500);
    expect([Date.now(), clock.elapsedMs()]).toEqual([1_500, 500]);
    expect(new Date(0).toISOString()).toBe("1970-01-01T00:00:00.000Z");
    expect(new Date()).toBeInstanceOf(Date);
  });
});

test("the same seed gives the same numbers, below 1, and UUIDs of their form", async () => {
  const draw = () => fakeHost({ random: 7 }).run(() => [Math.random(), random.number(), crypto.randomUUID(), [...random.bytes(4)]]);
  const first = await draw();
  expect(await draw()).toEqual(first);
  expect(first[0]).toBeLessThan(1);
  expect(first[0]).not.toBe(first[1]);
  expect(first[2]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("the rest of the host", async () => {
  const host = fakeHost({
    config: { greeting: "hi" },
    secrets: { TOKEN: "t" },
    tools: { "other/double": (input) => (input as { n: number }).n * 2 },
    messages: { ask: (payload) => ({ got: payload }) },
    budget: { tokens: 5 },
  });
  await host.run(() => {
    expect([config.get("greeting"), config.get("none"), config.all()]).toEqual(["hi", undefined, { greeting: "hi" }]);
    expect([secrets.names(), secrets.reveal("TOKEN")]).toEqual([["TOKEN"], "t"]);
    expect([tools.list().map(({ name }) => name), tools.call("other/double", { n: 2 }).value]).toEqual([["other/double"], 4]);
    expect(messages.request("ask", 1).payload).toEqual({ got: 1 });
    expect(() => messages.request("none", 1)).toThrow(Transient);
    expect(budget.left().tokens).toBe(5n);
    log.warn("careful", { n: 1, word: "x" });
    console.log("seen", { a: 1 });
    progress.report(1, 2, "half");
  });
  expect(host.logs).toEqual([
    { level: "warn", message: "careful", fields: { n: "1", word: "x" } },
    { level: "info", message: 'seen {"a":1}', fields: {} },
  ]);
  expect(host.progress).toEqual([{ done: 1, total: 2, message: "half" }]);
});
