// One script of everything: the author's modules, their packages, the SDK, with the globals that the
// manifest pays for. What stays an import is what the component will ask for.

import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

import { type BuildOptions, type BuildResult, type Metafile, type Plugin, build } from "esbuild";

import type { RawDescriptor } from "../raw/contract.js";
import { BuildFailure } from "./failure.js";
import { type Line, lineTable } from "./lines.js";
import type { Kind, Manifest } from "./manifest.js";
import { ROUTES, SHIMS, lineOf } from "./rights.js";

/** The SDK's own folder, where its package.json is. */
export const SDK = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** A finished script. */
export interface Bundle {
  readonly script: string;
  readonly map: string;
  /** The WIT packages that it imports, sorted. */
  readonly imports: readonly string[];
  /** What an author may want to know. */
  readonly notes: readonly string[];
  /** Where the author's lines are in the script. */
  readonly lines: readonly Line[];
  /** The packages that something of stands in the script, the SDK among them, sorted. */
  readonly packages: readonly Package[];
}

/** A package as a registry knows it. */
export interface Package {
  readonly name: string;
  readonly version: string;
}

/** The options of every bundle that runs in a component. */
const GUEST: BuildOptions = {
  bundle: true,
  write: false,
  metafile: true,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  conditions: ["flowhost"],
  target: "es2022",
  // Every async function becomes one over the SDK's own Promise: see src/globals/promise.ts.
  supported: { "async-await": false, "async-generator": false, "for-await": false },
  external: ["flowhost:*"],
  charset: "utf8",
  logLevel: "silent",
};

/** The SDK resolves to this very package, wherever the author's copy is, so that there is one of it. */
const sdk: Plugin = {
  name: "flowhost-sdk",
  setup(builder) {
    builder.onResolve({ filter: /^@flowhost\/sdk(\/|$)/ }, (asked) =>
      asked.pluginData === SDK
        ? undefined
        : builder.resolve(asked.path, { resolveDir: SDK, kind: asked.kind, importer: asked.importer, pluginData: SDK }),
    );
  },
};

/** Bundles the plugin of `entry`. */
export async function bundle(folder: string, entry: string, manifest: Manifest, descriptors: readonly RawDescriptor[]): Promise<Bundle> {
  const plain = await run(folder, { entryPoints: [entry], legalComments: "none" });
  const text = script(plain);
  const routed = ROUTES.filter(({ key, mention }) => manifest.asked.has(key) && mention.test(text));
  // A route brings the SDK's own code along, which wants texts: `fetch` has bodies.
  const shims = SHIMS.filter(({ module, mention }) => mention.test(text) || (module === "texts" && routed.length > 0));
  // Shims go before the denials, because they ask for a random number while they load.
  const modules = [...shims, { module: "denied" }, ...routed].map(({ module }) => `@flowhost/sdk/internal/globals/${module}`);
  const whole = await run(folder, {
    stdin: { contents: start(manifest.kind, entry, modules, descriptors), resolveDir: folder, sourcefile: "component.js" },
    sourcemap: "external",
    sourcesContent: true,
    outfile: join(folder, "dist", `${manifest.name}.js`),
  });
  const map = whole.outputFiles?.find((file) => file.path.endsWith(".map"))?.text ?? "";
  const lines = lineTable(map, "dist");
  return {
    script: `${script(whole)}globalThis.__flowhost.lines = ${JSON.stringify(JSON.stringify(lines))};\n`,
    map,
    imports: importsOf(whole.metafile),
    notes: notes(folder, plain.metafile, manifest),
    lines,
    packages: packagesOf(folder, whole.metafile),
  };
}

