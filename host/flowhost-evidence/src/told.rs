//! What guardrails, checks and messages are about, in a line each. Their records name a step by its id, the reader of a
//! message in another record and its topic in the payload, so that none of them says it alone.

use std::collections::HashMap;

use flowhost_ledger::records::{GuardVerdict, Message, Record, findings_told};
use serde::Deserialize;

use crate::places::Places;
use crate::runs::RecordEntry;
use crate::text::{counted, plugin_of};

/// The word for an answer, in `type`.
const REPLY: &str = "message.reply";
/// The word for a message, in `type`. Older hosts recorded other envelopes, too.
const MESSAGE: &str = "message";
/// What happens to a gate before anybody speaks to it.
const OPENED: &str = "opened";
/// The verdict of a person on a step that had no effect.
const FAILED: &str = "failed";
/// The end of a compensation's path. Nobody reads what one hands on, so that a text there is a note.
const COMPENSATION: &str = "!compensate";
/// Characters of a note that a line shows. The record has all of it.
const NOTE_MAX: usize = 200;
/// The one who performs the plan.
const HOST: &str = "host";

/// What the lines of a run need of its other records.
pub(crate) struct Told {
    places: Places,
    /// Who was handed a message, by its id.
    readers: HashMap<String, Vec<String>>,
    /// Who sent it.
    senders: HashMap<String, String>,
}

/// What the payload of a message says of its way.
#[derive(Deserialize)]
struct Sent {
    topic: String,
}

impl Told {
    pub(crate) fn of(records: &[RecordEntry]) -> Self {
        let mut told = Self {
            places: Places::of(records),
            readers: HashMap::new(),
            senders: HashMap::new(),
        };
        for record in records {
            let who = plugin_of(&record.actor);
            match &record.said {
                Some(Record::ToolCall(call)) => {
                    let Some(id) = &call.id else { continue };
                    let readers = told.readers.entry(id.clone()).or_default();
                    // One that was stopped while it read is handed the message again.
                    if !readers.iter().any(|reader| reader == who) {
                        readers.push(who.to_owned());
                    }
                }
                Some(Record::Message(message)) => {
                    told.senders.insert(message.id.clone(), who.to_owned());
                }
                _ => {}
            }
        }
        told
    }

    /// The line of such a record; none for any other. `payload` is asked for what the record holds.
    pub(crate) fn line(
        &self,
        record: &RecordEntry,
        payload: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<String> {
        let said = record.said.as_ref()?;
        let step = self.places.path(said).map(|path| format!("step `{path}`"));
        match said {
            Record::GuardVerdict(verdict) => Some(match &verdict.warning {
                Some(about) => warning(about, step, payload()),
                None => {
                    let line = judged(verdict, plugin_of(&record.actor), step);
                    // Why somebody was refused; what only passed or was rewritten is told by its count.
                    let is_refused =
                        verdict.check.is_none() && verdict.verdict.as_deref() == Some("deny");
                    let found = is_refused.then(payload).flatten();
                    match found.as_deref().and_then(findings_told) {
                        Some(found) => format!("{line}: {found}"),
                        None => line,
                    }
                }
            }),
            Record::Message(message) => {
                let sender = plugin_of(&record.actor);
                // What a plan emits, the host sends.
                let sender = match step.filter(|_| sender == HOST) {
                    Some(step) => step,
                    None => format!("`{sender}`"),
                };
                Some(self.sent(message, &sender, payload()))
            }
            // What was said stands in the payload: a note, or what a signal brought.
            Record::Gate(gate) if gate.event != OPENED => {
                let what = format!("gate `{}`: {}", gate.at.path, gate.event);
                Some(word_of(what, gate.by.as_deref(), payload()))
            }
            Record::RunSettle(word) => {
                let what = format!("step `{}`: settled as {}", word.path, word.r#as);
                let note = match word.r#as.as_str() {
                    FAILED => payload(),
                    _ if word.path.ends_with(COMPENSATION) => payload().and_then(|it| noted(&it)),
                    // What a step that is done handed on is its output, and no note.
                    _ => None,
                };
                Some(word_of(what, word.by.as_deref(), note))
            }
            _ => None,
        }
    }

    /// Who sent it to whom, and on which topic.
    fn sent(&self, said: &Message, sender: &str, payload: Option<Vec<u8>>) -> String {
        let mut line = match said.r#type.as_str() {
            REPLY => {
                let question = said.cause.as_ref();
                match question.and_then(|id| self.senders.get(id)) {
                    Some(asker) => format!("{sender} answers `{asker}`"),
                    None => format!("{sender} answers"),
                }
            }
            MESSAGE => match self.readers.get(&said.id) {
                Some(readers) => format!("{sender} to `{}`", readers.join("`, `")),
                None => format!("{sender} to nobody who has read it"),
            },
            other => format!("{other} of {sender}"),
        };
        let in_payload = || {
            Some(
                serde_json::from_slice::<Sent>(payload.as_deref()?)
                    .ok()?
                    .topic,
            )
        };
        if let Some(topic) = said.topic.clone().or_else(in_payload) {
            line.push_str(&format!(", topic `{topic}`"));
        }
        if said.asks == Some(true) && said.r#type == MESSAGE {
            line.push_str(", and waits for an answer");
        }
        line
    }
}

