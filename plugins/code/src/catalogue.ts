// The tools that may be called, found by words and shown as declarations: what a model reads in place of all schemas.

import { type Descriptor, Invalid, tools as host } from "@flowhost/sdk";

import { declaration } from "./declare.js";

/** Names that an answer lists when no words are given, or none fits. */
const NAMES_MAX = 200;
/** Declarations of a search inside of a program, unless said. */
const FOUND = 8;

/** A tool that was found. */
export interface Found {
  readonly name: string;
  readonly declaration: string;
}

/** The list, fetched when it is first asked for: a program that knows its tools pays nothing for it. */
export class Catalogue {
  #tools: readonly Descriptor[] | undefined;

  get tools(): readonly Descriptor[] {
    return (this.#tools ??= host.list());
  }

  /** The best fits first. */
  search(text: string, most = FOUND): Found[] {
    return this.#ranked(String(text)).slice(0, most).map(({ name, ...tool }) => ({ name, declaration: declaration({ name, ...tool }) }));
  }

  /** How one tool is called. */
  describe(name: string): string {
    const tool = this.tools.find((known) => known.name === name);
    if (tool === undefined) {
      const near = this.#ranked(String(name)).slice(0, 3).map((known) => known.name);
      throw new Invalid(`there is no tool "${name}" in reach${near.length === 0 ? "" : `; close to it: ${near.join(", ")}`}`);
    }
    return declaration(tool);
  }

  /** A search as a text. */
  told(text: string, most: number): string {
    const found = wordsOf(text).length === 0 ? [] : this.#ranked(text);
    if (found.length === 0) {
      const names = this.tools.map((tool) => tool.name);
      const why = wordsOf(text).length === 0 ? "" : `No tool fits "${text}". `;
      const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : "";
      return `${why}${names.length} tools: ${names.slice(0, NAMES_MAX).join(", ")}${more}`;
    }
    const rest = found.length > most ? `\n// ${found.length - most} more fit; of ${this.tools.length} tools` : "";
    return found.slice(0, most).map(declaration).join("\n") + rest;
  }

  #ranked(text: string): Descriptor[] {
    const words = wordsOf(text);
    const scored = this.tools.map((tool) => ({ tool, score: score(tool, words) })).filter(({ score }) => score > 0);
    return scored.sort((a, b) => b.score - a.score || (a.tool.name < b.tool.name ? -1 : 1)).map(({ tool }) => tool);
  }
}

/** A word of the name says more than one of the title, and that more than one of the description. */
function score(tool: Descriptor, words: readonly string[]): number {
  const [name, title, description] = [wordsOf(tool.name), wordsOf(tool.title), wordsOf(tool.description)];
  const hit = (among: readonly string[], word: string) => among.some((known) => known === word || stem(known) === stem(word));
  return words.reduce((sum, word) => sum + (hit(name, word) ? 4 : 0) + (hit(title, word) ? 2 : 0) + (hit(description, word) ? 1 : 0), 0);
}

/** `invoicesList`, `invoices_list` and `invoices/list` have the same words. */
function wordsOf(text: string): string[] {
  return text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length > 1);
}

/** One and many of an English noun: `invoice`, `invoices`. */
const stem = (word: string): string => (word.length > 3 && word.endsWith("s") ? word.slice(0, -1) : word);
