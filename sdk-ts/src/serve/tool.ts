// The role `tool` over what `defineTool` made.

import { rawContent } from "../convert.js";
import type { Tool } from "../define/tool.js";
import { Invalid } from "../errors.js";
import { parse } from "../json.js";
import type { RawContent, RawDescriptor } from "../raw/contract.js";
import type { Context } from "../types.js";
import { perform } from "./boundary.js";
import { contextOf } from "./context.js";

/** The exports; `descriptors` were made while the plugin was built. */
export function serve(tools: readonly Tool[], descriptors: readonly RawDescriptor[]) {
  return {
    describe: (): readonly RawDescriptor[] => descriptors,
    call: (context: Context, name: string, input: string): RawContent => perform(() => callTool(tools, context, name, input)),
  };
}

async function callTool(tools: readonly Tool[], context: Context, name: string, input: string): Promise<RawContent> {
  const tool = tools.find((candidate) => candidate.name === name);
  if (tool === undefined) {
    throw new Invalid(`there is no tool "${name}" here: ${tools.map((known) => known.name).join(", ")}`);
  }
  return rawContent(await tool.call(parse(input, "the input"), contextOf(context)), "the result");
}
