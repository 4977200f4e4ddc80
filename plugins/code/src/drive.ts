// Async functions without the engine's own promises, whose jobs nobody runs in a synchronous call: a generator that
// hands out what it waits for, over the promise of the SDK.

/** Runs a generator to its end: what it yields is waited for. */
export function drive(generator: Generator): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const step = (resume: () => IteratorResult<unknown>): void => {
      let next: IteratorResult<unknown>;
      try {
        next = resume();
      } catch (thrown) {
        reject(thrown);
        return;
      }
      if (next.done === true) {
        resolve(next.value);
        return;
      }
      Promise.resolve(next.value).then(
        (value) => step(() => generator.next(value)),
        (thrown: unknown) => step(() => generator.throw(thrown)),
      );
    };
    step(() => generator.next());
  });
}
