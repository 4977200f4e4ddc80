// A `Promise` whose jobs go into our own queue. QuickJS components have no event loop and never run a native
// promise's jobs in a synchronous call; the bundler turns every `async` function into one that uses this.

import "./timers.js";

import Polyfill from "promise-polyfill";

import { enqueue } from "./queue.js";

type Resolvers = { promise: unknown; resolve: unknown; reject: unknown };

interface Settings {
  _immediateFn(job: () => void): void;
  _unhandledRejectionFn(reason: unknown): void;
  withResolvers(): Resolvers;
  try(work: (...values: unknown[]) => unknown, ...values: unknown[]): unknown;
}

const unhandled: unknown[] = [];

const settings = Polyfill as unknown as Settings;
settings._immediateFn = enqueue;
settings._unhandledRejectionFn = (reason) => void unhandled.push(reason);
settings.withResolvers = () => {
  const made: Partial<Resolvers> = {};
  made.promise = new Polyfill((resolve, reject) => {
    made.resolve = resolve;
    made.reject = reject;
  });
  return made as Resolvers;
};
settings.try = (work, ...values) => new Polyfill((resolve) => resolve(work(...values) as never));

globalThis.Promise = Polyfill as unknown as PromiseConstructor;
// It would make a native promise, whose jobs nobody runs.
Reflect.deleteProperty(Array, "fromAsync");

/** Reasons of rejected promises that nobody looked at, since the last question. */
export function takeUnhandled(): unknown[] {
  return unhandled.splice(0);
}
