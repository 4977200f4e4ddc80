//! What a replay has for a world: nothing. Everything that a guest is told comes from the record before
//! any of this is asked; whatever is asked all the same gets an error, or the beginning of time, and never an answer
//! that could be right.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Envelope, Pattern, Receipt, Subject, SubscribeOptions, Subscription,
};
use flowhost_caps::clock::TimeSource;
use flowhost_caps::http::{Connector, ResolveError, Resolver, Stream};
use flowhost_caps::log::{LogLine, LogSink, ProgressLine};
use flowhost_caps::random::Entropy;
use flowhost_caps::state::{Entry, Expected, Slot, StateError, StateStore};
use flowhost_models::{Clock, Config, Gateway, KeySource, ScriptFiles};
use zeroize::Zeroizing;

use crate::calls::desk::{Found, Recall};

const WHY: &str = "a replay touches nothing outside";

/// See the module.
pub(crate) struct Nowhere;

#[async_trait]
impl Bus for Nowhere {
    async fn publish(&self, _: &Subject, _: Arc<Envelope>) -> Result<Receipt, BusError> {
        Err(BusError::Carrier(WHY.to_owned()))
    }

    async fn try_publish(&self, _: &Subject, _: Arc<Envelope>) -> Result<Receipt, BusError> {
        Err(BusError::Carrier(WHY.to_owned()))
    }

    async fn request(
        &self,
        _: &Subject,
        _: Arc<Envelope>,
        _: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        Err(BusError::Carrier(WHY.to_owned()))
    }

    async fn subscribe(
        &self,
        _: Pattern,
        _: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        Err(BusError::Carrier(WHY.to_owned()))
    }
}

fn no_state<T>() -> Result<T, StateError> {
    Err(StateError::Storage(WHY.to_owned()))
}

#[async_trait]
impl StateStore for Nowhere {
    async fn get(&self, _: &Slot, _: &str) -> Result<Option<Entry>, StateError> {
        no_state()
    }

    async fn put(
        &self,
        _: &Slot,
        _: &str,
        _: Vec<u8>,
        _: Expected,
        _: u64,
    ) -> Result<Option<u64>, StateError> {
        no_state()
    }

    async fn delete(&self, _: &Slot, _: &str) -> Result<bool, StateError> {
        no_state()
    }

    async fn list(&self, _: &Slot, _: &str) -> Result<Vec<String>, StateError> {
        no_state()
    }
}

#[async_trait]
impl Resolver for Nowhere {
    async fn resolve(&self, _: &str) -> Result<Vec<std::net::IpAddr>, ResolveError> {
        Err(ResolveError::Failed(WHY.to_owned()))
    }
}

#[async_trait]
impl Connector for Nowhere {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Stream>> {
        Err(io::Error::other(WHY))
    }
}

/// A time that no record has: a clock that is asked in place of the record is found in what it says.
impl TimeSource for Nowhere {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Nowhere {
    fn fill(&self, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other(WHY))
    }
}

/// Every order of a replay is handed out once.
impl Recall for Nowhere {
    fn found(&self, _: u64) -> Found {
        Found::Nothing
    }

    fn started(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    fn had_read(&self, _: &str, _: &str) -> bool {
        false
    }

    fn finished(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Log lines are for whoever watched the run.
impl LogSink for Nowhere {
    fn line(&self, _: LogLine) {}

    fn progress(&self, _: ProgressLine) {}
}

impl KeySource for Nowhere {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl ScriptFiles for Nowhere {
    fn read(&self, _: &str) -> Result<Option<String>, String> {
        Err(WHY.to_owned())
    }
}

impl Clock for Nowhere {
    fn now_ms(&self) -> u64 {
        0
    }
}

/// A gateway that knows no provider but the one that is always there, and is never asked.
pub(crate) fn gateway() -> Result<Gateway, String> {
    let nowhere = Arc::new(Nowhere);
    Gateway::new(Config::default(), nowhere.clone(), nowhere.clone(), nowhere).map_err(|problems| {
        let problems = problems.into_iter().map(|it| it.message);
        problems.collect::<Vec<_>>().join("; ")
    })
}
