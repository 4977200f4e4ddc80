// The host that stands in where there is no component: in an author's tests, and while a build reads a
// plugin's descriptors. None is in place by itself, so that no test passes against a host nobody set.

import type { Host } from "./contract.js";

let host: Partial<Host> | undefined;

/** Puts a host in place, and gives back the one before. */
export function place(next: Partial<Host> | undefined): Partial<Host> | undefined {
  const before = host;
  host = next;
  return before;
}

/** The functions of one capability, looked up anew at each call. */
export function current<Name extends keyof Host>(name: Name): Host[Name] {
  return new Proxy({} as Host[Name], {
    get(_, member) {
      const capability = host?.[name];
      if (capability === undefined) {
        throw new Error(
          host === undefined
            ? `${name}.${String(member)} was called and there is no host: in a test, make one with fakeHost() of @flowhost/sdk/testing and call the plugin through it; at the top level of a module, move the call into run`
            : `${name}.${String(member)} was called, and the fake host has no ${name}: give it one, fakeHost({ ${name}: … })`,
        );
      }
      return Reflect.get(capability, member) as unknown;
    },
  });
}
