//! One record after the other, and what each adds to what is known of the run's past.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use flowhost_caps::budget::Left;
use flowhost_caps::messaging::MESSAGE;
use flowhost_engine::handed_on_of;
use flowhost_flow::planner::GateAnswer;
use flowhost_flow::{Amounts, CallResult, Failure as FlowFailure, FailureClass, Owner};
use flowhost_ledger::records::lent::{
    CallReuse, Gate, Message, ModelIntent, ModelResult, PlannerEvent, Record, RunSettle, ToolCall,
    ToolResult, UsedPart,
};
use flowhost_ledger::{DataKey, Kind, LentRecord, PayloadOf, Payloads};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::calls::desk::ON_START;
use crate::calls::order::Stands;
use crate::earlier::resume::rebuild::Written;
use crate::earlier::resume::{unreadable, unreadable_because};
use crate::earlier::reuse::ReusedCall;
use crate::kept::journal::{DENIALS_MAX, Denial};
use crate::meters::detail::Detail;

use super::{Known, Past, Settled, Unread, is_note};

/// A result of a planner's call that the planner may not have heard of. Its payload is read when all records
/// are, because of almost all of them the planner has.
struct Told {
    payload: PayloadOf,
    stands: Stands,
    /// How it failed, without why; none where it went well.
    failed: Option<Ended>,
    detail: Detail,
}

/// How a call failed, without why.
struct Ended {
    class: FailureClass,
    owner: Option<Owner>,
    in_doubt: bool,
}

/// The past as far as it has been read.
pub(super) struct Reader<'p> {
    payloads: &'p Payloads<'p>,
    /// Opens what payloads were before they were redacted.
    key: Option<&'p DataKey>,
    past: Past,
    /// Results of the planner's calls that have not ended for it.
    told: BTreeMap<u64, Told>,
    /// Those that have: what an agent does for a message that such a call sent comes later.
    over: HashSet<u64>,
    /// Whose budget pays for a call that the host made to deliver a message: the sender's root call.
    roots: HashMap<String, u64>,
    /// Calls in which agents were started.
    starts: HashSet<String>,
    /// Model calls that have begun: plugin, root and what was held for them, by record.
    intents: HashMap<u64, (String, u64, Left)>,
    open_messages: BTreeMap<String, Unread>,
    /// Calls of agents that have read a message, and have not yet said all that they handed back: who reads
    /// what, and how many messages are still to come. A process that is gone by then leaves a message that
    /// was not read to its end.
    answering: HashMap<String, ((String, String), u64)>,
    /// Ends of steps that were recorded.
    ends: usize,
    /// A process takes the run up, and its driver has not begun: it records all ends that a kill kept from being recorded,
    /// and leaves the files of their stages then.
    taking_up: bool,
    /// The host has failed since, maybe because it could not write the files of a stage: nothing behind says that they are
    /// there.
    failed: bool,
}

impl<'p> Reader<'p> {
    pub(super) fn new(payloads: &'p Payloads<'p>, key: Option<&'p DataKey>) -> Self {
        Self {
            payloads,
            key,
            past: Past::default(),
            told: BTreeMap::new(),
            over: HashSet::new(),
            roots: HashMap::new(),
            starts: HashSet::new(),
            intents: HashMap::new(),
            open_messages: BTreeMap::new(),
            answering: HashMap::new(),
            ends: 0,
            taking_up: false,
            failed: false,
        }
    }

