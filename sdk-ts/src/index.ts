// What an author writes a plugin with. Each host module, once used, makes the component ask for its right;
// nothing else does.

export { Conflict, Denied, Failed, FlowhostError, Invalid, LimitReached, Transient } from "./errors.js";
export type { InferInput, InferOutput, Schema } from "./schema.js";
export {
  type Annotations,
  Content,
  type Context,
  type Descriptor,
  type Effects,
  type Hints,
  type Json,
  type Message,
  type Part,
  type ResourceContents,
  type ResourceInfo,
  type Usage,
  content,
} from "./types.js";

export { type Answer, type Tool, type ToolOptions, defineTool } from "./define/tool.js";
export {
  type Agent,
  type AgentOptions,
  type Outcome,
  type Outgoing,
  Output,
  type Task,
  defineAgent,
  output,
} from "./define/agent.js";
export {
  type Finding,
  type Guardrail,
  type GuardrailOptions,
  type Subject,
  type Verdict,
  defineGuardrail,
  deny,
  pass,
  rewrite,
} from "./define/guardrail.js";
export {
  type McpAdapter,
  type McpAdapterOptions,
  type Page,
  type PromptText,
  type ResourceTemplate,
  type ServerPrompt,
  type Session,
  defineMcpAdapter,
} from "./define/mcp-adapter.js";

export * as budget from "./host/budget.js";
export * as clock from "./host/clock.js";
export * as config from "./host/config.js";
export * as files from "./host/files.js";
export * as http from "./host/http.js";
export * as log from "./host/log.js";
export * as mcpTransport from "./host/mcp-transport.js";
export * as messages from "./host/messages.js";
export * as model from "./host/model.js";
export * as progress from "./host/progress.js";
export * as random from "./host/random.js";
export * as secrets from "./host/secrets.js";
export * as state from "./host/state.js";
export * as tools from "./host/tools.js";
