// Small values that the host keeps for a plugin, so that they outlive its instances and a reload. Needs
// `state = { namespaces = ["…"] }` below `[needs]` and the namespace in the profile's `[state]`.

import raw from "#raw/state";

import { parse, write } from "../json.js";
import type { Json } from "../types.js";
import { ask, bytes, toBytes, toText } from "./call.js";

/** A value and the revision that `compareAndSwap` asks for. */
export interface Entry {
  readonly value: Uint8Array<ArrayBuffer>;
  readonly revision: string;
  /** The value as UTF-8. */
  text(): string;
  /** The value as JSON. */
  json(): Json;
}

/** What can be kept: bytes, or a text as UTF-8. For anything else use `setJson`. */
export type Value = string | Uint8Array;

/** Reads a key. */
export function get(namespace: string, key: string): Entry | undefined {
  const found = ask("state.get", () => raw.get(namespace, key));
  if (found == null) {
    return undefined;
  }
  const value = bytes(found.value);
  return {
    value,
    revision: found.revision,
    text: () => toText(value),
    json: () => parse(toText(value), `the state ${namespace}/${key}`),
  };
}
/** Writes a key and returns its new revision. */
export const set = (namespace: string, key: string, value: Value): string =>
  ask("state.set", () => raw.set(namespace, key, toBytes(value)));
/** Writes a value as JSON and returns its new revision. */
export const setJson = (namespace: string, key: string, value: unknown): string =>
  set(namespace, key, write(value, `the state ${namespace}/${key}`));
/** Writes a key only if its revision is still `expected` (undefined: only if it is absent). Returns the
 * new revision, or undefined if another write came first. */
export const compareAndSwap = (namespace: string, key: string, expected: string | undefined, value: Value): string | undefined =>
  ask("state.compareAndSwap", () => raw.compareAndSwap(namespace, key, expected ?? "", toBytes(value))) ?? undefined;
/** Removes a key; true if it was there. */
export const remove = (namespace: string, key: string): boolean => ask("state.remove", () => raw.delete(namespace, key));
/** Keys that start with `prefix`, sorted, at most 1,000. */
export const list = (namespace: string, prefix = ""): string[] => ask("state.list", () => raw.list(namespace, prefix));
