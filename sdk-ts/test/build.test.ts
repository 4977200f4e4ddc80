// The build: what it makes of the same sources twice, and what it says of a project that is wrong.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, expect, test } from "vitest";

import { BuildFailure, type Built, buildPlugin } from "@flowhost/sdk/build";
import { type Bundle, bundle } from "@flowhost/sdk/internal/build/bundle";
import { readManifest } from "@flowhost/sdk/internal/build/manifest";
import { agree } from "@flowhost/sdk/internal/build/rights";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const cli = join(root, "dist/build/cli.js");
const made: string[] = [];
afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

const TOML = 'version = 1\nname = "under-test"\nkind = "tool"\nrelease = "0.1.0"\ndescription = "d"\n';
const TOOL = (run: string, top = ""): string => `
import * as v from "valibot";
import * as sdk from "@flowhost/sdk";
${top}
export default sdk.defineTool({ name: "t", description: "d", input: v.object({}), run: ${run} });
`;

/** A project like one that `npm install` left. */
function project(source: string, needs = "", toml = TOML): string {
  const folder = mkdtempSync(join(tmpdir(), "flowhost-sdk-test-"));
  made.push(folder);
  mkdirSync(join(folder, "src"));
  mkdirSync(join(folder, "node_modules/@flowhost"), { recursive: true });
  symlinkSync(root, join(folder, "node_modules/@flowhost/sdk"));
  for (const name of ["valibot", "@valibot"]) {
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "plugin.toml"), `${toml}\n[needs]\n${needs}`);
  writeFileSync(join(folder, "src/index.ts"), source);
  return folder;
}

async function failure(folder: string): Promise<BuildFailure> {
  const error: unknown = await buildPlugin({ folder }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BuildFailure);
  return error as BuildFailure;
}

const digest = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/** What a build would ask for, without the slow part. */
async function bundled(source: string, needs: string): Promise<Bundle> {
  const folder = project(source, needs);
  return bundle(folder, "./src/index.ts", readManifest(folder), []);
}

let good: string;
let built: Built;
beforeAll(async () => {
  good = project(TOOL("() => 1"));
  built = await buildPlugin({ folder: good });
});

test("asking for nothing imports nothing, and the tools of the code are in the manifest", () => {
  expect(built).toMatchObject({ name: "under-test", kind: "tool", imports: [], tools: ["t"], notes: [] });
  expect(readFileSync(built.manifest ?? "", "utf8")).toContain("[[tools]]");
  const packages = JSON.parse(readFileSync(built.packages, "utf8")) as { name: string; version: string }[];
  expect(packages.map(({ name }) => name)).toEqual(["@flowhost/sdk", "promise-polyfill", "valibot", "componentize-qjs"]);
  expect(packages.every(({ version }) => /^\d+\.\d+\.\d+$/.test(version))).toBe(true);
  expect(JSON.parse(readFileSync(built.sourceMap, "utf8"))).toHaveProperty("sourcesContent");
});

test("the same sources give the same bytes, by the command too, which prints one JSON document", () => {
  const said = execFileSync(process.execPath, [cli, good, "--out", "again", "--json"], { encoding: "utf8" });
  const again = JSON.parse(said) as Built;
  expect(again).toMatchObject({ name: "under-test", engine: "quickjs" });
  expect(digest(again.component)).toBe(digest(built.component));
});

test("the command says errors with a hint, on the other stream", () => {
  const run = (...words: string[]) => () => execFileSync(process.execPath, [cli, ...words], { encoding: "utf8", stdio: "pipe" });
  expect(run(project(TOOL("() => 1"), "log = true\n"))).toThrow(/\n\nhint: remove it from \[needs\]/);
  expect(run(good, "--engine", "v8")).toThrow(/use one of: quickjs, spidermonkey/);
  expect(run(good, "--nothing")).toThrow(/usage: flowhost-build/);
});

