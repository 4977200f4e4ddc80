//! What was allowed and denied, in groups: who, which right, which rule.

use std::collections::BTreeMap;

use flowhost_ledger::StoredRecord;

use super::stored::{field, plugin_of};
use super::{GROUPS_MAX, Shown, Steps};

/// Different things wanted that a group shows.
const EXAMPLES_MAX: usize = 12;
/// Groups that are kept while reading.
const KEPT_MAX: usize = 2_000;

/// The decisions of a run.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// What was refused.
    pub denied: Shown<Group>,
    /// What was allowed.
    pub allowed: Shown<Group>,
    /// How many records refuse something.
    pub denials: u64,
    /// How many records allow something.
    pub allowances: u64,
}

/// Decisions about the same plugin and right by the same rule.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Who asked.
    pub plugin: String,
    /// The right: what is missing, or else the interface that was used.
    pub right: String,
    /// The rule that decided.
    pub rule: String,
    /// How many times.
    pub count: u64,
    /// What was asked for: text, how often, where first.
    pub wanted: Shown<Example>,
    /// The profile lines that would allow it; empty when none would.
    pub cure: String,
}

/// Something that was asked for.
#[derive(Debug, Clone, Default)]
pub struct Example {
    /// What.
    pub wanted: String,
    /// How many times.
    pub count: u64,
    /// The first record.
    pub seq: u64,
    /// Path of the first step.
    pub step: String,
}

#[derive(Default)]
pub(super) struct DecisionsOf {
    groups: BTreeMap<(bool, String, String, String), Group>,
    left_out_denied: u64,
    left_out_allowed: u64,
    denials: u64,
    allowances: u64,
}

impl DecisionsOf {
    pub(super) fn record(&mut self, record: &StoredRecord) {
        // An injected secret is an allowance by the rule that names it, though nothing was asked.
        let decision = record.text("decision").or_else(|| {
            let used = record.kind_text == "secret.use" && record.text("use").is_some();
            used.then_some("allow")
        });
        let denied = match decision {
            Some("deny" | "drop") => true,
            Some(_) => false,
            None => return,
        };
        match denied {
            true => self.denials = self.denials.saturating_add(1),
            false => self.allowances = self.allowances.saturating_add(1),
        }
        let plugin = plugin_of(record);
        let right = right(record);
        let rule = field(record, "rule");
        let key = (denied, plugin.clone(), right.clone(), rule.clone());
        if self.groups.len() >= KEPT_MAX && !self.groups.contains_key(&key) {
            match denied {
                true => self.left_out_denied += 1,
                false => self.left_out_allowed += 1,
            }
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            plugin,
            right,
            rule,
            cure: record.text("cure").unwrap_or_default().to_owned(),
            ..Group::default()
        });
        group.count = group.count.saturating_add(1);
        group.example(record);
    }

    pub(super) fn finish(self, steps: &Steps) -> Decisions {
        let (mut denied, mut allowed) = (Vec::new(), Vec::new());
        for ((is_denied, ..), mut group) in self.groups {
            for example in &mut group.wanted.items {
                example.step = steps.path(&example.step);
            }
            match is_denied {
                true => denied.push(group),
                false => allowed.push(group),
            }
        }
        let often = |mut list: Vec<Group>| {
            list.sort_by_key(|group| std::cmp::Reverse(group.count));
            Shown::first(list, GROUPS_MAX)
        };
        let more = |shown: Shown<Group>, left_out: u64| Shown {
            total: shown.total.saturating_add(left_out),
            ..shown
        };
        Decisions {
            denied: more(often(denied), self.left_out_denied),
            allowed: more(often(allowed), self.left_out_allowed),
            denials: self.denials,
            allowances: self.allowances,
        }
    }
}

impl Group {
    fn example(&mut self, record: &StoredRecord) {
        let wanted = wanted(record);
        let known = self.wanted.items.iter_mut();
        if let Some(example) = known.into_iter().find(|it| it.wanted == wanted) {
            example.count = example.count.saturating_add(1);
            return;
        }
        let example = Example {
            wanted,
            count: 1,
            seq: record.seq,
            step: field(record, "step"),
        };
        self.wanted.push(example, EXAMPLES_MAX);
    }
}

fn wanted(record: &StoredRecord) -> String {
    let named = ["wanted", "secret", "asked", "tool"];
    let mut found = named.iter().map(|name| field(record, name));
    let wanted = found.find(|text| !text.is_empty()).unwrap_or_default();
    match record.text("address") {
        Some(address) => format!("{wanted} at {address}"),
        None => wanted,
    }
}

/// The right by name, else the interface without its package and version, else the kind of record.
fn right(record: &StoredRecord) -> String {
    let right = field(record, "right");
    if !right.is_empty() {
        return right;
    }
    let interface = field(record, "interface");
    let name = interface.rsplit('/').next().unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    match name {
        "" => record.kind_text.clone(),
        name => name.to_owned(),
    }
}
