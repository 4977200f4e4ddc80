//! What was allowed and denied, in groups: who, which right, which rule.

use std::collections::{BTreeMap, HashMap};

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::lent::{NetDecision, Record};
use flowhost_ledger::records::{Asked, Decision};

use super::stored::{Held, Shelf, plugin_of, short, text};
use super::{GROUPS_MAX, Shown, Steps, Stored};

/// Different things wanted that a group shows. They are there to recognise what was asked for; the records have
/// all of them.
const EXAMPLES_MAX: usize = 12;
/// Groups that are kept while reading. A guest that asks for a new thing each time makes a group each time.
const KEPT_MAX: usize = 2_000;
/// Records of one group whose payloads are read for what was asked: each costs a read of the disk.
const LOOKED_UP_MAX: usize = 200;
/// Records of all groups whose payloads are read.
const ALL_LOOKED_UP_MAX: usize = 5_000;

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
    groups: BTreeMap<(bool, String, String, String), Building>,
    looked_up: usize,
    left_out_denied: u64,
    left_out_allowed: u64,
    denials: u64,
    allowances: u64,
}

/// A group, and the records that say what was asked.
#[derive(Default)]
struct Building {
    group: Group,
    asked: Vec<Question>,
}

/// One record of a group.
struct Question {
    seq: u64,
    step: String,
    what: What,
    /// What is added to it: where a request goes to.
    at: String,
}

/// Where it says what was asked for.
enum What {
    Line(Asked),
    Payload(Held),
}

impl DecisionsOf {
    pub(super) fn record(&mut self, record: &LentRecord<'_>, said: &Record<'_>) {
        // Most records decide nothing.
        let Some(decided) = said.decided() else {
            return;
        };
        // An injected secret is an allowance by the rule that names it, though nothing was asked.
        let used = matches!(said, Record::SecretUse(secret) if secret.r#use.is_some());
        let denied = match decided.decision {
            Some(Decision::Deny | Decision::Drop) => true,
            Some(Decision::Allow) => false,
            None if used => false,
            None => return,
        };
        match denied {
            true => self.denials = self.denials.saturating_add(1),
            false => self.allowances = self.allowances.saturating_add(1),
        }
        let plugin = plugin_of(record);
        let right = right(said);
        let rule = text(decided.rule.as_ref());
        let key = (denied, plugin.clone(), right.clone(), rule.clone());
        // Whether it would be a group of its own nobody can say without keeping it: each counts as one.
        if self.groups.len() >= KEPT_MAX && !self.groups.contains_key(&key) {
            match denied {
                true => self.left_out_denied += 1,
                false => self.left_out_allowed += 1,
            }
            return;
        }
        let building = self.groups.entry(key).or_insert_with(|| Building {
            group: Group {
                plugin,
                right,
                rule,
                ..Group::default()
            },
            asked: Vec::new(),
        });
        building.group.count = building.group.count.saturating_add(1);
        if building.asked.len() < LOOKED_UP_MAX && self.looked_up < ALL_LOOKED_UP_MAX {
            self.looked_up += 1;
            building.asked.push(Question::of(record, said));
        }
    }

    pub(super) fn finish(self, steps: &Steps, shelf: &Shelf<'_>) -> Decisions {
        let (mut denied, mut allowed) = (Vec::new(), Vec::new());
        for ((is_denied, ..), building) in self.groups {
            let group = building.finish(steps, shelf);
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

impl Building {
    fn finish(self, steps: &Steps, shelf: &Shelf<'_>) -> Group {
        let mut group = self.group;
        // All that were asked for, shown or not: of what is not shown, each would be another thing each time.
        let mut places: HashMap<String, usize> = HashMap::new();
        for question in self.asked {
            let asked = question.answer(shelf);
            if group.cure.is_empty() {
                group.cure = asked.cure.unwrap_or_default();
            }
            let wanted = short(&format!("{}{}", asked.wanted, question.at));
            if let Some(place) = places.get(&wanted) {
                if let Some(example) = group.wanted.items.get_mut(*place) {
                    example.count = example.count.saturating_add(1);
                }
                continue;
            }
            places.insert(wanted.clone(), places.len());
            let example = Example {
                wanted,
                count: 1,
                seq: question.seq,
                step: steps.path(&question.step),
            };
            group.wanted.push(example, EXAMPLES_MAX);
        }
        group
    }
}

impl Question {
    fn of(record: &LentRecord<'_>, said: &Record<'_>) -> Self {
        let at = match said {
            Record::NetDecision(NetDecision {
                address: Some(address),
                ..
            }) => format!(" at {address}"),
            _ => String::new(),
        };
        let decided = said.decided();
        let wanted = decided.and_then(|it| it.wanted.as_deref());
        let named = match said {
            Record::SecretUse(secret) => secret.secret.as_deref(),
            Record::ModelIntent(intent) => intent.of_try.asked.as_deref(),
            Record::GuardVerdict(verdict) => verdict.tool.as_deref(),
            _ => None,
        };
        let what = match (wanted, named, record.commit) {
            (Some(wanted), ..) => What::Line(Asked {
                wanted: wanted.to_owned(),
                cure: decided.and_then(|it| it.cure.as_deref().map(str::to_owned)),
                ..Asked::default()
            }),
            (None, Some(named), _) => What::Line(Asked::for_what(named)),
            (None, None, Some(_)) => What::Payload(Held::of(record)),
            (None, None, None) => What::Line(Asked::default()),
        };
        Self {
            seq: record.seq,
            step: said.step().to_owned(),
            what,
            at,
        }
    }

    fn answer(&self, shelf: &Shelf<'_>) -> Asked {
        let held = match &self.what {
            What::Line(asked) => return asked.clone(),
            What::Payload(held) => held,
        };
        match shelf.text(held) {
            // Random bytes and the like are no question; the rule says what was used.
            Ok(text) => Asked::of_payload(text.as_bytes()).unwrap_or_default(),
            Err(Stored::Erased) => Asked::for_what("(erased)"),
            Err(Stored::Binary(_)) => Asked::default(),
            Err(_) => Asked::for_what("(not there)"),
        }
    }
}

/// The right by name, else the interface without its package and version, else the kind of record.
fn right(said: &Record<'_>) -> String {
    let decided = said.decided();
    let named = decided.and_then(|it| it.right.as_deref()).unwrap_or("");
    if !named.is_empty() {
        return short(named);
    }
    let interface = decided.and_then(|it| it.interface.as_deref()).unwrap_or("");
    let name = interface.rsplit('/').next().unwrap_or_default();
    match name.split('@').next().unwrap_or_default() {
        "" => said.kind().as_str().to_owned(),
        name => short(name),
    }
}
