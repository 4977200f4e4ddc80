// Sends messages to other actors. What arrives comes through an agent's `onMessage`. Needs
// `messages = "granted"` below `[needs]` and `[messages] publish` in the profile.

import raw from "#raw/messaging";

import { messageOf } from "../convert.js";
import { write } from "../json.js";
import type { Message } from "../types.js";
import { ask } from "./call.js";

/** Publishes to a topic and returns the message's id. */
export const publish = (topic: string, payload: unknown, options: { correlation?: string } = {}): string =>
  ask("messages.publish", () => raw.publish(topic, options.correlation ?? "", write(payload, "the message")));
/** Publishes and waits for one answer, at most `timeoutMs` (5,000 unless said) and never past the call's deadline. */
export const request = (topic: string, payload: unknown, options: { timeoutMs?: number } = {}): Message =>
  messageOf(ask("messages.request", () => raw.request(topic, write(payload, "the message"), options.timeoutMs ?? 5000)));
