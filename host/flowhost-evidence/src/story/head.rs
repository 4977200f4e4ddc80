//! Which run it was: what it was started with, what took part, and how it ended.

use std::collections::BTreeMap;

use flowhost_ledger::{Kind, StoredRecord, Value};
use serde_json::Value as Json;

use super::stored::{Held, Shelf, field, plugin_of, short};
use super::{GROUPS_MAX, PAYLOAD_CHARS_MAX, Shown, Stored};

/// Which run it was and how it ended.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The run's ULID.
    pub run: String,
    /// Whose run it was.
    pub tenant: String,
    /// The plan's name.
    pub plan: String,
    /// The plan's hash.
    pub plan_hash: String,
    /// The seed of all randomness.
    pub seed: String,
    /// When records had to be on disk.
    pub durability: String,
    /// The host's version.
    pub version: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// The same in microseconds since 1970.
    pub started_us: u64,
    /// Microseconds from its first record to its `run.end`, or to the last record that there is.
    pub took_us: u64,
    /// The status that it ended with; none without a `run.end`.
    pub status: Option<String>,
    /// The exit code that it ended with.
    pub exit_code: String,
    /// What the run may use, by `calls`, `fuel`, `tokens` and `micro_usd`.
    pub allowed: BTreeMap<String, u64>,
    /// What it used, by the same words; none without a `run.end`.
    pub used: Option<BTreeMap<String, u64>>,
    /// Where it failed; empty when it did not or nobody said.
    pub failed_step: String,
    /// Why it failed.
    pub failure: Stored,
    /// What could be done about it.
    pub hint: String,
    /// Its inputs as JSON.
    pub inputs: Stored,
    /// Its outputs as JSON.
    pub outputs: Stored,
    /// Views that were written beside the ledger.
    pub views: Vec<View>,
    /// What happened to the ledger itself: a torn tail, a new key.
    pub remarks: Vec<String>,
}

/// A file that was written from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name in the run's folder.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// The record that says so.
    pub seq: u64,
}

/// A component that took part.
#[derive(Debug, Clone, Default)]
pub struct Plugin {
    /// Its name in the plan.
    pub name: String,
    /// Its role.
    pub role: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it imports.
    pub imports: Vec<String>,
    /// The profile's name.
    pub profile: String,
    /// `sha256:…` of the effective profile.
    pub profile_hash: String,
    /// Granted folders.
    pub files: Vec<String>,
    /// Its limits by their keys in the profile.
    pub limits: BTreeMap<String, u64>,
}

/// Words of what is counted, as `run.start`, `step.end` and `run.end` use them.
pub(super) const CURRENCIES: [&str; 4] = ["calls", "fuel", "tokens", "micro_usd"];

#[derive(Default)]
pub(super) struct HeadOf {
    head: Head,
    plugins: Shown<Plugin>,
    last_us: u64,
    start: Held,
    end: Held,
}

impl HeadOf {
    pub(super) fn record(&mut self, record: &StoredRecord, at_us: u64) {
        if record.seq == 0 {
            self.head.run.clone_from(&record.run);
            self.head.tenant.clone_from(&record.tenant);
            self.head.started.clone_from(&record.ts);
            self.head.started_us = at_us;
        }
        if self.head.status.is_none() {
            self.last_us = self.last_us.max(at_us);
        }
        match record.kind() {
            Some(Kind::RunStart) => self.start(record),
            Some(Kind::RunEnd) => self.end(record),
            Some(Kind::ComponentLoad) => self.component(record),
            Some(Kind::PolicyLoad) => self.policy(record),
            Some(Kind::ViewWrite) => self.view(record),
            Some(Kind::Recovery) => self.remark(record, "a torn tail was cut after a crash"),
            Some(Kind::KeyRotate) => self.remark(record, "the signing key was replaced"),
            _ => {}
        }
    }

    fn start(&mut self, record: &StoredRecord) {
        self.start = Held::of(record);
        let head = &mut self.head;
        head.plan = field(record, "plan_name");
        head.plan_hash = field(record, "plan");
        head.seed = field(record, "seed");
        head.durability = field(record, "durability");
        head.version = field(record, "flowhost");
        head.allowed = numbers(record, "budget");
    }

