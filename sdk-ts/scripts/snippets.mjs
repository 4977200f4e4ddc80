// Takes the TypeScript of the documentation out into files, so that the compiler reads it with the tests.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "test/snippets");
const pages = [join(root, "README.md"), join(root, "../docs/authors/typescript.md")];

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const page of pages) {
  const found = [...readFileSync(page, "utf8").matchAll(/^```ts\n(.*?)^```$/gms)];
  if (found.length === 0) {
    throw new Error(`${page} has no TypeScript, and this expects some`);
  }
  found.forEach(([, code], index) => writeFileSync(join(out, `${basename(page, ".md")}-${index + 1}.ts`), code));
}
