// A program as its author wrote it becomes one that this engine can run in a synchronous call: nobody runs the jobs of
// a native promise there, so every `async` function becomes a generator that `drive` runs, and every `await` a `yield`.
// The SDK's build does the same to the code of plugins; a program arrives later and is lowered here. Lines stay
// where they were, because an error names them.

import { type Options, parse } from "acorn";
import { transform } from "sucrase";

/** A program that is refused, with its place. */
export class Fault extends Error {}

/** A node of the syntax tree, as far as it is looked at here. */
interface Syntax {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Parsed and run as strict code; in front of the first line, whose columns are told without it. */
const STRICT = '"use strict";';

const OPTIONS: Options = {
  ecmaVersion: 2024,
  sourceType: "script",
  locations: false,
  allowAwaitOutsideFunction: true,
  allowReturnOutsideFunction: true,
};

/** The body of a generator function that does what the program says.
 *
 * @throws Fault where the text is no program, or uses what a program has not
 */
export function lower(source: string): string {
  const { text, tree } = parsed(source);
  return new Lowering(text).program(tree);
}

function parsed(source: string): { text: string; tree: Syntax } {
  const attempt = (text: string) => ({ text, tree: parse(text, OPTIONS) as unknown as Syntax });
  try {
    return attempt(STRICT + source);
  } catch (error) {
    // What is no JavaScript may be TypeScript, whose types are removed line by line.
    const plain = withoutTypes(source);
    if (plain === undefined || plain === source) {
      throw syntaxFault(error, STRICT + source);
    }
    try {
      return attempt(STRICT + plain);
    } catch (second) {
      throw syntaxFault(second, STRICT + plain);
    }
  }
}

function withoutTypes(source: string): string | undefined {
  try {
    return transform(source, { transforms: ["typescript"], disableESTransforms: true, keepUnusedImports: true }).code;
  } catch {
    return undefined; // the parser of JavaScript has the better message
  }
}

function syntaxFault(error: unknown, text: string): Fault {
  const { message, pos } = error as { message: string; pos?: number };
  const said = message.replace(/ \(\d+:\d+\)$/, "");
  const what = /'import' and 'export'/.test(said) ? "a program has no modules: what it needs it finds in `tools`" : said;
  return new Fault(pos === undefined ? what : `${placeOf(text, pos)}: ${what}`);
}

/** `line 3, column 5`, as the author counts. */
function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split(/\r\n|[\n\r\u2028\u2029]/);
  const column = (before.at(-1)?.length ?? 0) + 1;
  return `line ${before.length}, column ${before.length === 1 ? Math.max(1, column - STRICT.length) : column}`;
}

/** What a function's body may not use once it has become a generator inside of another function. */
interface Within {
  /** Of an `async` arrow function, whose `arguments` would be others. */
  readonly arrow: boolean;
  /** Of an `async` method, whose `super` would be another. */
  readonly method: boolean;
}

const PLAIN: Within = { arrow: false, method: false };

class Lowering {
  /** Where something stands that has to be looked at, in order: most of a program holds none of it, and is not walked. */
  private readonly marks: readonly number[];

  constructor(readonly text: string) {
    this.marks = [...text.matchAll(/async|await|import/g)].map(({ index }) => index);
  }

  /** Whether a part of the text stays as it is. */
  private stays(from: number, to: number, within: Within): boolean {
    return !within.arrow && !within.method && !this.marks.some((at) => at >= from && at < to);
  }

  /** The value of the last statement is the program's, where it is an expression. */
  program(tree: Syntax): string {
    const statements = tree["body"] as readonly Syntax[];
    const last = statements.at(-1);
    if (last?.type !== "ExpressionStatement" || last["directive"] !== undefined) {
      return this.splice(tree, 0, this.text.length, PLAIN);
    }
    const before = this.splice(tree, 0, last.start, PLAIN, last);
    const value = this.splice(last, last.start, last.end, PLAIN).replace(/;\s*$/, "");
    // An expression begins on the line of its statement, so nothing ends between it and `return`.
    return `${before}return ${value}\n;${this.text.slice(last.end)}`;
  }

  /** A part of the text, its nodes lowered. */
  splice(node: Syntax, from: number, to: number, within: Within, but?: Syntax): string {
    let [out, at] = ["", from];
    for (const child of childrenOf(node)) {
      if (child === but || child.start < from || child.end > to) {
        continue;
      }
      out += this.text.slice(at, child.start) + this.lowered(child, within);
      at = child.end;
    }
    return out + this.text.slice(at, to);
  }

