// A tool that answers what it was asked, and tells what it can see from inside the sandbox: the clock,
// randomness, the environment and the global names that could reach further.

const descriptor = {
  name: "run",
  title: "run",
  description: "run",
  inputSchema: "{}",
  outputSchema: "",
  effects: "none",
  annotations: {},
};

function attempt(what) {
  try {
    return { ok: what() };
  } catch (error) {
    return { error: String(error) };
  }
}

function look() {
  const reach = ["fetch", "process", "require", "Deno", "XMLHttpRequest", "WebSocket"];
  return {
    reach: reach.filter((name) => typeof globalThis[name] !== "undefined"),
    date: attempt(() => Date.now()),
    random: attempt(() => Math.random()),
  };
}

function call(_ctx, _name, input) {
  const asked = JSON.parse(input);
  if (asked && asked.throw) {
    throw new Error("the guest threw");
  }
  return { value: JSON.stringify({ input: asked, sees: look() }), parts: [] };
}

export const tool = { describe: () => [descriptor], call };
