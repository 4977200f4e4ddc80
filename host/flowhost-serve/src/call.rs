//! One `tools/call`: from the arguments to a run, or to a step of the session's; from the run's events to progress; from
//! the end to an answer.

use std::sync::{Arc, Weak};

use flowhost_flow::Exit;
use flowhost_flow::planner::Note;
use flowhost_mcp::{Code, RpcError, progress_token};
use flowhost_run::{Events, Failure, Heard, Replied, Requested, Run, RunEvent, Unheard};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use crate::answer;
use crate::pace::Pace;
use crate::peer::Stop;
use crate::server::Server;
use crate::session::{Session, ended_before, ending};
use crate::shelf::Kind;
use crate::through::{Panicked, SeenThrough};

/// Why a run is stopped, as its record says.
const CANCELLED: &str = "the MCP client cancelled the call";

/// Where frames beside the answer go; a client that does not read them in time misses some.
pub(crate) type Told = mpsc::Sender<Value>;

/// Calls one of the offers. A caller that drops this stops the call.
pub(crate) async fn call(
    server: &Arc<Server>,
    session: &Arc<Session>,
    params: &Map<String, Value>,
    told: Option<Told>,
    stop: Stop,
) -> Result<Value, RpcError> {
    let name = params.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| invalid("`params.name` is not a text"))?;
    let offers = server.shelf.offers().iter();
    let index = offers.clone().position(|offer| offer.name == name);
    let index =
        index.ok_or_else(|| invalid(&format!("this server does not offer the tool `{name}`")))?;
    let arguments = match params.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(_) => return Err(invalid("`params.arguments` is not an object")),
    };
    let told = progress_token(params).and_then(|token| Some((told?, token)));
    let (dropped, gone) = watch::channel(false);
    let waiting = Waiting { told, stop, gone };
    let work = perform(server.clone(), session.clone(), index, arguments, waiting);
    let work = SeenThrough::new(work);
    let _stops = StopOnDrop(dropped);
    work.await.map_err(|Panicked| {
        RpcError::new(
            Code::Internal,
            "the host failed while it made the call; this is a bug of it",
        )
    })
}

struct StopOnDrop(watch::Sender<bool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Whoever waits for an answer.
struct Waiting {
    /// Where progress is told, under which token.
    told: Option<(Told, Value)>,
    stop: Stop,
    gone: Stop,
}

impl Waiting {
    /// Tells of an event, if the call is further by it.
    fn tell(&self, pace: &mut Pace, event: &RunEvent) {
        // The client did not ask to be told.
        let Some((told, token)) = &self.told else {
            return;
        };
        // It wants to hear no more: its token is for the next call to use.
        if *self.stop.borrow() || *self.gone.borrow() {
            return;
        }
        if let Some(Value::Object(mut params)) = pace.hear(event) {
            params.insert("progressToken".to_owned(), token.clone());
            let frame =
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
            // A client that does not read must not hold the run up.
            let _full_or_gone = told.try_send(frame);
        }
    }
}

async fn perform(
    server: Arc<Server>,
    session: Arc<Session>,
    index: usize,
    arguments: Map<String, Value>,
    waiting: Waiting,
) -> Value {
    if server.is_ending() {
        return answer::refusal(&ending());
    }
    // Refused and not kept waiting: a model that is told so can do something else meanwhile.
    let Ok(_place) = server.room.try_acquire() else {
        let failure = Failure::new(
            Exit::Limit,
            "as many calls are at work as this host makes at once",
        )
        .hint("call again when one of them has ended");
        return answer::refusal(&failure);
    };
    let offer = server.shelf.offers().get(index);
    match offer.filter(|offer| offer.kind == Kind::Tool) {
        Some(offer) => {
            let step = offer.step.clone();
            tool(&server, &session, &step, arguments, waiting).await
        }
        None => plan(&server, index, arguments, waiting).await,
    }
}

/// A call of a plan: a run of its own.
async fn plan(
    server: &Arc<Server>,
    index: usize,
    arguments: Map<String, Value>,
    waiting: Waiting,
) -> Value {
    let run = match begin(server, index, arguments).await {
        Ok(run) => run,
        Err(failure) => return answer::refusal(&failure),
    };
    follow(&run, waiting).await;
    // Also where the client is gone: the place that the call takes is free when its run is over, and not before.
    match run.outcome().await {
        Err(failure) => answer::refusal(&failure),
        Ok(finished) => {
            warn(&finished.run, &finished.outcome.warnings);
            answer::of_run(&finished)
        }
    }
}

/// A call of a tool: a step of the session's run.
async fn tool(
    server: &Arc<Server>,
    session: &Arc<Session>,
    step: &str,
    arguments: Map<String, Value>,
    mut waiting: Waiting,
) -> Value {
    let (input, follows) = (Value::Object(arguments), waiting.told.is_some());
    // A run may end in the moment in which it is asked, and then it has heard nothing.
    for _ in 0..2 {
        let requested = session.request(server, step, &input, follows).await;
        let (requested, events) = match requested {
            Ok(requested) => requested,
            Err(failure) => return answer::refusal(&failure),
        };
        let run = requested.run().to_owned();
        let replied = hear(requested, events, &mut waiting).await;
        session.replied(&run, replied.as_ref().ok()).await;
        match replied {
            Ok(replied) => {
                warn(&run, &replied.warnings);
                return answer::of_request(&run, replied);
            }
            Err(Unheard::Failed(failure)) => return answer::refusal(&failure),
            Err(Unheard::Closed) => {}
        }
    }
    answer::refusal(&ended_before())
}

/// Tells whoever runs the server, too: a client that cancelled its call is not answered.
fn warn(run: &str, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(run, "{warning}");
    }
}

