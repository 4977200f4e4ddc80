#!/usr/bin/env node
// `flowhost-build`: what `flowhost plugin build` runs in a TypeScript project, and what anyone may run.

import { parseArgs } from "node:util";

import { BuildFailure, type Built, ENGINES, buildPlugin, engineOf } from "./index.js";

const USAGE = `usage: flowhost-build [FOLDER] [--entry FILE] [--engine ${ENGINES.join("|")}] [--out FOLDER] [--no-manifest] [--json]

Builds the plugin of a project (the folder with plugin.toml) into dist/NAME.wasm, dist/NAME.toml,
dist/NAME.js.map and dist/NAME.packages.json, the list of what is in it. --no-manifest leaves NAME.toml out: \`flowhost plugin build\` puts it into the component.
--json prints one JSON document about the result.`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      entry: { type: "string" },
      engine: { type: "string" },
      out: { type: "string" },
      "no-manifest": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const { engine, entry, out } = values;
  const built = await buildPlugin({
    folder: positionals[0] ?? ".",
    manifest: !values["no-manifest"],
    ...(engine === undefined ? {} : { engine: engineOf(engine, "--engine") }),
    ...(entry === undefined ? {} : { entry }),
    ...(out === undefined ? {} : { out }),
  });
  for (const note of built.notes) {
    process.stderr.write(`note: ${note}\n`);
  }
  process.stdout.write(values.json ? `${JSON.stringify(built)}\n` : shown(built));
}

function shown({ name, kind, component, bytes, imports, engine }: Built): string {
  const asks = imports.length === 0 ? "nothing" : imports.join(", ");
  return `${kind} ${name} (${engine}, ${(bytes / 1024).toFixed(0)} KiB), asks for ${asks}\n${component}\n`;
}

main().catch((error: unknown) => {
  if (error instanceof BuildFailure) {
    process.stderr.write(`error: ${error.message}\n${error.cure === undefined ? "" : `\nhint: ${error.cure}\n`}`);
  } else if ((error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS")) {
    process.stderr.write(`error: ${(error as Error).message}\n\n${USAGE}\n`);
  } else {
    process.stderr.write(`error: ${(error as Error).stack ?? String(error)}\n`);
  }
  process.exitCode = 1;
});
