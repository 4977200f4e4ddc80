//! The context kit: where a spec stands, what is still to be done, and how a stage is tried again.

use serde_json::Value;

use super::standing::Newest;
use super::{Files, Spec, StageState, cell, known, table, typed, with_manifest};
use crate::packet::security::Says;
use crate::stage::file_name;
use crate::text::one_line;

/// Why a stage is unverified.
const NOBODY_KNOWS: &str = "its run is not in this state folder or has not ended";
/// Characters of a text of an output that the synopsis shows: a paragraph. The whole is in `outputs/`.
const SHOWN_CHARS: usize = 400;

impl Spec<'_> {
    /// The files of the kit.
    #[must_use]
    pub fn kit(&self) -> Files {
        let mut files = Files::new();
        files.insert("synopsis.md".to_owned(), self.synopsis().into_bytes());
        files.insert("checklist.md".to_owned(), self.checklist().into_bytes());
        files.insert("retry.md".to_owned(), self.retry().into_bytes());
        for stage in &self.stages {
            if let Some(output) = &stage.output {
                let mut bytes = serde_json::to_vec_pretty(output).unwrap_or_default();
                bytes.push(b'\n');
                // A name that somebody else wrote must not lead out of where a packet is unpacked.
                let name = file_name(&stage.stage);
                // A file is passed on without the page that says what it is worth.
                let folder = match stage.unverified {
                    true => "outputs/unverified",
                    false => "outputs",
                };
                files.insert(format!("{folder}/{name}.json"), bytes);
            }
        }
        with_manifest(files, self, "context-kit")
    }

    fn synopsis(&self) -> String {
        let rows: Vec<Vec<String>> = self.stages.iter().map(row).collect();
        let heads = [
            "stage",
            "status",
            "run",
            "ended",
            "agreement",
            "checks",
            "USD",
        ];
        let mut text = format!("# {}: where it stands\n\n", self.id);
        text.push_str(&table(&heads, &rows, "No stage has left telemetry yet."));
        text.push_str(&format!(
            "\nNewest run: {}.\n",
            one_line(&self.newest_word())
        ));
        let older = self.older();
        if !older.is_empty() {
            let older = cell(&older.join(", "));
            text.push_str(&format!("Of runs before it: {older}.\n"));
        }
        for stage in &self.stages {
            text.push_str(&format!("\n## {}\n\n", cell(&stage.stage)));
            if !stage.reason.is_empty() {
                let (status, reason) = (cell(&stage.status), one_line(&stage.reason));
                text.push_str(&format!("{status}: {reason}\n\n"));
            }
            if stage.unverified {
                text.push_str(&format!("Unverified: {NOBODY_KNOWS}.\n\n"));
            }
            match &stage.output {
                Some(output) => text.push_str(&outline(output)),
                None if stage.asked.alone => {
                    text.push_str(
                        "One agent was asked: its output is its step's, and in no evidence file.\n",
                    );
                }
                None => text.push_str("No output that counts is in the evidence.\n"),
            }
        }
        text
    }

    fn checklist(&self) -> String {
        let mut text = format!("# {}: what is done and what is not\n\n", self.id);
        let mut item = |done: bool, what: &str| {
            let mark = if done { 'x' } else { ' ' };
            text.push_str(&format!("- [{mark}] {}\n", one_line(what)));
        };
        item(!self.stages.is_empty(), "at least one stage has run");
        let unverified = self.unverified();
        let why = match unverified.as_slice() {
            [] => String::new(),
            stages => format!(": nobody here can say so of {}", stages.join(", ")),
        };
        let what = format!("every file of the evidence counts{why}");
        item(self.invalid.is_empty() && unverified.is_empty(), &what);
        let ended = self.newest.as_ref().is_some_and(|it| it.status == "ok");
        let newest = format!("the newest run ended well: {}", self.newest_word());
        item(ended, &newest);
        let older = self.older();
        let of_older = match older.as_slice() {
            [] => String::new(),
            older => format!(": of runs before it are {}", older.join(", ")),
        };
        let what = format!("every stage is of the newest run{of_older}");
        item(older.is_empty(), &what);
        for stage in &self.stages {
            for (done, what) in of_stage(stage) {
                item(done, &format!("{}: {what}", stage.stage));
            }
        }
        for task in &self.security {
            let said = matches!(task.says, Says::Passed | Says::Accepted);
            let why = match task.is_unverified() {
                true => ": what was said is unverified, its run is not in this state folder",
                false => "",
            };
            let what = format!("security review of {}: {}{why}", task.task, task.title);
            item(said && task.verified, &what);
        }
        text
    }

    fn retry(&self) -> String {
        let mut text = format!("# {}: what to try again, and how\n\n", self.id);
        let failed: Vec<&StageState> = self.stages.iter().filter(|it| it.status != "ok").collect();
        match &self.newest {
            Some(newest) if self.ended_badly() => {
                text.push_str(&of_run(newest, failed.is_empty()));
            }
            _ if failed.is_empty() && self.unverified().is_empty() => {
                text.push_str("Every stage that ran is ok: nothing has to be tried again.\n");
            }
            _ => {}
        }
        let unverified = self.unverified();
        if !unverified.is_empty() {
            let stages = one_line(&unverified.join(", "));
            text.push_str(&format!(
                "Whether anything of {stages} has to be tried again, nobody here can say: {NOBODY_KNOWS}.\n\n"
            ));
        }
        if !failed.is_empty() {
            text.push_str("In commands below, `PLAN` stands for the plan's file.\n\n");
        }
        for stage in failed {
            let name = &stage.stage;
            text.push_str(&format!("## {}: {}\n\n", cell(name), cell(&stage.status)));
            if !stage.reason.is_empty() {
                text.push_str(&format!("Why: {}\n\n", one_line(&stage.reason)));
            }
            let about_conflict = stage.about_conflict();
            let what = match stage.status.as_str() {
                "conflict" => about_conflict.as_str(),
                "degraded" => {
                    "Less took part or agrees than the plan wants. Find out why before it is accepted: a model that is away \
                     comes back, a prompt that is unclear does not get clearer."
                }
                "invalid" => {
                    "A file of it was changed or is gone, or another tool wrote it, so that nobody can say how the stage went. Give the \
                     files that are named above back as the run wrote them, or run the stage again."
                }
                _ => {
                    "Too few answered, or nobody made an output of it. Look at what the agents said, and whether their models \
                     answer (`flowhost doctor --plan PLAN`)."
                }
            };
            text.push_str(&format!("{what}\n\n"));
            for dispute in stage.disputes.iter().filter(|it| it.settled.is_none()) {
                text.push_str(&format!("- {}\n", cell(&dispute.issue)));
                for (agent, said) in &dispute.positions {
                    text.push_str(&format!("  - {}: {}\n", cell(agent), cell(said)));
                }
            }
            for agent in &stage.missing {
                text.push_str(&format!("- the answer of {} is missing\n", cell(agent)));
            }
            text.push_str("\n```console\n");
            // Telemetry that cannot be read does not say which run it was.
            if !stage.run_id.is_empty() {
                text.push_str(&format!("$ flowhost runs show {}\n", typed(&stage.run_id)));
            }
            text.push_str(&format!(
                "$ flowhost run PLAN --from {} --note \"what has changed since\"\n```\n\n",
                typed(name)
            ));
        }
        text
    }
}

