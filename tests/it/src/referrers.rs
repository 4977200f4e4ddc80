//! A registry of OCI 1.1 in memory, which keeps the list of artifacts about a manifest by itself and hands it out at
//! `referrers`. Debian's registry knows nothing of it, and no other one is packaged for the machines that run the tests.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What it holds, whatever the repository: a test has one.
#[derive(Default)]
struct Held {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By digest.
    manifests: BTreeMap<String, Vec<u8>>,
    /// A tag's digest.
    tags: BTreeMap<String, String>,
}

/// A registry that answers as long as the test's process lives.
pub(crate) struct Registry {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

struct Asked {
    method: String,
    target: String,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(status: u16, headers: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: headers.into(),
            body: body.into(),
        }
    }
}

impl Registry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::<Mutex<Held>>::default();
        let shared = held.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(asked) = read(&stream) else { continue };
                let answer = shared.lock().unwrap().answer(&asked);
                let length = answer.body.len();
                let (status, headers) = (answer.status, &answer.headers);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
                );
                let body: &[u8] = match asked.method.as_str() {
                    "HEAD" => b"",
                    _ => &answer.body,
                };
                // A client that has seen enough goes away before all of it is written.
                let _gone = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(body));
            }
        });
        Self { address, held }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Every tag that somebody gave.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.held.lock().unwrap().tags.keys().cloned().collect()
    }

    /// What the registry answers to somebody who asks for the artifacts about `manifest`, of one type or of all.
    pub(crate) fn about(&self, manifest: &str, kind: Option<&str>) -> Vec<Value> {
        let filter = kind.map(|it| format!("?artifactType={}", it.replace('+', "%2B")));
        let target = format!("/v2/any/referrers/{manifest}{}", filter.unwrap_or_default());
        let asked = Asked {
            method: "GET".to_owned(),
            target,
            body: Vec::new(),
        };
        let answer = self.held.lock().unwrap().answer(&asked);
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        list["manifests"].as_array().unwrap().clone()
    }

    /// Puts a paper about `manifest` into the registry as anybody may who may push there.
    pub(crate) fn attach(&self, manifest: &str, kind: &str, text: &str) {
        let mut held = self.held.lock().unwrap();
        let digest = digest(text.as_bytes());
        held.blobs.insert(digest.clone(), text.as_bytes().to_vec());
        let document = json!({ "schemaVersion": 2, "artifactType": kind, "subject": { "digest": manifest },
            "layers": [{ "mediaType": kind, "digest": digest, "size": text.len() }] });
        held.put("a-stranger", document.to_string().into_bytes());
    }
}

impl Held {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let mut parts = path.rsplit('/');
        let (last, before) = (parts.next().unwrap(), parts.next().unwrap());
        match (asked.method.as_str(), before) {
            ("GET" | "HEAD", "blobs") => found(self.blobs.get(last)),
            ("GET" | "HEAD", "manifests") => {
                let digest = self.tags.get(last).map_or(last, String::as_str);
                found(self.manifests.get(digest))
            }
            ("GET", "referrers") => self.referrers(last, query),
            ("POST", "uploads") => Answer::of(202, format!("location: {path}one\r\n"), ""),
            ("PUT", "uploads") => self.keep(query, &asked.body),
            ("PUT", "manifests") => self.put(last, asked.body.clone()),
            _ => Answer::of(404, "", "no such place"),
        }
    }

    fn keep(&mut self, query: &str, body: &[u8]) -> Answer {
        let digest = digest(body);
        let wanted = query.replace("%3A", ":");
        if wanted != format!("digest={digest}") {
            return Answer::of(400, "", format!("{digest} is not {wanted}"));
        }
        self.blobs.insert(digest, body.to_vec());
        Answer::of(201, "", "")
    }

    /// As the specification has it: what is about another manifest is listed, and the client is told that it is.
    fn put(&mut self, name: &str, body: Vec<u8>) -> Answer {
        let document: Value = serde_json::from_slice(&body).unwrap();
        let digest = digest(&body);
        if name != digest {
            self.tags.insert(name.to_owned(), digest.clone());
        }
        self.manifests.insert(digest, body);
        let subject = document["subject"]["digest"].as_str();
        let told = subject.map(|it| format!("oci-subject: {it}\r\n"));
        Answer::of(201, told.unwrap_or_default(), "")
    }

    fn referrers(&self, subject: &str, query: &str) -> Answer {
        let kind = query.strip_prefix("artifactType=");
        let kind = kind.map(|it| it.replace("%2B", "+").replace("%2F", "/"));
        let mut listed = Vec::new();
        for (digest, body) in &self.manifests {
            let document: Value = serde_json::from_slice(body).unwrap();
            let is_about = document["subject"]["digest"] == subject;
            let is_wanted = kind
                .as_ref()
                .is_none_or(|kind| document["artifactType"] == **kind);
            if is_about && is_wanted {
                listed.push(
                    json!({ "mediaType": document["mediaType"], "digest": digest,
                    "size": body.len(), "artifactType": document["artifactType"] }),
                );
            }
        }
        let filtered = kind.map(|_| "oci-filters-applied: artifactType\r\n");
        let headers = format!("content-type: {INDEX}\r\n{}", filtered.unwrap_or_default());
        let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
        Answer::of(200, headers, list.to_string())
    }
}

fn found(bytes: Option<&Vec<u8>>) -> Answer {
    match bytes {
        Some(bytes) => Answer::of(200, "", bytes.clone()),
        None => Answer::of(404, "", "not here"),
    }
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        let (name, value) = line.trim_end().split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        target,
        body,
    })
}
