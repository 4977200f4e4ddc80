// The QuickJS engine that components are made with: the one that componentize-qjs carries for synchronous
// worlds, with three of its imports renamed so that making a component twice gives the same bytes. While a
// component is made, the engine reads the clock (to seed Math.random) and asks for a random seed (for its hash
// tables), and both end up in the memory that is kept. After the renaming it reads constants: the resolution
// of the same clock, and the empty list of arguments in place of a seed. Nothing else is touched.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** From import to import, both of one type. Two imports of one name are not allowed, so each target is another. */
const RENAMED = new Map([
  ["wasi:random/insecure-seed@0.2.9 insecure-seed", ["wasi:cli/environment@0.2.0", "get-arguments"]],
  ["wasi:clocks/wall-clock@0.2.0 now", ["wasi:clocks/wall-clock@0.2.0", "resolution"]],
  ["wasi:clocks/monotonic-clock@0.2.0 now", ["wasi:clocks/monotonic-clock@0.2.0", "resolution"]],
]);
const IMPORT_SECTION = 2;
const CUSTOM_SECTION = 0;
const LAST_SECTION = 13;
const MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** The engine, ready to be written. */
export function quickjs() {
  const engines = modulesIn(readFileSync(binding())).filter((module) => imports(module).some(isOfEngine));
  // The engines for asynchronous worlds import more; of the two others the larger is the faster one.
  const synchronous = engines.filter((module) => !imports(module).some(({ name }) => name.startsWith("[")  && name.includes("async") || name.includes("[waitable") || name.includes("[task")));
  const [fast] = synchronous.sort((a, b) => b.length - a.length);
  if (fast === undefined || synchronous.length !== 2) {
    throw new Error(`componentize-qjs carries ${synchronous.length} synchronous engines and 2 were expected: look at scripts/runtime.mjs`);
  }
  return renamed(fast);
}

const isOfEngine = ({ module }) => module === "local:init/module-loader";

/** The native part of componentize-qjs for this machine. */
function binding() {
  const own = createRequire(createRequire(import.meta.url).resolve("componentize-qjs/package.json"));
  const { optionalDependencies } = own("./package.json");
  for (const name of Object.keys(optionalDependencies)) {
    try {
      const folder = dirname(own.resolve(`${name}/package.json`));
      return join(folder, readdirSync(folder).find((file) => file.endsWith(".node")));
    } catch {
      // Of another machine.
    }
  }
  throw new Error("componentize-qjs has no native part for this machine: npm install");
}

/** The WebAssembly modules that stand in a file, as they are. */
function modulesIn(file) {
  const found = [];
  for (let at = file.indexOf(MAGIC); at >= 0; at = file.indexOf(MAGIC, at + MAGIC.length)) {
    const end = sections(file, at + MAGIC.length).at(-1)?.end;
    if (end !== undefined) {
      found.push(file.subarray(at, end));
    }
  }
  return found;
}

/** Sections from a place on, as long as they look like some. */
function sections(bytes, from) {
  const list = [];
  for (let at = from; at < bytes.length && bytes[at] <= LAST_SECTION; ) {
    const id = bytes[at];
    const [size, start] = number(bytes, at + 1);
    const end = start + size;
    if (size === 0 || end > bytes.length || (id === CUSTOM_SECTION && !isNamed(bytes, start, end))) {
      break;
    }
    list.push({ id, from: at, start, end });
    at = end;
  }
  return list;
}

function isNamed(bytes, start, end) {
  const [length, at] = number(bytes, start);
  return length > 0 && at + length <= end && /^[\x20-\x7e]+$/.test(bytes.toString("latin1", at, at + length));
}

/** The imports of a module: names, and the bytes that say what each is. */
function imports(module) {
  const section = sections(module, MAGIC.length).find(({ id }) => id === IMPORT_SECTION);
  if (section === undefined) {
    return [];
  }
  let [count, at] = number(module, section.start);
  const text = () => {
    const [length, start] = number(module, at);
    at = start + length;
    return module.toString("utf8", start, at);
  };
  const skip = () => ([, at] = number(module, at));
  const limits = () => {
    const hasMost = module[at++] & 1;
    skip();
    if (hasMost) skip();
  };
  const list = [];
  for (; count > 0; count -= 1) {
    const [from, name] = [text(), text()];
    const start = at;
    const kind = module[at++];
    if (kind === 0) skip();
    else if (kind === 1) (at++, limits());
    else if (kind === 2) limits();
    else if (kind === 3) at += 2;
    else (at++, skip());
    list.push({ module: from, name, kind: module.subarray(start, at) });
  }
  return list;
}

function renamed(module) {
  let count = 0;
  const body = imports(module).map(({ module: from, name, kind }) => {
    const to = RENAMED.get(`${from} ${name}`);
    count += to === undefined ? 0 : 1;
    return Buffer.concat([...(to ?? [from, name]).flatMap(named), kind]);
  });
  if (count !== RENAMED.size) {
    throw new Error(`the engine of componentize-qjs has other imports than expected (${count} of ${RENAMED.size}): look at scripts/runtime.mjs`);
  }
  const section = sections(module, MAGIC.length).find(({ id }) => id === IMPORT_SECTION);
  const list = Buffer.concat([encoded(body.length), ...body]);
  return Buffer.concat([
    module.subarray(0, section.from),
    Buffer.from([IMPORT_SECTION]),
    encoded(list.length),
    list,
    module.subarray(section.end),
  ]);
}

const named = (text) => [encoded(Buffer.byteLength(text)), Buffer.from(text)];

/** A number in LEB128 and the place behind it. */
function number(bytes, at) {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte === undefined || byte < 128) {
      return [value, at];
    }
  }
}

function encoded(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}
