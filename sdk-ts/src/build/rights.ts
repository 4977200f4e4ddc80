// Which right of the manifest stands behind each host module, and which globals follow it.

import { BuildFailure } from "./failure.js";
import type { Kind } from "./manifest.js";

interface Right {
  /** Its key below `[needs]` and in the profile. */
  readonly key: string;
  /** The line that asks for it. */
  readonly line: string;
}

/** By WIT package. */
const RIGHTS: Readonly<Record<string, Right>> = {
  budget: { key: "budget", line: "budget = true" },
  clock: { key: "clock", line: 'clock = "granted"' },
  config: { key: "config", line: "config = true" },
  files: { key: "files", line: 'files = "granted"' },
  http: { key: "http", line: 'http = "granted"' },
  log: { key: "log", line: "log = true" },
  "mcp-transport": { key: "process", line: 'process = "granted"' },
  messaging: { key: "messages", line: 'messages = "granted"' },
  model: { key: "model", line: 'model = "granted"' },
  progress: { key: "log", line: "log = true" },
  random: { key: "random", line: 'random = "granted"' },
  secrets: { key: "secrets", line: 'secrets = "granted"' },
  state: { key: "state", line: 'state = "granted"' },
  tools: { key: "tools", line: 'tools = "granted"' },
};

/** A global that follows a right. */
interface Route {
  readonly key: string;
  /** The module of the SDK that routes it. */
  readonly module: string;
  /** How it looks in a bundle. Finding too much costs nothing: only what is asked for is routed. */
  readonly mention: RegExp;
  /** How its use looks in an author's line, for a note. */
  readonly use: RegExp;
  /** What happens without the right. */
  readonly otherwise: string;
}

export const ROUTES: readonly Route[] = [
  {
    key: "clock",
    module: "route-clock",
    mention: /\bDate\b|\bperformance\b/,
    use: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/,
    otherwise: "it fails when it is called",
  },
  {
    key: "random",
    module: "route-random",
    mention: /\bMath\.random\b|\bcrypto\b/,
    use: /\bMath\.random\b|\bcrypto\.(getRandomValues|randomUUID)\b/,
    otherwise: "it fails when it is called",
  },
  { key: "log", module: "route-log", mention: /\bconsole\b/, use: /\bconsole\.\w+/, otherwise: "nobody sees its lines" },
  {
    key: "http",
    module: "route-http",
    mention: /\bfetch\b|\bHeaders\b|\bResponse\b/,
    use: /(?<![.\w])fetch\(/,
    otherwise: "it fails when it is called",
  },
];

/** What QuickJS lacks and a bundle may mention: brought only then, because each weighs something. */
export const SHIMS: readonly { readonly module: string; readonly mention: RegExp }[] = [
  { module: "texts", mention: /\bText(En|De)coder\b/ },
  { module: "urls", mention: /\bURL(SearchParams)?\b/ },
  { module: "clone", mention: /\bstructuredClone\b/ },
];

/** The line that asks for the right with this key. */
export function lineOf(key: string): string {
  return Object.values(RIGHTS).find((right) => right.key === key)?.line ?? `${key} = "granted"`;
}

/** Holds what a component imports against what its manifest asks for: both ways, as the host's own build does. */
export function agree(kind: Kind, asked: ReadonlySet<string>, imports: readonly string[]): void {
  const used = new Set<string>();
  for (const name of imports) {
    const right = RIGHTS[name];
    if (right === undefined) {
      continue;
    }
    used.add(right.key);
    if (!asked.has(right.key)) {
      throw new BuildFailure(
        `the plugin uses ${name === "messaging" ? "messages" : name}, which plugin.toml does not ask for`,
        `add below [needs] in plugin.toml: ${right.line}`,
      );
    }
  }
  // An agent hears messages, and hands them back, without calling anything. What the process of an adapter sees of the
  // machine is granted as files of the adapter, which reads none itself; and its server may be at an address.
  const lent = used.has("process") ? ["files", "http"] : [];
  const silent = new Set(kind === "agent" ? ["messages"] : lent);
  const unused = [...asked].filter((key) => !used.has(key) && !silent.has(key) && lineIsKnown(key));
  if (unused.length > 0) {
    throw new BuildFailure(`plugin.toml asks for ${unused.join(", ")} and the plugin never uses it`, "remove it from [needs]: less is granted then");
  }
}

const lineIsKnown = (key: string): boolean => Object.values(RIGHTS).some((right) => right.key === key);