    /// Takes the next record. Of a note it only matters that it was written.
    ///
    /// # Errors
    /// When it is not what its kind says, or a payload that is needed is gone.
    pub(super) fn take(&mut self, record: &LentRecord<'_>) -> Result<(), Failure> {
        let said = match record.kind.is_some_and(is_note) {
            true => None,
            false => record.read().map_err(|error| unreadable(&error))?,
        };
        self.past.bytes += written(record);
        self.answered_one(record);
        self.denied(record);
        match said {
            Some(Record::RunStart(start)) => {
                self.past.processes += 1;
                self.past.plan_hash = owned(start.plan);
                let labels = start.labels.unwrap_or_default().into_iter();
                let labels = labels.map(|(name, value)| (name.into_owned(), value.into_owned()));
                self.past.labels = labels.collect();
                self.past.fork_at = start.fork_at.map(Cow::into_owned);
                self.past.fork_events = start.fork_events;
                self.past.had_turned(start.second_keys);
            }
            Some(Record::CallReuse(said)) => self.reused(said),
            Some(Record::RunEnd(end)) => self.past.ended = Some(end.status.into_owned()),
            Some(Record::ViewWrite(view)) if view.path == crate::given::bundle::BUNDLE => {
                self.past.bundle_sha256 = Some(view.sha256.into_owned());
            }
            Some(Record::ViewWrite(view)) if view.root.is_some() => {
                self.past.viewed.insert(view.path.into_owned());
            }
            Some(Record::MemoryWrite(write)) => {
                self.past.viewed.insert(write.entry.into_owned());
            }
            Some(Record::RunResume(resume)) => {
                self.past.processes += 1;
                self.taking_up = true;
                self.failed = false;
                let replaced = resume.replaced.unwrap_or_default().into_keys();
                self.past.swapped.extend(replaced.map(Cow::into_owned));
                self.past.had_turned(resume.second_keys);
            }
            Some(Record::Reload(reload)) => {
                self.past.swapped.insert(reload.plugin.into_owned());
            }
            Some(Record::ToolCall(call)) => self.begun(record, &call),
            Some(Record::ToolResult(result)) => self.ended(record, &result),
            Some(Record::ModelIntent(intent)) => self.asked(record, &intent),
            Some(Record::ModelResult(result)) => self.answered(record, &result),
            Some(Record::PlannerEvent(event)) => {
                self.taking_up = false;
                self.failed |= event.event == "host_failed";
                self.went_on();
                self.past.fork_fed();
                self.event(&event);
            }
            // Behind the end a word is about what was not taken back, and no call goes on by it.
            Some(Record::RunSettle(settle)) if self.past.ended.is_none() => {
                self.settled(record, &settle)?;
            }
            Some(Record::Gate(gate)) => self.gate(record, &gate)?,
            Some(Record::Message(message)) => {
                if message.r#type == MESSAGE && record.actor.ends_with("/host") {
                    self.noted(Kind::Message, record);
                }
                self.sent(record, message)?;
            }
            Some(Record::HostCall(call)) if call.limit.as_deref() == Some("queue") => {
                // The mailbox was full: the message went nowhere. Its sender was told so, and has gone on.
                self.open_messages.remove(&*call.id.unwrap_or_default());
            }
            None if record.actor.ends_with("/host") => {
                if let Some(kind) = record.kind.filter(|kind| is_note(*kind)) {
                    self.noted(kind, record);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A note of the planner that was written.
    fn noted(&mut self, kind: Kind, record: &LentRecord<'_>) {
        self.past.notes.push(Written::of(kind, record));
        match kind {
            Kind::StepEnd => self.step_ended(),
            Kind::StepStart | Kind::AttemptStart => self.went_on(),
            _ => {}
        }
        if let (Some(step), Kind::StepStart | Kind::AttemptStart) = (&self.past.fork_at, kind) {
            let path = record.text("path").unwrap_or_default();
            let rest = path.strip_prefix(step.as_str());
            self.past.fork_reached |= rest.is_some_and(|it| it.is_empty() || it.starts_with('['));
        }
    }

    /// The driver records what comes next. It leaves all files of a stage before it goes on, unless it cannot.
    fn went_on(&mut self) {
        if !self.taking_up && !self.failed {
            self.past.ends_whole = self.ends;
            self.past.viewed.clear();
        }
    }

    fn step_ended(&mut self) {
        self.went_on();
        self.ends += 1;
        // Of the past that a run was forked with it leaves none.
        if self.past.fork_at.is_some() && !self.past.fork_reached {
            self.past.ends_whole = self.ends;
        }
    }

    /// A record of what an agent hands back for a message: sent, or refused.
    fn answered_one(&mut self, record: &LentRecord<'_>) {
        let says = |name: &str, word: &str| record.text(name).is_some_and(|text| text == word);
        let said = match record.kind {
            Some(Kind::Message) => true,
            Some(Kind::HostCall) => says("decision", "deny") || says("status", "invalid"),
            _ => false,
        };
        if !said {
            return;
        }
        let call = record.text("call").unwrap_or_default();
        if let Some((message, outgoing)) = self.answering.remove(&*call) {
            match outgoing {
                0 | 1 => *self.past.read.entry(message).or_default() += 1,
                more => {
                    let call = call.into_owned();
                    self.answering.insert(call, (message, more - 1));
                }
            }
        }
    }

    fn denied(&mut self, record: &LentRecord<'_>) {
        let text = |name: &str| owned(record.text(name));
        let decision = record.text("decision");
        if decision.as_deref() != Some("deny") || self.past.denials.len() >= DENIALS_MAX {
            return;
        }
        let asked = record.commit;
        let asked = asked.and_then(|commit| self.payloads.get(record.seq, commit).ok().flatten());
        let why = asked
            .as_deref()
            .and_then(flowhost_ledger::records::findings_told)
            .unwrap_or_default();
        let asked = asked
            .as_deref()
            .and_then(flowhost_ledger::records::Asked::of_payload);
        let asked = asked.unwrap_or_default();
        self.past.denials.push(Denial {
            seq: record.seq,
            actor: record.actor.to_string(),
            step: text("step"),
            right: text("right"),
            wanted: Some(text("wanted"))
                .filter(|it| !it.is_empty())
                .unwrap_or(asked.wanted),
            rule: text("rule"),
            cure: Some(text("cure"))
                .filter(|it| !it.is_empty())
                .or(asked.cure)
                .unwrap_or_default(),
            why,
        });
    }

    /// The planner's call that a call was made for; 0 for none.
    fn root(&self, call: &str) -> u64 {
        let first = call.split('.').next().unwrap_or_default();
        match first.parse().unwrap_or(0) {
            0 => {
                let own: Vec<&str> = call.splitn(3, '.').take(2).collect();
                self.roots.get(&own.join(".")).copied().unwrap_or(0)
            }
            number => number,
        }
    }

    fn begun(&mut self, record: &LentRecord<'_>, said: &ToolCall<'_>) {
        let call = said.call_of.call.as_deref().unwrap_or_default();
        if let Some(own) = own_number(call) {
            self.past.own_calls = self.past.own_calls.max(own);
        }
        if let Ok(number) = call.parse::<u64>() {
            let made = self.past.calls.entry(number).or_default();
            made.begun = true;
            // A word of a person is about what had been before it. "Try again" is good for one try: whether
            // this one had its effect, nobody has said.
            made.settled = None;
            return;
        }
        if said.tool == ON_START {
            self.starts.insert(call.to_owned());
        }
        if let Some(id) = said.id.as_deref() {
            let root = self.open_messages.get(id).map_or(0, |unread| unread.root);
            self.roots.insert(call.to_owned(), root);
        }
        let root = self.root(call);
        if root > 0 && said.caller.is_some() && !record.actor.ends_with("/host") {
            let routed = &mut self.past.calls.entry(root).or_default().routed;
            routed.calls = routed.calls.saturating_add(1);
        }
    }

    fn ended(&mut self, record: &LentRecord<'_>, said: &ToolResult<'_>) {
        let call = said.call_of.call.as_deref().unwrap_or_default();
        let plugin = plugin(&record.actor);
        let well = said.status == "ok";
        match &*said.tool {
            ON_START if well => {
                let revision = said.call_of.revision.unwrap_or(1);
                self.past.started.insert((plugin.to_owned(), revision));
            }
            // However it went: its errors change nothing, and it is not told twice.
            "on-finish" => {
                self.past.finished.insert(plugin.to_owned());
            }
            "on-message" => {
                let message = (plugin.to_owned(), owned(said.id.clone()));
                match said.outgoing.unwrap_or(0) {
                    0 => *self.past.read.entry(message).or_default() += 1,
                    outgoing => {
                        self.answering.insert(call.to_owned(), (message, outgoing));
                    }
                }
            }
            _ => {}
        }
        let detail = detail(&said.used);
        let Ok(number) = call.parse::<u64>() else {
            let root = self.root(call);
            // That an agent is started is nobody's call: a process does not count it to the step that came first.
            if root > 0 && said.tool != ON_START {
                self.past
                    .calls
                    .entry(root)
                    .or_default()
                    .routed
                    .detail
                    .add(&detail);
            }
            return;
        };
        self.past.calls.entry(number).or_default();
        let failed = (!well).then(|| {
            let class = FailureClass::ALL
                .iter()
                .find(|class| Some(class.word()) == said.class.as_deref());
            let owner = said.owner.and_then(|owner| Owner::parse(owner.as_str()));
            Ended {
                class: class.copied().unwrap_or(FailureClass::Failed),
                owner,
                in_doubt: said.in_doubt == Some(true),
            }
        });
        let told = Told {
            payload: record.into(),
            stands: match &*said.tool {
                "on-plan" => Stands::Own,
                _ => Stands::Content,
            },
            failed,
            detail,
        };
        self.told.insert(number, told);
    }

    fn known(&self, told: Told) -> Result<Known, Failure> {
        let Told {
            payload,
            stands,
            failed,
            detail,
        } = told;
        let text = self.text(&payload)?;
        if let Some(ended) = failed {
            let mut failure = FlowFailure::new(ended.class, text);
            failure.owner = ended.owner.unwrap_or(failure.owner);
            failure.in_doubt = ended.in_doubt;
            let result = CallResult::Failed(failure);
            let stands = Stands::Nowhere;
            return Ok(Known {
                result,
                stands,
                detail,
            });
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        let value = match stands {
            Stands::Content => handed_on_of(value),
            Stands::Own | Stands::Nowhere => value,
        };
        let result = CallResult::Output(value);
        Ok(Known {
            result,
            stands,
            detail,
        })
    }

    fn asked(&mut self, record: &LentRecord<'_>, said: &ModelIntent<'_>) {
        let held = Left {
            tokens: said.reserved_tokens.unwrap_or(0),
            micro_usd: said.reserved_micro_usd.unwrap_or(0),
        };
        let call = said.call_of.call.as_deref().unwrap_or_default();
        let intent = (plugin(&record.actor).to_owned(), self.root(call), held);
        self.intents.insert(record.seq, intent);
    }

    fn answered(&mut self, record: &LentRecord<'_>, said: &ModelResult<'_>) {
        let of = |told: Option<u64>, counted: Option<u64>| told.or(counted).unwrap_or(0);
        let prompt = of(said.prompt_tokens, said.counted_prompt_tokens);
        let completion = of(said.completion_tokens, said.counted_completion_tokens);
        let spent = Left {
            tokens: prompt.saturating_add(completion),
            micro_usd: said.micro_usd.unwrap_or(0),
        };
        let begun = said.intent.and_then(|intent| self.intents.remove(&intent));
        let call = said.call_of.call.as_deref().unwrap_or_default();
        let (plugin, root) = match begun {
            Some((plugin, root, _)) => (plugin, root),
            None => (plugin(&record.actor).to_owned(), self.root(call)),
        };
        self.book(&plugin, root, spent);
    }

    fn book(&mut self, plugin: &str, root: u64, spent: Left) {
        add(self.past.spent.entry(plugin.to_owned()).or_default(), spent);
        match self.past.calls.get_mut(&root) {
            Some(made) => add(&mut made.spent, spent),
            // The call has ended, or there was none: the planner never hears of it.
            None => add(&mut self.past.rest, spent),
        }
    }

    fn reused(&mut self, said: CallReuse<'_>) {
        let saved = Amounts {
            calls: said.spent.calls.unwrap_or(0),
            fuel: said.spent.fuel.unwrap_or(0),
            tokens: said.spent.tokens.unwrap_or(0),
            micro_usd: said.spent.micro_usd.unwrap_or(0),
        };
        if said.counts == Some(true) {
            self.past.before.add(&saved);
            let spent = Left {
                tokens: saved.tokens,
                micro_usd: saved.micro_usd,
            };
            return add(
                self.past.spent.entry(said.plugin.into_owned()).or_default(),
                spent,
            );
        }
        self.past.reused.push(ReusedCall {
            path: said.at.path.into_owned(),
            run: said.run_id.into_owned(),
            record: said.record,
            saved,
            duration_ms: said.duration_ms.unwrap_or(0),
        });
    }

    fn event(&mut self, said: &PlannerEvent<'_>) {
        if said.event == "call_finished"
            && let Some(call) = said.call
        {
            self.past.calls.remove(&call);
            self.told.remove(&call);
            self.over.insert(call);
        }
    }

    fn settled(&mut self, record: &LentRecord<'_>, said: &RunSettle<'_>) -> Result<(), Failure> {
        let text = match record.commit {
            Some(_) => self.text(&record.into())?,
            None => String::new(),
        };
        let settled = match &*said.r#as {
            // What cannot be read is not taken for null: it would be handed on as what the call came to.
            "done" => {
                Settled::Done(serde_json::from_str(&text).map_err(|error| unreadable(&error))?)
            }
            "failed" => Settled::Failed(text),
            _ => Settled::Retry,
        };
        self.past.calls.entry(said.call).or_default().settled = Some(settled);
        Ok(())
    }

    fn gate(&mut self, record: &LentRecord<'_>, said: &Gate<'_>) -> Result<(), Failure> {
        let by = owned(said.by.clone());
        let text = || self.text(&record.into());
        let approval = |approved: bool, note: String| GateAnswer::Approval {
            approved,
            by: by.clone(),
            note,
        };
        let answer = match &*said.event {
            "approved" => Some(approval(true, text()?)),
            "rejected" => Some(approval(false, text()?)),
            "signalled" => {
                let payload = serde_json::from_str(&text()?);
                let payload = payload.map_err(|error| unreadable(&error))?;
                Some(GateAnswer::Signal { payload })
            }
            _ => None,
        };
        let reached = self.past.gates.entry(said.gate).or_default();
        reached.until_ms = said.until_ms.unwrap_or(reached.until_ms);
        if let Some(answer) = answer {
            reached.answer = Some((answer, by));
        }
        Ok(())
    }

    fn sent(&mut self, record: &LentRecord<'_>, said: Message<'_>) -> Result<(), Failure> {
        if said.r#type == MESSAGE {
            self.past.sent.insert(said.id.to_string());
        }
        // What waits for an answer is asked again by whoever waited.
        if said.r#type != MESSAGE || said.asks == Some(true) {
            return Ok(());
        }
        let text = self.text(&record.into())?;
        let told: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        let call = said.place.call.unwrap_or_default();
        let id = said.id.into_owned();
        let unread = Unread {
            seq: record.seq,
            id: id.clone(),
            sender: plugin(&record.actor).to_owned(),
            step: owned(said.place.step),
            correlation: owned(said.correlation),
            topic: told
                .get("topic")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            payload: told.get("payload").unwrap_or(&Value::Null).to_string(),
            root: self.root(&call),
            at_start: self.starts.contains(&*call),
        };
        self.open_messages.insert(id, unread);
        Ok(())
    }

    fn text(&self, of: &PayloadOf) -> Result<String, Failure> {
        let gone = || {
            let why = format!("the payload of record {} was erased or lost", of.seq);
            unreadable_because(&why)
        };
        let commit = of.commit.as_deref().ok_or_else(gone)?;
        let exact = match self.key {
            Some(key) => self.payloads.exact_of(of, key),
            None => Ok(None),
        };
        let found = match exact {
            Ok(None) => self.payloads.get(of.seq, commit),
            exact => exact,
        };
        let bytes = found
            .map_err(|error| unreadable(&error))?
            .ok_or_else(gone)?;
        String::from_utf8(bytes).map_err(|error| unreadable(&error))
    }

    /// A model that was asked and whose answer was never recorded is booked with all that was held for
    /// it, as for a call that is stopped: the provider may have charged it.
    pub(super) fn done(mut self) -> Result<Past, Failure> {
        for (number, told) in std::mem::take(&mut self.told) {
            let known = self.known(told)?;
            self.past.calls.entry(number).or_default().result = Some(known);
        }
        for (_, (plugin, root, held)) in std::mem::take(&mut self.intents) {
            self.book(&plugin, root, held);
        }
        let past = &mut self.past;
        let rest = &mut past.rest;
        past.calls.retain(|call, made| {
            let open = !self.over.contains(call);
            if !open {
                add(rest, made.spent); // the planner never hears of it
            }
            open
        });
        // A call that is made again sends its messages again.
        past.unread = self
            .open_messages
            .into_values()
            .filter(|unread| {
                past.calls
                    .get(&unread.root)
                    .is_none_or(|made| made.result.is_some())
            })
            .collect();
        past.unread.sort_by_key(|unread| unread.seq);
        Ok(self.past)
    }
}

fn add(sum: &mut Left, more: Left) {
    sum.tokens = sum.tokens.saturating_add(more.tokens);
    sum.micro_usd = sum.micro_usd.saturating_add(more.micro_usd);
}

fn owned(text: Option<Cow<'_, str>>) -> String {
    text.map(Cow::into_owned).unwrap_or_default()
}

/// What a record takes of the run's account. The payloads of the host's own are on none.
fn written(record: &LentRecord<'_>) -> u64 {
    let counts = record.commit.is_some() && !record.actor.ends_with("/host");
    let payload = record.number("bytes").filter(|_| counts).unwrap_or(0);
    payload.saturating_add(record.line.len() as u64)
}

fn plugin(actor: &str) -> &str {
    actor.split_once('/').map_or(actor, |(_, plugin)| plugin)
}

/// The number of a call that the host made by itself.
fn own_number(call: &str) -> Option<u64> {
    call.strip_prefix("0.")?.split('.').next()?.parse().ok()
}

fn detail(used: &UsedPart<'_>) -> Detail {
    Detail {
        fuel: used.fuel.unwrap_or(0),
        memory_bytes: used.memory_bytes.unwrap_or(0),
        host_calls: used.host_calls.unwrap_or(0),
        output_bytes: used.output_bytes.unwrap_or(0),
        log_bytes: used.log_bytes.unwrap_or(0),
        evidence_bytes: used.evidence_bytes.unwrap_or(0),
        told_ms: used.told_ms.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
