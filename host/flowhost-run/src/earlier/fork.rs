//! A run that begins with another one's past: the same up to a step, and live from there.
//!
//! The past is the recorded run's, by reference: each call up to the step is recorded as made there, with the
//! record of its end and that record's hash, and the first record names how many records of that run stand
//! before the fork and the hash of the last of them. What its planner is fed stands in full, so that the run can
//! be resumed, replayed and forked like any other, also when the recorded one is gone. Everything is worked out
//! before the first record is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_bus::Ulid;
use flowhost_caps::messaging::MESSAGE;
use flowhost_flow::plan::Body;
use flowhost_flow::planner::fork::{ForkError, Parent as Recorded, Prefix, fork, is_part_of};
use flowhost_flow::planner::{CallId, Replayer};
use flowhost_flow::{Action, Amounts, Call, Event, Exit, Plan, Planner, RunSetup, Time};
use flowhost_ledger::records::{Message, PlacePart, Record, RecordKind as _};
use flowhost_ledger::{Fact, Kind, StoredRecord};
use flowhost_words::{PluginKind, SECOND_KEYS, shell_word, with_keys};
use serde_json::json;

use crate::base::failure::{Failure, ledger_failure};
use crate::calls::mailbox;
use crate::calls::order::Answered;
use crate::earlier::family::{self, TakenBack};
use crate::earlier::resume::past::{Past, Unread, read_to};
use crate::earlier::resume::rebuild::{Rebuilt, rebuild};
use crate::earlier::resume::{Fed, Kept, Resumed};
use crate::earlier::reuse::{Sources, hash_of_event, sources};
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::kept::journal::{Journal, append};

/// Which run, and where.
pub(crate) struct Of {
    pub(crate) kept: Arc<dyn Kept>,
    pub(crate) run: String,
    pub(crate) at: String,
}

/// Where a run was forked, as its first record says it.
pub(crate) struct Point {
    pub(crate) run: String,
    pub(crate) records: u64,
    /// Of the last of those records, hexadecimal.
    pub(crate) hash: String,
    pub(crate) at: String,
    /// Steps of that past that are done anew: the run took them back later, or something that they need.
    pub(crate) anew: Vec<String>,
    /// Those of them that were not taken back themselves.
    behind: Vec<String>,
    /// How many events the past has, where it does not end with the beginning of the step.
    pub(crate) events: Option<u64>,
}

/// The run that is forked.
pub(crate) struct Parent {
    dir: PathBuf,
    plan: Arc<Plan>,
    pub(crate) fed: Fed,
    sources: Sources,
    /// Those that its processes had turned, as they said.
    second_keys: BTreeSet<String>,
    /// What other runs took back of it.
    taken_back: Vec<TakenBack>,
    /// Steps that a person took back by hand behind its end.
    by_hand: BTreeSet<String>,
}

/// An agent of the new run: its key, and what it subscribes to.
pub(crate) type Agents = Vec<(String, Vec<String>)>;

/// The agents of a project, and what each subscribes to.
pub(crate) fn agents(project: &Project) -> Agents {
    let plugins = project.plan.all_plugins().into_iter();
    let agents = plugins.filter(|(_, plugin)| plugin.kind == PluginKind::Agent);
    agents
        .filter_map(|(key, _)| {
            let member = project.members.get(&key)?;
            Some((key, member.effective.grants.messages.subscribe.clone()))
        })
        .collect()
}

/// The past of the new run.
pub(crate) struct Branch {
    pub(crate) point: Point,
    /// Messages of the past that nobody had read: they are read here.
    unread: Vec<Unread>,
    /// Messages of the past; what a step emits behind them is sent here.
    sent: BTreeSet<String>,
    plan: Arc<Plan>,
    fed: Fed,
    planner: Box<dyn Planner>,
    rebuilt: Rebuilt,
    prefix: Prefix,
    sources: Sources,
}

