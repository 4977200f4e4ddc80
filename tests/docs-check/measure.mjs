// How many findings of examples/docs-check are false, and how many planted faults it finds, on Markdown of
// packages that other people wrote.
//
//   cd tests/docs-check && npm install
//   node measure.mjs FLOWHOST [FOLDER …]
//
// Without folders it takes the packages below with `npm pack`. Every finding about a link is judged by a
// second opinion that shares no code with the plugin: the disk for paths, markdown-it with github-slugger
// for anchors and labels. Then faults of every kind are planted in a copy, and looked for in the report.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import GithubSlugger from "github-slugger";
import MarkdownIt from "markdown-it";

const PACKAGES = [
  "fastify@5.12.8", "pino@10.4.0", "undici@8.13.1", "npm@12.2.1", "eslint-plugin-import@2.32.0",
  "eslint-plugin-jsx-a11y@6.10.2", "date-fns@4.4.0", "knex@3.3.0",
];
const EXAMPLE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../examples/docs-check");
const LINKS = new Set(["broken-link", "broken-anchor", "broken-reference"]);
const work = fs.mkdtempSync(path.join(os.tmpdir(), "docs-check-"));

function fetched() {
  return PACKAGES.map((name) => {
    const folder = path.join(work, name.split("@")[0]);
    fs.mkdirSync(folder);
    const packed = execFileSync("npm", ["pack", "--silent", name], { cwd: work, encoding: "utf8" }).trim();
    execFileSync("tar", ["xzf", path.join(work, packed), "-C", folder, "--strip-components=1"]);
    return folder;
  });
}

/** Runs the example on a folder and reads the findings from its report. */
function check(flowhost, folder) {
  const home = fs.mkdtempSync(path.join(work, "run-"));
  fs.cpSync(EXAMPLE, home, { recursive: true, filter: (from) => !/[\\/](out|\.flowhost)$/.test(from) });
  const began = Date.now();
  const ran = spawnSync(flowhost, ["run", "plan.yaml", "--json", "--input", `folder=${folder}`], {
    cwd: home, encoding: "utf8", maxBuffer: 1 << 28,
  });
  if (ran.status !== 0) throw new Error(`${folder}: exit ${ran.status}\n${ran.stderr}`);
  const { outputs } = JSON.parse(ran.stdout);
  const findings = [];
  let file = "";
  for (const line of fs.readFileSync(path.join(home, "out/report.md"), "utf8").split("\n")) {
    const heading = /^## (?:`+ ?)?(.*?)(?: ?`+)?$/.exec(line);
    if (heading) file = heading[1];
    const found = /^- line (\d+), ([a-z0-9-]+): (.*)$/.exec(line);
    if (found) findings.push({ file, line: Number(found[1]), rule: found[2], message: found[3] });
  }
  const evidence = execFileSync("du", ["-sk", path.join(home, ".flowhost")], { encoding: "utf8" });
  fs.rmSync(home, { recursive: true });
  return { outputs, findings, ms: Date.now() - began, evidenceKb: parseInt(evidence, 10) };
}

const markdown = new MarkdownIt({ html: true });
const opinions = new Map();

