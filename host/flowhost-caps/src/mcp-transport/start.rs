//! Whether a process may begin, and its beginning: the decision is on record before anything is started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowhost_engine::{CallScope, Fault, bindings::types, neutralise};
use flowhost_jail::{Bounds, End, Folder, Refusal as Refused, Spec, launch};
use flowhost_ledger::records::{Asked, ProcessEnd, ProcessStart};
use flowhost_policy::{Access, Denied, EnvValue, ProcessGrant};

use super::host::INTERFACE;
use super::peer::Peer;
use super::{Place, ProcessServices};
use crate::shared::support::Refusal;

/// Starts of one server in one run: one that does not stay up is not a server.
const STARTS_MAX: u32 = 5;
/// The pause before a second start; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// Characters of a reason that comes from outside.
const WHY_CHARS: usize = 1_000;

/// Where the process of one plugin sits.
#[derive(Default)]
pub(super) struct Seat {
    peer: tokio::sync::Mutex<Option<Arc<Peer>>>,
    /// Starts so far.
    starts: Mutex<u32>,
}

impl Seat {
    /// The process that sits there, if it still runs.
    pub(super) async fn peer(&self) -> Option<Arc<Peer>> {
        self.peer.lock().await.clone()
    }

    /// The process, started when there is none. One that has gone is told of once, as an error: whatever was
    /// agreed on with it is gone too, and only the adapter can agree anew.
    pub(super) async fn taken(
        &self,
        services: &ProcessServices,
        scope: &CallScope,
    ) -> Result<Arc<Peer>, Refusal> {
        // Held until the process stands: calls that come meanwhile wait for this one and start no
        // second.
        let mut seat = self.peer.lock().await;
        if let Some(peer) = &*seat {
            let Some(why) = peer.gone() else {
                return Ok(peer.clone());
            };
            // Its end comes before another's beginning, on record as well.
            peer.stop().await;
            *seat = None;
            return Err(gone(&why));
        }
        // Before a start is counted and waited for: what is denied was never a start, and is denied the
        // sixth time as it was the first.
        let grant = decide(services, scope)?;
        self.pause(scope).await?;
        let peer = Arc::new(start(services, scope, &grant).await?);
        *seat = Some(peer.clone());
        Ok(peer)
    }

