// MCP adapters: they speak MCP inside the sandbox over a transport that the host owns.

import { Invalid } from "../errors.js";
import { type InferOutput, type Schema, check } from "../schema.js";
import type { Content, Context, Descriptor, Hints, Json, Part, ResourceContents, ResourceInfo } from "../types.js";

/** What was agreed on with a server. */
export interface Session {
  readonly name: string;
  readonly version: string;
  /** The protocol revision agreed on: `2025-11-25`. */
  readonly protocol: string;
  readonly capabilities: Json;
  /** What the server tells models of itself. */
  readonly instructions: string;
  /** The adapter's own; the host keeps it for the run and looks at none of it. */
  readonly state: string;
}

/** A page of a list, where it goes on, and how long it holds. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** The cursor of the next page; undefined at the end. */
  readonly next?: string;
  /** Milliseconds that the page may be kept; 0: not at all. */
  readonly ttlMs?: number;
}

/** Resources whose addresses are made of values: RFC 6570. */
export interface ResourceTemplate {
  readonly uriTemplate: string;
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly mimeType?: string;
  readonly hints?: Hints;
}

/** A prompt that a server offers. */
export interface ServerPrompt {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly arguments?: readonly {
    readonly name: string;
    readonly title?: string;
    readonly description?: string;
    readonly required?: boolean;
  }[];
}

/** A prompt with its values filled in. */
export interface PromptText {
  readonly description?: string;
  readonly turns: readonly { readonly speaker: "user" | "assistant"; readonly part: Part }[];
}

type Awaitable<T> = T | Promise<T>;

/** What an adapter is made of. Resources and prompts are empty unless written. */
export interface McpAdapterOptions<Config extends Schema> {
  /** Checks the plan's `config:`. */
  readonly config?: Config;
  /** Connects and agrees on a protocol revision. */
  connect(config: InferOutput<Config>, context: Context): Awaitable<Session>;
  /** A page of the server's tools; `cursor` is undefined for the first. */
  listTools(session: Session, cursor: string | undefined, context: Context): Awaitable<Page<Descriptor>>;
  /** Calls one tool of the server; what is not a `Content` is its value. */
  callTool(session: Session, name: string, input: Json, context: Context): Awaitable<Content<unknown> | unknown>;
  listResources?(session: Session, cursor: string | undefined, context: Context): Awaitable<Page<ResourceInfo>>;
  listResourceTemplates?(session: Session, cursor: string | undefined, context: Context): Awaitable<Page<ResourceTemplate>>;
  readResource?(session: Session, uri: string, context: Context): Awaitable<readonly ResourceContents[]>;
  listPrompts?(session: Session, cursor: string | undefined, context: Context): Awaitable<Page<ServerPrompt>>;
  getPrompt?(session: Session, name: string, values: Readonly<Record<string, string>>, context: Context): Awaitable<PromptText>;
  /** Ends the conversation. */
  close?(session: Session): Awaitable<void>;
}

/** An adapter, ready to be exported as `default`. */
export interface McpAdapter extends Required<Omit<McpAdapterOptions<Schema>, "config" | "connect">> {
  readonly kind: "mcp-adapter";
  connect(config: Json, context: Context): Promise<Session>;
}

const nothing = { items: [] };

/** Makes an adapter. Export it as `default`. */
export function defineMcpAdapter<Config extends Schema = Schema<Json>>(options: McpAdapterOptions<Config>): McpAdapter {
  return {
    kind: "mcp-adapter",
    async connect(given, context) {
      const config = options.config === undefined ? given : await check(options.config, given, "the configuration", Invalid);
      return options.connect(config as InferOutput<Config>, context);
    },
    listTools: (session, cursor, context) => options.listTools(session, cursor, context),
    callTool: (session, name, input, context) => options.callTool(session, name, input, context),
    listResources: (session, cursor, context) => options.listResources?.(session, cursor, context) ?? nothing,
    listResourceTemplates: (session, cursor, context) => options.listResourceTemplates?.(session, cursor, context) ?? nothing,
    readResource(session, uri, context) {
      if (options.readResource === undefined) {
        throw new Invalid(`this adapter reads no resources, so not ${uri}`);
      }
      return options.readResource(session, uri, context);
    },
    listPrompts: (session, cursor, context) => options.listPrompts?.(session, cursor, context) ?? nothing,
    getPrompt(session, name, values, context) {
      if (options.getPrompt === undefined) {
        throw new Invalid(`this adapter has no prompts, so not ${name}`);
      }
      return options.getPrompt(session, name, values, context);
    },
    close: (session) => options.close?.(session),
  };
}