test("a project may choose its engine, and one that there is not is refused", async () => {
  const folder = project(TOOL("() => 1"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "flowhost": { "engine": "v8" } }');
  expect((await failure(folder)).message).toBe("package.json: flowhost.engine v8: there is no such engine");
});

test("an engine that is not installed is told with the command that installs it", async () => {
  const folder = project(TOOL("() => 1"));
  const error: unknown = await buildPlugin({ folder, engine: "spidermonkey" }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(BuildFailure);
  expect((error as BuildFailure).cure).toContain("npm install --save-dev @bytecodealliance/componentize-js");
});

test("only what is used is asked for, and a global follows the manifest", async () => {
  const source = TOOL("() => [sdk.clock.nowMs(), Math.random()]");
  expect((await bundled(source, 'clock = "granted"\nrandom = "granted"\n')).imports).toEqual(["clock", "random"]);
  expect((await bundled(source, 'clock = "granted"\n')).imports).toEqual(["clock"]);
});

test("a global whose right is not asked for is noted with its line", async () => {
  const { notes, imports } = await bundled(TOOL("() => {\n  console.log(Date.now());\n  return fetch(`x`);\n}"), "");
  expect(imports).toEqual([]);
  expect(notes.map((note) => note.slice(0, note.indexOf(" is used")))).toEqual([
    "src/index.ts:6: Date.now",
    "src/index.ts:6: console.log",
    "src/index.ts:7: fetch",
  ]);
});

test("a right that is used and not asked for is refused with the line to add", async () => {
  const error = await failure(project(TOOL("() => sdk.http.get(`http://127.0.0.1/`).status")));
  expect([error.message, error.cure]).toEqual([
    "the plugin uses http, which plugin.toml does not ask for",
    'add below [needs] in plugin.toml: http = "granted"',
  ]);
});

test("a right that is asked for and never used is refused", async () => {
  const error = await failure(project(TOOL("() => 1"), "log = true\n"));
  expect(error.message).toBe("plugin.toml asks for log and the plugin never uses it");
});

test("what the process of an adapter sees is granted to the adapter, which reads nothing itself", () => {
  const asked = new Set(["process", "files", "http"]);
  expect(() => agree("mcp-adapter", asked, ["mcp-transport"])).not.toThrow();
  expect(() => agree("tool", new Set(["files"]), [])).toThrow("asks for files");
});

test("a call of the host at the top level is told with the author's line", async () => {
  const error = await failure(project(TOOL("() => 1", "const now = sdk.clock.nowMs();\nexport { now };"), 'clock = "granted"\n'));
  expect(error.message).toContain("clock.nowMs");
  expect(error.message).toContain("top level");
});

test("a syntax error has file, line and column", async () => {
  const error = await failure(project("export default {\n  name: ;\n}"));
  expect(error.message).toMatch(/^src\/index\.ts:2:9: Unexpected ";"/);
});

test("a module of Node is not in the sandbox, and the cure says what is", async () => {
  const error = await failure(project(TOOL("() => readFileSync('/etc/passwd')", 'import { readFileSync } from "node:fs";')));
  expect(error.message).toContain('Could not resolve "node:fs"');
  expect(error.cure).toContain("host modules");
});

test("a manifest that is wrong is told by line, or by what is missing", async () => {
  expect((await failure(project(TOOL("() => 1"), "", 'name = "x'))).message).toMatch(/^plugin\.toml:\d+:\d+: /);
  expect((await failure(project(TOOL("() => 1"), "", 'name = "x"\n'))).message).toContain("`kind` is not one of");
  expect((await failure(project(TOOL("() => 1"), "", `${TOML}[[tools]]\nname = "t"\n`))).message).toContain("made from the code");
});

test("another kind than the manifest says is refused, and so is no default export", async () => {
  expect((await failure(project(TOOL("() => 1"), "", TOML.replace('"tool"', '"agent"')))).cure).toBe("export default defineAgent({ … })");
  expect((await failure(project("export const x = 1;"))).message).toBe("./src/index.ts has no default export");
});

test("a build that fails leaves the last good result", async () => {
  const before = digest(built.component);
  writeFileSync(join(good, "src/index.ts"), "export default {");
  await failure(good);
  expect(digest(built.component)).toBe(before);
  expect(readdirSync(join(good, "dist")).sort()).toEqual(["under-test.js.map", "under-test.packages.json", "under-test.toml", "under-test.wasm"]);
});
