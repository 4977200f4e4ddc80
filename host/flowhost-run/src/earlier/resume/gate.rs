//! Somebody outside speaks to a gate: a person's yes or no, or another program's payload. What is said is a
//! signed record, and heard when the run is resumed.

use flowhost_flow::Exit;
use flowhost_flow::plan::Wants;
use flowhost_flow::planner::{GateAnswer, OpenGate};
use flowhost_ledger::records::{Gate, RecordKind as _, StepPart};
use flowhost_words::{shell_word, with_keys};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::earlier::resume::past::Reached;
use crate::earlier::resume::settle::speak;
use crate::earlier::resume::{Kept, Resumed};
use crate::given::process::Process;

/// What somebody says.
#[derive(Debug, Clone)]
pub enum Word {
    /// Yes, and what they say besides.
    Approve(String),
    /// No, and why.
    Reject(String),
    /// A payload.
    Signal(Value),
}

/// To which gate, and who says so.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The gate's path.
    pub gate: String,
    /// What is said.
    pub word: Word,
    /// Who says it; empty when nobody gave a name.
    pub by: String,
}

/// Records it. Gives the number of the gate.
pub(crate) fn answer(
    host: &Process,
    kept: &dyn Kept,
    run: &str,
    said: &Spoken,
) -> Result<u64, Failure> {
    let now_ms = host.config.world.now_ms();
    speak(host, kept, run, |resumed, _, actor| {
        let gate = find(resumed, run, &said.gate, now_ms)?;
        let (event, payload) = match (&said.word, gate.wants) {
            (Word::Approve(note), Wants::Approval) => ("approved", note.clone()),
            (Word::Reject(note), Wants::Approval) => ("rejected", note.clone()),
            (Word::Signal(payload), Wants::Signal) => ("signalled", payload.to_string()),
            (_, wants) => {
                let gate = shell_word(&said.gate);
                let cure = match wants {
                    Wants::Approval => {
                        format!("`flowhost runs approve {run} {gate} --by NAME` (or `reject`)")
                    }
                    Wants::Signal => format!("`flowhost runs signal {run} {gate} --payload JSON`"),
                };
                let why = format!("`{}` waits for {}", said.gate, word_of(wants));
                return Err(refused(&said.gate, why).hint(cure));
            }
        };
        let record = Gate {
            at: StepPart {
                step: gate.step_id.clone(),
                path: gate.path.clone(),
            },
            gate: gate.id.0,
            event: event.to_owned(),
            wants: gate.wants.word().to_owned(),
            until_ms: None,
            // A claim. Who signs is the host, as of every record of its own.
            by: (!said.by.is_empty()).then(|| said.by.clone()),
        };
        Ok((record.by(actor).payload(payload.into_bytes()), gate.id.0))
    })
}

const fn word_of(wants: Wants) -> &'static str {
    match wants {
        Wants::Approval => "a person's word",
        Wants::Signal => "a signal",
    }
}

/// The gate of this path, if it can be spoken to.
fn find<'r>(
    resumed: &'r Resumed,
    run: &str,
    path: &str,
    now_ms: u64,
) -> Result<&'r OpenGate, Failure> {
    let open = &resumed.rebuilt.gates;
    let goes_on = with_keys(&format!("flowhost runs resume {run}"), &resumed.past.keys());
    let goes_on = format!("`{goes_on}`");
    let Some(gate) = open.values().find(|gate| gate.path == path) else {
        // Of such a step a person says what became of it, and not whether the run may go on.
        let mut calls = resumed.rebuilt.open.values();
        if calls.any(|call| call.path == path && resumed.takes_a_word(call)) {
            let step = shell_word(path);
            let why =
                "it is a step of which nobody knows whether it had its effect, and not a gate";
            return Err(refused(path, why).hint(format!(
                "look whether it happened, then `flowhost runs settle {run} {step} --as done` (or `failed`, or `retry`)"
            )));
        }
        let waiting: Vec<String> = open
            .values()
            .map(|gate| format!("`{}`", gate.path))
            .collect();
        let why = match waiting.is_empty() {
            true => "the run waits at no gate".to_owned(),
            false => format!("the run waits at {}, and not there", waiting.join(", ")),
        };
        return Err(refused(path, why));
    };
    // What was said stands, also where the time is up by now: it came before that.
    match resumed.past.gates.get(&gate.id.0) {
        Some(Reached {
            answer: Some((answer, by)),
            ..
        }) => {
            let by = match by.is_empty() {
                true => String::new(),
                false => format!(" by {by}"),
            };
            let why = match answer {
                GateAnswer::Approval { approved: true, .. } => {
                    format!("it was approved{by} before")
                }
                GateAnswer::Approval { .. } => format!("it was rejected{by} before"),
                GateAnswer::Signal { .. } => format!("it was signalled{by} before"),
                GateAnswer::TimedOut => {
                    debug_assert!(false, "nobody says that a time is up: the clock does");
                    "its time was up".to_owned()
                }
            };
            let message = format!("the gate `{path}` has had its word, and this one is not taken");
            let failure = Failure::new(Exit::Internal, message).because(why);
            Err(failure.hint(format!("{goes_on} goes on with what was said")))
        }
        Some(Reached { until_ms, .. }) if *until_ms <= now_ms => {
            let why = format!("its time was up at {}", when(*until_ms));
            Err(refused(path, why)
                .hint(format!("{goes_on} goes on with what the plan says of that")))
        }
        Some(_) => Ok(gate),
        None => Err(
            refused(path, "its process was killed before the gate was open")
                .hint(format!("{goes_on} opens it")),
        ),
    }
}

fn refused(path: &str, why: impl Into<String>) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("nothing was said to the gate `{path}`"),
    )
    .because(why)
}

/// A time as a person reads it, UTC to the second.
pub(crate) fn when(ms: u64) -> String {
    let stamp = flowhost_ledger::timestamp(ms.saturating_mul(1_000));
    let seconds = stamp.split('.').next().unwrap_or(&stamp).replace('T', " ");
    format!("{seconds} UTC")
}
