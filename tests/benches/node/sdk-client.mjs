// The TypeScript SDK's client (of the same generation as sdk-tool.mjs, which is the quicker here, too), asking one tool again
// and again: prints the nanoseconds of each call, one a line.
// Arguments: the server's address, how many calls, and how many go before them without being counted.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [address, calls, before] = process.argv.slice(2);
const client = new Client({ name: "bench", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(address)));
await client.listTools();
const given = { text: "The quick brown fox", count: 3, tags: ["a", "b"] };
const times = [];
for (let call = 0; call < Number(before) + Number(calls); call += 1) {
  const from = process.hrtime.bigint();
  await client.callTool({ name: "run", arguments: given });
  times.push(process.hrtime.bigint() - from);
}
console.log(times.slice(Number(before)).join("\n"));
await client.close();
