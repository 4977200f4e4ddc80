// This plugin's own `config:` from the plan. Needs `config = true` below `[needs]` and in the profile.

import raw from "#raw/config";

import { parse } from "../json.js";
import type { Json } from "../types.js";
import { ask } from "./call.js";

/** One top-level key; undefined where the plan does not set it. */
export function get(key: string): Json | undefined {
  const text = ask("config.get", () => raw.get(key));
  return text == null ? undefined : parse(text, `the configuration's "${key}"`);
}
/** The whole configuration; `{}` where there is none. */
export const all = (): Json => parse(ask("config.all", () => raw.all()), "the configuration");
