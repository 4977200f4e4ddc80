// From a text to what came of it. The program is one function of a fresh instance; what it leaves behind is gone
// with the instance.

import { Failed, FlowhostError, Invalid } from "@flowhost/sdk";
import { dateOver } from "@flowhost/sdk/internal/globals/dates";

import { Notebook } from "./console.js";
import { drive } from "./drive.js";
import { Fault, lower } from "./lower.js";
import { reach } from "./reach.js";

/** Characters of the console that go into an error: enough to see where a program was. */
const SHOWN_MAX = 500;

/** Places that an error remembers. */
const STACK_MAX = 64;

/** What a program gave. */
export interface Outcome {
  readonly result: unknown;
  readonly calls: number;
  readonly bytes: number;
  readonly console?: readonly string[];
}

type Program = (tools: unknown, input: unknown, console: unknown, drive: unknown) => () => Generator;

/** Runs a program to its end. */
export async function run(source: string, input: unknown, most: number): Promise<Outcome> {
  const size = bytesOf(source);
  if (size > most) {
    throw new Invalid(`the program has ${size} bytes, and ${most} are allowed: keep data in \`input\` and fetch it by tools`);
  }
  const program = compiled(source);
  const notes = new Notebook();
  const { tools, used } = reach();
  close();
  try {
    let result: unknown = await drive(program(tools, input, notes.console, drive)());
    if (typeof result === "function") {
      // Models like to write `async () => { … }` and mean what it does.
      result = await result(input);
    }
    // Told here, where it can be said whose fault it is, and not at the boundary.
    const json = JSON.stringify(result ?? null, jsonOnly);
    return { result: JSON.parse(json), ...used, ...(notes.lines.length === 0 ? {} : { console: notes.lines }) };
  } catch (thrown) {
    throw new Failed(`${described(thrown)}${notes.tail(SHOWN_MAX)}`);
  }
}

/** The program as a function; what is wrong with its text is told with its place. */
function compiled(source: string): Program {
  try {
    return evaluated(lower(source));
  } catch (fault) {
    if (fault instanceof Fault) {
      throw new Invalid(fault.message);
    }
    // The engine's own word, on what the parser takes and the engine does not.
    throw new Invalid(`the program cannot be read: ${described(fault)}`);
  }
}

/** The text stands on its own lines: the place of an error is the program's. */
const evaluated = (text: string): Program =>
  (0, eval)(`(function(tools,input,console,$drive){return function*(){${text}\n}})`) as Program;

/** What this instance must not have, whatever the SDK's stand-ins would say of it to an author. */
function close(): void {
  // Between a program's line and a call that the host refused lie a dozen places of this plugin and its SDK.
  Reflect.set(Error, "stackTraceLimit", STACK_MAX);
  const none = (what: string) => (): never => {
    throw new Error(`a program has no ${what}: hand it over as \`input\`, or call a tool`);
  };
  for (const name of ["fetch", "crypto", "performance"]) {
    Reflect.deleteProperty(globalThis, name);
  }
  Math.random = none("random numbers");
  globalThis.Date = dateOver(Date, none("clock"));
}

function jsonOnly(key: string, value: unknown): unknown {
  const bad = typeof value === "number" ? !Number.isFinite(value) : ["bigint", "function", "symbol"].includes(typeof value);
  if (bad) {
    throw new Error(`the program returns ${typeof value === "number" ? String(value) : `a ${typeof value}`} at "${key}", which JSON cannot say`);
  }
  return value;
}

/** `line 3: TypeError: …`, as far as the place is known. */
export function described(thrown: unknown): string {
  if (!(thrown instanceof Error)) {
    return `${shown(thrown)} was thrown`;
  }
  const line = lineOf(thrown.stack ?? "");
  const name = thrown instanceof FlowhostError || thrown.name === "Error" ? "" : `${thrown.name}: `;
  return `${line === undefined ? "" : `line ${line}: `}${name}${thrown.message}`;
}

/** The innermost line of the program: the engine calls a text that was not in a file `<input>` or `<evalScript>`. */
export function lineOf(stack: string): number | undefined {
  const place = /<(?:input|evalScript|eval|anonymous)>:(\d+)/.exec(stack);
  return place === null ? undefined : Number(place[1]);
}

function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** Bytes in UTF-8, without an encoder, which this engine lacks. */
export function bytesOf(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