/// Waits for the reply, and tells meanwhile how far the call is.
async fn hear(
    requested: Requested,
    mut events: Option<Events>,
    waiting: &mut Waiting,
) -> Result<Replied, Unheard> {
    let (path, withdrawal) = (requested.path().to_owned(), requested.withdrawal());
    let mut reply = std::pin::pin!(requested.reply());
    let (mut pace, mut asked, mut at) = (Pace::new(Kind::Tool), false, None);
    loop {
        let heard = tokio::select! {
            // What is told comes before the answer, and the word to stop before both: of a run in which others tell much
            // there may always be something more to hear.
            biased;
            () = stopped(&mut waiting.stop, &mut waiting.gone), if !asked => {
                asked = true;
                withdrawal.withdraw();
                continue;
            }
            heard = next(&mut events) => heard,
            replied = &mut reply => return replied,
        };
        match heard {
            None => events = None,
            Some(Heard::Missed(_)) => {}
            Some(Heard::Event(event)) => match &event {
                RunEvent::Note(Note::StepStarted {
                    path: of, step_id, ..
                }) if *of == path => at = Some(step_id.clone()),
                // The calls of others are at work in the same run.
                RunEvent::Progress(line) if at.as_deref() == Some(&*line.step) => {
                    waiting.tell(&mut pace, &event);
                }
                _ => {}
            },
        }
    }
}

/// The next event; never one where nobody follows, and none after the last.
async fn next(events: &mut Option<Events>) -> Option<Heard> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

async fn begin(
    server: &Arc<Server>,
    index: usize,
    arguments: Map<String, Value>,
) -> Result<Run, Failure> {
    let (shelf, waits) = (server.clone(), server.clone());
    tokio::task::spawn_blocking(move || {
        let offer = shelf.shelf.offers().get(index);
        let offer = offer.ok_or_else(|| Failure::new(Exit::Internal, "the offer is gone"))?;
        let run = shelf.shelf.start(offer, arguments)?;
        waits.runs.add(run.id(), &offer.name, Weak::new());
        Ok(run)
    })
    .await
    .unwrap_or_else(|_panic| {
        Err(
            Failure::new(Exit::Internal, "the host failed while it prepared the run")
                .hint("this is a bug of the host; please report it"),
        )
    })
}

/// Tells how far the run is, until it is over.
async fn follow(run: &Run, mut waiting: Waiting) {
    let mut events = run.events();
    let mut pace = Pace::new(Kind::Plan);
    let mut asked = false;
    loop {
        // In no order: a run that tells without end must not keep the word to stop it waiting.
        let heard = tokio::select! {
            heard = events.next() => heard,
            () = stopped(&mut waiting.stop, &mut waiting.gone), if !asked => {
                asked = true;
                run.cancel(CANCELLED);
                continue;
            }
        };
        match heard {
            None | Some(Heard::Event(RunEvent::Ended)) => return,
            Some(Heard::Missed(_)) => {}
            Some(Heard::Event(event)) => waiting.tell(&mut pace, &event),
        }
    }
}

/// Waits until the client cancelled, or nobody waits for the answer.
async fn stopped(stop: &mut Stop, gone: &mut Stop) {
    tokio::select! {
        () = asked(stop) => {}
        () = asked(gone) => {}
    }
}

async fn asked(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could have asked is gone without asking: the other one decides.
        std::future::pending::<()>().await;
    }
}

fn invalid(message: &str) -> RpcError {
    RpcError::new(Code::InvalidParams, message)
}

#[cfg(test)]
mod tests {
    use flowhost_caps::log::ProgressLine;

    use super::*;

    fn further(done: f64) -> RunEvent {
        RunEvent::Progress(ProgressLine {
            tenant: "t".into(),
            run: "r".into(),
            step: "s".into(),
            plugin: "p".into(),
            call: "1".into(),
            done,
            total: None,
            message: String::new(),
        })
    }

    #[test]
    fn of_a_call_that_its_client_cancelled_or_left_nothing_more_is_told() {
        for at in 0..2 {
            let (told, mut frames) = mpsc::channel(4);
            let ways = [watch::channel(false), watch::channel(false)];
            let waiting = Waiting {
                told: Some((told, json!("t"))),
                stop: ways[0].1.clone(),
                gone: ways[1].1.clone(),
            };
            let mut pace = Pace::new(Kind::Tool);
            waiting.tell(&mut pace, &further(1.0));
            assert!(frames.try_recv().is_ok());
            ways[at].0.send_replace(true);
            waiting.tell(&mut pace, &RunEvent::Started);
            waiting.tell(&mut pace, &further(2.0));
            assert!(frames.try_recv().is_err(), "{at}");
        }
    }
}
