// From a script to a component, by one of two engines. QuickJS is small and starts fast; SpiderMonkey is
// complete and larger, and is installed by whoever wants it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { type Package, SDK, packageAt } from "./bundle.js";
import { BuildFailure } from "./failure.js";
import { WORLD } from "./world.js";

export type EngineName = "quickjs" | "spidermonkey";
export const ENGINES: readonly EngineName[] = ["quickjs", "spidermonkey"];

/** What a component is made of. */
export interface Parts {
  readonly script: string;
  readonly wit: string;
  /** A folder for what an engine wants on disk. */
  readonly workshop: string;
  /** The author's project, where an engine may be installed. */
  readonly folder: string;
}

/** Makes a component. */
export async function componentize(engine: EngineName, parts: Parts): Promise<Uint8Array> {
  return engine === "quickjs" ? quickjs(parts) : spidermonkey(parts);
}

async function quickjs({ script, wit }: Parts): Promise<Uint8Array> {
  // Its own package, so that a project which needs only the types never loads the native code.
  const { componentize: make } = await import("componentize-qjs");
  const { component } = await make({
    witPath: wit,
    jsSource: script,
    world: WORLD,
    stubWasi: true,
    // The engine of that package with its clock and its seed held still: see scripts/runtime.mjs.
    runtimeBytes: readFileSync(join(SDK, "runtime/quickjs.wasm")),
  });
  return component;
}

/** The package that an engine comes in, for the list of what a component is made of. */
export function packageOf(engine: EngineName, folder: string): Package {
  if (engine === "spidermonkey") {
    return packageAt(spidermonkeyFolder(folder));
  }
  const { dependencies } = JSON.parse(readFileSync(join(SDK, "package.json"), "utf8")) as { dependencies: Record<string, string> };
  return { name: "componentize-qjs", version: dependencies["componentize-qjs"] ?? "" };
}

interface ComponentizeJs {
  componentize(options: {
    sourcePath: string;
    witPath: string;
    worldName: string;
    disableFeatures: string[];
  }): Promise<{ component: Uint8Array }>;
}

const SPIDERMONKEY = "@bytecodealliance/componentize-js";

async function spidermonkey({ script, wit, workshop, folder }: Parts): Promise<Uint8Array> {
  const sourcePath = join(workshop, "plugin.js");
  writeFileSync(sourcePath, script);
  const { componentize: make } = await load(folder);
  const { component } = await make({
    sourcePath,
    witPath: wit,
    worldName: WORLD,
    disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
  });
  return component;
}

/** Where the package is: in the author's project, else beside the SDK or in `NODE_PATH`. It has an entry for
 * `import` alone, which `require.resolve` does not see, so its folder is looked for. */
function spidermonkeyFolder(folder: string): string {
  const places = [folder, SDK].flatMap((from) => createRequire(join(from, "package.json")).resolve.paths(SPIDERMONKEY) ?? []);
  const found = places.map((place) => join(place, SPIDERMONKEY)).find((place) => existsSync(join(place, "package.json")));
  if (found === undefined) {
    throw new BuildFailure(
      "the engine SpiderMonkey is not installed",
      `npm install --save-dev ${SPIDERMONKEY}@0.23.0 @bytecodealliance/preview2-shim@0.25.0`,
    );
  }
  return found;
}

async function load(folder: string): Promise<ComponentizeJs> {
  const found = spidermonkeyFolder(folder);
  const { exports } = JSON.parse(readFileSync(join(found, "package.json"), "utf8")) as { exports: { import: string } };
  return (await import(pathToFileURL(join(found, exports.import)).href)) as ComponentizeJs;
}
