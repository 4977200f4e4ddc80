// The modules that the engines make of a component's imports, by their WIT names.

declare module "flowhost:budget/budget@0.1.0" {
  import type { Budget } from "@flowhost/sdk/internal/raw/contract";
  export const left: Budget["left"];
}

declare module "flowhost:clock/clock@0.1.0" {
  import type { Clock } from "@flowhost/sdk/internal/raw/contract";
  export const nowMs: Clock["nowMs"];
  export const elapsedMs: Clock["elapsedMs"];
}

declare module "flowhost:config/config@0.1.0" {
  import type { Config } from "@flowhost/sdk/internal/raw/contract";
  export const get: Config["get"];
  export const all: Config["all"];
}

declare module "flowhost:files/files@0.1.0" {
  import type { Files } from "@flowhost/sdk/internal/raw/contract";
  export const roots: Files["roots"];
  export const read: Files["read"];
  export const readRange: Files["readRange"];
  export const list: Files["list"];
  export const stat: Files["stat"];
  export const write: Files["write"];
  export const append: Files["append"];
  export const makeDirectory: Files["makeDirectory"];
  export const remove: Files["remove"];
}

declare module "flowhost:http/http@0.1.0" {
  import type { Http } from "@flowhost/sdk/internal/raw/contract";
  export const send: Http["send"];
}

declare module "flowhost:log/log@0.1.0" {
  import type { Log } from "@flowhost/sdk/internal/raw/contract";
  export const write: Log["write"];
}

declare module "flowhost:mcp-transport/mcp-transport@0.1.0" {
  import type { McpTransport } from "@flowhost/sdk/internal/raw/contract";
  export const at: McpTransport["at"];
  export const open: McpTransport["open"];
  export const send: McpTransport["send"];
  export const listen: McpTransport["listen"];
  export const next: McpTransport["next"];
  export const cancel: McpTransport["cancel"];
}

declare module "flowhost:messaging/messaging@0.1.0" {
  import type { Messaging } from "@flowhost/sdk/internal/raw/contract";
  export const publish: Messaging["publish"];
  export const request: Messaging["request"];
}

declare module "flowhost:model/model@0.1.0" {
  import type { Model } from "@flowhost/sdk/internal/raw/contract";
  export const complete: Model["complete"];
  export const embed: Model["embed"];
}

declare module "flowhost:progress/progress@0.1.0" {
  import type { Progress } from "@flowhost/sdk/internal/raw/contract";
  export const report: Progress["report"];
}

declare module "flowhost:random/random@0.1.0" {
  import type { Random } from "@flowhost/sdk/internal/raw/contract";
  export const bytes: Random["bytes"];
}

declare module "flowhost:secrets/secrets@0.1.0" {
  import type { Secrets } from "@flowhost/sdk/internal/raw/contract";
  export const names: Secrets["names"];
  export const reveal: Secrets["reveal"];
}

declare module "flowhost:state/state@0.1.0" {
  import type { State } from "@flowhost/sdk/internal/raw/contract";
  export const get: State["get"];
  export const set: State["set"];
  export const compareAndSwap: State["compareAndSwap"];
  const remove: State["delete"];
  export { remove as delete };
  export const list: State["list"];
}

declare module "flowhost:tools/tools@0.1.0" {
  import type { Tools } from "@flowhost/sdk/internal/raw/contract";
  export const list: Tools["list"];
  export const call: Tools["call"];
}
