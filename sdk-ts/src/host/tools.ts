// Calls tools of other plugins. Every call goes back through policy and guardrails. Needs
// `tools = "granted"` below `[needs]` and `[tools] call` in the profile.

import raw from "#raw/tools";

import { descriptorOf, contentOf } from "../convert.js";
import { write } from "../json.js";
import type { Content, Descriptor } from "../types.js";
import { ask } from "./call.js";

/** The tools that this plugin may call, named `plugin/tool`. */
export const list = (): Descriptor[] => ask("tools.list", () => raw.list()).map(descriptorOf);
/** Calls `plugin/tool`. Throws `Denied`, `Invalid` (against the tool's schema), and whatever the tool answers. */
export const call = (name: string, input: unknown): Content =>
  contentOf(ask("tools.call", () => raw.call(name, write(input, `the input of ${name}`))));
