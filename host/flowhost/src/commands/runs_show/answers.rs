//! Who answered what in a step that asks several agents: a line for each call, above the records that say it at length. They
//! are a thousand lines, and the question that brings most people to them is this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost::output::one_line;
use flowhost_evidence::filter::Filter;
use flowhost_evidence::places::Places;
use flowhost_evidence::runs::{RecordEntry, UNFINISHED};
use flowhost_flow::consensus::{Participant, Verdict};
use flowhost_ledger::records::{Record, ToolCall, ToolResult};

use super::Shelf;
use crate::commands::tables::plain_table;

/// What the records say of the steps that asked several agents.
#[derive(Default)]
struct Panels {
    /// By path.
    all: BTreeMap<String, Panel>,
    /// The path of a call's panel and the call's place in it, by the call's id.
    calls: BTreeMap<String, (String, usize)>,
    /// Stages of steps, by path.
    stages: BTreeMap<String, String>,
}

/// A step, or an item or visit of it.
#[derive(Default)]
struct Panel {
    /// How many asked before it.
    order: usize,
    calls: Vec<Call>,
    /// The attempt at the step, and what that came to last.
    verdict: Option<(u64, Verdict)>,
    /// The record of its end: the files of its stage follow it.
    ended: Option<u64>,
}

/// A question to an agent.
#[derive(Default)]
struct Call {
    agent: String,
    /// The attempt at the step.
    attempt: u64,
    /// The agent's place, and how often it was asked before.
    seat: u32,
    models: Vec<String>,
    /// None where nobody knows how many.
    tokens: Option<u64>,
    status: String,
    /// The record that holds what was said, or why nothing was.
    answer: Option<u64>,
}

/// A table for each step that is meant and asked several agents, and a record that holds an answer; nothing where there
/// is no such step.
pub(super) fn tables(
    records: &[RecordEntry],
    filter: &Filter,
    shelf: &Shelf<'_>,
) -> (String, Option<u64>) {
    let panels = Panels::of(records, filter, shelf);
    let mut all: Vec<(&String, &Panel)> = panels.all.iter().collect();
    // As they began: by their names, the tenth item would stand before the second.
    all.sort_by_key(|(_, panel)| panel.order);
    let mut text = String::new();
    for (path, panel) in &all {
        if all.len() > 1 {
            let _infallible = writeln!(text, "`{}`:", one_line(path));
        }
        let mut table = plain_table(&[
            "agent", "try", "model", "status", "tokens", "answer", "file",
        ]);
        let files = panels.files(path, panel, records);
        for row in panel.rows(&files) {
            table.add_row(row);
        }
        let _infallible = writeln!(text, "{}\n", table.trim_fmt());
    }
    let mut calls = all.iter().flat_map(|(_, panel)| &panel.calls);
    let first = calls.find_map(|call| call.answer.filter(|_| call.status == "ok"));
    (text, first)
}

impl Panels {
    fn of(records: &[RecordEntry], filter: &Filter, shelf: &Shelf<'_>) -> Self {
        let places = Places::of(records);
        let mut panels = Self::default();
        for record in records {
            let Some(said) = &record.said else { continue };
            match said {
                // What was refused was not asked.
                Record::ModelIntent(_) if said.is_denial() => {}
                Record::ModelIntent(intent) => {
                    if let Some(call) = panels.call(intent.call_of.call.as_deref())
                        && let Some(model) = &intent.of_try.model
                        && !call.models.contains(model)
                    {
                        call.models.push(model.clone());
                    }
                }
                Record::ModelResult(result) if result.status == "ok" => {
                    let prompt = result.prompt_tokens.or(result.counted_prompt_tokens);
                    let own = result.completion_tokens;
                    let completion = own.or(result.counted_completion_tokens);
                    if let Some(call) = panels.call(result.call_of.call.as_deref())
                        && let (Some(prompt), Some(completion)) = (prompt, completion)
                    {
                        let before = call.tokens.unwrap_or(0);
                        let now = before.saturating_add(prompt).saturating_add(completion);
                        call.tokens = Some(now);
                    }
                }
                Record::ToolResult(result) => panels.answered(record, result),
                Record::ToolCall(call) => {
                    let path = places.path(said).filter(|path| filter.means(path));
                    if let Some(path) = path {
                        panels.asked(record, call, path);
                    }
                }
                Record::StepStart(start) => {
                    if let Some(stage) = &start.stage {
                        let path = said.path().to_owned();
                        panels.stages.insert(path, stage.clone());
                    }
                }
                Record::Consensus(ruling) if filter.means(said.path()) => {
                    let taken = shelf.take(record).and_then(Result::ok);
                    let verdict = taken.and_then(|it| serde_json::from_slice(&it).ok());
                    let panel = panels.panel(said.path());
                    // Without it (it was erased) the calls are shown all the same.
                    panel.verdict = verdict.map(|verdict| (ruling.attempt, verdict));
                }
                Record::StepEnd(_) => {
                    if let Some(panel) = panels.all.get_mut(said.path()) {
                        panel.ended = Some(record.seq);
                    }
                }
                _ => {}
            }
        }
        panels
    }

    /// The panel of this path, made where it is the first time.
    fn panel(&mut self, path: &str) -> &mut Panel {
        let order = self.all.len();
        self.all.entry(path.to_owned()).or_insert_with(|| Panel {
            order,
            ..Panel::default()
        })
    }

    /// The call that a model works for: `12.1` is made by the call `12`.
    fn call(&mut self, id: Option<&str>) -> Option<&mut Call> {
        let root = id?.split('.').next()?;
        let (path, place) = self.calls.get(root)?;
        self.all.get_mut(path)?.calls.get_mut(*place)
    }

