// An adapter with fixed answers: that its role is whole, and that values go both ways.

import { Invalid, content, defineMcpAdapter } from "@flowhost/sdk";

export default defineMcpAdapter({
  connect: (config) => ({
    name: "fixed",
    version: "1.0.0",
    protocol: "2025-11-25",
    capabilities: { tools: {} },
    instructions: "",
    state: JSON.stringify(config),
  }),
  listTools: () => ({
    items: [
      {
        name: "echo",
        title: "Echo",
        description: "Gives back what it was given.",
        inputSchema: { type: "object" },
        effects: "none",
        annotations: { readOnly: true },
      },
    ],
    ttlMs: 1000,
  }),
  async callTool(session, name, input) {
    if (name !== "echo") {
      throw new Invalid(`there is no tool ${name}`);
    }
    return content({ input, state: session.state }, "echoed");
  },
  listResources: () => ({ items: [{ uri: "fixed:///a", name: "a" }] }),
  readResource: (_, uri) => [{ uri, mimeType: "text/plain", data: "the text" }],
  listPrompts: () => ({ items: [{ name: "greet", arguments: [{ name: "who", required: true }] }] }),
  getPrompt: (_, name, values) => ({
    turns: [{ speaker: "user", part: { type: "text", text: `${name} ${values["who"] ?? ""}` } }],
  }),
});
