// The table that lets a component name the author's line: only the author's own files, because the whole
// source map would weigh more than the script.

import { TraceMap, decodedMappings } from "@jridgewell/trace-mapping";

/** A file and pairs of a line of the script and the line that it came from. */
export type Line = readonly [file: string, pairs: readonly number[]];

/** Reads a source map whose sources are named from the folder `below`. */
export function lineTable(map: string, below: string): Line[] {
  const trace = new TraceMap(map);
  const files = new Map<string, number[]>();
  decodedMappings(trace).forEach((segments, line) => {
    for (const segment of segments) {
      const source = segment.length === 1 ? undefined : trace.sources[segment[1]];
      const file = source == null ? undefined : authorsFile(source, below);
      if (file !== undefined) {
        const pairs = files.get(file) ?? [];
        // Lines count from 1 in stack traces and from 0 in source maps.
        pairs.push(line + 1, (segment[2] as number) + 1);
        files.set(file, pairs);
        break;
      }
    }
  });
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The path within the project, or undefined for a file of somebody else. */
function authorsFile(source: string, below: string): string | undefined {
  const up = `${below.split("/").map(() => "..").join("/")}/`;
  if (!source.startsWith(up)) {
    return undefined;
  }
  const path = source.slice(up.length);
  return path.startsWith("../") || path.includes("node_modules/") || path === "component.js" ? undefined : path;
}
