// Asks the official conformance suite what it thinks of flowhost's client, but for logins, and fails unless it is content.
//
// Arguments: the executable, and a folder to work in.

import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [flowhost, folder] = process.argv.slice(2);
const scenarios = ['initialize', 'tools_call', 'sse-retry'];
const cli = path.join(path.dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')), 'dist/index.js');
const failed = [];

rmSync(path.join(folder, 'asks'), { recursive: true, force: true });
for (const scenario of scenarios) {
  const client = `${process.execPath} ${path.resolve('asks.mjs')} ${flowhost} ${folder}`;
  const parameters = [cli, 'client', '--command', client, '--scenario', scenario, '--timeout', '300000'];
  const child = spawn(process.execPath, parameters, { cwd: folder });
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  child.stderr.on('data', (data) => { said += data; });
  const code = await new Promise((resolve) => child.on('exit', resolve));
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} conformance client ${scenario}`);
  if (code !== 0) {
    failed.push(scenario);
    console.log(said.slice(-4000));
  }
}
console.log(failed.length === 0 ? 'the suite is content with the client' : `${failed.length} failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