/// The note of a person who took something back by hand, which stands as JSON in the place of an output.
fn noted(payload: &[u8]) -> Option<Vec<u8>> {
    let note = serde_json::from_slice::<String>(payload).ok()?;
    Some(note.into_bytes())
}

/// What a person said, who it was, and what they said besides.
fn word_of(what: String, by: Option<&str>, note: Option<Vec<u8>>) -> String {
    let mut line = what;
    if let Some(by) = by {
        line.push_str(&format!(" by {by}"));
    }
    let note = note.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let note = note.unwrap_or_default();
    if note.is_empty() {
        return line;
    }
    let end = note.char_indices().nth(NOTE_MAX);
    let (shown, more) = match end.and_then(|(at, _)| note.split_at_checked(at)) {
        Some((shown, _)) => (shown, "…"),
        None => (note.as_str(), ""),
    };
    format!("{line}: {shown}{more}")
}

/// What a guardrail or a check said of what.
fn judged(said: &GuardVerdict, actor: &str, step: Option<String>) -> String {
    let verdict = said.verdict.as_deref().unwrap_or("no verdict");
    if let Some(check) = &said.check {
        let of = step.map_or_else(String::new, |step| format!(" of {step}"));
        let holds = match verdict {
            "pass" => "holds",
            _ => "does not hold",
        };
        return format!("check `{check}`{of} {holds}");
    }
    let guard = said.guard.as_deref().unwrap_or(actor);
    let part = said.part.as_deref().unwrap_or_default();
    let side = match part {
        part if part.starts_with("before") => "the input",
        part if part.starts_with("after") => "the output",
        _ => "what passes",
    };
    let about = match (&said.tool, step) {
        (Some(tool), Some(step)) => format!("{side} of `{tool}`, called by {step}"),
        (Some(tool), None) => format!("{side} of `{tool}`"),
        (None, Some(step)) => format!("{side} of {step}"),
        (None, None) => side.to_owned(),
    };
    let mut line = format!("guardrail `{guard}`: {verdict} on {about}");
    let findings = said.findings.and_then(|count| usize::try_from(count).ok());
    if let Some(findings) = findings.filter(|count| *count > 0) {
        line.push_str(&format!(", {}", counted(findings, "finding")));
    }
    if said.warned == Some(true) {
        line.push_str(", as a warning");
    }
    line
}

