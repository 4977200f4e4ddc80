//! A run may have had several processes: what each left unfinished, so that a replay knows which records
//! were of no consequence.
//!
//! A process that ends takes what was at work with it. The next one makes those calls again, under the same
//! names, or takes a person's word for them. So the records of a call that had not ended when the run went on
//! elsewhere were never answered to anybody: a replay takes them as they stand. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowhost_ledger::{Kind, Value};

use super::Entry;

/// What the processes of a run left behind.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// Records, by their place, of calls that a process had begun and the next one began anew.
    pub(super) let_go: BTreeSet<usize>,
    /// Those calls.
    pub(super) interrupted: BTreeSet<String>,
    /// Calls that a person spoke for.
    pub(super) settled: BTreeSet<String>,
    /// Calls that another run made.
    pub(super) made_elsewhere: BTreeSet<String>,
    /// Whether the last process came to write how it ended: a kill may have taken what the planner said last.
    pub(super) complete: bool,
}

impl Lives {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut lives = Self::default();
        // The records of calls that have not ended, by the planner's number.
        let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut over = false;
        for (place, entry) in entries.iter().enumerate() {
            let record = &entry.record;
            match record.kind() {
                Some(Kind::PlannerEvent) => {
                    if let Some(call) = record.text("call") {
                        open.remove(call);
                    }
                    lives.complete = false;
                }
                Some(Kind::RunResume) => {
                    let known = match record.fields.get("known") {
                        Some(Value::List(known)) => known.as_slice(),
                        _ => &[],
                    };
                    // Those whose result was recorded are only heard of later.
                    for (call, places) in
                        open.extract_if(|call, _| !known.iter().any(|it| it == call))
                    {
                        lives.interrupted.insert(call.to_owned());
                        lives.let_go.extend(places);
                    }
                    lives.complete = false;
                }
                // Behind the end the call has had its end, and nobody went on by the word.
                Some(Kind::RunSettle) if !over && record.text("as") != Some("retry") => {
                    let call = record.text("call").unwrap_or_default();
                    lives.settled.insert(call.to_owned());
                }
                Some(Kind::CallReuse) => {
                    let call = record.text("call").unwrap_or_default();
                    lives.made_elsewhere.insert(call.to_owned());
                }
                Some(kind @ (Kind::RunEnd | Kind::RunPause)) => {
                    lives.complete = true;
                    over |= kind == Kind::RunEnd;
                }
                _ if super::script::is_host(&record.actor) => {}
                _ => {
                    let call = record.text("call").unwrap_or_default();
                    let root = call.split('.').next().unwrap_or_default();
                    // What the host does by itself is counted on, and never made again under the same name.
                    if !matches!(root, "" | "0") {
                        open.entry(root).or_default().push(place);
                    }
                }
            }
        }
        lives
    }
}

/// Which component and which revision of each plugin a call and those that it made in turn were performed by.
pub(super) fn builds<'e>(
    entries: &'e [Entry],
    lives: &Lives,
) -> BTreeMap<String, BTreeMap<&'e str, Build>> {
    let mut builds: BTreeMap<String, BTreeMap<&str, Build>> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let record = &entry.record;
        let (Some(call), Some(component)) = (record.text("call"), record.text("component")) else {
            continue;
        };
        let Some((_, plugin)) = record.actor.split_once('/') else {
            continue;
        };
        if super::script::is_host(&record.actor) || lives.let_go.contains(&place) {
            continue;
        }
        let build = Build {
            component: component.to_owned(),
            revision: record.number("revision").unwrap_or(1),
        };
        let whole = match call.split_once('.') {
            // A call of the host's own has two parts in its name.
            Some(("0", rest)) => format!("0.{}", rest.split('.').next().unwrap_or_default()),
            Some((root, _)) => root.to_owned(),
            None => call.to_owned(),
        };
        builds
            .entry(whole)
            .or_default()
            .entry(plugin)
            .or_insert(build);
    }
    builds
}

/// One build of a plugin, as records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    /// SHA-256 of the component, `sha256:…`.
    pub(super) component: String,
    pub(super) revision: u64,
}
