// What a program says beside its result, bounded: a loop that prints must not fill the answer.

/** Most lines, and characters of all of them. */
const LINES_MAX = 100;
const CHARS_MAX = 8 * 1024;

/** The lines of one program. */
export class Notebook {
  readonly lines: string[] = [];
  #left = CHARS_MAX;
  #full = false;

  /** What the program finds under `console`. */
  readonly console = Object.fromEntries(
    ["log", "debug", "info", "warn", "error", "trace"].map((name) => [name, (...values: unknown[]) => this.#write(values)]),
  );

  /** The last of it, for an error. */
  tail(most: number): string {
    const text = this.lines.join("\n");
    return text === "" ? "" : `\nconsole: ${text.length > most ? `…${text.slice(-most)}` : text}`;
  }

  #write(values: readonly unknown[]): void {
    if (this.#full) {
      return;
    }
    const line = values.map(shown).join(" ");
    if (this.lines.length >= LINES_MAX || line.length > this.#left) {
      this.#full = true;
      this.lines.push("[the console is full: what follows is left out]");
      return;
    }
    this.#left -= line.length;
    this.lines.push(line);
  }
}

function shown(value: unknown): string {
  if (typeof value === "string") {
    return value;
  }
  if (value instanceof Error) {
    return `${value.name}: ${value.message}`;
  }
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
