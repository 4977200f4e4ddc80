//! `mcp-transport`: an adapter speaks with one MCP server, whose process the host owns.
//!
//! The host starts the program that the profile names, in its sandbox, or asks the server at an address, through
//! the one sender of `http`, and splits what it says into frames; of a frame it reads the ids by which it routes it,
//! and nothing else. A process, and a session at an address, serve one plugin of one run: two that may not speak
//! with each other do not meet in a server either. What a server does wrong (floods, stalls, 50 MB in a line, words
//! that are no frame) ends its process or its stream and costs nobody else anything.

mod answer;
mod health;
mod host;
mod mailbox;
mod peer;
mod remote;
mod sessions;
mod start;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use wasmtime::component::Linker;

use crate::shared::outward::Outward;
use mailbox::Arrival;
use remote::{Remote, Remotes};
use start::Seat;

/// Where variables that a profile takes with `from` come from.
pub trait Variables: Send + Sync + 'static {
    /// The value of `name`, if it is set and UTF-8.
    fn get(&self, name: &str) -> Option<String>;
}

/// A granted folder as the process is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the process sees it: the grant's guest path.
    pub guest: String,
    /// Where it is on this machine, or why a process cannot be shown it.
    pub host: Result<PathBuf, String>,
}

/// Plugins whose servers have said that they have other tools now, until somebody looks.
#[derive(Debug, Default)]
pub struct Changes(Mutex<BTreeSet<Arc<str>>>);

impl Changes {
    /// The server of `plugin` says so.
    fn note(&self, plugin: &Arc<str>) {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.insert(plugin.clone());
    }

    /// Whether the server of `plugin` has said so since this was asked last.
    #[must_use]
    pub fn take(&self, plugin: &str) -> bool {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.remove(plugin)
    }
}

/// What starting processes needs.
#[derive(Clone)]
pub struct ProcessServices {
    /// This executable, which is the sandbox's warden too; none where nothing is started.
    pub program: Option<PathBuf>,
    /// `--allow-process`: the second key beside the profile's [[process]].
    pub allowed: bool,
    /// Granted folders by plugin, as they were opened when the run started.
    pub places: BTreeMap<String, Vec<Place>>,
    /// Variables of the host.
    pub variables: Arc<dyn Variables>,
    /// Who hears that a server has other tools now.
    pub changes: Arc<Changes>,
}

impl ProcessServices {
    /// Starts nothing, whatever a profile grants.
    #[must_use]
    pub fn none() -> Self {
        Self {
            program: None,
            allowed: false,
            places: BTreeMap::new(),
            variables: Arc::new(Unset),
            changes: Arc::default(),
        }
    }
}

/// A host without variables.
struct Unset;

impl Variables for Unset {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

/// The capability.
pub struct McpTransport {
    services: Arc<ProcessServices>,
    /// One seat per plugin of the run; a process sits there between its start and its end.
    seats: Mutex<BTreeMap<Arc<str>, Arc<Seat>>>,
    remotes: Arc<Remotes>,
}

impl McpTransport {
    /// With what a run lends, and the one sender of requests.
    #[must_use]
    pub(crate) fn new(services: ProcessServices, outward: Arc<dyn Outward>) -> Self {
        Self {
            services: Arc::new(services),
            seats: Mutex::default(),
            remotes: Arc::new(Remotes::new(outward)),
        }
    }

    fn seat(&self, plugin: &Arc<str>) -> Arc<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.entry(plugin.clone()).or_default().clone()
    }
}

/// What a store holds: the streams of one call. They end with it.
pub(crate) struct TransportState {
    services: Arc<ProcessServices>,
    seat: Arc<Seat>,
    remotes: Arc<Remotes>,
    /// The server at an address, once the call has said where it is.
    remote: Option<Arc<Remote>>,
    /// What reads answers over HTTP; it ends with the call.
    reading: JoinSet<()>,
    /// The same by stream.
    readers: HashMap<String, AbortHandle>,
    /// Numbers the streams of the call.
    opened: u64,
    /// Those that have not ended.
    open: BTreeSet<String>,
    /// Those on which a tool was asked to do something, and has not said what became of it.
    acting: BTreeSet<String>,
    /// Every stream of the call arrives here, in the order in which the server wrote.
    sender: mpsc::UnboundedSender<Arrival>,
    inbox: mpsc::UnboundedReceiver<Arrival>,
    /// What came on streams that were not asked about.
    later: VecDeque<Arrival>,
}

impl TransportState {
    /// Drops what has come on streams that nobody reads any more. What stands in the inbox is looked at as well: who
    /// asks and cancels, and never asks for what came, would else have all answers kept until the call is over.
    fn drop_cancelled(&mut self) {
        let open = &self.open;
        self.later.retain(|it| open.contains(&it.stream));
        while let Ok(arrival) = self.inbox.try_recv() {
            if open.contains(&arrival.stream) {
                self.later.push_back(arrival);
            }
        }
    }
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "mcp-transport"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for McpTransport {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let (sender, inbox) = mpsc::unbounded_channel();
        Ok(Box::new(TransportState {
            services: self.services.clone(),
            seat: self.seat(&scope.plugin),
            remotes: self.remotes.clone(),
            remote: None,
            reading: JoinSet::new(),
            readers: HashMap::new(),
            opened: 0,
            open: BTreeSet::new(),
            acting: BTreeSet::new(),
            sender,
            inbox,
            later: VecDeque::new(),
        }))
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Taken before it is waited: no lock is held while processes end, each of which has its
        // grace.
        let seats = std::mem::take(&mut *self.seats.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move {
            let vacated = futures::future::join_all(seats.values().map(|seat| seat.vacate()));
            futures::future::join(vacated, self.remotes.end()).await;
        })
    }
}
