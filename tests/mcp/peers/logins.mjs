// Asks the official conformance suite what it thinks of flowhost's logins, and fails unless it is content.
//
// Arguments: the executable, and a folder to work in.

import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [flowhost, folder] = process.argv.slice(2);
const scenarios = [
  'metadata-default', 'metadata-var1', 'metadata-var2', 'metadata-var3', 'basic-cimd', 'scope-from-www-authenticate',
  'scope-from-scopes-supported', 'scope-omitted-when-undefined', 'scope-step-up', 'scope-retry-limit',
  'token-endpoint-auth-basic', 'token-endpoint-auth-post', 'token-endpoint-auth-none', 'pre-registration',
  'resource-mismatch', 'offline-access-scope', 'offline-access-not-supported',
];
const cli = path.join(path.dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')), 'dist/index.js');
const failed = [];

function one(scenario) {
  const client = `${process.execPath} ${path.resolve('login.mjs')} ${flowhost} ${folder}`;
  const parameters = [cli, 'client', '--command', client, '--scenario', `auth/${scenario}`, '--timeout', '120000'];
  const child = spawn(process.execPath, parameters, { cwd: folder });
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  child.stderr.on('data', (data) => { said += data; });
  return new Promise((resolve) => child.on('exit', (code) => {
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} conformance auth/${scenario}`);
    if (code !== 0) {
      failed.push(scenario);
      console.log(said.slice(-4000));
    }
    resolve();
  }));
}

rmSync(path.join(folder, 'login'), { recursive: true, force: true });
// The first compiles the adapter; the others find it compiled, and are two at a time.
await one(scenarios[0]);
const waiting = scenarios.slice(1);
const lane = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) await one(next);
};
await Promise.all([lane(), lane()]);
console.log(failed.length === 0 ? 'the suite is content with all logins' : `${failed.length} failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
