// The small world that a plugin is built against: exactly what its script imports, and its one role. Engines
// keep every import of their world, used or not, so a bigger one would ask for more.

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { SDK } from "./bundle.js";
import type { Kind } from "./manifest.js";

const VERSION = "0.1.0";

/** The world's name. */
export const WORLD = "plugin";

/** Its text. */
export function worldText(kind: Kind, imports: readonly string[]): string {
  const lines = imports.map((name) => `  import flowhost:${name}/${name}@${VERSION};\n`);
  return `package flowhost:plugin@${VERSION};\n\nworld ${WORLD} {\n${lines.join("")}  export flowhost:roles/${kind}@${VERSION};\n}\n`;
}

/** Writes it into `folder/wit`, with the packages that it needs, and gives back that path. */
export function layOut(folder: string, kind: Kind, imports: readonly string[]): string {
  const wit = join(folder, "wit");
  mkdirSync(wit, { recursive: true });
  cpSync(join(SDK, "wit"), join(wit, "deps"), { recursive: true });
  writeFileSync(join(wit, "world.wit"), worldText(kind, imports));
  return wit;
}