    fn asked(&mut self, record: &RecordEntry, call: &ToolCall, path: &str) {
        let seat = call.part.as_deref().and_then(|it| it.strip_prefix("seat-"));
        let seat: Option<u32> = seat.and_then(|it| it.parse().ok());
        // Only the calls of several agents have seats; what one of them calls itself has none.
        let (Some(seat), Some(id)) = (seat, &call.call_of.call) else {
            return;
        };
        let panel = self.panel(path);
        let place = panel.calls.len();
        panel.calls.push(Call {
            agent: agent_of(record).to_owned(),
            attempt: call.call_of.attempt.unwrap_or(1),
            seat,
            status: UNFINISHED.to_owned(),
            ..Call::default()
        });
        self.calls.insert(id.clone(), (path.to_owned(), place));
    }

    fn answered(&mut self, record: &RecordEntry, result: &ToolResult) {
        let id = result.call_of.call.as_deref();
        // A result of what the call called has an id of its own, below the call's.
        let Some((path, place)) = id.and_then(|id| self.calls.get(id)) else {
            return;
        };
        let panel = self.all.get_mut(path);
        if let Some(call) = panel.and_then(|panel| panel.calls.get_mut(*place)) {
            call.status = match &result.class {
                Some(class) if *class != result.status => format!("{} ({class})", result.status),
                _ => result.status.clone(),
            };
            call.answer = record.commit.as_ref().map(|_| record.seq);
        }
    }

    /// The evidence files that hold what counts, by who said it (`<agent>-arbiter` for the arbiter).
    fn files(
        &self,
        path: &str,
        panel: &Panel,
        records: &[RecordEntry],
    ) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        // A step that is no stage leaves no files, and one that goes on has left none yet.
        let (Some(stage), Some(ended)) = (self.stages.get(path), panel.ended) else {
            return files;
        };
        let begins = format!("spec-{stage}_");
        // Nothing else of the run goes on until the files of a stage are on record.
        let after = records.iter().skip_while(|record| {
            let is_view = matches!(record.said, Some(Record::ViewWrite(_)));
            record.seq <= ended || !is_view
        });
        let views = after.map_while(|record| match &record.said {
            Some(Record::ViewWrite(view)) => Some(view),
            _ => None,
        });
        for view in views {
            let Some(root) = &view.root else { continue };
            let name = view.path.rsplit('/').next().unwrap_or_default();
            // `spec-<stage>_<time>_<agent>.json`
            let rest = name.strip_prefix(&begins);
            let rest = rest.and_then(|rest| rest.strip_suffix(".json"));
            if let Some((_, who)) = rest.and_then(|rest| rest.split_once('_')) {
                let path = format!("{root}/{}", view.path);
                files.entry(who.to_owned()).or_insert(path);
            }
        }
        files
    }
}

impl Panel {
    fn rows(&self, files: &BTreeMap<String, String>) -> Vec<[String; 7]> {
        let mut rows: Vec<[String; 7]> = self.calls.iter().map(|it| self.row(it, files)).collect();
        // Who was not asked in the last attempt, or not by this run, has no call.
        for said in self.verdict.iter().flat_map(|(_, it)| &it.agents) {
            if !self.calls.iter().any(|call| call.agent == said.agent) {
                let status = match &said.error {
                    Some(why) => format!("{}: {why}", said.status),
                    None => said.status.clone(),
                };
                let file = files.get(&said.agent).cloned().unwrap_or_default();
                rows.push([
                    one_line(&said.agent),
                    String::new(),
                    String::new(),
                    one_line(&status),
                    String::new(),
                    String::new(),
                    one_line(&file),
                ]);
            }
        }
        rows
    }

    fn row(&self, call: &Call, files: &BTreeMap<String, String>) -> [String; 7] {
        let (said, who, asked_before) = self.participant(call);
        let counts = said.is_some_and(|it| it.seat == Some(call.seat));
        let status = match said {
            // It answered, and another answer or none was taken: `duplicate`, or a try that came after it.
            Some(_) if call.status == "ok" && !counts => "ok, does not count".to_owned(),
            _ => call.status.clone(),
        };
        let file = files.get(&who).filter(|_| counts);
        let number = |number: Option<u64>| number.map_or(String::new(), |it| it.to_string());
        [
            one_line(&who),
            asked_before.map_or(String::new(), |it| match call.attempt {
                1 => (it + 1).to_string(),
                attempt => format!("{attempt}.{}", it + 1),
            }),
            one_line(&call.models.join(", ")),
            one_line(&status),
            number(call.tokens),
            number(call.answer),
            one_line(file.map_or("", String::as_str)),
        ]
    }

    /// What the verdict says of who was asked, the name that it has in files, and how often it was asked before in this
    /// attempt; of a call of an earlier attempt no verdict says anything any more.
    fn participant(&self, call: &Call) -> (Option<&Participant>, String, Option<u32>) {
        let Some((attempt, verdict)) = &self.verdict else {
            return (None, call.agent.clone(), None);
        };
        // Every member has a seat in each round of questions, and the arbiter the one behind them.
        let seats = u32::try_from(verdict.agents.len() + 1).unwrap_or(u32::MAX);
        let (before, place) = (call.seat / seats, (call.seat % seats) as usize);
        let member = verdict.agents.get(place);
        let who = match member {
            Some(_) => call.agent.clone(),
            None => format!("{}-arbiter", call.agent),
        };
        let said = member.or(verdict.arbiter.as_ref());
        (said.filter(|_| *attempt == call.attempt), who, Some(before))
    }
}

/// `gemini` of `default/gemini`.
fn agent_of(record: &RecordEntry) -> &str {
    match record.actor.split_once('/') {
        Some((_tenant, agent)) => agent,
        None => &record.actor,
    }
}