  lowered(node: Syntax, within: Within): string {
    if (this.stays(node.start, node.end, within)) {
      return this.whole(node);
    }
    switch (node.type) {
      case "AwaitExpression":
        // In parentheses of its own: a line may end after `await`, and not after `yield`.
        return `(yield(${this.splice(node, node.start + "await".length, node.end, within)}))`;
      case "ArrowFunctionExpression":
        return node["async"] === true ? this.arrow(node) : this.splice(node, node.start, node.end, within);
      case "FunctionDeclaration":
      case "FunctionExpression":
        return node["async"] === true ? this.asyncFunction(node) : this.splice(node, node.start, node.end, PLAIN);
      case "MethodDefinition":
      case "Property":
        return this.method(node, within);
      case "ForOfStatement":
        return node["await"] === true ? this.refuse(node, "`for await`") : this.splice(node, node.start, node.end, within);
      case "ImportExpression":
        return this.refuse(node, "`import`");
      case "Super":
        return within.method ? this.refuse(node, "`super` in an async method") : this.whole(node);
      case "Identifier":
        return within.arrow && node["name"] === "arguments" ? this.refuse(node, "`arguments` in an async arrow function") : this.whole(node);
      default:
        return this.splice(node, node.start, node.end, within);
    }
  }

  private whole(node: Syntax): string {
    return this.text.slice(node.start, node.end);
  }

  private refuse(node: Syntax, what: string): never {
    throw new Fault(`${placeOf(this.text, node.start)}: a program does not have ${what}`);
  }

  /** `async function name(a) { … }`: parameters go to the generator, so that a default that throws rejects. */
  private asyncFunction(node: Syntax): string {
    if (node["generator"] === true) {
      this.refuse(node, "async generators");
    }
    const id = node["id"] as Syntax | null;
    const keyword = this.text.indexOf("function", this.skip(node.start + "async".length));
    const paren = this.skip(id === null ? keyword + "function".length : id.end);
    return `${this.text.slice(node.start + "async".length, paren)}${this.wrapped(node, paren, PLAIN)}`;
  }

  /** `(a) { … }` from the parenthesis on, as the rest of a function that is not `async` any more. */
  private wrapped(node: Syntax, paren: number, within: Within): string {
    return `(){return $drive((function*${this.splice(node, paren, node.end, within)}).apply(this,arguments))}`;
  }

  /** `async name(a) { … }` of an object or a class; its function begins at the parenthesis. */
  private method(node: Syntax, within: Within): string {
    const value = node["value"] as Syntax | null;
    const isMethod = value?.type === "FunctionExpression" && (node["method"] === true || node.type === "MethodDefinition");
    if (!isMethod || value === null || value["async"] !== true) {
      return this.splice(node, node.start, node.end, within);
    }
    if (value["generator"] === true) {
      this.refuse(node, "async generators");
    }
    let word = this.skip(node.start);
    if (this.text.startsWith("static", word) && node["static"] === true) {
      word = this.skip(word + "static".length);
    }
    const name = this.splice(node, word + "async".length, value.start, within, value);
    return `${this.text.slice(node.start, word)}${name}${this.wrapped(value, value.start, { arrow: false, method: true })}`;
  }

  /** `async (a) => …`: an arrow still, because `this` is the one around it. */
  private arrow(node: Syntax): string {
    const within: Within = { arrow: true, method: false };
    const [parameters, body] = [node["params"] as readonly Syntax[], node["body"] as Syntax];
    const first = this.skip(node.start + "async".length);
    const sign = this.sign(parameters.at(-1)?.end ?? first);
    const head = this.splice(node, first, sign, within, body);
    const list = this.text[first] === "(" ? head : `(${head})`;
    const rest = this.splice(node, sign + "=>".length, node.end, within);
    const block = body.type === "BlockStatement" ? rest : `{return(${rest})}`;
    return `((...$given)=>$drive((function*${list}${block}).apply(this,$given)))`;
  }

  /** Where `=>` stands, from the end of the last parameter on. */
  private sign(from: number): number {
    let at = this.skip(from);
    while (this.text[at] === "(" || this.text[at] === ")" || this.text[at] === ",") {
      at = this.skip(at + 1);
    }
    return at;
  }

  /** The next place that is neither white space nor comment. */
  private skip(from: number): number {
    const trivia = /(?:\s|\/\*[^]*?\*\/|\/\/[^\n\r\u2028\u2029]*)*/y;
    trivia.lastIndex = from;
    return from + (trivia.exec(this.text)?.[0].length ?? 0);
  }
}

const isSyntax = (value: unknown): value is Syntax => typeof (value as Syntax | null)?.type === "string" && typeof (value as Syntax).start === "number";

/** The nodes right below one, in the order of the text, each place once: `{ a }` has key and value in one. */
function childrenOf(node: Syntax): Syntax[] {
  const all = Object.values(node).flatMap((value) => (Array.isArray(value) ? value.filter(isSyntax) : isSyntax(value) ? [value] : []));
  const ordered = all.sort((a, b) => a.start - b.start || b.end - a.end);
  return ordered.filter((child, at) => at === 0 || child.start >= (ordered[at - 1]?.end ?? 0));
}

// Both libraries make tables when they are first used. Used here, while the component is built, they leave them in the
// state that each call starts from, and no call makes them again.
lower("const a = async (b) => { await b; };\nawait a(1);");
lower("const a: number = 1;");
