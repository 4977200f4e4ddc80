//! Code mode: what it takes to start a program, what a call out of one costs, and what it saves an agent.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::host::{bytes, guest, repository};
use crate::measure::duration;
use crate::plans::median;
use crate::project::Project;
use crate::report::Row;

const ROUNDS: usize = 3;
/// Programs that are started one after the other.
const PROGRAMS: usize = 40;
/// Calls of one program.
const CALLS: usize = 200;

/// The tool that a program calls, and that takes any object.
const MANIFEST: &str = "version = 1\nname = \"echo\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\
    description = \"Echoes\"\n[[tools]]\nname = \"run\"\ndescription = \"Echoes\"\neffects = \"none\"\n\
    input = { type = \"object\" }\n";

const PROFILE: &str = "version = 1\nname = \"code\"\n[limits]\nmemory = \"64MiB\"\nfuel = 5_000_000_000\n\
    deadline = \"60s\"\nhost_calls = 1000\n[tools]\ncall = [\"echo/*\"]\n";

/// The rows of the group.
///
/// # Errors
/// When a plugin is missing or a run fails.
pub(super) fn rows(project: &Project) -> Result<Vec<Row>> {
    project.file("any.wasm", bytes(&guest("ok_echo"))?)?;
    project.file("any.toml", MANIFEST)?;
    project.file("policies/code.toml", PROFILE)?;
    let started = "{ source: \"return 1\" }";
    let calls = |count: usize| {
        format!(
            "{{ source: \"for (let n = 0; n < {count}; n += 1) await tools.echo.run({{ n }}); return 1\" }}"
        )
    };
    let plans = [
        ("program.yaml", plan("code/run", started, 1)),
        ("programs.yaml", plan("code/run", started, PROGRAMS + 1)),
        ("none.yaml", plan("code/run", &calls(0), 1)),
        ("nested.yaml", plan("code/run", &calls(CALLS), 1)),
        ("direct.yaml", plan("echo/run", "{ n: 1 }", 1)),
        ("directs.yaml", plan("echo/run", "{ n: 1 }", CALLS + 1)),
    ];
    for (name, text) in &plans {
        project.file(name, text)?;
    }
    let run = |plan: &str| project.run(plan, "relaxed", &[]);
    run("program.yaml")?;
    run("direct.yaml")?;
    let time = |plan: &str| Ok::<_, anyhow::Error>(median(ROUNDS, || run(plan))?.median_ns);
    let direct = (time("directs.yaml")? - time("direct.yaml")?) / CALLS as f64;
    let program = (time("programs.yaml")? - time("program.yaml")?) / PROGRAMS as f64;
    let nested = (time("nested.yaml")? - time("none.yaml")?) / CALLS as f64;
    let (start, ratio) = (program - direct, nested / direct);
    let mut rows = vec![
        Row::new(
            "mcp",
            "code mode: start of a program, beyond a step with a Rust tool",
            duration(start),
            start,
        )
        .goal("≤ 3 ms", start <= 3e6),
        Row::new(
            "mcp",
            "code mode: a call out of a program",
            duration(nested),
            nested,
        )
        .against("a step that calls the tool", duration(direct), ratio)
        .goal("≤ 2 ×", ratio <= 2.0),
    ];
    rows.extend(saved(project)?);
    Ok(rows)
}

fn plan(uses: &str, with: &str, steps: usize) -> String {
    let step = |index: usize| match index {
        0 => format!("  s0: {{ uses: {uses}, with: {with} }}\n"),
        n => format!(
            "  s{n}: {{ needs: [s{}], uses: {uses}, with: {with} }}\n",
            n - 1
        ),
    };
    let steps: String = (0..steps).map(step).collect();
    format!(
        "flowhost: v1\nkind: workflow\nname: code\nplugins:\n  echo: {{ kind: tool, source: ./any.wasm, profile: deny-all }}\n  \
         code: {{ kind: tool, source: \"builtin:code\", profile: code }}\nsteps:\n{steps}"
    )
}

/// The tokens of the example `code-agent`: one question, answered by calls and by a program.
fn saved(project: &Project) -> Result<Vec<Row>> {
    let example = repository().join("examples/code-agent");
    copy(&example, &example, project)?;
    let line = [
        "run",
        "code-agent/plan.yaml",
        "--durability",
        "relaxed",
        "--json",
    ];
    let (report, _) = project.flowhost(&line, 0)?;
    let report: Value = serde_json::from_slice(&report)?;
    let used = |step: &str, what: &str| {
        let place = format!("/steps/{step}/used/{what}");
        let figure = report.pointer(&place).and_then(Value::as_f64);
        figure.with_context(|| format!("the report of the run says `{place}`"))
    };
    let (by_calls, by_program) = (used("calls", "tokens")?, used("program", "tokens")?);
    let fewer = 1.0 - by_program / by_calls;
    let what = format!(
        "code mode: tokens of `code-agent` by a program ({:.0} % fewer)",
        fewer * 100.0
    );
    Ok(vec![
        Row::new("mcp", what, format!("{by_program:.0}"), by_program)
            .against("by calls", format!("{by_calls:.0}"), by_program / by_calls)
            .goal("≥ 80 % fewer", fewer >= 0.8),
    ])
}

/// The files of an example, below `code-agent` of the project.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark reads an example of the repository"
)]
fn copy(root: &Path, folder: &Path, project: &Project) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // What somebody's run left there is no part of the example.
        if path.ends_with(".flowhost") {
            continue;
        }
        if path.is_dir() {
            copy(root, &path, project)?;
            continue;
        }
        let place = Path::new("code-agent").join(path.strip_prefix(root)?);
        let place = place.to_str().context("a path of the example is UTF-8")?;
        project.file(place, std::fs::read(&path)?)?;
    }
    Ok(())
}
