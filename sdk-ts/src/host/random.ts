// Randomness as the profile's `[random] source` gives it: seeded (the same in every attempt and replay) or
// from the operating system. Needs `random = "granted"` below `[needs]`. `Math.random` and `crypto` read it too.

import raw from "#raw/random";

import { ask, bytes as toLocal } from "./call.js";

/** `length` random bytes, at most 64 KiB. */
export const bytes = (length: number): Uint8Array<ArrayBuffer> => toLocal(ask("random.bytes", () => raw.bytes(length)));
/** A number of 53 random bits, 0 or more and below 1. */
export function number(): number {
  const [high, low] = new Uint32Array(bytes(8).buffer);
  return ((high ?? 0) >>> 5) * 2 ** -27 + ((low ?? 0) >>> 6) * 2 ** -53;
}
/** A random UUID (version 4). */
export function uuid(): string {
  const raw = bytes(16);
  raw[6] = ((raw[6] ?? 0) & 0x0f) | 0x40;
  raw[8] = ((raw[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
