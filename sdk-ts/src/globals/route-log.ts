// `console` as log lines of the host.

import * as log from "../host/log.js";
import type { Level } from "../raw/contract.js";

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

const line =
  (level: Level) =>
  (...values: unknown[]): void =>
    log.write(level, values.map(shown).join(" "));

Object.assign(console, {
  log: line("info"),
  info: line("info"),
  dir: line("info"),
  table: line("info"),
  debug: line("debug"),
  trace: line("trace"),
  warn: line("warn"),
  error: line("error"),
  assert: (holds: unknown, ...values: unknown[]) => {
    if (!holds) {
      line("error")("assertion failed:", ...values);
    }
  },
});
