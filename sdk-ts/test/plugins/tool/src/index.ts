// Every host function of the SDK, by its own name and by the global that follows it.

import * as v from "valibot";

import {
  Conflict,
  Denied,
  FlowhostError,
  Invalid,
  Transient,
  budget,
  clock,
  config,
  content,
  defineTool,
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

import { broken } from "./broken.js";

/** The class of an error and what it says. */
function told(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof Denied) {
      return { denied: error.right, wanted: error.wanted };
    }
    return error instanceof FlowhostError ? { [error.kind]: error.message } : { other: String(error) };
  }
}

export const count = defineTool({
  name: "count",
  title: "Count words",
  description: "Counts the words of a text.",
  input: v.object({ text: v.string(), least: v.optional(v.number(), 1) }),
  output: v.object({ words: v.pipe(v.number(), v.integer()) }),
  effects: "none",
  annotations: { readOnly: true, openWorld: false },
  async run({ text, least }) {
    const words = await Promise.all(text.split(/\s+/u).map(async (word) => word.length >= least));
    return content({ words: words.filter(Boolean).length }, "counted");
  },
});

export const look = defineTool({
  name: "look",
  description: "Asks the host for one thing of each kind.",
  input: v.object({ url: v.string() }),
  effects: "idempotent",
  async run({ url }, context) {
    log.info("looking", { step: context.step, attempt: context.attempt });
    console.warn("by the global", { too: true });
    progress.report(1, 2, "half of it");
    const answer = await fetch(url, { method: "POST", body: JSON.stringify({ said: "ä€😀" }), headers: { "X-Test": "1" } });
    const first = state.get("notes", "count");
    const revision = state.compareAndSwap("notes", "count", first?.revision, "1");
    return {
      fetched: { status: answer.status, body: await answer.json(), kind: answer.headers.get("content-type") },
      sent: http.get(url).status,
      roots: files.roots(),
      read: files.readText("/docs/a.txt"),
      listed: files.list("/docs").map(({ name, kind, size }) => [name, kind, size]),
      outside: told(() => files.readText("/etc/passwd")),
      absent: told(() => files.readText("/docs/none.txt")),
      state: {
        before: first === undefined,
        lost: state.compareAndSwap("notes", "count", undefined, "2") === undefined,
        kept: state.get("notes", "count")?.text(),
        swapped: revision !== undefined,
        keys: state.list("notes"),
        denied: told(() => state.get("other", "x")),
      },
      time: { date: Date.now() === new Date().getTime(), past: new Date(0).toISOString(), elapsed: clock.elapsedMs() >= 0, is: new Date() instanceof Date },
      random: {
        inside: Math.random() < 1,
        uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/.test(crypto.randomUUID()),
        filled: crypto.getRandomValues(new Uint8Array(4)).length,
        bytes: random.bytes(3).length,
      },
      config: [config.get("greeting"), config.get("none") === undefined, config.all()],
      secrets: [secrets.names(), told(() => secrets.reveal("TOKEN"))],
      budget: budget.left().hostCalls > 0n,
      model: model.complete({ model: "mock/echo", turns: "hello" }).content,
      tools: tools.list().map(({ name }) => name),
      called: told(() => tools.call("other/none", {})),
      published: messages.publish("heard.x", { n: 1 }) !== "",
      unheard: told(() => messages.publish("elsewhere", {})),
      texts: new TextDecoder().decode(new TextEncoder().encode("ä€😀")),
      url: new URL("../x?q=1", "https://example.com/a/b").href,
      clone: structuredClone({ a: [1] }),
    };
  },
});

export const fail = defineTool({
  name: "fail",
  description: "Fails in the way that is asked for.",
  input: v.object({ how: v.string() }),
  output: v.object({ fits: v.boolean() }),
  async run({ how }) {
    switch (how) {
      case "invalid":
        throw new Invalid("as asked");
      case "transient":
        throw new Transient("as asked");
      case "conflict":
        throw new Conflict("as asked");
      case "line":
        return broken({});
      case "text":
        throw "a text";
      case "never":
        return new Promise<never>(() => undefined);
      case "lost":
        void Promise.reject(new Error("nobody waits"));
        break;
      case "timer":
        setTimeout(() => undefined, 10);
        break;
      case "deep": {
        const dig = (depth: number): number => 1 + dig(depth + 1);
        dig(0);
        break;
      }
      case "shape":
        return { fits: "no" } as never;
    }
    return { fits: true };
  },
});

export default [count, look, fail];
