//! A server's process at work: one task reads its lines and hands each frame to the stream that waits for
//! it, by the ids in it alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowhost_engine::neutralise;
use flowhost_jail::{End, Running};
use flowhost_mcp::{Id, Route, route};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

use super::mailbox::{Arrival, Came, Unasked, Waiter, Waiting};

/// Longest frame in either direction: as much as a body of http may hold where a profile says nothing.
pub(super) const FRAME_MAX: usize = 4 << 20;
/// Longest wait for a server that does not read what it is sent.
const WRITE: Duration = Duration::from_secs(30);
/// How long a process that has closed its output may go on.
const LINGER: Duration = Duration::from_secs(1);
/// Characters of a line that is no frame, as an error repeats them.
const SAID_CHARS: usize = 120;

#[derive(Default)]
struct Routes {
    /// Who waits for the answer to a request.
    asked: HashMap<Id, Waiter>,
    /// Whose progress a token is.
    tokens: HashMap<Id, Id>,
    /// What was not asked for.
    unasked: Unasked,
    /// Why nothing comes any more.
    gone: Option<String>,
}

/// One process.
pub(super) struct Peer {
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    routes: Arc<Mutex<Routes>>,
    waiting: Waiting,
    /// Tells the keeper of the process to end it.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// Whether it has ended, and its end is on record.
    over: watch::Receiver<bool>,
}

impl Peer {
    /// Takes a process over. `changed` hears each time that it says it has other tools, `ended` how it ended, once.
    pub(super) fn new(
        mut running: Running,
        changed: impl Fn() + Send + Sync + 'static,
        ended: impl FnOnce(&End) + Send + 'static,
    ) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let (tell, over) = watch::channel(false);
        let peer = Self {
            stdin: tokio::sync::Mutex::new(running.stdin.take()),
            routes: Arc::default(),
            waiting: Waiting::default(),
            stop: Mutex::new(Some(stop)),
            over,
        };
        let stdout = running.stdout.take();
        let (routes, waiting) = (peer.routes.clone(), peer.waiting.clone());
        tokio::spawn(async move {
            let heard = async {
                match stdout {
                    Some(stdout) => listen(stdout, &routes, &waiting, &changed).await,
                    None => "it has no output".to_owned(),
                }
            };
            let (why, wanted) = tokio::select! {
                why = heard => (why, false),
                _ = &mut stopped => (String::new(), true),
            };
            let words = running.words();
            // Who waits for one that has broken the rules of the stream hears so at once, and it gets no time to
            // go by itself.
            let broken = !why.is_empty();
            if broken {
                close(&routes, &told(&why, &End::Stopped, &words.last()));
            } else if !wanted {
                tokio::select! {
                    // Left to go by itself for a moment, so that its own code is on record and not
                    // our signal.
                    _ = running.ended() => {}
                    _ = &mut stopped => {}
                    () = tokio::time::sleep(LINGER) => {}
                }
            }
            let end = match broken {
                true => running.kill().await,
                false => running.stop().await,
            };
            // Before those who wait hear of it: what they do next, perhaps another start, stands
            // behind its end.
            ended(&end);
            if !broken {
                close(&routes, &told(&why, &end, &words.last()));
            }
            tell.send_replace(true);
        });
        peer
    }

    /// Why nothing comes any more, if so.
    pub(super) fn gone(&self) -> Option<String> {
        self.lock().gone.clone()
    }

    /// Sends a request whose answer comes on `stream`. An error was not sent.
    pub(super) async fn ask(
        &self,
        frame: &str,
        asks: Route,
        stream: &str,
        sender: &UnboundedSender<Arrival>,
    ) -> Result<(), Unsent> {
        let id = asks.id.ok_or(Unsent::NoRequest)?;
        let waiter = Waiter {
            stream: stream.to_owned(),
            sender: sender.clone(),
        };
        {
            let mut routes = self.lock();
            if let Some(why) = &routes.gone {
                return Err(Unsent::Gone(why.clone()));
            }
            if routes.asked.contains_key(&id) {
                return Err(Unsent::Twice);
            }
            if let Some(token) = asks.token {
                routes.tokens.insert(token, id.clone());
            }
            // Before the frame is written: a fast server may answer before the write returns.
            routes.asked.insert(id.clone(), waiter);
        }
        let written = self.write(frame).await;
        if written.is_err() {
            self.forget(stream);
        }
        written
    }

    /// Sends what has no answer.
    pub(super) async fn write(&self, frame: &str) -> Result<(), Unsent> {
        let mut stdin = self.stdin.lock().await;
        let gone = |why: &str| Unsent::Gone(self.gone().unwrap_or_else(|| why.to_owned()));
        // It is put back with a line that is whole, and not where the call that writes is over before: behind half of a
        // line nothing would be the frame that it is.
        let Some(mut pipe) = stdin.take() else {
            return Err(gone("its input is closed"));
        };
        let half = Half(Some(self));
        // In one piece with its end: a server that reads by lines waits for that.
        let line = format!("{frame}\n");
        let writing = async {
            pipe.write_all(line.as_bytes()).await?;
            pipe.flush().await
        };
        match tokio::time::timeout(WRITE, writing).await {
            Ok(Ok(())) => {
                half.done();
                *stdin = Some(pipe);
                Ok(())
            }
            // It has closed its input, and is about to go by itself.
            Ok(Err(error)) => {
                half.done();
                Err(gone(&format!("it does not read: {}", error.kind())))
            }
            Err(_) => Err(gone("it reads nothing")),
        }
    }

    /// From now on what was not asked for arrives there; first what came before.
    pub(super) fn listen(&self, waiter: Waiter) {
        let mut routes = self.lock();
        routes.unasked.listen(waiter.clone(), &self.waiting);
        if let Some(why) = &routes.gone {
            waiter.tell(Ok(Came::Broken(why.clone())));
        }
    }

    /// Nothing comes on `stream` any more.
    pub(super) fn forget(&self, stream: &str) {
        let mut routes = self.lock();
        let of = |waiter: &Waiter| waiter.stream == stream;
        let ids: Vec<Id> = (routes.asked.iter())
            .filter(|(_, waiter)| of(waiter))
            .map(|(id, _)| id.clone())
            .collect();
        routes.asked.retain(|_, waiter| !of(waiter));
        routes.tokens.retain(|_, id| !ids.contains(id));
        routes.unasked.forget(stream);
    }

    /// Lets the process go. Whoever waits for an answer of it has a moment for that.
    fn dismiss(&self) {
        let stop = self
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(stop);
    }

    /// Ends the process, and waits until its end is on record.
    pub(super) async fn stop(&self) {
        // Closed input is how MCP tells a server to go; the sandbox ends one that does not.
        *self.stdin.lock().await = None;
        self.dismiss();
        let mut over = self.over.clone();
        let _over = over.wait_for(|over| *over).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that is being written. Dropped before it is whole, it ends the process: that can be told nothing any more, and
/// another may take its place.
struct Half<'a>(Option<&'a Peer>);

