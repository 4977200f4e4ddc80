// Log lines of a plugin. Needs `log = true` in the profile and below `[needs]`; bounded by `limits.log`.

import type { Level } from "../raw/contract.js";
import raw from "#raw/log";

import { ask } from "./call.js";

/** Names and values beside the message; values other than texts are written as JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** Writes one line. Never fails: lines over the limit are dropped, with one record that says how many. */
export function write(level: Level, message: string, fields: Fields = {}): void {
  const list = Object.entries(fields).map(([key, value]) => ({
    key,
    value: typeof value === "string" ? value : (JSON.stringify(value) ?? String(value)),
  }));
  ask("log.write", () => raw.write(level, message, list));
}

export const trace = (message: string, fields?: Fields): void => write("trace", message, fields);
export const debug = (message: string, fields?: Fields): void => write("debug", message, fields);
export const info = (message: string, fields?: Fields): void => write("info", message, fields);
export const warn = (message: string, fields?: Fields): void => write("warn", message, fields);
export const error = (message: string, fields?: Fields): void => write("error", message, fields);
