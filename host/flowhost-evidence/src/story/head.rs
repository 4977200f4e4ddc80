//! Which run it was: what it was started with, what took part, and how it ended.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{shell_word, with_keys};
use flowhost_ledger::LentRecord;
use flowhost_ledger::records::FieldError;
use flowhost_ledger::records::lent::{
    CallReuse, ComponentLoad, Gate, PolicyLoad, Record, Reload, RunEnd, RunPause, RunStart,
    ViewWrite,
};
use flowhost_words::filled;
use serde_json::Value as Json;

use super::stored::{Held, Shelf, plugin_of, short, text};
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
    /// The plan's labels, as they were for this run.
    pub labels: BTreeMap<String, String>,
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
    /// What the run may use, by `calls`, `fuel`, `tokens`, `micro_usd` and `evidence`.
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
    /// What it took from other runs.
    pub taken: Taken,
    /// The only step that was wanted of it; empty where all were.
    pub only: String,
    /// Whether each of its steps was done as often as somebody asked for it.
    pub on_request: bool,
    /// What the person who started it wanted to be read beside it; empty without.
    pub note: String,
    /// How it stands, where it stopped before its end and can go on.
    pub stands: Option<Stands>,
}

/// A run that stopped before its end, and waits to go on.
#[derive(Debug, Clone, Default)]
pub struct Stands {
    /// `waiting` for somebody's word, or `interrupted`.
    pub status: String,
    /// The exit code that says so.
    pub exit_code: String,
    /// Paths of the steps that wait.
    pub steps: BTreeSet<String>,
    /// What it waits for, in words.
    pub why: Stored,
    /// What to type so that it goes on, a command a line.
    pub next: String,
}

impl Head {
    /// How the run ended, or stands; none where no record says.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        let stands = self.stands.as_ref().map(|it| it.status.as_str());
        self.status.as_deref().or(stands)
    }

    /// What is worth knowing before the steps are read, a sentence each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let only = (!self.only.is_empty())
            .then(|| format!("was to do `{}` only, with what it needs", self.only));
        let on_request = self
            .on_request
            .then(|| "did a step each time that somebody asked for it".to_owned());
        let note = (!self.note.is_empty()).then(|| format!("note: {}", self.note));
        self.taken
            .sentences()
            .into_iter()
            .chain(only)
            .chain(on_request)
            .chain(note)
            .collect()
    }
}

/// What a run took from others instead of doing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The run whose past it begins with, and the step before which that ends.
    pub forked: Option<(String, String)>,
    /// Steps of that past that this one does anew: that run took them, or what they need, back later.
    pub anew: Vec<String>,
    /// What the calls of that past used, by the words of [`Head::used`]: a part of what the run used, and spent by
    /// another one.
    pub before: BTreeMap<String, u64>,
    /// Calls that an earlier run had made.
    pub calls: u64,
    /// The runs that had.
    pub runs: BTreeSet<String>,
    /// Tokens that they used there.
    pub tokens: u64,
    /// Millionths of a US dollar that they cost there.
    pub micro_usd: u64,
    /// Milliseconds that they took there, one after the other.
    pub duration_ms: u64,
}

impl Taken {
    fn reused(&mut self, said: &CallReuse<'_>) {
        let spent = &said.spent;
        if said.counts == Some(true) {
            let amounts = [spent.calls, spent.fuel, spent.tokens, spent.micro_usd];
            for (word, amount) in CURRENCIES.iter().zip(amounts) {
                let sum = self.before.entry((*word).to_owned()).or_default();
                *sum = sum.saturating_add(amount.unwrap_or(0));
            }
            return;
        }
        self.calls = self.calls.saturating_add(1);
        if self.runs.len() < GROUPS_MAX {
            self.runs.insert(short(&said.run_id));
        }
        let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
        add(&mut self.tokens, spent.tokens);
        add(&mut self.micro_usd, spent.micro_usd);
        add(&mut self.duration_ms, said.duration_ms);
    }