impl Half<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        if let Some(peer) = self.0 {
            let why = "it did not read what it was sent".to_owned();
            peer.lock().gone.get_or_insert(why);
            peer.dismiss();
        }
    }
}

/// Why something was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The process is not there any more.
    Gone(String),
    /// A request with this id is not answered yet.
    Twice,
    /// What was to be sent asks for nothing.
    NoRequest,
}

/// Reads frames until there are no more. Gives what was wrong with the last line; empty for nothing.
async fn listen(
    stdout: ChildStdout,
    routes: &Mutex<Routes>,
    waiting: &Waiting,
    changed: &(impl Fn() + Sync),
) -> String {
    let mut lines = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        // One more than allowed tells a line that is too long from one that just fits.
        let mut bounded = (&mut lines).take(FRAME_MAX as u64 + 1);
        match bounded.read_until(b'\n', &mut line).await {
            // A pipe that cannot be read any more has ended as one that is closed; how the process
            // ended says why.
            Ok(0) | Err(_) => return String::new(),
            Ok(_) => {}
        }
        if line.len() > FRAME_MAX {
            return format!("it wrote a frame of more than {} MiB", FRAME_MAX >> 20);
        }
        let text = match std::str::from_utf8(&line) {
            Ok(text) => text.trim(),
            Err(_) => return "it wrote what is not UTF-8".to_owned(),
        };
        if text.is_empty() {
            continue;
        }
        let Some(route) = route(text.as_bytes()) else {
            let said = neutralise(text, SAID_CHARS);
            return format!(
                "it wrote to its standard output what is not a frame: `{said}` (a server's log belongs on its \
                 standard error)"
            );
        };
        if route.changes_tools {
            changed();
        }
        hand_over(text, route, routes, waiting);
        // After it was handed over: the one frame that is over the bound is in memory either way.
        waiting.room().await;
    }
}

fn hand_over(frame: &str, route: Route, routes: &Mutex<Routes>, waiting: &Waiting) {
    let mut routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
    let frame = frame.to_owned();
    if route.answers {
        // An id that was never given, or was answered before, is nobody's: MCP-022.
        let Some(waiter) = route.id.and_then(|id| {
            // Progress that comes behind the answer is nobody's.
            routes.tokens.retain(|_, of| *of != id);
            routes.asked.remove(&id)
        }) else {
            tracing::debug!(target: "flowhost::mcp", "an answer to nothing was dropped");
            return;
        };
        waiter.deliver(frame, waiting);
        waiter.tell(Ok(Came::Closed));
        return;
    }
    let of_token = route.token.and_then(|token| {
        let id = routes.tokens.get(&token)?;
        routes.asked.get(id).cloned()
    });
    match of_token {
        Some(waiter) => waiter.deliver(frame, waiting),
        None => routes.unasked.hear(frame, waiting),
    }
}

fn close(routes: &Mutex<Routes>, why: &str) {
    let mut routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
    routes.gone = Some(why.to_owned());
    let listener = routes.unasked.take_listener();
    let all: Vec<Waiter> = routes.asked.drain().map(|(_, waiter)| waiter).collect();
    for waiter in all.into_iter().chain(listener) {
        waiter.tell(Ok(Came::Broken(why.to_owned())));
    }
}

/// Why nothing comes any more, for people.
fn told(why: &str, end: &End, said: &[String]) -> String {
    let why = match why {
        "" => end.to_string(),
        why => why.to_owned(),
    };
    match said.last() {
        Some(last) => format!("{why}; it said last: {}", neutralise(last, SAID_CHARS)),
        None => why,
    }
}
