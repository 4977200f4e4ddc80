// Programs with `async` and `await`, once as this Node runs them and once lowered: both have to come to the same. Run by
// `cargo xtask test`; by hand with `node --test`, where the SDK beside has its packages.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "../../../sdk-ts/node_modules/esbuild/lib/main.js";

const sources = join(dirname(fileURLToPath(import.meta.url)), "../src");
const place = mkdtempSync(join(tmpdir(), "flowhost-code-"));
after(() => rmSync(place, { recursive: true, force: true }));

async function load(name) {
  const outfile = join(place, `${name}.mjs`);
  await build({ entryPoints: [join(sources, `${name}.ts`)], bundle: true, format: "esm", platform: "node", outfile, logLevel: "error" });
  return import(pathToFileURL(outfile).href);
}

const { lower } = await load("lower");
const { drive } = await load("drive");

const AsyncFunction = (async () => undefined).constructor;
const natively = (source) => new AsyncFunction(`"use strict";${source}`)();
const lowered = (source) => drive((0, eval)(`(function($drive){return function*(){${lower(source)}\n}})`)(drive)());

/** What a program comes to, as a text. */
async function outcome(run, source) {
  try {
    return JSON.stringify(await run(source)) ?? "nothing";
  } catch (thrown) {
    return `throws ${thrown?.name ?? typeof thrown}: ${thrown?.message ?? thrown}`;
  }
}

const PROGRAMS = [
  "const log = []; async function w(n) { for (let i = 0; i < 3; i++) { log.push(n + i); await null; } } await Promise.all([w('a'), w('b')]); return log;",
  "async function f(a = (() => { throw new Error('d') })()) {} try { await f() } catch (e) { return e.message }",
  "const f = async ({ a, b: [c = 2] = [] }, ...r) => a + c + r.length; return [await f({ a: 1 }), await f({ a: 1, b: [5] }, 1, 2)]",
  "class A { constructor() { this.v = 3 } m = async () => { await 0; return this.v }; async ['x y']() { return this.v + 1 } static async st() { return 9 } get p() { return (async () => this.v)() } } const a = new A(); return [await a.m(), await a['x y'](), await A.st(), await a.p]",
  "class A { #n = 1; async #up() { return ++this.#n } async go() { await this.#up(); return this.#up() } } return new A().go()",
  "label: for (let i = 0; ; i++) { switch (await i) { case 2: break label; default: continue } } return 'done'",
  "try { await Promise.reject(1) } catch { try { throw 2 } finally { await 0 } }",
  "return (async function fact(n) { return n < 2 ? 1 : n * await fact(n - 1) })(6)",
  "const o = { async: 1, await: 2, async f() { return arguments.length } }; return [o.async, o.await, await o.f(1, 2, 3)]",
  "return `a${await Promise.resolve(`b${await 1}`)}c`",
  "return [await 1 + await 2 * await 3, (await 1, await 2), -await 4, typeof await 'x', !await false]",
  "return (await Promise.allSettled([(async () => { throw new TypeError('q') })(), 2])).map((x) => x.status)",
  "const thenable = { then(r) { r(7) } }; return await thenable",
  "async function f() { return this === undefined } return f()",
  "const g = function* () { const x = yield 1; return x * 2 }; const it = g(); it.next(); return [it.next(4).value, await (async () => [...(function* () { yield 1 })()])()]",
  "let i = 0; while (await (async () => i++ < 3)()) {} do { i-- } while (await i > 0); return i",
  "const f = async x => ({ x }), h = async () => [1, 2], k = async (\n  // a comment => here\n  a /* ) */,\n) =>\n  a; return [await f(3), await h(), await k(4)]",
  "if (await true) { return 'y' } else return 'n'",
  "var a = await 1, { b, ...c } = await { b: 2, d: 3 }; a ??= await 5; return [a, b, c]",
  "return await (await (await (async () => async () => async () => 3)())())()",
  "const f = async () => { await 0; throw new RangeError('deep') }; await f()",
  "return await\n 5",
];

for (const source of PROGRAMS) {
  test(source.slice(0, 60), async () => {
    assert.equal(await outcome(lowered, source), await outcome(natively, source));
  });
}

test("lines stay where they were, with and without types", () => {
  for (const source of ["const f = async () =>\n  1;\n\nawait f();\nlast", "interface A {\n  n: number;\n}\nconst f = async (a: A): Promise<number> =>\n  a.n;\nlast"]) {
    const wanted = source.split("\n").findIndex((line) => line === "last");
    const found = lower(source).split("\n").findIndex((line) => line.includes("last"));
    assert.equal(found, wanted);
  }
});
