//! What a stage costs beyond its models: three agents at once and an arbiter, whose scripted answers cost the
//! host nothing to wait for, with evidence files of the stage and without. The second is what the files cost.

use std::path::Path;

use anyhow::Result;

use crate::measure::duration;
use crate::plans::median;
use crate::project::Project;
use crate::report::Row;

/// Stages of the long plan; the difference to a plan of one stage is what so many stages less one cost.
const STAGES: usize = 21;
const ROUNDS: usize = 5;

/// One row each for a stage with evidence files and for one without.
///
/// # Errors
/// When the executable or the plugins are missing, or a run fails.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Row>> {
    let project = Project::new(&folder.join("stages"))?;
    project.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    )?;
    project.file("prompt.md", "Which risks are there?\n")?;
    for agent in ["a", "b", "c"] {
        project.file(&format!("scripts/{agent}.json"), answers(agent))?;
    }
    let each = |name: &str, evidence: &str| -> Result<f64> {
        let (one, many) = (format!("{name}-1.yaml"), format!("{name}-{STAGES}.yaml"));
        project.file(&one, plan(name, 1, evidence))?;
        project.file(&many, plan(name, STAGES, evidence))?;
        project.run(&one, "relaxed", &[])?;
        let short = median(ROUNDS, || project.run(&one, "relaxed", &[]))?;
        let long = median(ROUNDS, || project.run(&many, "relaxed", &[]))?;
        Ok((long.median_ns - short.median_ns) / (STAGES - 1) as f64)
    };
    let bare = each("bare", "")?;
    let kept = each(
        "kept",
        "evidence: { root: evidence, spec_id: SPEC-BENCH, max_mb: 1000, warn_mb: 1000 }\n",
    )?;
    let what = "a stage of three agents and an arbiter, beyond their models";
    Ok(vec![
        Row::new("consensus", what, duration(bare), bare).goal("< 5 ms", bare < 5e6),
        Row::new(
            "consensus",
            format!("{what}, with its evidence files"),
            duration(kept),
            kept,
        )
        .against("without them", duration(bare), kept / bare),
    ])
}

/// An answer of some kilobytes, as stages have them; the arbiter agrees with it.
fn answers(agent: &str) -> String {
    let risks: Vec<String> = (0..12)
        .map(|number| {
            format!(
                "{{\"risk\": \"Number {number} of what may go wrong\", \"impact\": \"high\", \"answer\": \
                 \"{agent} writes down what is done about it, by whom, and how anybody will see that it was.\"}}"
            )
        })
        .collect();
    let answer = format!("{{\"risks\": [{}]}}", risks.join(", "));
    if agent != "c" {
        return format!("[{{\"json\": {answer}}}]");
    }
    format!(
        "[{{\"when\": {{\"mentions\": \"You are the arbiter.\"}}, \"json\": {{\"agreements\": [\"twelve risks\"], \
         \"conflicts\": [], \"output\": {answer}}}}}, {{\"json\": {answer}}}]"
    )
}

fn plan(name: &str, stages: usize, evidence: &str) -> String {
    let agent = |name: &str| {
        format!(
            "  {name}: {{ kind: agent, source: builtin:llm-agent, profile: agent-model, config: {{ role: reader, \
             model: mock/{name}, max_tokens: 8000, tools: [] }} }}\n"
        )
    };
    let agents: String = ["a", "b", "c"].into_iter().map(agent).collect();
    let stage = |number: usize| {
        let needs = match number {
            0 => String::new(),
            _ => format!("needs: [s{}], ", number - 1),
        };
        format!(
            "  s{number}: {{ {needs}stage: s{number}, prompt: prompt.md, output: {{ schema: {{ type: object, required: [risks] }} }}, with: {{ number: \
             {number} }}, consensus: {{ agents: [a, b, c], mode: parallel, arbiter: c, compare: [{{ at: /risks, by: \
             size }}] }} }}\n"
        )
    };
    let stages: String = (0..stages).map(stage).collect();
    format!(
        "flowhost: v1\nkind: workflow\nname: {name}\nbudget: {{ tokens: 100000000, usd: 100.00 \
         }}\n{evidence}plugins:\n{agents}steps:\n{stages}"
    )
}