/** What markdown-it and github-slugger make of a file: its anchors and its labels. */
function opinion(file) {
  if (opinions.has(file)) return opinions.get(file);
  const text = fs.readFileSync(file, "utf8").replace(/^\uFEFF/, "").replace(/^---\r?\n[\s\S]*?\n---\r?\n/, "");
  const environment = {};
  const html = markdown.render(text, environment);
  const slugger = new GithubSlugger();
  const anchors = new Set(["", "top"]);
  const plain = (inner) => inner.replace(/<[^>]*>/g, "")
    .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&");
  for (const [, inner] of html.matchAll(/<h[1-6][^>]*>([\s\S]*?)<\/h[1-6]>/gi)) anchors.add(slugger.slug(plain(inner)));
  for (const [, , id] of html.matchAll(/\s(?:id|name)\s*=\s*(["']?)([^"'\s>]+)\1/gi)) anchors.add(id.toLowerCase());
  const known = { anchors, labels: new Set(Object.keys(environment.references ?? {})) };
  opinions.set(file, known);
  return known;
}

const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

/** Whether the second opinion calls a finding false. */
function isFalse(finding) {
  const target = /`+ ?(.*?) ?`+/.exec(finding.message)?.[1] ?? "";
  const [written, anchor] = target.split("#");
  const there = path.resolve(path.dirname(finding.file), decoded(written.split("?")[0]));
  if (finding.rule === "broken-reference") return opinion(finding.file).labels.has(target.toUpperCase());
  if (finding.rule === "broken-link") return fs.existsSync(there);
  const file = written === "" ? finding.file : there;
  return fs.existsSync(file) && opinion(file).anchors.has(decoded(anchor ?? "").toLowerCase());
}

/** Each kind of fault, as it is written, and what its finding must name. */
const FAULTS = [
  ["link", (n) => `[x](planted-${n}.md)`],
  ["image", (n) => `![x](planted-${n}.png)`],
  ["link with a title in angle brackets", (n) => `[x](<planted-${n} a.md> "title")`],
  ["encoded link", (n) => `[x](planted-${n}%20a.md)`],
  ["link with an anchor", (n) => `[x](planted-${n}.md#part)`],
  ["img in HTML", (n) => `<img width=10 src='planted-${n}.png'>`],
  ["a in HTML", (n) => `<p align="center"><a href = planted-${n}.md >x</a></p>`],
  ["unused definition", (n) => `[planted-${n}]: planted-${n}.md`],
  ["label without definition", (n) => `See [the words][planted-${n}] here.`],
  ["anchor of the document", (n) => `[x](#planted-${n})`],
  ["anchor of another document", (n, other) => `[x](${other}#planted-${n})`],
  ["link in a table", (n) => `| a |\n| - |\n| [x](planted-${n}.md) |`],
  ["link in a list in a quote", (n) => `> - [x](planted-${n}.md)`],
  ["nested picture", (n) => `[![x](planted-${n}.svg)](https://example.com/)`],
];

/** Plants every kind in documents that begin with a heading, and says what was planted where. */
function plant(folder) {
  const copy = fs.mkdtempSync(path.join(work, "planted-"));
  fs.cpSync(folder, copy, { recursive: true });
  const all = fs.readdirSync(copy, { recursive: true })
    .filter((name) => /\.(md|markdown)$/i.test(name) && !name.split(path.sep).includes("node_modules"));
  const fit = all.filter((name) => /^#\s.*\n/.test(fs.readFileSync(path.join(copy, name), "utf8"))).sort();
  const planted = [];
  fit.slice(0, 40).forEach((name, index) => {
    const file = path.join(copy, name);
    const other = encodeURI(path.relative(path.dirname(file), path.join(copy, fit[(index + 1) % fit.length])));
    const lines = fs.readFileSync(file, "utf8").split("\n");
    const faults = FAULTS.map(([kind, write], at) => ({ kind, mark: `planted-${index}-${at}`, text: write(`${index}-${at}`, other) }));
    lines.splice(1, 0, "", ...faults.flatMap(({ text }) => [text, ""]));
    fs.writeFileSync(file, lines.join("\n"));
    planted.push(...faults.map((fault) => ({ ...fault, file })));
  });
  fs.writeFileSync(path.join(copy, "planted-latin1.MD"), Buffer.from([35, 32, 71, 114, 252, 110, 10]));
  planted.push({ kind: "file that is not UTF-8", mark: "not-utf8", file: path.join(copy, "planted-latin1.MD") });
  return { copy, planted };
}

const [flowhost, ...given] = process.argv.slice(2);
if (!flowhost) { console.error("usage: node measure.mjs FLOWHOST [FOLDER …]"); process.exit(64); }
const total = { links: 0, wrong: 0, planted: 0, missed: 0 };
console.log("| folder | documents | seen | link findings | false | not checked | planted | found | ms | evidence KB |");
console.log("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
for (const folder of given.length ? given.map((it) => path.resolve(it)) : fetched()) {
  const { outputs, findings, ms, evidenceKb } = check(flowhost, folder);
  const links = findings.filter((finding) => LINKS.has(finding.rule));
  const wrong = links.filter(isFalse);
  const documents = fs.readdirSync(folder, { recursive: true })
    .filter((name) => /\.(md|markdown)$/i.test(name) && !/(^|[\\/])(node_modules|\.git)[\\/]/.test(name));
  const { copy, planted } = plant(folder);
  const after = check(flowhost, copy).findings;
  const missed = planted.filter(({ mark, file }) =>
    !after.some((finding) => path.resolve(finding.file) === file && `${finding.rule} ${finding.message}`.includes(mark)));
  console.log(`| ${path.basename(folder)} | ${documents.length} | ${outputs.documents} | ${links.length} | ${wrong.length} | ${outputs.unchecked} | ${planted.length} | ${planted.length - missed.length} | ${ms} | ${evidenceKb} |`);
  for (const it of wrong) console.error("false:", it.file, it.line, it.rule, it.message);
  for (const it of missed) console.error("missed:", it.kind, it.file, it.mark);
  total.links += links.length; total.wrong += wrong.length;
  total.planted += planted.length; total.missed += missed.length;
  fs.rmSync(copy, { recursive: true });
}
fs.rmSync(work, { recursive: true });
console.log(`\n${total.wrong} of ${total.links} findings about links are false; ${total.planted - total.missed} of ${total.planted} planted faults were found`);
process.exit(total.wrong * 100 > total.links || total.missed > 0 ? 1 : 0);
