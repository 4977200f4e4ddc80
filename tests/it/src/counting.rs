//! A server on the loopback that counts what changes it: the witness of what a run did to the world.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) path: String,
    /// Its `Idempotency-Key`; empty without one.
    pub(crate) key: String,
}

#[derive(Default)]
struct Seen {
    hits: Vec<Hit>,
    /// Paths whose requests get no answer any more.
    silent: Vec<String>,
    /// Paths that are answered with 500.
    failing: Vec<String>,
    /// Paths whose connections are closed where an answer should come.
    breaking: Vec<String>,
    /// Connections that were taken and not yet dealt with.
    open: usize,
}

/// The server. It lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Counting {
    pub(crate) fn new() -> Self {
        // Whichever port is free.
        Self::at(0)
    }

    /// As [`Counting::new`], at a port that a record has to name.
    pub(crate) fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // Before the next is taken: whoever was served knows that all before it are counted.
                serving.seen.0.lock().unwrap().open += 1;
                std::thread::spawn(move || {
                    serving.serve(stream);
                    serving.seen.0.lock().unwrap().open -= 1;
                    serving.seen.1.notify_all();
                });
            }
        });
        server
    }

    fn serve(&self, mut stream: TcpStream) {
        let _bounded = stream.set_read_timeout(Some(Duration::from_secs(60)));
        let Some(hit) = read(&mut stream) else {
            return;
        };
        let (seen, changed) = &*self.seen;
        let mut seen = seen.lock().unwrap();
        seen.hits.push(hit.clone());
        let silent = seen.silent.contains(&hit.path);
        let failing = seen.failing.contains(&hit.path);
        let breaking = seen.breaking.contains(&hit.path);
        changed.notify_all();
        drop(seen);
        if breaking {
            return;
        }
        if silent {
            // Until the other side is gone.
            let _gone = stream.read(&mut [0]);
            return;
        }
        let status = if failing {
            "500 Internal Server Error"
        } else {
            "200 OK"
        };
        let body = hit.path.trim_start_matches('/');
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: \
             close\r\n\r\n{body}"
        );
        let _gone = stream.write_all(answer.as_bytes());
    }

    /// Waits until everything that was ever sent here is counted, whoever sent it and is gone by now:
    /// connections are taken in their order, so all of them were taken before this one was answered.
    pub(crate) fn quiet(&self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"POST /quiet HTTP/1.1\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let (seen, changed) = &*self.seen;
        let busy = |seen: &mut Seen| seen.open > 0;
        let waited =
            changed.wait_timeout_while(seen.lock().unwrap(), Duration::from_secs(30), busy);
        let (mut seen, late) = waited.unwrap();
        assert!(!late.timed_out(), "a request never came to its end");
        seen.hits.retain(|hit| hit.path != "/quiet");
    }

    /// How many requests have come.
    pub(crate) fn came(&self) -> usize {
        self.seen.0.lock().unwrap().hits.len()
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) {
        self.seen.0.lock().unwrap().hits.clear();
    }

    /// Lets requests to this path hang, or answers them again.
    pub(crate) fn silence(&self, path: &str, silent: bool) {
        let mut seen = self.seen.0.lock().unwrap();
        seen.silent.retain(|it| it != path);
        if silent {
            seen.silent.push(path.to_owned());
        }
    }

    /// Answers requests to this path with 500, or as it should.
    pub(crate) fn fail(&self, path: &str, failing: bool) {
        let mut seen = self.seen.0.lock().unwrap();
        seen.failing.retain(|it| it != path);
        if failing {
            seen.failing.push(path.to_owned());
        }
    }

    /// Takes requests to this path and closes their connections.
    pub(crate) fn cut(&self, path: &str) {
        let mut seen = self.seen.0.lock().unwrap();
        seen.breaking.push(path.to_owned());
    }

    /// Waits until so many requests to this path have come.
    pub(crate) fn wait(&self, path: &str, count: usize) {
        let (seen, changed) = &*self.seen;
        let few = |seen: &mut Seen| seen.hits.iter().filter(|hit| hit.path == path).count() < count;
        let waited = changed.wait_timeout_while(seen.lock().unwrap(), Duration::from_secs(30), few);
        assert!(!waited.unwrap().1.timed_out(), "{path} was not asked");
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.seen.0.lock().unwrap().hits.clone()
    }

    /// The paths in the order in which they were asked.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.hits().into_iter().map(|hit| hit.path).collect()
    }

    /// How often each path was asked, and with how many keys.
    pub(crate) fn counts(&self) -> BTreeMap<String, (usize, usize)> {
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for hit in self.hits() {
            keys.entry(hit.path).or_default().push(hit.key);
        }
        let count = |mut all: Vec<String>| {
            let times = all.len();
            all.sort();
            all.dedup();
            (times, all.len())
        };
        keys.into_iter()
            .map(|(path, all)| (path, count(all)))
            .collect()
    }
}

/// Reads a request with its body; nothing for what is none.
fn read(stream: &mut TcpStream) -> Option<Hit> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    let head = loop {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            break head.to_owned();
        }
    };
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = lines.find(|(it, _)| it.eq_ignore_ascii_case(name));
        found
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    while bytes.len() < head.len() + 4 + length {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
    }
    let path = head.split_whitespace().nth(1)?.to_owned();
    let key = header("idempotency-key");
    Some(Hit { path, key })
}
