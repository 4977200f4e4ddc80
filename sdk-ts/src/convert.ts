// Between the boundary's records and what authors see, both ways.

import { bytes } from "./host/call.js";
import { parse, write } from "./json.js";
import type {
  RawAnnotations,
  RawBody,
  RawContent,
  RawDescriptor,
  RawHints,
  RawMessage,
  RawPart,
  RawResourceContents,
  RawResourceInfo,
} from "./raw/contract.js";
import {
  type Annotations,
  Content,
  type Descriptor,
  type Hints,
  type Message,
  type Part,
  type ResourceContents,
  type ResourceInfo,
} from "./types.js";

/** An object without the members that are undefined. */
type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function present<T extends object>(from: T): Present<T> {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Present<T>;
}

/** The contract says "not said" with an empty text. */
const said = (text: string): string | undefined => (text === "" ? undefined : text);

export function messageOf(from: RawMessage): Message {
  return { ...from, payload: parse(from.payload, "the message") };
}

// ---- descriptors

/** Schemas and annotations are read when somebody looks at them: of most tools of a list only the names are looked at. */
export function descriptorOf(from: RawDescriptor): Descriptor {
  const { name, title, description, effects } = from;
  const to = { name, title, description, effects };
  onDemand(to, "inputSchema", () => parse(from.inputSchema, `the input schema of ${name}`));
  if (from.outputSchema !== "") {
    onDemand(to, "outputSchema", () => parse(from.outputSchema, `the output schema of ${name}`));
  }
  onDemand(to, "annotations", () => annotationsOf(from.annotations));
  return to as Descriptor;
}

/** A member that is made when it is first asked for, and is from then on like any other. */
function onDemand(to: object, name: string, make: () => unknown): void {
  const own = { enumerable: true, configurable: true };
  const get = (): unknown => {
    const value = make();
    Object.defineProperty(to, name, { ...own, writable: true, value });
    return value;
  };
  Object.defineProperty(to, name, { ...own, get });
}

function annotationsOf(from: RawAnnotations): Annotations {
  const { readOnly, destructive, idempotent, openWorld } = from;
  return present({
    readOnly: readOnly ?? undefined,
    destructive: destructive ?? undefined,
    idempotent: idempotent ?? undefined,
    openWorld: openWorld ?? undefined,
  });
}

export function rawDescriptor(from: Descriptor): RawDescriptor {
  return {
    name: from.name,
    title: from.title,
    description: from.description,
    inputSchema: write(from.inputSchema, "an input schema"),
    outputSchema: from.outputSchema === undefined ? "" : write(from.outputSchema, "an output schema"),
    effects: from.effects,
    annotations: rawAnnotations(from.annotations),
  };
}

function rawAnnotations(from: Annotations): RawAnnotations {
  const { readOnly, destructive, idempotent, openWorld } = from;
  return { readOnly, destructive, idempotent, openWorld };
}

// ---- contents

export function contentOf(from: RawContent): Content {
  return new Content(parse(from.value, "the tool's answer"), from.parts.map(partOf));
}

/** What a tool's `run` gave, as the contract carries it. */
export function rawContent(from: unknown, what: string): RawContent {
  const { value, parts } = from instanceof Content ? from : new Content(from);
  return { value: write(value, what), parts: parts.map(rawPart) };
}

function partOf(from: RawPart): Part {
  const hints = from.hints == null ? {} : { hints: hintsOf(from.hints) };
  const { body } = from;
  switch (body.tag) {
    case "text":
      return { type: "text", text: body.val, ...hints };
    case "image":
    case "audio":
      return { type: body.tag, mimeType: body.val.mimeType, data: bytes(body.val.data), ...hints };
    case "resource-link":
      return { type: "resource-link", resource: resourceInfoOf(body.val), ...hints };
    case "embedded-resource":
      return { type: "embedded-resource", resource: resourceContentsOf(body.val), ...hints };
  }
}

export function rawPart(from: Part): RawPart {
  return { body: rawBody(from), hints: from.hints === undefined ? undefined : rawHints(from.hints) };
}

function rawBody(from: Part): RawBody {
  switch (from.type) {
    case "text":
      return { tag: "text", val: from.text };
    case "image":
    case "audio":
      return { tag: from.type, val: { mimeType: from.mimeType, data: from.data } };
    case "resource-link":
      return { tag: "resource-link", val: rawResourceInfo(from.resource) };
    case "embedded-resource":
      return { tag: "embedded-resource", val: rawResourceContents(from.resource) };
  }
}

function hintsOf(from: RawHints): Hints {
  return {
    audience: from.audience,
    ...present({ priority: from.priority ?? undefined, lastModified: said(from.lastModified) }),
  };
}

export function rawHints(from: Hints): RawHints {
  return { audience: [...(from.audience ?? [])], priority: from.priority, lastModified: from.lastModified ?? "" };
}

function resourceInfoOf(from: RawResourceInfo): ResourceInfo {
  return {
    uri: from.uri,
    name: from.name,
    ...present({
      title: said(from.title),
      description: said(from.description),
      mimeType: said(from.mimeType),
      size: said(from.size),
      hints: from.hints == null ? undefined : hintsOf(from.hints),
    }),
  };
}

export function rawResourceInfo(from: ResourceInfo): RawResourceInfo {
  return {
    uri: from.uri,
    name: from.name,
    title: from.title ?? "",
    description: from.description ?? "",
    mimeType: from.mimeType ?? "",
    size: from.size ?? "",
    hints: from.hints === undefined ? undefined : rawHints(from.hints),
  };
}

function resourceContentsOf(from: RawResourceContents): ResourceContents {
  return {
    uri: from.uri,
    ...present({ mimeType: said(from.mimeType) }),
    data: from.data.tag === "text" ? from.data.val : bytes(from.data.val),
  };
}

export function rawResourceContents(from: ResourceContents): RawResourceContents {
  const data = from.data;
  return {
    uri: from.uri,
    mimeType: from.mimeType ?? "",
    data: typeof data === "string" ? { tag: "text", val: data } : { tag: "blob", val: data },
  };
}
