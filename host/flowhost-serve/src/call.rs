//! One `tools/call`: from the arguments to a run, from the run's events to progress, from its end to an
//! answer.

use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_mcp::{Code, RpcError, progress_token};
use flowhost_run::{Failure, Heard, Run, RunEvent};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use crate::answer::{self, Ended};
use crate::pace::Pace;
use crate::peer::Stop;
use crate::server::Server;
use crate::shelf::Kind;

/// Why a run is stopped, as its record says.
const CANCELLED: &str = "the MCP client cancelled the call";

/// Where frames beside the answer go; a client that does not read them in time misses some.
pub(crate) type Told = mpsc::Sender<Value>;

/// Calls one of the offers. A caller that drops this stops the run.
pub(crate) async fn call(
    server: &Arc<Server>,
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
    let work = perform(server.clone(), index, arguments, told, stop, gone);
    // A task of its own: it sees the run to its end, and its evidence sealed, whoever still waits.
    let work = tokio::spawn(work);
    let _stops = StopOnDrop(dropped);
    work.await.map_err(|_panic| {
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

async fn perform(
    server: Arc<Server>,
    index: usize,
    arguments: Map<String, Value>,
    told: Option<(Told, Value)>,
    stop: Stop,
    gone: Stop,
) -> Value {
    let kind = server
        .shelf
        .offers()
        .get(index)
        .map_or(Kind::Plan, |offer| offer.kind);
    let Ok(_place) = server.room.try_acquire() else {
        let failure = Failure::new(
            Exit::Limit,
            "as many calls are at work as this host makes at once",
        )
        .hint("call again when one of them has ended");
        return answer::result(kind, &Ended::Not(&failure));
    };
    let run = match begin(&server, index, arguments).await {
        Ok(run) => run,
        Err(failure) => return answer::result(kind, &Ended::Not(&failure)),
    };
    follow(&run, kind, told, stop, gone).await;
    match run.outcome().await {
        Err(failure) => answer::result(kind, &Ended::Not(&failure)),
        Ok(finished) => {
            let content = match (kind, &finished.outcome.end.failure) {
                (Kind::Tool, None) => content(&server, run.id()).await,
                _ => None,
            };
            answer::result(kind, &Ended::Run(&finished, content))
        }
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
        waits.runs.add(run.id(), &offer.name);
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
async fn follow(
    run: &Run,
    kind: Kind,
    told: Option<(Told, Value)>,
    mut stop: Stop,
    mut gone: Stop,
) {
    let mut events = run.events();
    let mut pace = Pace::new(kind);
    let mut asked = false;
    loop {
        let heard = tokio::select! {
            heard = events.next() => heard,
            () = stopped(&mut stop, &mut gone), if !asked => {
                asked = true;
                run.cancel(CANCELLED);
                continue;
            }
        };
        match heard {
            None | Some(Heard::Event(RunEvent::Ended)) => return,
            Some(Heard::Missed(_)) => {}
            Some(Heard::Event(event)) => {
                let further = pace.hear(&event);
                if let (Some(Value::Object(mut params)), Some((told, token))) = (further, &told) {
                    params.insert("progressToken".to_owned(), token.clone());
                    let frame = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
                    // A client that does not read must not hold the run up.
                    let _full_or_gone = told.try_send(frame);
                }
            }
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

async fn content(server: &Arc<Server>, run: &str) -> Option<Value> {
    let (server, run) = (server.clone(), run.to_owned());
    let read = tokio::task::spawn_blocking(move || server.shelf.content(&run)).await;
    match read {
        Ok(Ok(content)) => content,
        Ok(Err(failure)) => {
            tracing::warn!(
                reason = failure.message,
                "a tool's whole content cannot be read back"
            );
            None
        }
        Err(_panic) => None,
    }
}

fn invalid(message: &str) -> RpcError {
    RpcError::new(Code::InvalidParams, message)
}
