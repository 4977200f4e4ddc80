//! An order that was handed out before: whoever had it is gone, and what is done now depends on what the
//! record says of it and on what may be done twice.
//!
//! The record is asked first. A call without an intent has not begun, and one with a result has ended, and
//! neither needs anybody's judgement. Only what lies between is decided by the step's `effects`.

use flowhost_engine::content_of;
use flowhost_flow::plan::Effects;
use flowhost_flow::{CallResult, Failure, FailureClass, Owner};
use flowhost_words::PluginKind;

use super::answers::{failed, output_of};
use crate::calls::desk::{Found, Recalled};
use crate::calls::order::Order;
use crate::meters::detail::Detail;
use crate::plugins::content::Whole;

/// What to do with an order.
pub(super) enum Again {
    Perform,
    Answer(Box<CallResult>, Detail),
    /// It is over.
    Nothing,
}

pub(super) fn again(order: &Order, found: Found) -> Again {
    match (found, order.effects) {
        (Found::Nothing, _) => Again::Perform,
        (Found::Heard, _) => Again::Nothing,
        (Found::Begun, Effects::Once) => answer(failed(doubtful()), Detail::default()),
        // The same work under the same key.
        (Found::Begun, _) => Again::Perform,
        (Found::Ended(recalled), _) => {
            let used = recalled.used;
            answer(result_of(order, recalled).unwrap_or_else(failed), used)
        }
    }
}

/// What a call came to that was stopped. It may have come to its end in that moment, and then that is on record: whoever
/// stopped it is told no other.
pub(super) fn stopped(order: &Order, found: Found, used: Detail) -> (CallResult, Detail) {
    match found {
        Found::Ended(recalled) => {
            let used = recalled.used;
            (result_of(order, recalled).unwrap_or_else(failed), used)
        }
        Found::Nothing | Found::Begun | Found::Heard => {
            let failure = Failure::new(FailureClass::Cancelled, "the call was stopped");
            (failed(failure), used)
        }
    }
}

fn answer(result: CallResult, used: Detail) -> Again {
    Again::Answer(Box::new(result), used)
}

fn doubtful() -> Failure {
    let message = "the worker that had taken this call is gone, and how far it came is not known";
    Failure::new(FailureClass::Failed, message).with_hint(
        "look whether its effect happened; a step whose work may be repeated says `effects: keyed` or \
         `effects: idempotent`",
    )
}

/// What the worker that is gone would have answered.
fn result_of(order: &Order, recalled: Recalled) -> Result<CallResult, Failure> {
    let Some(owner) = Owner::parse(&recalled.owner) else {
        return output(order, &recalled.text);
    };
    let class = FailureClass::ALL
        .iter()
        .find(|class| class.word() == recalled.class);
    debug_assert!(class.is_some(), "a result that failed names its class");
    let class = class.copied().unwrap_or(FailureClass::Failed);
    let failure = Failure::new(class, recalled.text).owned_by(owner);
    Err(match recalled.in_doubt {
        true => failure.left_in_doubt(),
        false => failure,
    })
}

