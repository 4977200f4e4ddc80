//! The files of a stage, by name and content.

use std::io;

use flowhost_flow::consensus::{Participant, Verdict, issues};
use flowhost_flow::plan::Rule;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::calls::{Call, Usage, usd};
use super::gather::Stage;
use super::guards::Phase;
use super::{Answer, StageError, Taken, View, Wanted, check, costs, lifecycle, trial};

/// What the host says of itself where a file names who put it together.
const AGGREGATOR: &str = concat!("flowhost/", env!("CARGO_PKG_VERSION"));

/// One who took part, with all that it used in the stage.
pub(super) struct Agent<'s> {
    /// The agent's name, and for the arbiter `<name>-arbiter`: it may be one of the agents, too.
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) usage: Usage,
    pub(super) calls: u64,
    pub(super) duration_ms: Option<u64>,
    /// How the verdict has it; none where the stage is no consensus.
    said: Option<&'s Participant>,
    /// The call that counts, or the last one where none does.
    last: Option<&'s Call>,
}

impl Agent<'_> {
    fn is_ok(&self) -> bool {
        self.said
            .map_or(self.last.is_some_and(|it| it.ok), |it| it.status == "ok")
    }

    fn error(&self) -> Option<String> {
        if self.is_ok() {
            return None;
        }
        let said = self.said.and_then(|it| it.error.clone());
        said.or_else(|| self.said.map(|it| it.status.clone()))
    }
}

/// Names and paths of one stage.
struct Names<'s> {
    stage: &'s str,
    spec: &'s str,
    run: &'s str,
    /// `20261126T073910Z`, and `20261126T073910Z-2` where another run has that already.
    at: String,
}

impl Names<'_> {
    fn consensus(&self, rest: &str) -> String {
        let (spec, stage, at) = (self.spec, self.stage, &self.at);
        format!("consensus/{spec}/spec-{stage}_{at}_{rest}")
    }

    fn latest(&self) -> String {
        format!("consensus/{}/spec-{}_synthesis.json", self.spec, self.stage)
    }

    fn output(&self, agent: &str) -> String {
        self.consensus(&format!("{}.json", file_name(agent)))
    }

    fn commands(&self, rest: &str) -> String {
        format!("commands/{}/spec-{}_{rest}", self.spec, self.stage)
    }

    fn lifecycle(&self) -> String {
        self.commands(&format!("lifecycle_{}.jsonl", self.at))
    }

    /// Telemetry of schema 1. A run may have two steps of one stage: the second one's name has a number.
    fn telemetry(&self, taken: &Taken<'_>) -> io::Result<String> {
        let mut path = self.commands(&format!("{}.json", self.run));
        let mut number = 1_usize;
        while taken(&path)? {
            number += 1;
            path = self.commands(&format!("{}_{number}.json", self.run));
        }
        Ok(path)
    }

    /// Numbers the time, while another run has left files of it: names have seconds, and two runs may share one.
    fn apart_from(mut self, taken: &Taken<'_>) -> io::Result<Self> {
        let second = self.at.clone();
        let mut number = 1_usize;
        while taken(&self.lifecycle())? {
            number += 1;
            self.at = format!("{second}-{number}");
        }
        Ok(self)
    }
}

/// A file that was made, as later ones tell of it.
struct Made {
    path: String,
    bytes: usize,
    /// Of an agent's answer.
    sha256: Option<String>,
}

/// Files are handed over one by one, so that they can be written beside the making of the next.
struct Making<'e> {
    each: &'e mut dyn FnMut(View),
    made: Vec<Made>,
}

impl Making<'_> {
    fn put(&mut self, view: View) {
        self.put_hashed(view, None);
    }

    fn put_hashed(&mut self, view: View, sha256: Option<String>) {
        self.made.push(Made {
            path: view.path.clone(),
            bytes: view.bytes.len(),
            sha256,
        });
        (self.each)(view);
    }
}

