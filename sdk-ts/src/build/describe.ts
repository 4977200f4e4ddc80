// What the plugin says of itself, asked in Node while it is built: the kind, and the descriptors of its
// tools. The component then carries them as a constant, and no schema library has to work for `describe`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { build } from "esbuild";

import type { Tool } from "../define/tool.js";
import type { Converter, Schema } from "../schema.js";
import type { Descriptor, Json } from "../types.js";
import { SDK, bundleFailure } from "./bundle.js";
import { BuildFailure } from "./failure.js";
import type { Kind } from "./manifest.js";

/** Loads the plugin and asks it. */
export async function describe(folder: string, entry: string, kind: Kind): Promise<Descriptor[]> {
  const plugin = await load(folder, entry);
  const parts = (Array.isArray(plugin) ? plugin : [plugin]) as { kind?: unknown }[];
  const wrong = parts.find((part) => part?.kind !== kind);
  if (parts.length === 0 || wrong !== undefined) {
    throw new BuildFailure(
      `the default export of ${entry} is not of the kind "${kind}", which plugin.toml names`,
      `export default ${kind === "mcp-adapter" ? "defineMcpAdapter" : `define${kind[0]?.toUpperCase()}${kind.slice(1)}`}({ … })`,
    );
  }
  if (kind !== "tool") {
    return [];
  }
  const convert = await converter(folder);
  const tools = parts as unknown as Tool[];
  const twice = tools.find((tool, index) => tools.findIndex((other) => other.name === tool.name) !== index);
  if (twice !== undefined) {
    throw new BuildFailure(`two tools are named "${twice.name}"`, "give each a name of its own");
  }
  return tools.map((tool) => {
    try {
      return tool.describe(convert);
    } catch (error) {
      throw new BuildFailure(`the tool "${tool.name}" has no JSON Schema: ${(error as Error).message}`);
    }
  });
}

/** The default export, from a bundle that Node can run. */
async function load(folder: string, entry: string): Promise<unknown> {
  // Inside the SDK's folder nothing may be written, and a temporary folder elsewhere is as good: the bundle
  // has everything in it.
  const place = mkdtempSync(join(process.env["TMPDIR"] ?? "/tmp", "flowhost-describe-"));
  const outfile = join(place, "plugin.mjs");
  try {
    const result = await build({
      entryPoints: [entry],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      logLevel: "silent",
      sourcemap: "inline",
      plugins: [
        {
          name: "flowhost-sdk",
          setup(builder) {
            builder.onResolve({ filter: /^@flowhost\/sdk(\/|$)/ }, (asked) =>
              asked.pluginData === SDK ? undefined : builder.resolve(asked.path, { resolveDir: SDK, kind: asked.kind, pluginData: SDK }),
            );
          },
        },
      ],
      // Packages in the older module format ask for `require`.
      banner: { js: "import { createRequire as __require } from 'node:module'; const require = __require(import.meta.url);" },
    });
    writeFileSync(outfile, result.outputFiles[0]?.contents ?? "");
    const module = (await import(pathToFileURL(outfile).href)) as { default?: unknown };
    if (module.default === undefined) {
      throw new BuildFailure(`${entry} has no default export`, "write: export default defineTool({ … })");
    }
    return module.default;
  } catch (error) {
    if (error instanceof BuildFailure) {
      throw error;
    }
    const failure = bundleFailure(error);
    throw failure instanceof BuildFailure
      ? failure
      : new BuildFailure(`${entry} fails while it is loaded: ${(error as Error).stack ?? String(error)}`, "its top level runs while the plugin is built: move work into run");
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** How a library gives JSON Schemas that its schemas do not give themselves. */
interface Library {
  readonly vendor: string;
  readonly module: string;
  convert(module: Record<string, Function>, schema: Schema, side: "input" | "output"): Json;
}

const LIBRARIES: readonly Library[] = [
  {
    vendor: "valibot",
    module: "@valibot/to-json-schema",
    convert: ({ toJsonSchema }, schema, side) => toJsonSchema?.(schema, { typeMode: side, target: "draft-2020-12" }) as Json,
  },
  {
    // The small edition, `zod/mini`: the large one says it itself.
    vendor: "zod",
    module: "zod/v4/core",
    convert: ({ toJSONSchema }, schema, side) => toJSONSchema?.(schema, { io: side, target: "draft-2020-12" }) as Json,
  },
];

/** The libraries' own converters, as far as the project has them. */
async function converter(folder: string): Promise<Converter> {
  const require = createRequire(join(folder, "package.json"));
  const found = new Map<string, (schema: Schema, side: "input" | "output") => Json>();
  for (const { vendor, module, convert } of LIBRARIES) {
    try {
      const loaded = (await import(pathToFileURL(require.resolve(module)).href)) as Record<string, Function>;
      found.set(vendor, (schema, side) => convert(loaded, schema, side));
    } catch (error) {
      if ((error as { code?: string }).code !== "MODULE_NOT_FOUND") {
        throw error;
      }
    }
  }
  return (schema, side) => found.get(schema["~standard"].vendor)?.(schema, side);
}
