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
    const found = wordsOf(text).size === 0 ? [] : this.#ranked(text);
    if (found.length === 0) {
      const names = this.tools.map((tool) => tool.name);
      const why = wordsOf(text).size === 0 ? "" : `No tool fits "${text}". `;
      const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : "";
      return `${why}${names.length} tools: ${names.slice(0, NAMES_MAX).join(", ")}${more}`;
    }
    const rest = found.length > most ? `\n// ${found.length - most} more fit; of ${this.tools.length} tools` : "";
    return found.slice(0, most).map(declaration).join("\n") + rest;
  }

  #ranked(text: string): Descriptor[] {
    const words = [...wordsOf(text)];
    const scored = this.tools.map((tool) => ({ tool, score: score(tool, words) })).filter(({ score }) => score > 0);
    return scored.sort((a, b) => b.score - a.score || (a.tool.name < b.tool.name ? -1 : 1)).map(({ tool }) => tool);
  }
}

/** A word of the name says more than one of the title, and that more than one of the description. */
function score({ name, title, description }: Descriptor, words: readonly string[]): number {
  return 4 * hits(name, words) + 2 * hits(title, words) + hits(description, words);
}

/** How many of the words begin some word of the text: `invoice` stands in `invoices`, `overdueInvoices` and `an invoice`.
 * Looked for by the engine's own search; taking sixty descriptions apart here costs ten times as much. */
function hits(text: string, words: readonly string[]): number {
  const small = text.toLowerCase();
  return words.filter((word) => {
    for (let at = small.indexOf(word); at >= 0; at = small.indexOf(word, at + 1)) {
      if (at === 0 || !isInside(text.charCodeAt(at - 1)) || isCapital(text.charCodeAt(at))) {
        return true;
      }
    }
    return false;
  }).length;
}

const isCapital = (code: number): boolean => code >= 0x41 && code <= 0x5a;

/** Whether what follows a character does not begin a word: letters outside of ASCII are letters. */
const isInside = (code: number): boolean => (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || isCapital(code) || code >= 0x80;

/** The words of a query, each once, as they begin. */
function wordsOf(text: string): Set<string> {
  const words = text.toLowerCase().split(/[^a-z0-9\u0080-\uffff]+/);
  return new Set(words.filter((word) => word.length > 1).map(stem));
}

/** One and many of an English noun: `invoice`, `invoices`. */
const stem = (word: string): string => (word.length > 3 && word.endsWith("s") ? word.slice(0, -1) : word);
