// Lets flowhost's client ask servers that others wrote, and fails unless all of it went as it should.
//
// Arguments: the executable, and a folder to work in.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { newer, older } from './servers.mjs';

const [flowhost, folder] = process.argv.slice(2);
const failed = [];

function check(name, right, seen) {
  console.log(`${right ? 'ok    ' : 'FAILED'} ${name}`);
  if (!right) {
    failed.push(name);
    console.log(`       ${JSON.stringify(seen)}`);
  }
}

const profile = (url) => `version = 1
name = "peer"
log = true
[limits]
memory = "256MiB"
fuel = 20_000_000_000
output = "8MiB"
deadline = "60s"
[[http]]
url = "${url}"
methods = ["POST", "GET", "DELETE"]
private_network = true
`;

const step = (name, tool, needs) => `  ${name}: { uses: peer/${tool}, with: { text: größe }${needs ? `, needs: [${needs}]` : ''} }`;

// Runs a plan that calls these tools of a server one after the other.
function run(url, tools) {
  const home = path.join(folder, 'client');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(path.join(home, 'policies'), { recursive: true });
  writeFileSync(path.join(home, 'policies/peer.toml'), profile(url));
  const steps = tools.map((tool, at) => step(`s${at}`, tool, at > 0 ? `s${at - 1}` : ''));
  const outputs = tools.map((tool, at) => `  s${at}: "\${{ steps.s${at}.output.text }}"`);
  writeFileSync(path.join(home, 'plan.yaml'), `flowhost: v1
kind: workflow
name: peers
plugins:
  peer: { kind: mcp_adapter, source: "builtin:mcp-client", profile: peer, config: { url: "${url}" } }
steps:
${steps.join('\n')}
outputs:
${outputs.join('\n')}
`);
  const child = spawn(flowhost, ['run', 'plan.yaml', '--allow-private-network', '--json', '--state', 'state'], { cwd: home });
  const said = { out: '', err: '' };
  // A character may stand on both sides of a chunk's end.
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (data) => { said.out += data; });
  child.stderr.on('data', (data) => { said.err += data; });
  return new Promise((resolve) => child.on('exit', (code) => resolve({ code, said, records: records(home) })));
}

function records(home) {
  const runs = path.join(home, 'state/default/runs');
  const lines = [];
  for (const run of readdirSync(runs)) {
    const segments = readdirSync(path.join(runs, run)).filter((name) => name.startsWith('seg-')).sort();
    for (const segment of segments) lines.push(...readFileSync(path.join(runs, run, segment), 'utf8').trim().split('\n'));
  }
  return lines.map((line) => JSON.parse(line));
}

for (const [name, start, protocol] of [['SDK 1, 2025-11-25', older, '2025-11-25'], ['SDK 2, 2026-07-28', newer, '2026-07-28']]) {
  const server = await start();
  const url = `http://127.0.0.1:${server.port}/mcp`;
  const done = await run(url, ['echo', 'steps', 'broken', 'large']);
  const outputs = done.code === 0 ? JSON.parse(done.said.out).outputs : done.said;
  check(`${name}: calls`, done.code === 0 && outputs.s0 === 'größe' && outputs.s2 === 'größe', outputs);
  check(`${name}: a large answer`, outputs.s3?.length === 1_000_000, outputs.s3?.length);
  const handshake = done.records.find((record) => record.kind === 'mcp.handshake');
  check(`${name}: revision`, handshake?.protocol === protocol, handshake);
  const told = done.records.filter((record) => record.kind === 'host.call' && record.interface?.startsWith('flowhost:progress'));
  check(`${name}: progress`, told.map((record) => record.done).join() === '1,2' || told.length === 1, told);
  if (server.counts.begun > 0) {
    check(`${name}: one session, ended`, server.counts.begun === 1 && server.open() === 0, [server.counts, server.open()]);
    check(`${name}: a stream is gone on with`, server.counts.resumed > 0, server.counts);
  }
  const grown = await run(url, ['grow', 'echo']);
  check(`${name}: another tool is noticed`, grown.code === 6 && (grown.said.out + grown.said.err).includes('`late` is new'), grown.said);
  server.close();
}
console.log(failed.length === 0 ? 'all servers are content' : `${failed.length} failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
