// From a place in the bundle to the author's line. The build leaves a table of the author's own files in the
// component (`__flowhost.lines`); what came from packages is not in it and is not shown.

import { FlowhostError, type RawError, rawOf } from "../errors.js";

/** `file` and its lines: pairs of a line of the bundle and the line it came from, sorted. */
type Table = readonly (readonly [file: string, pairs: readonly number[]])[];

/** At most this many places: the innermost say where it broke, the rest is how everything starts. */
const FRAMES_MAX = 4;

/** An error with the author's places, innermost first. */
export function described(thrown: unknown): string {
  if (!(thrown instanceof Error)) {
    return `${show(thrown)} was thrown (throw an Error, so that its place is known)`;
  }
  const places = authorPlaces(thrown.stack ?? "");
  const name = thrown.name === "Error" ? "" : `${thrown.name}: `;
  return `${name}${thrown.message}${places.length === 0 ? "" : ` (${places.join(" < ")})`}`;
}

function show(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** `src/index.ts:12` for each frame in a file of the author's. Both engines end a frame in `:line:column`. */
export function authorPlaces(stack: string, lines = globalThis.__flowhost?.lines): string[] {
  if (lines === undefined) {
    return [];
  }
  const table = JSON.parse(lines) as Table;
  const places: string[] = [];
  for (const frame of stack.split("\n")) {
    const place = /:(\d+):\d+\)?\s*$/.exec(frame);
    const found = place === null ? undefined : lookUp(table, Number(place[1]));
    if (found !== undefined && places.at(-1) !== found) {
      places.push(found);
    }
  }
  return places.slice(0, FRAMES_MAX);
}

function lookUp(table: Table, wanted: number): string | undefined {
  for (const [file, pairs] of table) {
    for (let at = 0; at < pairs.length; at += 2) {
      if (pairs[at] === wanted) {
        return `${file}:${pairs[at + 1]}`;
      }
    }
  }
  return undefined;
}

/** Whatever was thrown, as the contract says it. */
export function rawError(thrown: unknown): RawError {
  if (thrown instanceof FlowhostError) {
    return thrown.raw();
  }
  return rawOf(thrown) ?? { tag: "failed", val: described(thrown) };
}
