//! Calls of tools and agents: what went in, what came out, what it took.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::Owner;
use flowhost_ledger::records::lent::{self, UsedPart};

use super::stored::{Held, Shelf, plugin_of, short, text};
use super::{CALLS_MAX, GROUPS_MAX, Peak, Plugin, Shown, Steps, Stored};
use crate::text::one_line;

/// Calls of which anything but the number is kept while reading.
const KEPT_MAX: usize = 20_000;
/// Remarks of one call that are shown: an agent has about ten to make, and may make any number.
const REMARKS_MAX: usize = 16;

/// The calls of a run.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// The first of them, and those that failed.
    pub listed: Shown<ToolCall>,
    /// Calls and failures by `plugin/tool`, most called first.
    pub by_tool: Shown<(String, u64, u64)>,
}

/// One call.
#[derive(Debug, Clone, Default)]
pub struct ToolCall {
    /// The record of the call.
    pub seq: u64,
    /// Who was called.
    pub plugin: String,
    /// Which of its tools.
    pub tool: String,
    /// The plugin that called; empty for the plan.
    pub caller: String,
    /// Path of the step.
    pub step: String,
    /// `ok`, `failed`, or `unfinished` when no record says.
    pub status: String,
    /// Who has to change something, when it failed.
    pub owner: &'static str,
    /// When it began.
    pub start_us: u64,
    /// When its result was recorded.
    pub end_us: Option<u64>,
    /// What it was given.
    pub input: Stored,
    /// What it handed back, or why it failed.
    pub output: Stored,
    /// What an agent remarked of how it came to its answer, as texts of its own.
    pub remarks: Vec<String>,
}

#[derive(Default)]
pub(super) struct ToolsOf {
    calls: Vec<Building>,
    total: u64,
    open: HashMap<Key, VecDeque<usize>>,
    well: Well,
    by_tool: BTreeMap<String, (u64, u64)>,
}

/// Calls that ended well, as far as they may be listed.
#[derive(Default)]
struct Well {
    count: usize,
    /// The last of their places.
    last: usize,
}

impl Well {
    /// Whether as many as are listed stand before the call at this place, which ended well.
    fn is_beyond(&mut self, place: usize) -> bool {
        if self.count >= CALLS_MAX && place > self.last {
            return true;
        }
        self.count += 1;
        self.last = self.last.max(place);
        false
    }
}

/// What a result has in common with its call. Of calls that share even this (one that was made again after a
/// kill has its number twice), the first that began is the first that ended.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// The call's number.
    Call(String),
    /// All that both name, where an older host numbered no calls: who, for which step, which tool, and for whom.
    Names(Box<[String; 4]>),
}

impl Key {
    fn of(call: Option<&str>, record: &LentRecord<'_>, step: &str, names: [&str; 2]) -> Self {
        match call {
            Some(call) => Self::Call(short(call)),
            None => {
                let [tool, caller] = names.map(short);
                let actor = record.actor.to_string();
                Self::Names(Box::new([actor, short(step), tool, caller]))
            }
        }
    }
}

#[derive(Default)]
struct Building {
    call: ToolCall,
    input: Held,
    output: Held,
    used: Vec<(&'static str, u64)>,
}

impl ToolsOf {
    pub(super) fn call(&mut self, record: &LentRecord<'_>, call: &lent::ToolCall<'_>, at_us: u64) {
        let of = &call.call_of;
        let (tool, caller) = (short(&call.tool), text(call.caller.as_ref()));
        let key = Key::of(of.call.as_deref(), record, &of.step, [&tool, &caller]);
        self.total = self.total.saturating_add(1);
        let plugin = plugin_of(record);
        let name = format!("{plugin}/{tool}");
        let room = self.by_tool.len() < KEPT_MAX;
        match self.by_tool.get_mut(&name) {
            Some((calls, _)) => *calls += 1,
            None if room => {
                self.by_tool.insert(name, (1, 0));
            }
            None => {}
        }
        if self.calls.len() >= KEPT_MAX {
            return;
        }
        let call = ToolCall {
            seq: record.seq,
            plugin,
            tool,
            caller,
            step: short(&of.step),
            status: "unfinished".to_owned(),
            start_us: at_us,
            ..ToolCall::default()
        };
        let open = self.open.entry(key).or_default();
        open.push_back(self.calls.len());
        self.calls.push(Building {
            call,
            input: Held::of(record),
            ..Building::default()
        });
    }

