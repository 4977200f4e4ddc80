// What a plan does with one server of the conformance suite: connects, reads the list of tools, and calls the one that the
// scenario is about. The suite starts it for each of its scenarios.
//
// Arguments: the executable, a folder to work in, and the server's address.

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [flowhost, folder, url] = process.argv.slice(2);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const calls = { tools_call: 'peer/add_numbers, with: { a: 5, b: 3 }', 'sse-retry': 'peer/test_reconnection, with: {}' };
const home = path.join(folder, 'asks', scenario);
// One for all scenarios, so that the adapter is compiled once.
const state = path.join(folder, 'asks', 'state');

mkdirSync(path.join(home, 'policies'), { recursive: true });
writeFileSync(path.join(home, 'policies/peer.toml'), `version = 1
name = "peer"
log = true
[limits]
memory = "256MiB"
fuel = 20_000_000_000
deadline = "60s"
[[http]]
url = "${url}"
methods = ["POST", "GET", "DELETE"]
private_network = true
`);
writeFileSync(path.join(home, 'plan.yaml'), `flowhost: v1
kind: workflow
name: asks
plugins:
  peer: { kind: mcp_adapter, source: "builtin:mcp-client", profile: peer, config: { url: "${url}" } }
steps:
  a: { uses: ${calls[scenario] ?? 'peer/none, with: {}'} }
`);
// A scenario without a tool is about the beginning of a conversation.
const what = calls[scenario] ? ['run'] : ['mcp', 'inspect'];
const done = spawnSync(flowhost, [...what, 'plan.yaml', '--allow-private-network', '--state', state, '--json'], { cwd: home, encoding: 'utf8' });
console.error(`$ flowhost ${what.join(' ')}\n${done.stderr}${done.stdout}exit ${done.status}`);
process.exit(done.status ?? 1);
