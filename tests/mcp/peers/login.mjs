// What a person does with one server that wants a login: logs in by a browser, runs a plan that calls its tool, and
// logs in again where the server wanted more. The conformance suite starts it for each of its scenarios.
//
// Arguments: the executable, a folder to work in, and the server's address.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [flowhost, folder, url] = process.argv.slice(2);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const name = scenario.replace(/^auth\//, '').replaceAll('/', '-');
const home = path.join(folder, 'login', name);
// One for all scenarios, so that the adapter is compiled once.
const state = path.join(folder, 'login', 'state');

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
inject = { login = "${name}" }
`);
writeFileSync(path.join(home, 'plan.yaml'), `flowhost: v1
kind: workflow
name: login
plugins:
  peer: { kind: mcp_adapter, source: "builtin:mcp-client", profile: peer, config: { url: "${url}" } }
steps:
  a: { uses: peer/test-tool, with: {} }
`);

// Runs the executable; a page that it shows is opened as a browser would.
function command(...parameters) {
  const child = spawn(flowhost, [...parameters, '--state', state, '--json'], { cwd: home });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8');
  child.stderr.setEncoding('utf8');
  child.stdout.on('data', (data) => { said.out += data; });
  let isOpen = false;
  child.stderr.on('data', (data) => {
    said.err += data;
    const page = said.err.match(/^ {2}(http\S+)\n/m);
    if (page && !isOpen) {
      isOpen = true;
      fetch(page[1]).catch((error) => console.error(error));
    }
  });
  return new Promise((resolve) => child.on('exit', (code) => {
    console.error(`$ flowhost ${parameters.join(' ')}\n${said.err}${said.out}exit ${code}`);
    resolve({ code, ...said });
  }));
}

const who = ['--allow-private-network', '--no-browser'];
if (context.client_id) {
  const secret = path.join(home, 'secret');
  writeFileSync(secret, context.client_secret, { mode: 0o600 });
  who.push('--client-id', context.client_id, '--client-secret-file', secret);
}
if (scenario === 'auth/basic-cimd') who.push('--client-document', 'https://conformance-test.local/client-metadata.json');

const login = () => command('mcp', 'login', name, url, ...who);
const run = () => command('run', 'plan.yaml', '--policies', 'policies', '--allow-private-network');

if ((await login()).code !== 0) process.exit(1);
let ran = await run();
if (ran.code !== 0) {
  const status = JSON.parse((await command('mcp', 'status', name)).out);
  // Where the server wanted what the login allows already, a person has nothing to do.
  if (status.logins[0].wanted.length > 0 && (await login()).code === 0) ran = await run();
}
process.exit(ran.code);