/// Makes all files of the stage, each held against its schema. `costs` has what the spec cost until now, if somebody knows.
pub(super) fn files(
    stage: &Stage,
    wanted: &Wanted,
    taken: &Taken<'_>,
    costs: &mut costs::Lines,
    each: &mut dyn FnMut(View),
) -> Result<(), StageError> {
    let names = Names {
        stage: &stage.stage,
        spec: &wanted.spec_id,
        run: &wanted.run_id,
        at: compact(&stage.started),
    }
    .apart_from(taken)?;
    let agents = agents(stage);
    let made = Vec::new();
    let mut views = Making { each, made };
    if let Some((recorded_at, verdict)) = &stage.verdict {
        consensus_files(stage, verdict, &agents, &names, &mut views)?;
        let artifacts = artifacts(&agents, &names, &views.made);
        let synthesis = synthesis(stage, verdict, &agents, &names, recorded_at);
        let synthesis = document(names.consensus("synthesis.json"), &synthesis)?;
        let latest = View {
            path: names.latest(),
            bytes: synthesis.bytes.clone(),
        };
        views.put(synthesis);
        views.put(latest);
        let ruled = ruling(stage, verdict, &agents, &names, recorded_at, &artifacts);
        views.put(document(names.consensus("verdict.json"), &ruled)?);
    }
    let command = v1(stage, &names, &views.made);
    views.put(document(names.telemetry(taken)?, &command)?);
    let life = lifecycle::lines(stage, wanted);
    views.put(lines(names.lifecycle(), &life)?);
    views.put(costs::summary(costs, stage, &agents, wanted)?);
    let verdict = stage.verdict.as_ref().map(|(_, verdict)| verdict);
    // A tool's step is a stage too, and has nothing to say of models.
    if verdict.is_some() || agents.iter().any(|it| it.usage.model_id.is_some()) {
        let written: usize = views.made.iter().map(|made| made.bytes).sum();
        let footprint = wanted.footprint_bytes.saturating_add(written as u64);
        let line = telemetry(stage, verdict, &agents, &names, &views.made, footprint);
        views.put(lines(names.consensus("telemetry.jsonl"), &[line])?);
    }
    Ok(())
}

/// What the agents said, where their answers count. The arbiter puts together what they said, and is none of
/// them.
pub(super) fn answers(stage: &Stage) -> Vec<Answer> {
    let verdict = stage.verdict.as_ref().map(|(_, verdict)| verdict);
    let status = verdict.map_or(stage.status.as_str(), |it| it.status.word());
    let agents = agents(stage);
    let agents = agents.iter().filter(|agent| agent.role == "agent");
    let said = agents.filter_map(|agent| {
        Some(Answer {
            agent: agent.name.clone(),
            status: status.to_owned(),
            agreement_ratio: verdict.and_then(|it| it.agreement_ratio),
            at: stage.ended.clone(),
            text: output(stage, agent)?.to_string(),
        })
    });
    said.collect()
}

/// Who took part, in the plan's order, the arbiter last.
fn agents(stage: &Stage) -> Vec<Agent<'_>> {
    let Some((_, verdict)) = &stage.verdict else {
        let name = stage.calls.last().map(|call| call.agent.clone());
        let calls: Vec<&Call> = stage.calls.iter().collect();
        return name
            .map(|name| agent(name, "agent", None, &calls))
            .into_iter()
            .collect();
    };
    let seats = u32::try_from(verdict.agents.len() + 1).unwrap_or(u32::MAX);
    let at = |place: usize| -> Vec<&Call> {
        let calls = stage.calls.iter();
        calls
            .filter(|call| {
                call.seat
                    .is_some_and(|seat| (seat % seats) as usize == place)
            })
            .collect()
    };
    let members = verdict.agents.iter().enumerate();
    let mut agents: Vec<Agent<'_>> = members
        .map(|(place, said)| agent(said.agent.clone(), "agent", Some(said), &at(place)))
        .collect();
    // Whoever was not asked at all used nothing and failed at nothing.
    agents.retain(|agent| agent.calls > 0 || agent.said.is_none_or(|it| it.status != "not_needed"));
    if let Some(said) = &verdict.arbiter {
        let name = format!("{}-arbiter", said.agent);
        agents.push(agent(
            name,
            "arbiter",
            Some(said),
            &at(verdict.agents.len()),
        ));
    }
    agents
}