    /// The same for people, a sentence each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let forked = self.forked.as_ref();
        let forked = forked.map(|(run, step)| {
            let before = |word: &str| self.before.get(word).copied().unwrap_or(0);
            let spent = match (before("micro_usd"), before("tokens")) {
                (0, 0) => String::new(),
                (micro_usd, tokens) => format!(
                    ": ${:.6} and {tokens} tokens of its cost were spent there",
                    micro_usd_to_usd(micro_usd)
                ),
            };
            let anew = match self.anew.as_slice() {
                [] => String::new(),
                anew => format!(
                    " (done anew, because that run took it or what it needs back: `{}`)",
                    anew.join("`, `")
                ),
            };
            format!("begins with the past of run {run}, up to `{step}`{anew}{spent}")
        });
        let reused = (self.calls > 0).then(|| {
            let runs: Vec<&str> = self.runs.iter().map(String::as_str).collect();
            let calls = match self.calls {
                1 => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            };
            format!(
                "reused {calls} of run {}: saved ${:.6}, {} tokens and {} ms",
                runs.join(", "),
                micro_usd_to_usd(self.micro_usd),
                self.tokens,
                self.duration_ms
            )
        });
        forked.into_iter().chain(reused).collect()
    }
}

/// A file that was written from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name in the run's folder, or, below the plan's, its path there.
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
    /// Where its component was taken from, as the plan names it; empty where an older host did not say.
    pub source: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// Its revision: 1 for what the run began with; none where an older host did not say.
    pub revision: Option<u64>,
    /// Its size in bytes.
    pub size: u64,
    /// What it imports.
    pub imports: Vec<String>,
    /// The profile's name.
    pub profile: String,
    /// The file that it was read from; empty where an older host did not say.
    pub profile_file: String,
    /// `sha256:…` of the effective profile.
    pub profile_hash: String,
    /// Granted folders.
    pub files: Vec<String>,
    /// Its limits by their keys in the profile.
    pub limits: BTreeMap<String, u64>,
}

/// Another build of a plugin, put in its place while the run went on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swap {
    /// The plugin's name in the plan.
    pub plugin: String,
    /// Its revision from then on.
    pub revision: u64,
    /// When, RFC 3339.
    pub at: String,
    /// `sha256:…` of the component before.
    pub before: String,
    /// `sha256:…` of the component from then on.
    pub after: String,
    /// Whether its rights are other ones from then on.
    pub rights_differ: bool,
    /// The record that says so.
    pub seq: u64,
}

/// Words of what is counted, as `run.start`, `step.end` and `run.end` use them.
pub(super) const CURRENCIES: [&str; 4] = ["calls", "fuel", "tokens", "micro_usd"];

/// What plugins left in the evidence, in bytes: counted like a currency, and no part of the budget.
pub(super) const EVIDENCE: &str = "evidence";

#[derive(Default)]
pub(super) struct HeadOf {
    head: Head,
    plugins: Shown<Plugin>,
    swaps: Shown<Swap>,
    last_us: u64,
    start: Held,
    end: Held,
    pause: Option<(Stands, Held)>,
    /// What each open gate wants, by its number: its path and the kind of word.
    gates: BTreeMap<u64, (String, String)>,
    /// The second keys that its processes had.
    keys: BTreeSet<String>,
}

impl HeadOf {
    /// Takes who and when of any record.
    pub(super) fn passed(&mut self, record: &LentRecord<'_>, at_us: u64) {
        if record.seq == 0 {
            self.head.run = record.run.to_string();
            self.head.tenant = record.tenant.to_string();
            record.ts.clone_into(&mut self.head.started);
            self.head.started_us = at_us;
        }
        // What comes after `run.end` (views, checkpoints, an erasure years later) is no time that the run took.
        if self.head.status.is_none() {
            self.last_us = self.last_us.max(at_us);
        }
    }

    pub(super) fn record(&mut self, record: &LentRecord<'_>, said: &Record<'_>) {
        match said {
            Record::RunStart(start) => self.start(record, start),
            Record::RunEnd(end) => self.end(record, end),
            Record::RunPause(pause) => self.pause(record, pause),
            Record::RunResume(resume) => {
                self.pause = None;
                self.keys.extend(list(resume.second_keys.as_ref()));
            }
            Record::Gate(gate) => self.gate(gate),
            Record::ComponentLoad(load) => self.component(load),
            Record::PolicyLoad(load) => self.policy(load),
            Record::Reload(reload) => self.swap(record, reload),
            Record::ViewWrite(view) => self.view(record, view),
            Record::CallReuse(reuse) => self.head.taken.reused(reuse),
            Record::GuardVerdict(said) if said.warning.as_deref() == Some("call") => {
                let step = text(said.place.path.as_ref());
                let what = format!(
                    "nobody knows whether the call of `{step}` had its effect: it was stopped while it was at work"
                );
                self.remark(record, &what);
            }
            Record::Recovery(_) => self.remark(record, "a torn tail was cut after a crash"),
            Record::KeyRotate(_) => self.remark(record, "the signing key was replaced"),
            _ => {}
        }
    }