    fn end(&mut self, record: &StoredRecord) {
        self.end = Held::of(record);
        self.head.status = Some(field(record, "status"));
        self.head.exit_code = field(record, "exit_code");
        let used = CURRENCIES.iter().filter_map(|word| {
            let amount = record.number(word)?;
            Some(((*word).to_owned(), amount))
        });
        let used: BTreeMap<String, u64> = used.collect();
        self.head.used = (!used.is_empty()).then_some(used);
    }

    fn component(&mut self, record: &StoredRecord) {
        let plugin = Plugin {
            name: field(record, "plugin"),
            role: field(record, "role"),
            digest: field(record, "component"),
            size: record.number("size").unwrap_or(0),
            imports: list(record, "imports"),
            ..Plugin::default()
        };
        self.plugins.push(plugin, GROUPS_MAX);
    }

    fn policy(&mut self, record: &StoredRecord) {
        let name = field(record, "plugin");
        let all = self.plugins.items.iter_mut();
        let Some(plugin) = all.rev().find(|plugin| plugin.name == name) else {
            return;
        };
        plugin.profile = field(record, "name");
        plugin.profile_hash = field(record, "profile");
        plugin.files = list(record, "files");
        plugin.limits = numbers(record, "limits");
    }

    /// The view of a path that was written last is the one that is there.
    fn view(&mut self, record: &StoredRecord) {
        let path = field(record, "path");
        self.head.views.retain(|view| view.path != path);
        if self.head.views.len() < GROUPS_MAX {
            self.head.views.push(View {
                path,
                sha256: field(record, "sha256"),
                seq: record.seq,
            });
        }
    }

    fn remark(&mut self, record: &StoredRecord, what: &str) {
        if self.head.remarks.len() < GROUPS_MAX {
            let by = plugin_of(record);
            let text = format!("{what} (record {}, by {by})", record.seq);
            self.head.remarks.push(text);
        }
    }

    pub(super) fn finish(mut self, shelf: &mut Shelf<'_>) -> (Head, Shown<Plugin>) {
        let head = &mut self.head;
        head.took_us = self.last_us.saturating_sub(head.started_us);
        head.inputs = part(shelf, &self.start, "inputs");
        head.outputs = part(shelf, &self.end, "outputs");
        let text = match shelf.text(&self.end) {
            Ok(text) => text,
            Err(stored) => {
                head.failure = stored;
                return (self.head, self.plugins);
            }
        };
        let Ok(end) = serde_json::from_str::<Json>(&text) else {
            // A run that was refused before its first step says why in plain text.
            head.failure = shelf.cut(&text, PAYLOAD_CHARS_MAX);
            head.outputs = Stored::None;
            return (self.head, self.plugins);
        };
        let of = |name: &str| end.pointer(&format!("/failure/{name}"))?.as_str();
        if let Some(message) = of("message") {
            head.failure = shelf.cut(message, PAYLOAD_CHARS_MAX);
        }
        head.hint = of("hint").map(short).unwrap_or_default();
        head.failed_step = of("step").map(short).unwrap_or_default();
        (self.head, self.plugins)
    }
}

/// One member of a payload that is a JSON object, in the form that people read.
fn part(shelf: &mut Shelf<'_>, held: &Held, name: &str) -> Stored {
    let text = match shelf.text(held) {
        Ok(text) => text,
        Err(stored) => return stored,
    };
    let all = serde_json::from_str::<Json>(&text).unwrap_or_default();
    match all.get(name) {
        Some(Json::Object(fields)) if !fields.is_empty() => {
            let pretty = serde_json::to_string_pretty(fields).unwrap_or_default();
            shelf.cut(&pretty, PAYLOAD_CHARS_MAX)
        }
        _ => Stored::None,
    }
}

fn list(record: &StoredRecord, name: &str) -> Vec<String> {
    let all = record.fields.get(name).and_then(Value::as_list);
    let all = all.unwrap_or_default().iter().take(GROUPS_MAX);
    all.map(|text| short(text)).collect()
}

fn numbers(record: &StoredRecord, name: &str) -> BTreeMap<String, u64> {
    let Some(Value::Map(map)) = record.fields.get(name) else {
        return BTreeMap::new();
    };
    map.iter()
        .take(GROUPS_MAX)
        .filter_map(|(key, value)| Some((short(key), value.parse().ok()?)))
        .collect()
}
