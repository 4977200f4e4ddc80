//! Whoever is asked when a run waits: looks at the world, says what became of a call that nobody knows the
//! end of, and answers gates. What is said is recorded as `runs settle` and `runs approve` record it.

use flowhost_flow::plan::Wants;
use flowhost_ledger::records::{Gate, RecordKind as _, RunSettle, StepPart};
use flowhost_ledger::{Fact, Ledger, Recorder as _};

use super::guest::output;
use super::random::Mood;
use super::run::{Simulated, TENANT};

/// Says what has to be said. Gives how much that was.
pub(super) fn speak(simulated: &Simulated) -> u64 {
    let world = &simulated.world;
    let ledger = Ledger::reopen(&simulated.options());
    let ledger = ledger.unwrap_or_else(|error| panic!("a run that waits is whole: {error:?}"));
    let (_, resumed) = simulated.read().unwrap().expect("a run that waits began");
    let actor = format!("{TENANT}/host");
    let mut facts: Vec<Fact> = Vec::new();
    for call in resumed.doubtful() {
        let happened = world.seen().effects.iter().any(|it| it.call == call.id.0);
        let word = if happened { "done" } else { "retry" };
        let record = RunSettle {
            call: call.id.0,
            step: call.step_id.clone(),
            path: call.path.clone(),
            r#as: word.to_owned(),
            by: Some("ann".to_owned()),
        };
        let fact = record.by(actor.clone());
        facts.push(match happened {
            true => fact.payload(output(&call.step_id).to_string().into_bytes()),
            false => fact,
        });
    }
    for gate in resumed.rebuilt.gates.values() {
        let reached = resumed.past.gates.get(&gate.id.0);
        if reached.is_none_or(|it| it.answer.is_some() || it.until_ms <= world.now_ms()) {
            continue; // resuming opens it, has heard what was said, or does what its time limit says
        }
        let approves = world.mood == Mood::Calm || world.fate(&["gate", &gate.path]) < 70;
        let (event, payload) = match (gate.wants, approves) {
            (Wants::Signal, _) => ("signalled", r#"{"n":1}"#),
            (Wants::Approval, true) => ("approved", "go"),
            (Wants::Approval, false) => ("rejected", "no"),
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
            by: Some("ann".to_owned()),
        };
        facts.push(
            record
                .by(actor.clone())
                .payload(payload.as_bytes().to_vec()),
        );
    }
    let said = facts.len() as u64;
    for fact in facts {
        ledger.append(fact).unwrap();
    }
    ledger.close_blocking().unwrap();
    said
}