/// Reads what is forked. Blocks on the disk.
pub(crate) fn read(host: &Process, of: &Of) -> Result<Parent, Failure> {
    let dir = host.config.state.run_dir(&of.run);
    let cannot = |failure: Failure| Failure {
        message: cannot_be_forked(&of.run),
        // Not that of the run that would have begun with it.
        ..failure.named("RUN", &of.run)
    };
    let key = of.kept.key(&dir).map_err(cannot)?;
    let (mut second_keys, mut by_hand, mut over) = (BTreeSet::new(), BTreeSet::new(), false);
    let fed = Fed::read_whole(&dir, key.as_ref(), &mut |record, _| {
        second_keys.extend(turned(record));
        over |= record.kind() == Some(Kind::RunEnd);
        by_hand.extend(taken_back_by_hand(record).filter(|_| over));
        Ok(())
    });
    let fed = fed.map_err(|error| cannot(error.into()))?;
    if fed.setup.on_request {
        let why = "each of its steps was asked for by a client, and nothing of it follows from anything before";
        return Err(cannot(Failure::new(Exit::Internal, "").because(why))
            .hint("ask for the step again, with `flowhost mcp serve`"));
    }
    let plan = of
        .kept
        .project(&dir, &fed.setup.inputs)
        .map_err(cannot)?
        .plan;
    let sources = sources(&of.run, &dir, key.as_ref()).map_err(cannot)?;
    let taken_back = family::taken_back(host, &of.run).map_err(cannot)?;
    Ok(Parent {
        dir,
        plan,
        fed,
        sources,
        second_keys,
        taken_back,
        by_hand,
    })
}

/// The step of which a person says in this record that its effect, which was not taken back, is gone.
fn taken_back_by_hand(record: &StoredRecord) -> Option<String> {
    if record.kind() != Some(Kind::RunSettle) || record.text("as") != Some("done") {
        return None;
    }
    let step = record.text("path")?.strip_suffix(family::COMPENSATION)?;
    Some(step.to_owned())
}

/// The second keys that a process of a run had turned, if this is the record that says so.
fn turned(record: &StoredRecord) -> Vec<String> {
    if !matches!(record.kind(), Some(Kind::RunStart | Kind::RunResume)) {
        return Vec::new();
    }
    let said = match record.read() {
        Ok(Some(Record::RunStart(start))) => start.second_keys,
        Ok(Some(Record::RunResume(resume))) => resume.second_keys,
        _ => None,
    };
    said.unwrap_or_default()
}

impl Parent {
    /// That this process has turned the second keys that the run had and rights of the new one ask for. Without one the
    /// new run would be denied what it goes on with and what takes its past back, and be over by that.
    pub(crate) fn has_keys(
        &self,
        project: &Project,
        options: &RunOptions,
        of: &Of,
    ) -> Result<(), Failure> {
        let turned = options.turned();
        let missing = turned.missing(project, |key| self.second_keys.contains(key));
        if missing.is_empty() {
            return Ok(());
        }
        let lacks = missing.join("` and `");
        // All of them, because the command is to be typed as it stands.
        let mut keys = missing;
        keys.extend(SECOND_KEYS.into_iter().filter(|key| turned.has(key)));
        let hint = match &options.command {
            Some(command) => format!("`{}` is the whole command", with_keys(command, &keys)),
            None => format!("start it again with `{}`", keys.join(" ")),
        };
        let run = &of.run;
        let failure = Failure::new(Exit::Denied, cannot_be_forked(run));
        Err(failure
            .because(format!(
                "its rights need `{lacks}`, which run {run} had, and this process was started without"
            ))
            .hint(format!("{hint}; nothing was done, and nothing was recorded")))
    }
}

