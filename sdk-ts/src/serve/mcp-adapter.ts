// The role `mcp-adapter` over what `defineMcpAdapter` made.

import { rawContent, rawDescriptor, rawHints, rawPart, rawResourceContents, rawResourceInfo } from "../convert.js";
import type { McpAdapter, Page, Session } from "../define/mcp-adapter.js";
import { Invalid } from "../errors.js";
import { parse, write } from "../json.js";
import type { Context, Json } from "../types.js";
import { perform } from "./boundary.js";
import { contextOf } from "./context.js";

type RawSession = Omit<Session, "capabilities"> & { capabilities: string };

const sessionOf = (from: RawSession): Session => ({ ...from, capabilities: parse(from.capabilities, "the capabilities") });

const rawSession = (from: Session): RawSession => ({ ...from, capabilities: write(from.capabilities, "the capabilities") });

const more = ({ next, ttlMs }: Page<unknown>) => ({ next: next ?? "", ttlMs });

const cursorOf = (cursor: string): string | undefined => (cursor === "" ? undefined : cursor);

function textsOf(json: string): Record<string, string> {
  const values = parse(json, "the arguments");
  const isTexts =
    typeof values === "object" && values !== null && !Array.isArray(values) && Object.values(values).every((value) => typeof value === "string");
  if (!isTexts) {
    throw new Invalid("the arguments of a prompt are an object of texts");
  }
  return values as Record<string, Json> as Record<string, string>;
}

/** The exports. */
export function serve(adapter: McpAdapter) {
  return {
    connect: (context: Context, config: string) =>
      perform(async () => rawSession(await adapter.connect(parse(config, "the configuration"), contextOf(context)))),
    listTools: (context: Context, session: RawSession, cursor: string) =>
      perform(async () => {
        const page = await adapter.listTools(sessionOf(session), cursorOf(cursor), contextOf(context));
        return { tools: page.items.map(rawDescriptor), more: more(page) };
      }),
    callTool: (context: Context, session: RawSession, name: string, input: string) =>
      perform(async () =>
        rawContent(
          await adapter.callTool(sessionOf(session), name, parse(input, "the input"), contextOf(context)),
          `the answer of ${name}`,
        ),
      ),
    listResources: (context: Context, session: RawSession, cursor: string) =>
      perform(async () => {
        const page = await adapter.listResources(sessionOf(session), cursorOf(cursor), contextOf(context));
        return { resources: page.items.map(rawResourceInfo), more: more(page) };
      }),
    listResourceTemplates: (context: Context, session: RawSession, cursor: string) =>
      perform(async () => {
        const page = await adapter.listResourceTemplates(sessionOf(session), cursorOf(cursor), contextOf(context));
        const templates = page.items.map((item) => ({
          uriTemplate: item.uriTemplate,
          name: item.name,
          title: item.title ?? "",
          description: item.description ?? "",
          mimeType: item.mimeType ?? "",
          hints: item.hints === undefined ? undefined : rawHints(item.hints),
        }));
        return { templates, more: more(page) };
      }),
    readResource: (context: Context, session: RawSession, uri: string) =>
      perform(async () => (await adapter.readResource(sessionOf(session), uri, contextOf(context))).map(rawResourceContents)),
    listPrompts: (context: Context, session: RawSession, cursor: string) =>
      perform(async () => {
        const page = await adapter.listPrompts(sessionOf(session), cursorOf(cursor), contextOf(context));
        const prompts = page.items.map((item) => ({
          name: item.name,
          title: item.title ?? "",
          description: item.description ?? "",
          arguments: (item.arguments ?? []).map((argument) => ({
            name: argument.name,
            title: argument.title ?? "",
            description: argument.description ?? "",
            required: argument.required ?? false,
          })),
        }));
        return { prompts, more: more(page) };
      }),
    getPrompt: (context: Context, session: RawSession, name: string, values: string) =>
      perform(async () => {
        const text = await adapter.getPrompt(sessionOf(session), name, textsOf(values), contextOf(context));
        return {
          description: text.description ?? "",
          turns: text.turns.map(({ speaker, part }) => ({ speaker, part: rawPart(part) })),
        };
      }),
    close: (session: RawSession) => perform(async () => void (await adapter.close(sessionOf(session)))),
  };
}
