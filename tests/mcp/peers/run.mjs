// Asks `flowhost mcp serve` by clients that others wrote, and fails unless all of them are content.
//
// Arguments: the executable, and the folder with the fixture (`tools.wasm`, `tools.toml`).

import { spawn } from 'node:child_process';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [flowhost, folder] = process.argv.slice(2);
const serve = ['mcp', 'serve', '--plugin', 'tools.wasm', '--profile', 'tool-pure'];
const token = 'a-token-for-peers-alone';

const scenarios = [
  'server-initialize', 'ping', 'completion-complete', 'tools-list', 'tools-call-simple-text', 'tools-call-image',
  'tools-call-audio', 'tools-call-embedded-resource', 'tools-call-mixed-content', 'tools-call-error',
  'tools-call-with-progress', 'json-schema-2020-12', 'server-sse-multiple-streams', 'resources-list', 'prompts-list',
  'dns-rebinding-protection',
];

const failed = [];

function check(name, right, seen) {
  console.log(`${right ? 'ok    ' : 'FAILED'} ${name}`);
  if (!right) {
    failed.push(name);
    console.log(`       ${JSON.stringify(seen)}`);
  }
}

// The server over HTTP; its address is the first line that it says.
function start() {
  const child = spawn(flowhost, [...serve, '--listen', '127.0.0.1:0'], {
    cwd: folder,
    env: { ...process.env, FLOWHOST_MCP_TOKEN: token },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    child.stderr.on('data', (data) => {
      const said = String(data).match(/mcp: (http:\S+)/);
      if (said) resolve({ child, url: new URL(said[1]) });
      else process.stderr.write(data);
    });
  });
}

// The conformance suite cannot show a token, so this stands between and shows it. Nothing else is changed,
// except its own address in `Host`: a foreign one has to arrive as it was sent.
function proxy(to) {
  const server = http.createServer((request, response) => {
    const own = [`localhost:${server.address().port}`, `127.0.0.1:${server.address().port}`];
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    if (own.includes(headers.host)) headers.host = to.host;
    const onward = http.request({ host: to.hostname, port: to.port, path: request.url, method: request.method, headers, setHost: false });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function conformance(url) {
  const cli = path.join(path.dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')), 'dist/index.js');
  return Promise.all(scenarios.map((scenario) => new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, 'server', '--url', url, '--scenario', scenario], { cwd: folder });
    let said = '';
    child.stdout.on('data', (data) => { said += data; });
    child.stderr.on('data', (data) => { said += data; });
    child.on('exit', (code) => {
      check(`conformance ${scenario}`, code === 0, said.slice(-2000));
      resolve();
    });
  })));
}

async function sdk(name, mode, transport) {
  const client = new Client({ name: 'peers', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  const { tools } = await client.listTools();
  check(`${name}: lists tools`, tools.some((tool) => tool.name === 'echo'), tools);
  const echo = await client.callTool({ name: 'echo', arguments: { text: 'größe' } });
  check(`${name}: structured content`, echo.structuredContent?.text === 'größe', echo);
  const image = await client.callTool({ name: 'test_image_content', arguments: {} });
  check(`${name}: an image`, image.content[0]?.type === 'image', image);
  const wrong = await client.callTool({ name: 'echo', arguments: { text: 7 } }).catch((error) => ({ isError: true, error: String(error) }));
  check(`${name}: wrong arguments`, wrong.isError === true, wrong);
  const told = [];
  const done = await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, { onprogress: (progress) => told.push(progress.progress) });
  check(`${name}: progress`, done.content[0]?.text === 'done' && told.join() === '0,50,100', { done, told });
  const report = echo._meta?.['dev.flowhost/run']?.report;
  const read = await client.readResource({ uri: report });
  check(`${name}: the run's report`, JSON.parse(read.contents[0].text).status === 'ok', read);
  await client.close();
}

const { child, url } = await start();
const between = await proxy(url);
try {
  await conformance(`http://localhost:${between.address().port}/mcp`);
  const shown = { requestInit: { headers: { authorization: `Bearer ${token}` } } };
  await sdk('SDK, HTTP, legacy', 'legacy', new StreamableHTTPClientTransport(url, shown));
  await sdk('SDK, HTTP, modern', { pin: '2026-07-28' }, new StreamableHTTPClientTransport(url, shown));
  const start = { command: flowhost, args: serve, cwd: folder, env: { ...process.env } };
  await sdk('SDK, stdio, legacy', 'legacy', new StdioClientTransport(start));
  await sdk('SDK, stdio, modern', { pin: '2026-07-28' }, new StdioClientTransport(start));
} finally {
  between.close();
  child.removeAllListeners('exit');
  child.kill();
}
console.log(failed.length === 0 ? 'all peers are content' : `${failed.length} failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