/// The past of a run of `plan` that begins now. Blocks on the disk.
pub(crate) fn branch(
    of: &Of,
    parent: Parent,
    plan: Arc<Plan>,
    setup: RunSetup,
    started: Time,
    (tenant, agents): (&str, &Agents),
) -> Result<Branch, Failure> {
    let began = Ulid::from_string(&parent.fed.setup.run_id).map_or(0, |id| id.timestamp_ms());
    let recorded = Recorded {
        plan: parent.plan,
        setup: parent.fed.setup,
        started: Time(began),
        events: &parent.fed.events,
        ends: &parent.fed.ends,
        by_hand: &parent.by_hand,
    };
    let prefix = fork(&recorded, plan.clone(), setup.clone(), started, &of.at)
        .map_err(|error| refused(of, &plan, &error))?;
    let cannot = |why: &str| Failure::new(Exit::Internal, cannot_be_forked(&of.run)).because(why);
    // At least the first event is taken: no step begins before it.
    let last = prefix.taken.saturating_sub(1);
    let (seq, hash) = hash_of_event(&parent.dir, last)?
        .ok_or_else(|| cannot("its records end before the step begins"))?;
    let records = seq + 1;
    stands(of, &parent.taken_back, records, &prefix)?;
    let key = of.kept.key(&parent.dir)?;
    let mut past = read_to(&parent.dir, key.as_ref(), records)?;
    let here = prefix.calls.iter();
    let here: BTreeMap<u64, u64> = here.map(|(here, there)| (there.0, here.0)).collect();
    if !prefix.anew.is_empty() {
        // What is done anew says its messages anew.
        past.unread
            .retain(|message| message.root == 0 || here.contains_key(&message.root));
    }
    let unread = unread(&past, (tenant, &setup.run_id), agents, &here).map_err(|message| {
        let why = format!(
            "some agents had read a message of `{}` to `{}` when `{}` began, and others had not: it can neither be \
             sent again nor left out",
            message.sender, message.topic, of.at
        );
        cannot(&why).hint("fork it at an earlier or a later step")
    })?;
    let fed = Fed {
        setup,
        events: prefix.events.clone(),
        ends: prefix.ends.clone(),
    };
    let (planner, rebuilt) =
        rebuild(plan.clone(), &fed).map_err(|error| cannot(&error.to_string()))?;
    Ok(Branch {
        point: Point {
            run: of.run.clone(),
            records,
            hash,
            at: of.at.clone(),
            events: (!prefix.anew.is_empty()).then_some(prefix.events.len() as u64),
            anew: prefix.anew.clone(),
            behind: prefix.behind.clone(),
        },
        unread,
        sent: past.sent,
        plan,
        fed,
        planner,
        rebuilt,
        prefix,
        sources: parent.sources,
    })
}

/// That no other run took back what is to be the past: so many records of the run that is forked.
fn stands(of: &Of, taken_back: &[TakenBack], records: u64, prefix: &Prefix) -> Result<(), Failure> {
    let taken = taken_back.iter();
    let is_anew = |step: &str| prefix.anew.iter().any(|anew| is_part_of(step, anew));
    let taken = taken.filter(|it| it.ended < records && !is_anew(&it.step));
    let taken: Vec<&TakenBack> = taken.collect();
    let Some((why, command)) = family::told(&taken, Some(&of.at)) else {
        return Ok(());
    };
    let failure = Failure::new(Exit::Internal, cannot_be_forked(&of.run)).because(why);
    Err(match command {
        Some(command) => failure.hint(format!("`{command}` does it anew")),
        None => failure,
    })
}

/// The messages of the past that nobody has read and some agent of the new run hears, as sent by its calls: `here`
/// has the new run's number of each. Fails with one that was read by some of those who hear it.
fn unread(
    past: &Past,
    run: (&str, &str),
    agents: &Agents,
    here: &BTreeMap<u64, u64>,
) -> Result<Vec<Unread>, Box<Unread>> {
    let mut unread = Vec::new();
    // What an agent said when it was started it says again when it is started here.
    for message in past.unread.iter().filter(|it| !it.at_start) {
        let (mut wanted, mut read) = (0, 0);
        for (key, patterns) in agents {
            let times = past.read.get(&(key.clone(), message.id.clone()));
            let hears = mailbox::hears(run, key, patterns, message);
            wanted += hears;
            read += hears.min(times.copied().unwrap_or(0));
        }
        match (wanted, read) {
            (wanted, read) if wanted == read => {}
            (_, 0) => {
                let root = here.get(&message.root).copied().unwrap_or(0);
                let message = message.clone();
                unread.push(Unread { root, ..message });
            }
            _ => return Err(Box::new(message.clone())),
        }
    }
    Ok(unread)
}