fn output(order: &Order, text: &str) -> Result<CallResult, Failure> {
    let unreadable = |why: String| {
        let message = format!("the recorded result of the call cannot be read: {why}");
        Failure::new(FailureClass::Internal, message)
    };
    match order.kind {
        PluginKind::Agent | PluginKind::Guardrail => output_of(text),
        PluginKind::Tool | PluginKind::McpAdapter => {
            let document =
                serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
            let content = content_of(document).map_err(unreadable)?;
            let whole =
                Whole::of(&content, order.whole).map_err(|fault| unreadable(fault.to_string()))?;
            Ok(CallResult::Output(whole.output))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use flowhost_bus::{Bus, Head};
    use flowhost_flow::Amounts;
    use flowhost_flow::planner::Part;
    use flowhost_ledger::{MemoryRecorder, Recorder};
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use super::*;
    use crate::base::tasks;
    use crate::calls::channel::Channel;
    use crate::calls::desk::Recording;
    use crate::calls::mailbox::Mailboxes;
    use crate::calls::worker::{Inbox, Worker};
    use crate::standin::testing::{head, machinery, purse, scope};

    fn order(call: u64) -> Order {
        Order {
            call,
            step_id: "greet".to_owned(),
            path: "greet".to_owned(),
            attempt: 1,
            part: Part::Work,
            plugin: "say".to_owned(),
            revision: 1,
            component: String::new(),
            rights: String::new(),
            kind: PluginKind::Tool,
            function: Some("say".to_owned()),
            input: json!({}),
            config: Value::Null,
            prompt: None,
            prompt_version: None,
            schema: None,
            stage: None,
            remaining_ms: 1_000,
            allowance: Amounts::default(),
            ceilings: Default::default(),
            effects: Effects::Keyed,
            idempotency_key: "key".to_owned(),
            whole: false,
        }
    }

    /// Says something of call 7 on a channel, as its driver does.
    async fn say(bus: &dyn Bus, channel: &Channel, what: &str, step: &str, payload: Value) {
        let head = Head {
            id: channel.id(7, what),
            ..head("host", &format!("step.{what}"))
        };
        let subject = channel.subject(&["step", step, what]).unwrap();
        let sent = bus.publish(&subject, Arc::new(head.seal(payload).unwrap()));
        assert!(!sent.await.unwrap().duplicate);
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_of_a_process_that_is_gone_is_not_performed_by_the_one_that_took_the_run_up() {
        let soon = Duration::from_secs(1);
        let ledger: Arc<dyn Recorder> = Arc::new(MemoryRecorder::default());
        let (scope, machinery) = (scope(ledger.clone()), machinery());
        let (gone, next) = (Channel::of(&scope, 0), Channel::of(&scope, 1));
        let recording = Arc::new(Recording::new(ledger, Arc::default(), purse()));
        let bus = machinery.bus.clone();
        // The carrier keeps what nobody has taken.
        let _kept = Inbox::open(&*bus, &gone).await.unwrap();
        let mut answers = next.listen(&*bus, "step.*.end").await.unwrap();
        let inbox = Inbox::open(&*bus, &next).await.unwrap();
        let worker = Worker::new(scope, next.clone(), &machinery, recording);
        let mailboxes = Mailboxes::open(&worker).await.unwrap();
        let serving = tasks::spawn(worker.serve(inbox, mailboxes));
        let ordered = serde_json::to_value(order(7)).unwrap();
        let stop = json!({ "call": 7, "reason": "its process has to go" });
        say(&*bus, &gone, "cancel", "7", stop).await;
        say(&*bus, &gone, "start", "greet", ordered.clone()).await;
        assert!(timeout(soon, answers.next()).await.is_err());
        say(&*bus, &next, "start", "greet", ordered).await;
        // Performing it fails here, because nothing is installed: that is an answer all the same.
        let answer = timeout(soon, answers.next()).await.unwrap().unwrap();
        let answer = answer.envelope.payload().unwrap().to_string();
        assert!(
            answer.contains("is not one that this run has had"),
            "{answer}"
        );
        serving.abort();
    }

    fn recalled(owner: &str, class: &str, text: &str) -> Recalled {
        Recalled {
            owner: owner.to_owned(),
            class: class.to_owned(),
            in_doubt: false,
            text: text.to_owned(),
            used: Detail::default(),
        }
    }

    #[test]
    fn a_recorded_failure_keeps_its_class_and_its_owner() {
        let failure = |owner, class| {
            let result = result_of(&order(7), recalled(owner, class, "no"));
            let failure = result.unwrap_err();
            (failure.class, failure.owner)
        };
        let denied = (FailureClass::Denied, Owner::Policy);
        assert_eq!(failure("policy", "denied"), denied);
        let late = (FailureClass::Timeout, Owner::Limit);
        assert_eq!(failure("limit", "timeout"), late);
        let again = (FailureClass::Transient, Owner::Guest);
        assert_eq!(failure("guest", "transient"), again);
    }

    #[test]
    fn a_recorded_result_is_what_the_step_hands_on() {
        let output = |kind, whole, text: &str| {
            let mut order = order(7);
            (order.kind, order.whole) = (kind, whole);
            match result_of(&order, recalled("", "", text)) {
                Ok(CallResult::Output(output)) => output,
                other => panic!("{other:?}"),
            }
        };
        let content = r#"{"parts":[],"value":{"n":1}}"#;
        assert_eq!(output(PluginKind::Tool, false, content), json!({ "n": 1 }));
        let agents = output(PluginKind::Agent, false, r#"{"n":1}"#);
        assert_eq!(agents, json!({ "n": 1 }));
        // Who asked for a step of a session is told all of it.
        let whole: Value = serde_json::from_str(content).unwrap();
        assert_eq!(output(PluginKind::Tool, true, content), whole);
    }

    #[test]
    fn a_call_that_is_stopped_in_the_moment_of_its_end_has_ended_as_the_record_says() {
        let mut order = order(7);
        order.kind = PluginKind::Agent;
        let of = |found| stopped(&order, found, Detail::default()).0;
        let ended = of(Found::Ended(recalled("", "", r#"{"n":1}"#)));
        assert!(matches!(ended, CallResult::Output(it) if it == json!({ "n": 1 })));
        let late = of(Found::Ended(recalled("limit", "timeout", "late")));
        assert!(matches!(late, CallResult::Failed(it) if it.class == FailureClass::Timeout));
        for found in [Found::Nothing, Found::Begun, Found::Heard] {
            let stopped = of(found);
            assert!(
                matches!(&stopped, CallResult::Failed(it) if it.class == FailureClass::Cancelled),
                "{stopped:?}"
            );
        }
    }

    #[test]
    fn a_recorded_result_that_cannot_be_read_is_the_hosts_failure() {
        let failure = result_of(&order(7), recalled("", "", "{")).unwrap_err();
        assert_eq!(failure.class, FailureClass::Internal);
    }
}
