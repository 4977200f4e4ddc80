// What a program reaches: `tools`. Each call goes to the host, which decides it by the profile of `code` and by
// that of its caller, checks it, and puts it on record; nothing of that is done here.

import { Content, type Json, type Part, tools as host } from "@flowhost/sdk";

import { Catalogue } from "./catalogue.js";

/** Tools that a program called, and the characters of what they answered. */
export interface Used {
  calls: number;
  bytes: number;
}

type Call = (args?: unknown) => Promise<unknown>;

/** `tools` for one program, and what it used of them. */
export function reach(): { tools: unknown; used: Used } {
  const used: Used = { calls: 0, bytes: 0 };
  const call = (name: string, args: unknown = {}): Promise<unknown> =>
    // A refusal is a rejected promise like any other failure, and not thrown past an `all`.
    new Promise((resolve) => {
      used.calls += 1;
      const value = plain(host.call(name, args));
      used.bytes += (JSON.stringify(value) ?? "").length;
      resolve(value);
    });
  const catalogue = new Catalogue();
  const own = {
    call,
    all: (list: Iterable<unknown>) => Promise.all([...list].map((item) => (typeof item === "function" ? (item() as unknown) : item))),
    search: (text = "", most?: number) => catalogue.search(text, most),
    describe: (name: string) => catalogue.describe(name),
  };
  const plugins = new Map<string, unknown>();
  const tools = new Proxy(own, {
    get(target, name) {
      if (typeof name !== "string" || Object.hasOwn(target, name)) {
        return Reflect.get(target, name) as unknown;
      }
      // Whoever waits for `tools` asks whether it is a promise.
      if (name === "then" || name === "toJSON") {
        return undefined;
      }
      const found = plugins.get(name) ?? pluginOf(name, call);
      plugins.set(name, found);
      return found;
    },
  });
  return { tools, used };
}

function pluginOf(plugin: string, call: (name: string, args: unknown) => Promise<unknown>): unknown {
  return new Proxy({} as Record<string, Call>, {
    get: (_, tool) =>
      typeof tool !== "string" || tool === "then" || tool === "toJSON" ? undefined : (args: unknown = {}) => call(`${plugin}/${tool}`, args),
  });
}

/** What a program is handed of an answer: the value; where there is none, the text, or else the parts. */
function plain(answer: Content): unknown {
  if (answer.value !== null || answer.parts.length === 0) {
    return answer.value;
  }
  const texts = answer.parts.map((part: Part) => (part.type === "text" ? part.text : undefined));
  return texts.every((text) => text !== undefined) ? texts.join("\n\n") : answer.parts.map(told);
}

/** A part without its bytes: what JSON cannot carry is named. */
function told(part: Part): Json {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text };
    case "image":
    case "audio":
      return { type: part.type, mimeType: part.mimeType, bytes: part.data.length };
    case "resource-link":
      return { type: part.type, uri: part.resource.uri, name: part.resource.name };
    case "embedded-resource": {
      const { uri, data } = part.resource;
      return typeof data === "string" ? { type: part.type, uri, text: data } : { type: part.type, uri, bytes: data.length };
    }
  }
}
