//! The driver's part in a run that is open to requests: what is wished becomes an event, and what the planner replies
//! goes to whoever asked.
//!
//! Nothing of a request is kept once it is replied to. Must never reply to what is not on record.

use std::collections::HashMap;

use flowhost_engine::handed_on_of;
use flowhost_flow::planner::RequestId;
use flowhost_flow::{CallResult, Event};
use flowhost_ledger::Ledger;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Driver;
use crate::host::requests::{Done, Replied, Reply, Request, Wish};

/// Who asked, and waits.
pub(super) struct Asked {
    open: HashMap<RequestId, oneshot::Sender<Reply>>,
    /// What replies are on record in.
    ledger: Option<Ledger>,
    /// What the call that the planner hears of has beside what its step hands on, and where the call's work stands: the same
    /// turn may end other requests before that one.
    parts: Option<(String, Parts)>,
}

/// A tool's content but for its value.
struct Parts {
    parts: Value,
    /// The tool gave no value: its step hands on the whole content.
    alone: bool,
}

impl Asked {
    pub(super) fn new(ledger: Option<Ledger>) -> Self {
        Self {
            open: HashMap::new(),
            ledger,
            parts: None,
        }
    }

    /// Of the whole content of a tool, whose work stands at `path`, what its step hands on; the rest is held until the planner
    /// has heard of it.
    pub(super) fn taken_apart(&mut self, path: &str, result: CallResult) -> CallResult {
        match result {
            CallResult::Output(content) => {
                let parts = Parts {
                    parts: content.get("parts").cloned().unwrap_or_default(),
                    alone: content.get("value").is_none_or(Value::is_null),
                };
                self.parts = Some((path.to_owned(), parts));
                CallResult::Output(handed_on_of(content))
            }
            other => other,
        }
    }

    /// The planner has heard of it. What it did not reply with it wants to have made again.
    pub(super) fn heard(&mut self) {
        self.parts = None;
    }
}

/// The whole content again.
fn put_together(output: Value, parts: Option<Parts>) -> Value {
    match parts {
        None => json!({ "value": output, "parts": [] }),
        Some(Parts { parts, alone }) => {
            let value = if alone { Value::Null } else { output };
            json!({ "value": value, "parts": parts })
        }
    }
}

impl Driver {
    /// What somebody wishes of the run.
    pub(super) async fn wish(&mut self, wish: Wish) {
        let Some(asked) = &mut self.asked else {
            debug_assert!(false, "the run is not open to requests");
            return;
        };
        let event = match wish {
            Wish::Request(request) => {
                let Request {
                    id,
                    step,
                    input,
                    reply,
                } = *request;
                asked.open.insert(id, reply);
                Event::Requested {
                    request: id,
                    step,
                    input,
                }
            }
            // What was replied to cannot be taken back.
            Wish::Withdraw(request) if !asked.open.contains_key(&request) => return,
            Wish::Withdraw(request) => Event::Withdrawn { request },
            Wish::Close(stops) => Event::Closed { stops },
        };
        self.feed(event).await;
    }

    /// A request is done with.
    pub(super) fn reply(
        &mut self,
        request: RequestId,
        path: String,
        result: Result<Value, flowhost_flow::Failure>,
    ) {
        let Some(asked) = &mut self.asked else {
            debug_assert!(false, "the run is not open to requests");
            return;
        };
        let parts = asked.parts.take_if(|(of, _)| *of == path);
        let parts = parts.map(|(_, parts)| parts);
        // Whoever asked another process of this run is gone with it.
        let Some(reply) = asked.open.remove(&request) else {
            return;
        };
        let mut result = result.map(|output| put_together(output, parts));
        self.journal.shown(&mut result);
        let mut warnings = said_of(&self.warnings, &path);
        for text in &mut warnings {
            self.journal.shown_text(text);
        }
        let step = self.steps.get(&path);
        let replied = Replied {
            result,
            warnings,
            used: step.map(|step| step.summary.used).unwrap_or_default(),
            run_bytes: 0,
            path,
        };
        let (ledger, alone) = (asked.ledger.clone(), asked.open.is_empty());
        // Nobody has to wait for it.
        let _gone = reply.send(Reply::Done(Box::new(Done {
            replied,
            ledger,
            alone,
        })));
    }
}

/// What the run warns of the work at this path.
fn said_of(warnings: &[String], path: &str) -> Vec<String> {
    let is_of = |it: &&String| {
        let rest = it.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with(": "))
    };
    warnings.iter().filter(is_of).cloned().collect()
}

/// The next wish; never one where nobody can wish anything.
pub(super) async fn wished(wishes: &mut Option<mpsc::Receiver<Wish>>) -> Wish {
    if let Some(wishes) = wishes
        && let Some(wish) = wishes.recv().await
    {
        return wish;
    }
    std::future::pending().await
}

/// The driver takes no more: what it has not heard is not on record, and whoever asked may ask elsewhere.
pub(super) fn turn_away(wishes: Option<mpsc::Receiver<Wish>>) {
    // Only a run that is open to requests has any.
    let Some(mut wishes) = wishes else { return };
    // Closed before it is emptied, so that none comes in behind the last.
    wishes.close();
    while let Ok(wish) = wishes.try_recv() {
        if let Wish::Request(request) = wish {
            let _gone = request.reply.send(Reply::Unheard);
        }
    }
}
