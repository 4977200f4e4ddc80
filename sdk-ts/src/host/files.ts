// Files below the granted guest paths. Needs `files = "granted"` below `[needs]` and `[[files]]` in the
// profile. Paths are absolute guest paths with `/`; what leaves the grant is refused.

import raw from "#raw/files";

import type { FileEntry as RawEntry } from "../raw/contract.js";
import { ask, bytes, toBytes, toText } from "./call.js";

export interface FileEntry {
  /** Name within its directory. */
  readonly name: string;
  /** `other` cannot be opened: a link that leads out of the grant, a device, a pipe, a socket. */
  readonly kind: "file" | "directory" | "other";
  /** Bytes; 0 for what is not a file. */
  readonly size: number;
  /** Where it is, as a guest path, when a link led there. */
  readonly target?: string;
}

function entry(from: RawEntry): FileEntry {
  const { name, kind, target } = from;
  return { name, kind, size: Number(from.size), ...(target == null ? {} : { target }) };
}

/** The granted guest paths, sorted. */
export const roots = (): string[] => ask("files.roots", () => raw.roots());
/** Reads a file of at most `limits.output` bytes. */
export const read = (path: string): Uint8Array<ArrayBuffer> => bytes(ask("files.read", () => raw.read(path)));
/** Reads a file as UTF-8. */
export const readText = (path: string): string => toText(read(path));
/** Reads at most `length` bytes from `offset` on; fewer at the file's end. */
export const readRange = (path: string, offset: number | bigint, length: number): Uint8Array<ArrayBuffer> =>
  bytes(ask("files.readRange", () => raw.readRange(path, String(offset), length)));
/** Lists a directory, sorted by name. */
export const list = (path: string): FileEntry[] => ask("files.list", () => raw.list(path)).map(entry);
/** Describes a path. */
export const stat = (path: string): FileEntry => entry(ask("files.stat", () => raw.stat(path)));
/** Creates or replaces a file. Needs `access = "write"`. */
export const write = (path: string, contents: string | Uint8Array): void =>
  ask("files.write", () => raw.write(path, toBytes(contents)));
/** Appends to a file, creating it where it is not there. Needs `access = "write"`. */
export const append = (path: string, contents: string | Uint8Array): void =>
  ask("files.append", () => raw.append(path, toBytes(contents)));
/** Creates a directory and its parents. Needs `access = "write"`. */
export const makeDirectory = (path: string): void => ask("files.makeDirectory", () => raw.makeDirectory(path));
/** Removes a file or an empty directory. Needs `access = "write"`. */
export const remove = (path: string): void => ask("files.remove", () => raw.remove(path));