fn agent<'s>(
    name: String,
    role: &'static str,
    said: Option<&'s Participant>,
    calls: &[&'s Call],
) -> Agent<'s> {
    let mut usage = Usage::default();
    for call in calls {
        usage.join(&call.usage);
    }
    let durations: Vec<u64> = calls.iter().filter_map(|it| it.duration_ms).collect();
    let seat = said.and_then(|it| it.seat);
    // Of several attempts of a step the last one's answer counts.
    let counts = calls
        .iter()
        .rev()
        .find(|call| seat.is_some() && call.seat == seat);
    Agent {
        name,
        role,
        usage,
        calls: calls.len() as u64,
        duration_ms: (!durations.is_empty()).then(|| durations.iter().sum()),
        said,
        last: counts.or(calls.last()).copied(),
    }
}

/// Output, metrics and prompt of each.
fn consensus_files(
    stage: &Stage,
    verdict: &Verdict,
    agents: &[Agent<'_>],
    names: &Names<'_>,
    views: &mut Making<'_>,
) -> Result<(), StageError> {
    for agent in agents {
        let file = file_name(&agent.name);
        if let Some(output) = output(stage, agent) {
            // Its form is the plan's: an answer that looks like a file of the host's is none.
            let path = names.output(&agent.name);
            let bytes = written(&path, output)?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            views.put_hashed(View { path, bytes }, Some(sha256));
        }
        let metrics = Value::Object(metrics(agent, Some(verdict), names));
        let path = names.consensus(&format!("{file}_metrics.json"));
        views.put(document(path, &metrics)?);
        if let Some(prompt) = agent.last.and_then(|call| prompt(stage, call)) {
            views.put(View {
                path: names.consensus(&format!("prompt_{file}.txt")),
                bytes: prompt.into_bytes(),
            });
        }
    }
    Ok(())
}

/// What the agent answered, where it counts.
fn output<'s>(stage: &'s Stage, agent: &Agent<'_>) -> Option<&'s Value> {
    let call = agent.last.filter(|_| agent.is_ok())?;
    stage.json(call.answered.as_ref()?)
}

/// What the agent was asked: the turns of its first model call, or what it was given.
fn prompt(stage: &Stage, call: &Call) -> Option<String> {
    let Some(turns) = stage.turns(call) else {
        return stage.given(&call.asked).map(str::to_owned);
    };
    let said = |turn: &Value, name: &str| {
        let text = turn.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let shown: Vec<String> = turns
        .iter()
        .map(|turn| format!("[{}]\n{}\n", said(turn, "speaker"), said(turn, "content")))
        .collect();
    Some(shown.join("\n"))
}

fn metrics(agent: &Agent<'_>, verdict: Option<&Verdict>, names: &Names<'_>) -> Map<String, Value> {
    let mut fields = agent.usage.fields();
    let effort = agent.said.map(|it| it.effort.as_str());
    let more = json!({
        "agent": agent.name,
        "role": agent.role,
        "reasoning_mode": effort.filter(|it| !it.is_empty()),
        // The output of one model alone is the step's, and no file of its own.
        "output_path": verdict.filter(|_| agent.is_ok()).map(|_| names.output(&agent.name)),
        "latency_ms": agent.usage.latency_ms().or(agent.duration_ms),
        "attempts": agent.said.map(|it| it.attempts),
        "status": if agent.is_ok() { "ok" } else { "error" },
        "error": agent.error(),
        "rule": verdict.map_or("single", |it| it.rule.as_str()),
        "prompt_version": agent.last.and_then(|it| it.prompt_version.as_ref()),
        "prompt_sha256": agent.last.and_then(|it| it.prompt_sha256.as_ref()),
    });
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    fields
}

/// The files that hold answers, with their hashes.
fn artifacts(agents: &[Agent<'_>], names: &Names<'_>, made: &[Made]) -> Value {
    let of = |agent: &Agent<'_>| {
        let path = names.output(&agent.name);
        let file = made.iter().find(|file| file.path == path)?;
        Some(json!({
            "agent": agent.name,
            "version": agent.usage.model_release,
            "sha256": file.sha256,
            "path": path,
        }))
    };
    Value::from(agents.iter().filter_map(of).collect::<Vec<_>>())
}

/// The step's output as its verdict has it: an agent's answer, a part of the arbiter's, or what the host made of issues.
fn outcome(stage: &Stage, verdict: &Verdict, agents: &[Agent<'_>]) -> Value {
    if verdict.rule == Rule::Issues.word() {
        return issues::output(&verdict.issues);
    }
    let seat = verdict.output_seat;
    let mut calls = stage
        .calls
        .iter()
        .rev()
        .filter(|call| seat.is_some() && call.seat == seat);
    let Some(answer) = calls.find_map(|call| stage.json(call.answered.as_ref()?)) else {
        return Value::Null;
    };
    let seats = u32::try_from(verdict.agents.len() + 1).unwrap_or(u32::MAX);
    let of_arbiter = seat.is_some_and(|seat| (seat % seats) as usize == verdict.agents.len());
    debug_assert!(
        !of_arbiter || agents.iter().any(|it| it.role == "arbiter"),
        "a seat of the arbiter is only taken where there is one"
    );
    match of_arbiter {
        true => answer.get("output").cloned().unwrap_or_default(),
        false => answer.clone(),
    }
}

fn synthesis(
    stage: &Stage,
    verdict: &Verdict,
    agents: &[Agent<'_>],
    names: &Names<'_>,
    at: &str,
) -> Value {
    let listed: Vec<Value> = agents
        .iter()
        .map(|agent| {
            json!({
                "agent": agent.name,
                "path": agent.is_ok().then(|| names.output(&agent.name)),
                "status": agent.said.map_or("ok", |it| it.status.as_str()),
            })
        })
        .collect();
    json!({
        "specId": names.spec,
        "spec_id": names.spec,
        "runId": names.run,
        "stage": names.stage,
        "timestamp": at,
        "prompt_version": stage.prompt().0,
        "prompt_sha256": stage.prompt().1,
        "agents": listed,
        "missing_agents": verdict.missing_agents,
        "consensus": {
            "agreements": verdict.agreements,
            "conflicts": verdict.conflicts,
            "conflicts_resolved": verdict.conflicts_resolved,
        },
        "status": verdict.status.word(),
        "notes": notes(stage, Some(verdict)),
        "output": outcome(stage, verdict, agents),
    })
}

/// What the host noted, and after it what a person did.
fn notes<'s>(stage: &'s Stage, verdict: Option<&'s Verdict>) -> Vec<&'s str> {
    verdict
        .into_iter()
        .flat_map(|it| &it.notes)
        .map(String::as_str)
        .chain(stage.note.as_deref())
        .collect()
}

fn ruling(
    stage: &Stage,
    verdict: &Verdict,
    agents: &[Agent<'_>],
    names: &Names<'_>,
    at: &str,
    artifacts: &Value,
) -> Value {
    let arbiter = agents.iter().find(|it| it.role == "arbiter");
    let participants = verdict.agents.iter().filter(|it| it.status == "ok");
    let participants: Vec<&str> = participants.map(|it| it.agent.as_str()).collect();
    let percent = verdict
        .agreement_ratio
        .map(|it| costs::round(it * 100.0, 10.0));
    json!({
        "spec_id": names.spec,
        "run_id": names.run,
        "stage": names.stage,
        "recorded_at": at,
        "prompt_version": stage.prompt().0,
        "prompt_sha256": stage.prompt().1,
        "consensus_ok": verdict.ok,
        "degraded": verdict.status.word() == "degraded",
        "status": verdict.status.word(),
        "decision": verdict.decision,
        "reason": verdict.reason,
        "required_fields_ok": verdict.required_fields_ok,
        "missing_agents": verdict.missing_agents,
        "agreements": verdict.agreements,
        "conflicts": verdict.conflicts,
        "agreement_percent": percent,
        "participants": participants,
        "aggregator_agent": verdict.arbiter.as_ref().map(|it| &it.agent),
        "aggregator_version": arbiter.and_then(|it| it.usage.model_release.as_ref()),
        "aggregator": AGGREGATOR,
        "synthesis_path": names.consensus("synthesis.json"),
        "artifacts": artifacts,
        "verdict_sha256": verdict.sha256(),
    })
}

/// How a stage went, in the words of telemetry. One model alone has nobody to contradict it.
fn status(stage: &Stage, verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(verdict) => verdict.status.word(),
        None if stage.status == "ok" => "ok",
        None => "missing",
    }
}

/// `consensus` of telemetry; of a stage that asked one model alone it holds what that one used.
fn consensus(
    stage: &Stage,
    verdict: Option<&Verdict>,
    agents: &[Agent<'_>],
    names: &Names<'_>,
) -> Value {
    let mut total = Usage::default();
    for agent in agents {
        total.join(&agent.usage);
    }
    let listed: Vec<Value> = agents
        .iter()
        .map(|agent| {
            let mut fields = metrics(agent, verdict, names);
            let overridden = agent.said.is_some_and(|it| it.arbiter_override);
            let reason = agent.said.and_then(|it| it.override_reason.clone());
            fields.insert("arbiter_override".to_owned(), json!(overridden));
            fields.insert("override_reason".to_owned(), json!(reason));
            Value::Object(fields)
        })
        .collect();
    let conflicts = verdict
        .map(|it| it.conflicts.as_slice())
        .unwrap_or_default();
    let resolved = verdict.map(|it| it.conflicts_resolved.as_slice());
    let points: Vec<&str> = conflicts
        .iter()
        .map(|it| it.issue.as_str())
        .chain(
            resolved
                .unwrap_or_default()
                .iter()
                .map(|it| it.issue.as_str()),
        )
        .collect();
    let status = status(stage, verdict);
    json!({
        "status": status,
        "synthesis_status": status,
        "agreements": verdict.map(|it| it.agreements.as_slice()).unwrap_or_default(),
        "conflicts": conflicts,
        "agents": listed,
        "agreement_ratio": verdict.and_then(|it| it.agreement_ratio),
        "disagreement_detected": !points.is_empty(),
        "disagreement_points": points,
        "escalation_triggered": verdict.is_some_and(|it| it.escalation_triggered),
        "escalation_reason": verdict.and_then(|it| it.escalation_reason.as_ref()),
        "total_tokens": total.total_tokens(),
        "total_latency_ms": total.latency_ms(),
        "wall_ms": stage.duration_ms,
        "total_cost_usd": usd(total.micro_usd()),
    })
}

/// One line of schema 2.0, which readers of 1 can read too.
fn telemetry(
    stage: &Stage,
    verdict: Option<&Verdict>,
    agents: &[Agent<'_>],
    names: &Names<'_>,
    made: &[Made],
    footprint: u64,
) -> Value {
    let present = agents.iter().filter(|it| it.is_ok()).count();
    let (present, expected) = match verdict {
        Some(verdict) => (
            verdict.participation.present,
            verdict.participation.expected,
        ),
        None => (u32::from(present > 0), 1),
    };
    let share = f64::from(present) / f64::from(expected.max(1));
    let output_tokens = agents
        .iter()
        .rev()
        .find_map(|it| it.usage.completion_tokens());
    let status = status(stage, verdict);
    let rounds = verdict.map_or(1, |it| u64::from(it.round));
    let mut line = json!({
        "schemaVersion": "2.0",
        "command": lifecycle::command(names.stage),
        "specId": names.spec,
        "stage": names.stage,
        "sessionId": names.run,
        "runId": names.run,
        "timestamp": stage.ended,
        "promptVersion": stage.prompt().0,
        "promptSha256": stage.prompt().1,
        "runProfile": stage.labels.get("run_profile"),
        "artifacts": paths(made),
        "notes": notes(stage, verdict),
        "consensus": consensus(stage, verdict, agents, names),
        "quality_metrics": {
            "completeness_score": null,
            "human_review_score": null,
            "automated_checks_passed": stage.checks_passed,
            "automated_checks_failed": stage.checks_failed,
            "completeness": null,
            "correctness": null,
            "clarity": null,
            "actionability": null,
            "overall": null,
        },
        "guardrail": {
            "prefilter_model": stage.guards.before.model,
            "prefilter_status": stage.guards.before.status,
            "policy_model": stage.guards.after.model,
            "policy_status": stage.guards.after.status,
            "latency_ms": stage.guards.latency_ms(),
            "cost_usd": usd(stage.guards.micro_usd()),
        },
        "output_tokens": output_tokens,
        "latency_ms": stage.duration_ms,
        "agent_participation": costs::round(share, 1e4),
        "evidenceFootprintBytes": footprint,
        "retryAttempt": stage.attempts.saturating_sub(1) + rounds.saturating_sub(1),
        "consensusStatus": status,
        "consensusSummary": {
            "agreements": verdict.map_or(0, |it| it.agreements.len()),
            "conflicts": verdict.map_or(0, |it| it.conflicts.len()),
        },
    });
    if let Value::Object(line) = &mut line {
        line.extend(trial::fields(stage, verdict, agents));
    }
    line
}

/// Stage telemetry, schema 1.
fn v1(stage: &Stage, names: &Names<'_>, made: &[Made]) -> Value {
    let policy = |phase: &Phase| json!({ "model": phase.model, "status": phase.status, "note": phase.note() });
    let mut document = json!({
        "schemaVersion": 1,
        "command": lifecycle::command(names.stage),
        "specId": names.spec,
        "sessionId": names.run,
        "step": stage.path,
        "timestamp": stage.ended,
        "policy": { "prefilter": policy(&stage.guards.before), "final": policy(&stage.guards.after) },
        "artifacts": paths(made),
    });
    let status = stage.status.as_str();
    let more = match names.stage {
        "plan" => {
            let artifact = names.latest();
            json!({
                "baseline": { "mode": "full", "artifact": artifact, "status": status },
                "hooks": {},
            })
        }
        "tasks" => json!({ "tool": { "status": status } }),
        "implement" => json!({ "lock_status": status, "hook_status": null }),
        "validate" | "audit" => json!({ "scenarios": [{ "name": stage.path, "status": status }] }),
        "unlock" => json!({ "unlock_status": status }),
        _ => json!({}),
    };
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    document
}

fn paths(made: &[Made]) -> Vec<Value> {
    made.iter()
        .map(|file| json!({ "path": file.path }))
        .collect()
}

/// A document that is what its schema says.
fn document(path: String, value: &Value) -> Result<View, StageError> {
    let bytes = written(&path, value)?;
    match check::fault(&path, value) {
        Some(what) => Err(StageError::Schema { path, what }),
        None => Ok(View { path, bytes }),
    }
}

fn written(path: &str, value: &Value) -> Result<Vec<u8>, StageError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| StageError::Schema {
        path: path.to_owned(),
        what: error.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A file of lines, each of which is what its schema says.
fn lines(path: String, all: &[Value]) -> Result<View, StageError> {
    if let Some(what) = all.iter().find_map(|line| check::fault(&path, line)) {
        return Err(StageError::Schema { path, what });
    }
    let lines: String = all.iter().map(|line| format!("{line}\n")).collect();
    let bytes = lines.into_bytes();
    Ok(View { path, bytes })
}

/// `2026-11-26T07:39:10.123456Z` as `20261126T073910Z`: no sign that a file system minds.
fn compact(ts: &str) -> String {
    let whole = ts.split('.').next().unwrap_or(ts).trim_end_matches('Z');
    let kept: String = whole
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    format!("{kept}Z")
}

/// An agent's name as a part of a file's: a sub-plan's has signs that do not belong there.
pub(crate) fn file_name(agent: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    agent
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}