/// What the checklist says of a stage, and whether it is so. What nobody here can say is not ticked.
fn of_stage(stage: &StageState) -> Vec<(bool, String)> {
    let mut items = Vec::new();
    let vouched = !stage.unverified;
    let what = match stage.asked.alone {
        true => "the one agent that was asked has answered",
        false => "the consensus is ok",
    };
    let why = match stage.unverified {
        true => format!(": what its files say is unverified, {NOBODY_KNOWS}"),
        false => String::new(),
    };
    items.push((vouched && stage.status == "ok", format!("{what}{why}")));
    if let Some(open) = &stage.asked.open {
        let ids = match open.as_slice() {
            [] => String::new(),
            open => format!(": {}", open.join(", ")),
        };
        let what = format!("no issue is left to a person{ids}");
        items.push((vouched && open.is_empty(), what));
    }
    // What a file that does not count has left out is not known not to be.
    let known = vouched && stage.status != "invalid";
    let mut open = stage.disputes.iter().filter(|it| it.settled.is_none());
    let is_open = open.next().is_some();
    items.push((known && !is_open, "no conflict is open".to_owned()));
    let answered = known && stage.missing.is_empty();
    items.push((answered, "nobody's answer is missing".to_owned()));
    let held = vouched && matches!(stage.checks, (Some(_), Some(0)));
    items.push((held, "every check held".to_owned()));
    let read = !stage.readings.is_empty();
    let why = match !read && stage.readings_unverified > 0 {
        true => ": what was said is unverified, its run is not in this state folder",
        false => "",
    };
    items.push((read, format!("somebody has read the output blind{why}")));
    items
}

/// A run that did not end well; `all_ok` where its stages do not say why.
fn of_run(newest: &Newest, all_ok: bool) -> String {
    let (run, status) = (one_line(&newest.run_id), one_line(&newest.status));
    let why = match newest.status.as_str() {
        "waiting" => "It waits for somebody's word, and goes on when that is given.",
        "unfinished" => "It is at work, or its process was killed.",
        _ if !all_ok => "It did not end well; stages below may say why.",
        _ => {
            "It did not end well, whatever its stages say: a person, a guardrail, a check, a limit or a step other than a stage may \
             have stopped it."
        }
    };
    let command = typed(&newest.run_id);
    format!(
        "## The newest run, {run}: {status}\n\n{why}\n\n```console\n$ flowhost runs show {command}\n```\n\n"
    )
}

fn row(stage: &StageState) -> Vec<String> {
    let checks = match stage.checks {
        (Some(passed), Some(failed)) => format!("{passed} of {}", passed + failed),
        _ => "unknown".to_owned(),
    };
    vec![
        stage.stage.clone(),
        stage.status.clone(),
        stage.shown_run(),
        stage.ended.clone(),
        known(stage.agreement, 3),
        checks,
        known(stage.cost_usd, 6),
    ]
}

/// What an output holds, a line for each member.
fn outline(output: &Value) -> String {
    let Some(members) = output.as_object() else {
        return format!("{}\n", shortened(&output.to_string()));
    };
    let mut text = String::new();
    for (name, value) in members {
        let said = match value {
            Value::Array(items) => format!("a list of {}", items.len()),
            Value::Object(inner) => {
                let names: Vec<&str> = inner.keys().map(String::as_str).collect();
                names.join(", ")
            }
            Value::String(said) => shortened(said),
            other => other.to_string(),
        };
        text.push_str(&format!("- `{}`: {}\n", cell(name), cell(&said)));
    }
    text
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