    /// A record that is in the chain and yet not what its kind says: some other writer's.
    pub(super) fn odd(&mut self, record: &LentRecord<'_>, why: &FieldError) {
        self.remark(
            record,
            &format!(
                "a record of kind `{}` cannot be read: {why}",
                short(record.kind_text)
            ),
        );
    }

    fn start(&mut self, record: &LentRecord<'_>, start: &RunStart<'_>) {
        self.start = Held::of(record);
        let head = &mut self.head;
        head.plan = text(start.plan_name.as_ref());
        head.plan_hash = text(start.plan.as_ref());
        head.seed = start.seed.map_or_else(String::new, |seed| seed.to_string());
        let labels = start.labels.iter().flatten().take(GROUPS_MAX);
        head.labels = labels
            .map(|(name, value)| (short(name), short(value)))
            .collect();
        head.durability = text(start.durability.as_ref());
        head.version = text(start.flowhost.as_ref());
        head.allowed = numbers(start.budget.as_ref());
        let step = text(start.fork_at.as_ref());
        let parent = start.parent.as_ref();
        head.taken.forked = parent.map(|run| (short(run), step));
        head.taken.anew = list(start.fork_anew.as_ref());
        head.only = text(start.only.as_ref());
        head.on_request = start.on_request.unwrap_or_default();
        head.note = text(start.note.as_ref());
        self.keys.extend(list(start.second_keys.as_ref()));
    }

    fn end(&mut self, record: &LentRecord<'_>, end: &RunEnd<'_>) {
        self.end = Held::of(record);
        self.head.status = Some(short(&end.status));
        self.head.exit_code = end
            .exit_code
            .map_or_else(String::new, |code| code.to_string());
        let spent = &end.spent;
        let amounts = [spent.calls, spent.fuel, spent.tokens, spent.micro_usd];
        let used: BTreeMap<String, u64> = CURRENCIES
            .iter()
            .zip(amounts)
            .chain([(&EVIDENCE, end.evidence)])
            .filter_map(|(word, amount)| Some(((*word).to_owned(), amount?)))
            .collect();
        self.head.used = (!used.is_empty()).then_some(used);
    }

    fn pause(&mut self, record: &LentRecord<'_>, pause: &RunPause<'_>) {
        let stands = Stands {
            status: short(&pause.status),
            exit_code: pause
                .exit_code
                .map_or_else(String::new, |code| code.to_string()),
            steps: list(pause.steps.as_ref()).into_iter().collect(),
            ..Stands::default()
        };
        self.pause = Some((stands, Held::of(record)));
    }

    fn gate(&mut self, gate: &Gate<'_>) {
        if gate.event != "opened" {
            self.gates.remove(&gate.gate);
        } else if self.gates.len() < GROUPS_MAX {
            let wants = (short(&gate.at.path), short(&gate.wants));
            self.gates.insert(gate.gate, wants);
        }
    }

    /// What brings a run on that stopped: a word for each gate that waits, then the command that goes on.
    fn next(&self, stands: &Stands) -> String {
        let run = &self.head.run;
        let open = self.gates.values();
        let open = open.filter(|(path, _)| stands.steps.contains(path));
        let speak = open.map(|(path, wants)| {
            let path = shell_word(path);
            match wants.as_str() {
                "signal" => format!("flowhost runs signal {run} {path} --payload JSON --by NAME"),
                _ => format!("flowhost runs approve {run} {path} --by NAME   (or reject)"),
            }
        });
        let keys: Vec<&String> = self.keys.iter().collect();
        let resume = with_keys(&format!("flowhost runs resume {run}"), &keys);
        let all: Vec<String> = speak.chain([resume]).collect();
        all.join("\n")
    }

    fn component(&mut self, load: &ComponentLoad<'_>) {
        let plugin = Plugin {
            name: short(&load.plugin),
            role: short(&load.role),
            source: text(load.file.as_ref()),
            digest: short(&load.component),
            revision: load.revision,
            size: load.size.unwrap_or(0),
            imports: list(load.imports.as_ref()),
            ..Plugin::default()
        };
        self.plugins.push(plugin, GROUPS_MAX);
    }

