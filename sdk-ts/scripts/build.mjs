// Makes what the package is made of: `dist` from the sources, `wit` from the repository, `runtime` from
// componentize-qjs. Run by `npm run build` and before `npm pack`.

import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { quickjs } from "./runtime.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const at = (...names) => join(root, ...names);
for (const name of ["dist", "wit", "runtime"]) {
  rmSync(at(name), { recursive: true, force: true });
}

const tsc = createRequire(import.meta.url).resolve("typescript/package.json");
execFileSync(process.execPath, [join(dirname(tsc), "bin/tsc"), "--project", at("tsconfig.json")], { stdio: "inherit", cwd: root });
chmodSync(at("dist/build/cli.js"), 0o755);
for (const name of ["raw/modules.d.ts", "globals/packages.d.ts"]) {
  cpSync(at("src", name), at("dist", name));
}

for (const name of readdirSync(at("../wit"), { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  cpSync(at("../wit", name.name, "0.1.0"), at("wit", name.name), { recursive: true });
}

mkdirSync(at("runtime"));
writeFileSync(at("runtime/quickjs.wasm"), quickjs());
writeFileSync(
  at("runtime/README.md"),
  "`quickjs.wasm` is the engine of componentize-qjs 0.4.5 (Apache-2.0; QuickJS-ng, MIT) with three imports renamed,\nso that a build gives the same bytes each time. Made by `scripts/runtime.mjs` of the SDK's sources.\n",
);