    /// Waits before a start that follows others.
    async fn pause(&self, scope: &CallScope) -> Result<(), Refusal> {
        let wait = {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            if *starts == STARTS_MAX {
                let why = format!(
                    "the server was started {STARTS_MAX} times in this run and does not stay"
                );
                return Err(types::Error::Failed(why).into());
            }
            let wait = match *starts {
                0 => Duration::ZERO,
                // The shift is bounded here and not only by the number of starts, which is another
                // constant's business.
                before => PAUSE.saturating_mul(1 << (before - 1).min(8)),
            };
            // Not counted: a call that cannot wait so long starts nothing.
            if wait >= scope.remaining() {
                let why = "the server is started again later than this call may wait".to_owned();
                return Err(types::Error::Transient(why).into());
            }
            *starts += 1;
            wait
        };
        // The timer's ticks are milliseconds: to sleep for no time lasts to the end of one.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Ends what sits there.
    pub(super) async fn vacate(&self) {
        if let Some(peer) = self.peer.lock().await.take() {
            peer.stop().await;
        }
    }
}

pub(super) fn gone(why: &str) -> Refusal {
    let why = neutralise(why, WHY_CHARS);
    types::Error::Transient(format!("the server's process is gone: {why}")).into()
}

async fn start(
    services: &ProcessServices,
    scope: &CallScope,
    grant: &ProcessGrant,
) -> Result<Peer, Refusal> {
    let spec = spec(services, scope, grant)?;
    let asked = Asked::for_what(grant.shown());
    let fact = scope.allowed(ProcessStart::default(), INTERFACE, "process[0]", &asked);
    scope.record_durable(fact).await?;
    let Some(program) = &services.program else {
        return Err(Fault::Host("no program can be started by this host".to_owned()).into());
    };
    // Behind the record, which is on disk by now: a program that ran for a moment is never without
    // one.
    let running = match launch(program, &spec).await {
        Ok(running) => running,
        Err(refused) => return Err(refusal(scope, grant, refused)?),
    };
    let (recorder, of) = (scope.run.recorder.clone(), scope.clone());
    let (changes, plugin) = (services.changes.clone(), scope.plugin.clone());
    let changed = move || changes.note(&plugin);
    Ok(Peer::new(running, changed, move |end| {
        // The run may be sealed by then, which is said elsewhere.
        let _sealed = recorder.append(ended(&of, end));
    }))
}

/// Two keys: the profile names the program, and whoever starts the run lets programs be started.
fn decide(services: &ProcessServices, scope: &CallScope) -> Result<ProcessGrant, Refusal> {
    let denied = match (scope.effective.grants.process.first(), services.allowed) {
        (Some(grant), true) => return Ok(grant.clone()),
        (Some(grant), false) => Denied {
            right: "process",
            wanted: grant.shown(),
            rule: "process.option".to_owned(),
            cure: Some(flowhost_policy::PROCESS_OPTION.to_owned()),
        },
        (None, _) => Denied {
            right: "process",
            wanted: "a server's process".to_owned(),
            rule: "process#none".to_owned(),
            cure: flowhost_policy::Right::of("process").map(|right| right.lines.to_owned()),
        },
    };
    scope.record_deny::<ProcessStart>(INTERFACE, &denied)?;
    Err(types::Error::from(&denied).into())
}

/// What this machine or the program itself stands in the way of. A sandbox that cannot be had is a denial:
/// without it the right is none.
fn refusal(scope: &CallScope, grant: &ProcessGrant, refused: Refused) -> Result<Refusal, Fault> {
    let why = neutralise(&refused.to_string(), WHY_CHARS);
    let Refused::Unconfined(_) = refused else {
        return Ok(types::Error::Failed(why).into());
    };
    let denied = Denied {
        right: "process",
        wanted: format!("{}: {why}", grant.shown()),
        rule: "process.sandbox".to_owned(),
        cure: None,
    };
    scope.record_deny::<ProcessStart>(INTERFACE, &denied)?;
    Ok(types::Error::from(&denied).into())
}

fn spec(
    services: &ProcessServices,
    scope: &CallScope,
    grant: &ProcessGrant,
) -> Result<Spec, Refusal> {
    let grants = &scope.effective.grants;
    let places = services.places.get(&*scope.plugin);
    let mut folders = Vec::new();
    for file in &grants.files {
        let mut all = places.into_iter().flatten();
        let place: Option<&Place> = all.find(|place| place.guest == file.guest);
        let host = match place.map(|place| &place.host) {
            Some(Ok(host)) => host.clone(),
            // Told here: a server that misses a folder would tell it in words of its own, if at
            // all.
            Some(Err(why)) => return Err(types::Error::Failed(why.clone()).into()),
            None => {
                let why = format!("`{}` was not opened when the run started", file.guest);
                return Err(types::Error::Failed(why).into());
            }
        };
        folders.push(Folder {
            host,
            guest: file.guest.clone(),
            write: file.access == Access::Write,
            quota_bytes: file.quota_bytes,
            quota_entries: file.quota_entries,
        });
    }
    let variables = grants.env.iter().filter_map(|(name, value)| {
        let value = match value {
            EnvValue::Literal(value) => value.clone(),
            // What the host does not have is not set for the process either.
            EnvValue::From(from) => services.variables.get(from)?,
        };
        Some((name.clone(), value))
    });
    Ok(Spec {
        command: grant.command.clone(),
        sha256: grant.sha256.clone(),
        environment: variables.collect::<BTreeMap<_, _>>(),
        folder: grant.folder.clone(),
        folders,
        bounds: Bounds {
            memory_bytes: grant.memory_bytes,
            // The kernel counts whole seconds here; rounded down, a bound of half a second would be
            // none at all.
            cpu_seconds: grant.cpu_ms.div_ceil(1_000),
            processes: grant.processes,
            open_files: grant.open_files,
            file_bytes: grant.file_bytes,
            wall_seconds: grant.wall_ms.div_ceil(1_000),
        },
    })
}

/// The record of an end.
fn ended(scope: &CallScope, end: &End) -> flowhost_ledger::Fact {
    let (how, code, breach) = match end {
        End::Code(code) => ("code", Some(*code), None),
        End::Signal(signal) => ("signal", Some(*signal), None),
        End::Syscall => ("syscall", None, None),
        End::Breach(breach) => ("limit", None, Some(breach)),
        End::Stopped => ("stopped", None, None),
    };
    let record = ProcessEnd {
        how: how.to_owned(),
        code: code.map(|code| code.to_string()),
        bound: breach.map(|breach| breach.name.clone()),
        used: breach.map(|breach| breach.used),
        allowed: breach.map(|breach| breach.allowed),
        ..ProcessEnd::default()
    };
    scope.said(record)
}