    fn policy(&mut self, load: &PolicyLoad<'_>) {
        let name = short(&load.plugin);
        let all = self.plugins.items.iter_mut();
        // The last of that name: a policy follows the load of its component, and a plugin may be loaded more than once. None of
        // a plugin beyond those that a page has room for: its profile is left out with it.
        let Some(plugin) = all.rev().find(|plugin| plugin.name == name) else {
            return;
        };
        plugin.profile = short(&load.name);
        plugin.profile_file = text(load.file.as_ref());
        plugin.profile_hash = short(&load.profile);
        plugin.files = list(load.files.as_ref());
        plugin.limits = numbers(load.limits.as_ref());
    }

    fn swap(&mut self, record: &LentRecord<'_>, reload: &Reload<'_>) {
        let swap = Swap {
            plugin: short(&reload.plugin),
            revision: reload.revision,
            at: record.ts.to_owned(),
            before: short(&reload.component_before),
            after: short(&reload.component),
            rights_differ: reload.profile_before != reload.profile,
            seq: record.seq,
        };
        self.swaps.push(swap, GROUPS_MAX);
    }

    /// The view of a path that was written last is the one that is there.
    fn view(&mut self, record: &LentRecord<'_>, view: &ViewWrite<'_>) {
        // What lies below a plan's evidence folder is told with that folder.
        let path = match &view.root {
            Some(root) => short(&format!("{root}/{}", view.path)),
            None => short(&view.path),
        };
        self.head.views.retain(|view| view.path != path);
        if self.head.views.len() < GROUPS_MAX {
            self.head.views.push(View {
                path,
                sha256: short(&view.sha256),
                seq: record.seq,
            });
        }
    }

    fn remark(&mut self, record: &LentRecord<'_>, what: &str) {
        if self.head.remarks.len() < GROUPS_MAX {
            let by = plugin_of(record);
            let text = format!("{what} (record {}, by {by})", record.seq);
            self.head.remarks.push(text);
        }
    }

    pub(super) fn finish(mut self, shelf: &mut Shelf<'_>) -> (Head, Shown<Plugin>, Shown<Swap>) {
        let pause = self.pause.take().filter(|_| self.head.status.is_none());
        if let Some((mut stands, said)) = pause {
            stands.why = shelf.take(&said);
            stands.next = self.next(&stands);
            self.head.stands = Some(stands);
        }
        let head = &mut self.head;
        head.took_us = self.last_us.saturating_sub(head.started_us);
        head.inputs = part(shelf, &self.start, "inputs");
        head.outputs = part(shelf, &self.end, "outputs");
        let text = match shelf.text(&self.end) {
            Ok(text) => text,
            Err(stored) => {
                head.failure = stored;
                return (self.head, self.plugins, self.swaps);
            }
        };
        let Ok(end) = serde_json::from_str::<Json>(&text) else {
            // A run that was refused before its first step says why in plain text.
            head.failure = shelf.cut(&text, PAYLOAD_CHARS_MAX);
            head.outputs = Stored::None;
            return (self.head, self.plugins, self.swaps);
        };
        let of = |name: &str| end.pointer(&format!("/failure/{name}"))?.as_str();
        if let Some(message) = of("message") {
            head.failure = shelf.cut(message, PAYLOAD_CHARS_MAX);
        }
        head.failed_step = of("step").map(short).unwrap_or_default();
        let hint = of("hint").map(short).unwrap_or_default();
        // The planner that wrote it knows no run, and its words are in the chain as it wrote them.
        let hint = filled(&hint, "RUN", &head.run);
        head.hint = filled(&hint, "STEP", &head.failed_step);
        (self.head, self.plugins, self.swaps)
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

fn list(field: Option<&Vec<Cow<'_, str>>>) -> Vec<String> {
    let all = field.into_iter().flatten().take(GROUPS_MAX);
    all.map(|text| short(text)).collect()
}

fn numbers(field: Option<&BTreeMap<Cow<'_, str>, Cow<'_, str>>>) -> BTreeMap<String, u64> {
    field
        .into_iter()
        .flatten()
        .take(GROUPS_MAX)
        .filter_map(|(key, value)| Some((short(key), value.parse().ok()?)))
        .collect()
}
