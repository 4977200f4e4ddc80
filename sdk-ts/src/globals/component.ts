// The mark of a component. First of all modules, because the others look at it.

globalThis.__flowhost = { inCall: false };

// For the shims, which name their symbols with a random number while they load: an engine has none to give
// while a component is made, and the same bytes are wanted each time. `denied` takes it away again.
Math.random = () => 0.5;

export {};