    pub(super) fn result(
        &mut self,
        record: &LentRecord<'_>,
        result: &lent::ToolResult<'_>,
        at_us: u64,
    ) {
        let of = &result.call_of;
        let (tool, caller) = (short(&result.tool), text(result.caller.as_ref()));
        let step = of.step.as_deref().unwrap_or("");
        let key = Key::of(of.call.as_deref(), record, step, [&tool, &caller]);
        if result.status == "failed" {
            let name = format!("{}/{tool}", plugin_of(record));
            if let Some((_, failures)) = self.by_tool.get_mut(&name) {
                *failures += 1;
            }
        }
        let place = match self.open.entry(key) {
            Entry::Occupied(mut open) => {
                let place = open.get_mut().pop_front();
                // Else it would be kept of each call of a run that it had ended.
                if open.get().is_empty() {
                    open.remove();
                }
                place
            }
            Entry::Vacant(_) => None,
        };
        // Its beginning was left out, or stands in a part of the record that cannot be read.
        let Some(building) = place.and_then(|at| self.calls.get_mut(at)) else {
            return;
        };
        building.call.end_us = Some(at_us);
        building.call.status = short(&result.status);
        building.call.owner = result.owner.map_or("", Owner::as_str);
        building.used = limited(&result.used.whole());
        let well = result.status == "ok";
        if well && place.is_some_and(|place| self.well.is_beyond(place)) {
            // Nothing of it is ever shown, and a run has any number of such calls.
            building.input = Held::default();
            building.call.tool = String::new();
            building.call.caller = String::new();
        } else {
            building.output = Held::of(record);
            let remarks = result.notes.iter().flatten();
            let remarks = remarks.take(REMARKS_MAX);
            building.call.remarks = remarks.map(|it| one_line(&short(it))).collect();
        }
    }

    /// The heaviest use of each limit, by step. Uses are compared by their share of what is allowed.
    pub(super) fn peaks(
        &self,
        plugins: &[Plugin],
    ) -> HashMap<String, BTreeMap<&'static str, Peak>> {
        let limits: HashMap<&str, &BTreeMap<String, u64>> = plugins
            .iter()
            .map(|plugin| (plugin.name.as_str(), &plugin.limits))
            .collect();
        let mut peaks: HashMap<String, BTreeMap<&'static str, Peak>> = HashMap::new();
        for Building { call, used, .. } in &self.calls {
            let of = limits.get(call.plugin.as_str());
            let step = peaks.entry(call.step.clone()).or_default();
            for (limit, used) in used {
                let allowed = of.and_then(|limits| limits.get(*limit).copied());
                let peak = Peak {
                    used: *used,
                    allowed,
                };
                let known = step.entry(*limit).or_insert(peak);
                if peak.share() > known.share() {
                    *known = peak;
                }
            }
        }
        peaks
    }

    pub(super) fn finish(self, shelf: &mut Shelf<'_>, steps: &Steps) -> Tools {
        let mut by_tool: Vec<(String, u64, u64)> = self
            .by_tool
            .into_iter()
            .map(|(name, (calls, failures))| (name, calls, failures))
            .collect();
        by_tool.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        // Each has a room of its own: failures at the end of a long run would find none left.
        let mut room = CALLS_MAX;
        let mut room_failed = CALLS_MAX;
        let keep = |building: &Building| {
            let failed = building.call.status != "ok";
            let room = if failed { &mut room_failed } else { &mut room };
            let has = *room > 0;
            *room = room.saturating_sub(1);
            has
        };
        let items = self.calls.into_iter().filter(keep).map(|building| {
            let Building {
                mut call,
                input,
                output,
                ..
            } = building;
            call.step = steps.path(&call.step);
            call.input = shelf.take(&input);
            call.output = shelf.take(&output);
            call
        });
        Tools {
            listed: Shown {
                items: items.collect(),
                total: self.total,
            },
            by_tool: Shown::first(by_tool, GROUPS_MAX),
        }
    }
}

/// What a call used, by the keys of the limits that it is measured against.
fn limited(used: &UsedPart<'_>) -> Vec<(&'static str, u64)> {
    let all = [
        ("fuel", used.fuel),
        ("memory", used.memory_bytes),
        ("deadline", used.duration_ms),
        ("host_calls", used.host_calls),
        ("output", used.output_bytes),
        ("log", used.log_bytes),
        ("evidence", used.evidence_bytes),
    ];
    all.into_iter()
        .filter_map(|(limit, used)| Some((limit, used?)))
        .collect()
}

impl Peak {
    /// Millionths of what was allowed; the use itself where that is not known.
    #[must_use]
    pub fn share(&self) -> u64 {
        match self.allowed {
            Some(allowed) if allowed > 0 => {
                let share = u128::from(self.used) * 1_000_000 / u128::from(allowed);
                u64::try_from(share).unwrap_or(u64::MAX)
            }
            _ => self.used,
        }
    }
}