/// What the planner warns of, in its own words where they are there.
fn warning(about: &str, step: Option<String>, payload: Option<Vec<u8>>) -> String {
    let of = step.map_or_else(String::new, |step| format!(" about {step}"));
    let words = payload.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    format!("warning{of}: {}", words.as_deref().unwrap_or(about))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flowhost_ledger::records::{BegunPart, Gate, PlacePart, RunSettle, StepPart, ToolCall};

    use super::*;

    fn entry(actor: &str, said: Record) -> RecordEntry {
        RecordEntry {
            seq: 0,
            ts: String::new(),
            actor: format!("default/{actor}"),
            kind: String::new(),
            fields: BTreeMap::new(),
            said: Some(said),
            asked: None,
            told: None,
            commit: None,
        }
    }

    /// A call that works for the step `draft`.
    fn call(id: Option<&str>) -> ToolCall {
        ToolCall {
            call_of: BegunPart {
                step: "s1".to_owned(),
                call: Some("1".to_owned()),
                ..BegunPart::default()
            },
            id: id.map(str::to_owned),
            ..ToolCall::default()
        }
    }

    fn message(id: &str, kind: &str, cause: Option<&str>) -> Record {
        Record::Message(Message {
            id: id.to_owned(),
            r#type: kind.to_owned(),
            cause: cause.map(str::to_owned),
            asks: Some(true),
            ..Message::default()
        })
    }

    fn verdict(verdict: GuardVerdict) -> Record {
        Record::GuardVerdict(GuardVerdict {
            verdict: Some("deny".to_owned()),
            place: PlacePart {
                step: Some("s1".to_owned()),
                path: Some("draft".to_owned()),
                ..PlacePart::default()
            },
            ..verdict
        })
    }

    fn lines(records: &[RecordEntry], payload: &str) -> Vec<String> {
        let told = Told::of(records);
        let all = records.iter();
        all.filter_map(|record| told.line(record, || Some(payload.as_bytes().to_vec())))
            .collect()
    }

    #[test]
    fn a_message_names_who_sent_it_who_read_it_and_its_topic() {
        let records = [
            entry("writer", message("m1", MESSAGE, None)),
            entry("critic", Record::ToolCall(call(Some("m1")))),
            entry("critic", message("m2", REPLY, Some("m1"))),
            entry("writer", message("m3", MESSAGE, None)),
        ];
        assert_eq!(
            lines(&records, "{\"payload\":1,\"topic\":\"agents.critic.in\"}"),
            [
                "`writer` to `critic`, topic `agents.critic.in`, and waits for an answer",
                "`critic` answers `writer`, topic `agents.critic.in`",
                "`writer` to nobody who has read it, topic `agents.critic.in`, and waits for an answer",
            ]
        );
    }

    #[test]
    fn a_word_names_who_said_it_and_what_they_noted() {
        let gate = |event: &str, by: Option<&str>| {
            let at = StepPart {
                step: "s2".to_owned(),
                path: "review".to_owned(),
            };
            Record::Gate(Gate {
                at,
                event: event.to_owned(),
                by: by.map(str::to_owned),
                ..Gate::default()
            })
        };
        let settled = |verdict: &str| {
            Record::RunSettle(RunSettle {
                path: "pay".to_owned(),
                r#as: verdict.to_owned(),
                by: Some("ann".to_owned()),
                ..RunSettle::default()
            })
        };
        let records = [
            gate("opened", None),
            gate("approved", Some("ann")),
            gate("signalled", None),
            settled("done"),
            settled("failed"),
        ];
        let records = records.map(|it| entry("host", it));
        assert_eq!(
            lines(&records, "two sets"),
            [
                "gate `review`: approved by ann: two sets",
                "gate `review`: signalled: two sets",
                "step `pay`: settled as done by ann",
                "step `pay`: settled as failed by ann: two sets",
            ]
        );
        let by_hand = Record::RunSettle(RunSettle {
            path: "pay!compensate".to_owned(),
            r#as: "done".to_owned(),
            by: Some("ann".to_owned()),
            ..RunSettle::default()
        });
        assert_eq!(
            lines(&[entry("host", by_hand)], "\"refund 12\""),
            ["step `pay!compensate`: settled as done by ann: refund 12"]
        );
        let long = "x".repeat(500);
        let line = lines(&[entry("host", gate("rejected", Some("bob")))], &long);
        assert_eq!(line.len(), 1);
        assert!(line[0].ends_with("x…") && line[0].len() < 250, "{line:?}");
    }

    #[test]
    fn a_verdict_names_whose_it_is_and_what_it_is_about() {
        let guard = GuardVerdict {
            guard: Some("redact".to_owned()),
            part: Some("after-0".to_owned()),
            findings: Some(2),
            warned: Some(true),
            ..GuardVerdict::default()
        };
        let of_tool = GuardVerdict {
            guard: Some("redact".to_owned()),
            part: Some("before".to_owned()),
            tool: Some("files/read".to_owned()),
            ..GuardVerdict::default()
        };
        let check = GuardVerdict {
            check: Some("short".to_owned()),
            ..GuardVerdict::default()
        };
        let warning = GuardVerdict {
            warning: Some("continued".to_owned()),
            ..GuardVerdict::default()
        };
        let found = "[{\"code\":\"email\",\"message\":\"held one\",\"pointer\":\"\",\"severity\":\"warning\"}]";
        let refused = entry("host", verdict(of_tool.clone()));
        assert_eq!(
            lines(&[refused], found),
            [
                "guardrail `redact`: deny on the input of `files/read`, called by step `draft`: `email`: held one"
            ]
        );
        let records = [guard, of_tool, check, warning].map(|it| entry("host", verdict(it)));
        assert_eq!(
            lines(&records, "it goes on"),
            [
                "guardrail `redact`: deny on the output of step `draft`, 2 findings, as a warning",
                "guardrail `redact`: deny on the input of `files/read`, called by step `draft`",
                "check `short` of step `draft` does not hold",
                "warning about step `draft`: it goes on",
            ]
        );
    }
}
