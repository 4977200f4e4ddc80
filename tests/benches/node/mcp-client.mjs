// The TypeScript SDK's client, asking one tool again and again: prints the nanoseconds of each call, one a line.
// Arguments: the folder whose node_modules has the SDK, the server's address, and how many calls.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, address, calls] = process.argv.slice(2);
const found = createRequire(`${folder}/`).resolve("@modelcontextprotocol/client");
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(found).href);

const client = new Client({ name: "bench", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(address)));
await client.listTools();
const given = { text: "The quick brown fox", count: 3, tags: ["a", "b"] };
const times = [];
for (let call = 0; call < Number(calls); call += 1) {
  const from = process.hrtime.bigint();
  await client.callTool({ name: "run", arguments: given });
  times.push(process.hrtime.bigint() - from);
}
console.log(times.join("\n"));
await client.close();
