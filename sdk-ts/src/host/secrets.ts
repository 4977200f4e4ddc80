// Names of secrets, and by a right of its own their values. A value normally never enters the sandbox: the
// host injects it into a request. Needs `secrets = "granted"` below `[needs]` and `[secrets]` in the profile.

import raw from "#raw/secrets";

import { ask } from "./call.js";

/** Names in `secrets.names`, sorted. */
export const names = (): string[] => ask("secrets.names", () => raw.names());
/** The value. Needs the name in `secrets.reveal`. */
export const reveal = (name: string): string => ask("secrets.reveal", () => raw.reveal(name));
