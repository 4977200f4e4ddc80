// How every host function is called: errors become classes, and a call at the wrong time is told apart
// from one that was refused.

import { Failed, fromRaw, rawOf } from "../errors.js";

/** Set by the prelude of a component: whether a call of an export is under way. Absent in tests. */
declare global {
  var __flowhost: { inCall: boolean; lines?: string } | undefined;
}

/** Calls a host function. */
export function ask<T>(what: string, call: () => T): T {
  if (globalThis.__flowhost?.inCall === false) {
    throw new Failed(
      `${what} was called at the top level of a module, which runs while the plugin is built and has no host: move it into run`,
    );
  }
  try {
    return call();
  } catch (thrown) {
    const raw = rawOf(thrown);
    throw raw === undefined ? thrown : fromRaw(raw);
  }
}

/** Bytes as a `Uint8Array` of this realm: SpiderMonkey hands over one of its own. */
export function bytes(raw: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(raw);
}

/** Text as UTF-8, bytes as they are. */
export function toBytes(contents: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof contents === "string") {
    return new TextEncoder().encode(contents);
  }
  return contents instanceof ArrayBuffer ? new Uint8Array(contents) : contents;
}

/** UTF-8 as text; what is not UTF-8 is an error, as it would be lost otherwise. */
export function toText(contents: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(contents);
}
