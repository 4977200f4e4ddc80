// `Date` over any source of time.

/** A `Date` that takes the current time from `now`, and is the engine's own in everything else. */
export function dateOver(Native: DateConstructor, now: () => number): DateConstructor {
  const routed: DateConstructor = new Proxy(Native, {
    construct: (target, values: unknown[], made) =>
      Reflect.construct(target, values.length === 0 ? [now()] : values, made === routed ? target : made) as object,
    apply: () => new Native(now()).toString(),
    get: (target, member) => (member === "now" ? now : (Reflect.get(target, member) as unknown)),
  });
  return routed;
}