/// The record of such a message in the new run, where nobody there says it by themselves.
fn carried(tenant: &str, message: &Unread) -> Option<Fact> {
    if message.sender == "host" {
        return None; // a step emits it: that is a note of the planner
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let payload = serde_json::from_str(&message.payload);
    debug_assert!(payload.is_ok(), "it was read as JSON from its record");
    let payload: serde_json::Value = payload.unwrap_or_default();
    let root = message.root.to_string();
    let said = json!({
        "payload": payload, "root": root, "topic": message.topic, "waiting": [],
    });
    let record = Message {
        place: PlacePart {
            step: some(&message.step),
            call: Some(root),
            ..PlacePart::default()
        },
        id: message.id.clone(),
        r#type: MESSAGE.to_owned(),
        correlation: some(&message.correlation),
        ..Message::default()
    };
    let fact = record.by(format!("{tenant}/{}", message.sender));
    Some(fact.payload(said.to_string().into_bytes()))
}

impl Branch {
    /// Records the past, as it would have been recorded had it happened here.
    /// Gives what its calls used.
    pub(crate) fn write(&self, journal: &Journal, tenant: &str) -> Result<Amounts, Failure> {
        let broken = |error| ledger_failure("the ledger takes no more", &error);
        // Before the step at which the run is forked, which says that the past is whole.
        for fact in self.unread.iter().filter_map(|it| carried(tenant, it)) {
            append(journal, fact)?;
        }
        let mut used = Amounts::default();
        let mut asked: BTreeMap<CallId, Box<Call>> = BTreeMap::new();
        let replayer = Replayer::new(self.plan.clone(), self.fed.setup.clone());
        let mut replayer = replayer.map_err(|error| self.changed(&error.to_string()))?;
        for record in &self.fed.events {
            let event = record.event(&self.fed.ends);
            let event = event.map_err(|error| self.changed(&error.to_string()))?;
            if let Event::CallFinished { call, .. } = &event {
                let there = self.prefix.calls.get(call);
                let source = there.and_then(|there| self.sources.get(&there.0));
                let (Some(call), Some(source)) = (asked.remove(call), source) else {
                    return Err(self.changed("a call of it has no record of its end"));
                };
                journal.reused(&call, source, true).map_err(broken)?;
                used.add(&source.used);
            }
            journal
                .event(&event, record.at, &Answered::default())
                .map_err(broken)?;
            let actions = replayer.feed(record, &self.fed.ends);
            for action in actions.map_err(|error| self.changed(&error.to_string()))? {
                match action {
                    Action::Call(call) => drop(asked.insert(call.id, call)),
                    Action::Note(note) => journal.note(&note).map_err(broken)?,
                    // One that is still open is opened, and recorded, when the run goes on from here.
                    Action::OpenGate(gate) if !self.rebuilt.gates.contains_key(&gate.id) => {
                        journal.gate_opened(&gate, record.at.0).map_err(broken)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(used)
    }

    fn changed(&self, why: &str) -> Failure {
        Failure::new(Exit::Internal, cannot_be_forked(&self.point.run)).because(why)
    }

    /// What a person should know of the past.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let Point {
            run,
            at,
            anew,
            behind,
            ..
        } = &self.point;
        if anew.is_empty() {
            return Vec::new();
        }
        let back: Vec<&String> = anew.iter().filter(|it| !behind.contains(it)).collect();
        let needs = match behind.is_empty() {
            true => String::new(),
            false => format!("; and so is what needs it: {}", list(behind)),
        };
        vec![format!(
            "run {run} took back later what had been done before `{at}`, so it is done anew: {}{needs}",
            list(&back)
        )]
    }

    /// The run as it stands at the step, for a driver that goes on with it; `before` is what its past used.
    pub(crate) fn resumed(self, before: Amounts) -> (Box<dyn Planner>, Resumed) {
        let past = Past {
            unread: self.unread,
            sent: self.sent,
            before,
            ..Past::default()
        };
        let (rebuilt, fed) = (self.rebuilt, self.fed);
        (self.planner, Resumed { past, rebuilt, fed })
    }
}

fn cannot_be_forked(run: &str) -> String {
    format!("run {run} cannot be forked there")
}

/// Most steps that are named in a sentence: a `foreach` may have had thousands of items.
const NAMED_MAX: usize = 20;

/// The names, and how many more there are.
fn list(names: &[impl AsRef<str>]) -> String {
    let named = names.iter().take(NAMED_MAX);
    let named: Vec<String> = named.map(|name| format!("`{}`", name.as_ref())).collect();
    let named = named.join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// The steps that ran, with those first that are no part of another: of a `foreach` only the items are said to have run, and
/// its own name is the one to begin at.
fn outer_first(ran: &[String]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let (mut steps, mut parts) = (Vec::new(), Vec::new());
    for path in ran {
        let step = outermost(path);
        if seen.insert(step) {
            steps.push(step);
        }
        if step != path {
            parts.push(path.as_str());
        }
    }
    steps.extend(parts);
    steps
}

/// The step of a workflow that this path begins with, where the workflow has none of that name.
fn lacks<'p>(plan: &Plan, path: &'p str) -> Option<&'p str> {
    let step = outermost(path);
    let is_workflow = matches!(plan.body, Body::Workflow { .. });
    (is_workflow && plan.step(step).is_none()).then_some(step)
}

/// The step of the plan itself that has this path, or of which it is a part.
fn outermost(path: &str) -> &str {
    let end = path.find(['[', '/', '!']).unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

fn refused(of: &Of, plan: &Plan, error: &ForkError) -> Failure {
    let failure = Failure::new(Exit::Internal, cannot_be_forked(&of.run));
    if let ForkError::NotReached { step, .. } = error
        && let Some(lacked) = lacks(plan, step)
    {
        // What it wants first would be true, and no help.
        let ids: Vec<&str> = plan
            .steps()
            .into_iter()
            .map(|step| step.id.as_str())
            .collect();
        let why = format!("the plan that is to go on has no step `{lacked}`");
        return failure
            .because(why)
            .hint(format!("its steps: {}", list(&ids)));
    }
    let failure = failure.because(error.to_string());
    match error {
        ForkError::OnceAgain { steps } => {
            let run = &of.run;
            let first = shell_word(steps.first().map_or("", String::as_str));
            failure.hint(format!(
                "look whether it is to be done again: `flowhost runs fork {run} --at {first}` does it on purpose, as does a \
                 fork at a step before it; that is the way as well once it was taken back by hand"
            ))
        }
        ForkError::NeverRan { ran, .. } if !ran.is_empty() => {
            let ran = list(&outer_first(ran));
            failure.hint(format!(
                "steps that ran: {ran}; begin at one of them, or run the plan whole"
            ))
        }
        ForkError::NotReached { wants, .. } if !wants.is_empty() => {
            let wants = list(wants);
            failure.hint(format!(
                "the new run wants {wants} first, which was not done there: fork it at that step"
            ))
        }
        ForkError::TakesBack { step, .. } => failure.hint(format!(
            "fork it at `{step}`, or at a step behind it, which does anew what was taken back"
        )),
        ForkError::HalfTakenBack { step } => failure.hint(format!(
            "look whether it was taken back; a fork at `{step}`, or at a step before it, does it anew"
        )),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_many_items_begins_with_the_steps_and_ends_with_how_many_more_there_are() {
        let items = (0..50).map(|item| format!("each[{item}]"));
        let ran: Vec<String> = ["a".to_owned()].into_iter().chain(items).collect();
        let told = list(&outer_first(&ran));
        assert!(told.starts_with("`a`, `each`, `each[0]`, "), "{told}");
        assert!(told.ends_with("`each[17]` and 32 more"), "{told}");
        assert_eq!(list(&["a", "b"]), "`a`, `b`");
    }
}
