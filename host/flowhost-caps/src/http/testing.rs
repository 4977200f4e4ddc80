//! Doubles for everything that a request touches: a resolver that answers from a script and a
//! connector that never dials. A denial is proved by what was *not* handed to them.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::io::DuplexStream;

use super::{
    connect::{Connector, Stream},
    resolve::{ResolveError, Resolver},
};

/// Bytes that a double's stream holds before the writer waits.
const STREAM_BYTES: usize = 64 * 1024;

type Answer = Result<Vec<IpAddr>, ResolveError>;

/// Answers names from a script, in order, and remembers every question.
#[derive(Default)]
pub struct ScriptedResolver {
    script: Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<String>>,
}

impl ScriptedResolver {
    /// Adds an answer for `host`; several are given one after the other, the last one for ever.
    #[must_use]
    pub fn answer(self, host: &str, addresses: &[&str]) -> Self {
        let parsed = addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        self.result(host, Ok(parsed))
    }

    /// Adds a failure for `host`.
    #[must_use]
    pub fn failure(self, host: &str, error: ResolveError) -> Self {
        self.result(host, Err(error))
    }

    fn result(self, host: &str, answer: Answer) -> Self {
        lock(&self.script)
            .entry(host.to_owned())
            .or_default()
            .push_back(answer);
        self
    }

    /// Every name that was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

#[async_trait]
impl Resolver for ScriptedResolver {
    async fn resolve(&self, host: &str) -> Answer {
        lock(&self.asked).push(host.to_owned());
        let mut script = lock(&self.script);
        let answers = script.get_mut(host).ok_or(ResolveError::NotFound)?;
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        answer.unwrap_or(Err(ResolveError::NotFound))
    }
}

/// The far end of a stream that was handed out instead of a connection.
pub type Serve = Arc<dyn Fn(SocketAddr, DuplexStream) + Send + Sync>;

/// Remembers every address and dials none; it refuses, or hands out an in-memory stream.
#[derive(Default)]
pub struct RecordingConnector {
    dialled: Mutex<Vec<SocketAddr>>,
    serve: Option<Serve>,
}

impl RecordingConnector {
    /// Gives `serve` the far end of each stream, so that any address can be answered in memory.
    pub fn serving(serve: impl Fn(SocketAddr, DuplexStream) + Send + Sync + 'static) -> Self {
        Self {
            dialled: Mutex::default(),
            serve: Some(Arc::new(serve)),
        }
    }

    /// Every address that it was handed, in order.
    pub fn dialled(&self) -> Vec<SocketAddr> {
        lock(&self.dialled).clone()
    }
}

#[async_trait]
impl Connector for RecordingConnector {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        lock(&self.dialled).push(address);
        let serve = self
            .serve
            .as_ref()
            .ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        serve(address, far);
        Ok(Box::new(near))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
