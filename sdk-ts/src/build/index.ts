// Builds the plugin of a project: sources in, component, manifest and source map out. Same sources, same
// packages and the default engine give the same bytes.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";

import { rawDescriptor } from "../convert.js";
import { authorPlaces } from "../serve/trace.js";
import { bundle } from "./bundle.js";
import { describe } from "./describe.js";
import { ENGINES, type EngineName, componentize, packageOf } from "./engines.js";
import { BuildFailure } from "./failure.js";
import { readManifest, withTools } from "./manifest.js";
import { agree } from "./rights.js";
import { layOut } from "./world.js";

export { BuildFailure } from "./failure.js";
export { ENGINES, type EngineName } from "./engines.js";

/** What to build, and how. */
export interface Options {
  /** The project: where `plugin.toml` is. */
  readonly folder: string;
  /** The module whose default export is the plugin; `src/index.ts` or `src/index.js` unless said. */
  readonly entry?: string;
  /** `flowhost.engine` of the project's package.json unless said, else QuickJS. */
  readonly engine?: EngineName;
  /** Where the result goes; `dist` unless said. */
  readonly out?: string;
  /** Whether the manifest is written beside the component; it is unless said. */
  readonly manifest?: boolean;
}

/** What was built. */
export interface Built {
  readonly name: string;
  readonly kind: string;
  readonly engine: EngineName;
  /** Absolute paths. */
  readonly component: string;
  /** Undefined where none was asked for. */
  readonly manifest: string | undefined;
  readonly sourceMap: string;
  /** The list of packages, with their versions, that the component is made of. */
  readonly packages: string;
  readonly bytes: number;
  /** The capabilities that the component asks for. */
  readonly imports: readonly string[];
  readonly tools: readonly string[];
  readonly notes: readonly string[];
}

/** Builds. Throws a `BuildFailure` for a fault of the project; the last good result stays then. */
export async function buildPlugin(options: Options): Promise<Built> {
  const folder = resolve(options.folder);
  const engine = options.engine ?? engineOfProject(folder);
  const manifest = readManifest(folder);
  const entry = entryOf(folder, options.entry);
  const descriptors = await describe(folder, entry, manifest.kind);
  const { script, map, imports, notes, lines, packages } = await bundle(folder, entry, manifest, descriptors.map(rawDescriptor));
  agree(manifest.kind, manifest.asked, imports);
  const component = await inWorkshop(async (workshop) => {
    const wit = layOut(workshop, manifest.kind, imports);
    try {
      return await componentize(engine, { script, wit, workshop, folder });
    } catch (error) {
      throw error instanceof BuildFailure ? error : engineFailure(error as Error, JSON.stringify(lines));
    }
  });
  const out = resolve(folder, options.out ?? "dist");
  mkdirSync(out, { recursive: true });
  const at = (ending: string): string => join(out, `${manifest.name}${ending}`);
  const madeOf = [...packages, packageOf(engine, folder)];
  write(at(".packages.json"), `${JSON.stringify(madeOf, undefined, 2)}\n`);
  write(at(".js.map"), map);
  const beside = options.manifest === false ? undefined : at(".toml");
  if (beside !== undefined) {
    write(beside, withTools(manifest, descriptors));
  }
  write(at(".wasm"), component);
  return {
    name: manifest.name,
    kind: manifest.kind,
    engine,
    component: at(".wasm"),
    manifest: beside,
    sourceMap: at(".js.map"),
    packages: at(".packages.json"),
    bytes: component.byteLength,
    imports,
    tools: descriptors.map(({ name }) => name),
    notes,
  };
}

function entryOf(folder: string, given: string | undefined): string {
  const candidates = given === undefined ? ["src/index.ts", "src/index.js"] : [given];
  const found = candidates.map((path) => resolve(folder, path)).find((path) => existsSync(path));
  if (found === undefined) {
    throw new BuildFailure(`${candidates.join(" and ")}: no such file in ${folder}`, "name the module with --entry FILE");
  }
  return `./${relative(folder, found)}`;
}

/** A folder that is gone afterwards. */
async function inWorkshop<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "flowhost-build-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What an engine said, with the author's lines in place of the script's. */
function engineFailure(error: Error, lines: string): BuildFailure {
  const places = authorPlaces(error.message, lines);
  const evaluated = /evaluation: (.*?)(\n    at |$)/s.exec(error.message)?.[1]?.trim();
  if (evaluated === undefined && places.length === 0) {
    return new BuildFailure(`the engine cannot make a component: ${error.message.trim()}`);
  }
  return new BuildFailure(
    `the plugin fails while its top level runs: ${evaluated ?? error.message.split("\n")[0]}${places.length === 0 ? "" : ` (${places.join(" < ")})`}`,
    "the top level of every module runs once, while the plugin is built: move the work into run",
  );
}

/** Writes beside the target and renames, so that a reader never meets half a file. */
function write(path: string, contents: string | Uint8Array): void {
  writeFileSync(`${path}.partial`, contents);
  renameSync(`${path}.partial`, path);
}

/** The engine with this name; `where` says who named it. */
export function engineOf(name: string, where: string): EngineName {
  const found = ENGINES.find((engine) => engine === name);
  if (found === undefined) {
    throw new BuildFailure(`${where} ${name}: there is no such engine`, `use one of: ${ENGINES.join(", ")}`);
  }
  return found;
}

/** `"flowhost": { "engine": "…" }` of package.json, for builds that nobody tells. */
function engineOfProject(folder: string): EngineName {
  const path = join(folder, "package.json");
  if (!existsSync(path)) {
    return "quickjs";
  }
  let document: { flowhost?: { engine?: unknown } };
  try {
    document = JSON.parse(readFileSync(path, "utf8")) as typeof document;
  } catch (error) {
    throw new BuildFailure(`package.json is not valid JSON: ${(error as Error).message}`);
  }
  const named = document.flowhost?.engine;
  return named === undefined ? "quickjs" : engineOf(String(named), "package.json: flowhost.engine");
}
