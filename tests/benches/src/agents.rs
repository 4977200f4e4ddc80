//! A hundred agents at a model that takes its time, through the built executable: the shipped agent asks,
//! calls a tool and answers. What is compared with is the model's own time, which no host can undercut.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measure::duration;
use crate::plans::median;
use crate::project::Project;
use crate::report::Row;

const AGENTS: usize = 100;
/// Model calls of an agent: one that asks for a tool, one that answers.
const TURNS: u32 = 2;
const LATENCY_MS: u64 = 50;
const ROUNDS: usize = 5;

/// All at once, against the model's own time and against one after the other.
///
/// # Errors
/// When the executable or the plugins are missing, or a run fails.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Row>> {
    let project = project(folder)?;
    let run = |plan: &str| project.run(plan, "relaxed", &[]);
    run("together.yaml")?;
    let together = median(ROUNDS, || run("together.yaml"))?;
    // The last run that was recorded is one of all at once.
    let replayed = median(ROUNDS, || {
        let replay = ["runs", "replay", "latest", "--json"];
        Ok(project.flowhost(&replay, 0)?.1)
    })?;
    let alone = run("alone.yaml")?.as_nanos() as f64;
    let ideal = (Duration::from_millis(LATENCY_MS) * TURNS).as_nanos() as f64;
    let row = |what: &str| {
        let what = format!("{AGENTS} agents of {TURNS} turns at a {LATENCY_MS} ms model{what}");
        Row::new("model", what, together.text(), together.median_ns)
    };
    let mut rows = vec![
        row(", all at once, process start to exit").against(
            "the model's own time",
            duration(ideal),
            together.median_ns / ideal,
        ),
        Row::new(
            "model",
            format!(
                "{AGENTS} agents of {TURNS} turns, replayed from the record, process start to exit"
            ),
            replayed.text(),
            replayed.median_ns,
        )
        .against(
            "the run itself",
            together.text(),
            replayed.median_ns / together.median_ns,
        ),
        row(", against one after the other (speed-up)").against(
            "one after the other",
            duration(alone),
            alone / together.median_ns,
        ),
    ];
    rows.extend(answering(folder)?);
    Ok(rows)
}

/// Agents of three turns that the model does not keep waiting, one after the other, each with a schema for its
/// answer: two calls of a tool, and the answer.
fn answering(folder: &Path) -> Result<Vec<Row>> {
    let project = Project::new(&folder.join("answering"))?;
    project.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    )?;
    project.file("scripts/agent.json", THREE_TURNS)?;
    project.file("policies/bench-agent.toml", PROFILE)?;
    let output = "    output: { schema: { type: object, required: [headings], additionalProperties: false, \
                  properties: { headings: { type: integer, minimum: 0 } } } }\n";
    let many: Vec<String> = (0..AGENTS).map(|item| item.to_string()).collect();
    project.file("many.yaml", plan("many", &many, 1) + output)?;
    project.file("one.yaml", plan("one", &["0".to_owned()], 1) + output)?;
    let run = |plan: &str| project.run(plan, "relaxed", &[]);
    run("one.yaml")?;
    let one = median(ROUNDS, || run("one.yaml"))?;
    let many = median(ROUNDS, || run("many.yaml"))?;
    let each = (many.median_ns - one.median_ns) / (AGENTS - 1) as f64;
    let arguments = ["run", "one.yaml", "--durability", "relaxed", "--json"];
    let (report, _) = project.flowhost(&arguments, 0)?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let fuel = report
        .pointer("/steps/read/used/fuel")
        .and_then(serde_json::Value::as_f64)
        .context("the report of the run says the fuel of its step")?;
    let what = "an agent of 3 turns with a schema for its answer, two tool calls among them";
    Ok(vec![
        Row::new(
            "model",
            format!("{what}, beyond the model"),
            duration(each),
            each,
        )
        .goal("≤ 3 ms", each <= 3e6),
        Row::new(
            "model",
            format!("{what}: fuel"),
            format!("{:.2} M", fuel / 1e6),
            fuel,
        )
        .goal("≤ 2 M", fuel <= 2e6),
    ])
}

fn project(folder: &Path) -> Result<Project> {
    let project = Project::new(&folder.join("agents"))?;
    project.file("flowhost.toml", configuration())?;
    project.file("scripts/agent.json", SCRIPT)?;
    project.file("policies/bench-agent.toml", PROFILE)?;
    let items: Vec<String> = (0..AGENTS).map(|item| item.to_string()).collect();
    project.file("together.yaml", plan("together", &items, AGENTS))?;
    project.file("alone.yaml", plan("alone", &items, 1))?;
    Ok(project)
}

fn configuration() -> String {
    format!(
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\nlatency = \
         \"{LATENCY_MS}ms\"\n"
    )
}

/// What the model says in each turn.
const SCRIPT: &str = r##"[
  {"tool_calls": [{"name": "markdown/headings", "arguments": {"text": "# One\n\n## Two\n"}}]},
  {"json": {"headings": 2}}
]"##;

/// As [`SCRIPT`], with one call more.
const THREE_TURNS: &str = r##"[
  {"tool_calls": [{"name": "markdown/headings", "arguments": {"text": "# One\n\n## Two\n"}}]},
  {"tool_calls": [{"name": "markdown/headings", "arguments": {"text": "# Three\n"}}]},
  {"json": {"headings": 3}}
]"##;

/// What one agent may use at most. A call reserves all of it from the run's budget before it starts and
/// waits while that has no room, so [`plan`] states a budget with room for every agent at once: the
/// default of a run would let two of these in, and the wait would be measured, not the host.
const PROFILE: &str = r#"
version = 1
name = "bench-agent"
description = "Asks the offline model and calls one tool."
log = true
config = true
budget = true

[limits]
memory = "64MiB"
fuel = 5_000_000_000
deadline = "5m"
output = "1MiB"
host_calls = 1_000
instances = 100

[model]
allow = ["mock/*"]
tokens = 1_000_000
usd = 1.00

[tools]
call = ["markdown/headings"]
"#;

fn plan(name: &str, items: &[String], parallel: usize) -> String {
    format!(
        r#"flowhost: v1
kind: workflow
name: {name}
budget: {{ tokens: 100000000, usd: 100.00 }}
plugins:
  markdown: {{ kind: tool, source: builtin:markdown, profile: deny-all }}
  agent:
    kind: agent
    source: builtin:llm-agent
    profile: bench-agent
    config:
      role: reader
      model: mock/reader
      prompt: "How many headings has document {{{{ input.item }}}}?"
      tools: [markdown/headings]
steps:
  read:
    foreach: {{ items: [{items}], as: item, max_parallel: {parallel} }}
    uses: agent
    with: {{ item: "${{{{ item }}}}" }}
"#,
        items = items.join(", ")
    )
}
