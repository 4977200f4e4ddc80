// A mistake in a file of its own, whose line a stack trace should name.

interface Part {
  readonly inner?: { readonly value: boolean };
}

export function broken(part: Part): { fits: boolean } {
  const inner = part.inner as { readonly value: boolean };
  return { fits: inner.value };
}