/** The script that everything hangs on. */
function start(kind: Kind, entry: string, modules: readonly string[], descriptors: readonly RawDescriptor[]): string {
  const camel = kind === "mcp-adapter" ? "mcpAdapter" : kind;
  const given = kind === "tool" ? `[plugin].flat(), ${JSON.stringify(descriptors)}` : "plugin";
  return [
    'import "@flowhost/sdk/internal/globals/prelude";',
    ...modules.map((module) => `import ${JSON.stringify(module)};`),
    `import { serve } from "@flowhost/sdk/internal/serve/${kind}";`,
    `import plugin from ${JSON.stringify(entry)};`,
    `export const ${camel} = serve(${given});`,
  ].join("\n");
}

async function run(folder: string, options: BuildOptions): Promise<BuildResult<{ metafile: true }>> {
  try {
    return (await build({ ...GUEST, absWorkingDir: folder, plugins: [sdk], ...options })) as BuildResult<{ metafile: true }>;
  } catch (error) {
    throw bundleFailure(error);
  }
}

interface EsbuildMessage {
  text: string;
  location: { file: string; line: number; column: number } | null;
}

/** esbuild's own messages, each with its place, and a word about Node's modules. */
export function bundleFailure(error: unknown): unknown {
  const errors = (error as { errors?: EsbuildMessage[] }).errors;
  if (!Array.isArray(errors) || errors.length === 0) {
    return error;
  }
  const texts = errors.map(({ text, location }) =>
    location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`,
  );
  const node = errors.some(({ text }) => /Could not resolve "(node:|fs|path|os|crypto|http|https|net|child_process|process|stream|util|buffer)/.test(text));
  return new BuildFailure(
    texts.join("\n"),
    node ? "modules of Node are not in a sandbox: use the SDK's host modules (files, http, random, …), or a package that runs in browsers" : undefined,
  );
}

function script(result: BuildResult): string {
  return result.outputFiles?.find((file) => !file.path.endsWith(".map"))?.text ?? "";
}

function importsOf(metafile: Metafile): string[] {
  const found = new Set<string>();
  for (const output of Object.values(metafile.outputs)) {
    for (const { path, external } of output.imports) {
      const name = external ? /^flowhost:([a-z-]+)\//.exec(path)?.[1] : undefined;
      if (name !== undefined) {
        found.add(name);
      }
    }
  }
  return [...found].sort();
}

/** The packages whose files are in the output. */
function packagesOf(folder: string, metafile: Metafile): Package[] {
  const places = new Set([SDK]);
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const place = /^(.*(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
      if (place !== undefined && bytesInOutput > 0) {
        places.add(resolve(folder, place));
      }
    }
  }
  const packages = [...places].map((place) => packageAt(place));
  return packages.sort((a, b) => (a.name < b.name ? -1 : 1)).filter(({ name, version }, at, all) => name !== all[at - 1]?.name || version !== all[at - 1]?.version);
}

/** Name and version of the package in a folder. */
export function packageAt(folder: string): Package {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Package;
  return { name, version };
}

/** Uses of a global in the author's own lines that its right does not stand behind. */
function notes(folder: string, metafile: Metafile, manifest: Manifest): string[] {
  const found: string[] = [];
  for (const input of Object.keys(metafile.inputs).filter((path) => isAuthors(folder, path))) {
    readFileSync(join(folder, input), "utf8")
      .split("\n")
      .forEach((line, index) => {
        for (const { key, use, otherwise } of ROUTES) {
          const used = manifest.asked.has(key) || /^\s*(\/\/|\*|\/\*)/.test(line) ? null : use.exec(line);
          if (used !== null) {
            found.push(
              `${input}:${index + 1}: ${used[0].replace(/\($/, "")} is used, and plugin.toml does not ask for ${key}: ${otherwise}. Add below [needs]: ${lineOf(key)}`,
            );
          }
        }
      });
  }
  return found;
}

function isAuthors(folder: string, path: string): boolean {
  const inside = relative(folder, resolve(folder, path));
  return !inside.startsWith("..") && !inside.split(sep).includes("node_modules") && !resolve(folder, path).startsWith(join(SDK, "dist"));
}
