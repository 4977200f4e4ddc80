//! What each method answers, in both eras. Knows no transport.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowhost_mcp::{Code, Request, RpcError, SERVER_INFO, SUPPORTED, negotiate};
use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use crate::answer;
use crate::call::{Told, call};
use crate::peer::Stop;
use crate::runs::{Runs, address, template};
use crate::session::Session;
use crate::shelf::{Document, Handed, Offer, Shelf};

/// Calls at work at once, all clients together: each has guests of its own, and who lends the host has places for a few
/// of each.
pub const CALLS_MAX: u32 = 128;
/// Milliseconds that a client may keep a list that does not change while this process lives. Short,
/// because the process may be started anew with others.
const LIST_TTL_MS: u64 = 60_000;
/// Milliseconds that a client may keep a document of a run that is over: it is sealed and will not change. One of a run
/// that can go on is kept for no time, because somebody may have gone on with it by the next look.
const DOCUMENT_TTL_MS: u64 = 86_400_000;
/// Completions in one answer, as the protocol has it.
const COMPLETIONS_MAX: usize = 100;

/// In which era a request is, and in which revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// After `initialize`.
    Legacy,
    /// By what the request says of itself.
    Modern,
}

/// How far a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It takes calls.
    Serves,
    /// It takes none any more, and some are at work.
    Ends,
    /// None is at work: what is left to do is to hand out their answers.
    Over,
}

/// Answers clients. One for the process, whatever it listens on.
pub struct Server {
    pub(crate) shelf: Box<dyn Shelf>,
    pub(crate) runs: Runs,
    pub(crate) room: Semaphore,
    course: watch::Sender<Course>,
    version: &'static str,
}

impl Server {
    /// Serves what is on the shelf.
    #[must_use]
    pub fn new(shelf: Box<dyn Shelf>, version: &'static str) -> Arc<Self> {
        Arc::new(Self {
            shelf,
            runs: Runs::default(),
            room: Semaphore::new(CALLS_MAX as usize),
            course: watch::Sender::new(Course::Serves),
            version,
        })
    }

    /// Takes no more calls, and waits until those at work have ended, to which the caller sees. Whoever serves clients
    /// then hands out the answers that are left and returns.
    pub async fn end(&self) {
        self.course.send_replace(Course::Ends);
        // All places together: one that is free is given to no call that comes meanwhile.
        let all = self.room.acquire_many(CALLS_MAX).await;
        debug_assert!(all.is_ok(), "the places are never closed");
        // For ever: no call begins after the last one.
        let _none = all.map(tokio::sync::SemaphorePermit::forget);
        self.course.send_replace(Course::Over);
    }

    /// Whether it takes no more calls.
    pub(crate) fn is_ending(&self) -> bool {
        *self.course.borrow() != Course::Serves
    }

    /// Whether it has ended, and all of its calls before it.
    pub(crate) fn is_over(&self) -> bool {
        *self.course.borrow() == Course::Over
    }

    /// Waits until it is.
    pub(crate) async fn over(&self) {
        let mut course = self.course.subscribe();
        let heard = course.wait_for(|it| *it == Course::Over).await.is_ok();
        debug_assert!(heard, "the sender lives in `self`");
    }

    /// Answers a request, `initialize` apart. Frames beside the answer go to `told`.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: &Request,
        era: Era,
        session: &Arc<Session>,
        told: Option<Told>,
        stop: Stop,
    ) -> Result<Value, RpcError> {
        let made = self.made(request, era, session, told, stop);
        // Who panics has told of it here, and the client waits for an answer all the same.
        let made = AssertUnwindSafe(made).catch_unwind().await;
        made.unwrap_or_else(|_panic| {
            Err(RpcError::new(
                Code::Internal,
                "the host failed while it made the answer; this is a bug of it",
            ))
        })
    }

    async fn made(
        self: &Arc<Self>,
        request: &Request,
        era: Era,
        session: &Arc<Session>,
        told: Option<Told>,
        stop: Stop,
    ) -> Result<Value, RpcError> {
        let params = &request.params;
        let mut result = match request.method.as_str() {
            // The modern era has it no longer, and its clients take a method that they do not know for a mistake.
            "ping" if era == Era::Legacy => json!({}),
            "server/discover" => Self::discover(),
            "tools/list" => page("tools", self.tools(era), params, LIST_TTL_MS)?,
            "tools/call" => call(self, session, params, told, stop).await?,
            // Every call may add one, so that a list of them holds for no time.
            "resources/list" => page("resources", self.resources(), params, 0)?,
            "resources/templates/list" => {
                page("resourceTemplates", templates(), params, LIST_TTL_MS)?
            }
            "resources/read" => self.read(params, era).await?,
            "prompts/list" => page("prompts", self.prompts(), params, LIST_TTL_MS)?,
            "prompts/get" => self.prompt(params)?,
            "completion/complete" => self.complete(params)?,
            other => {
                let message = format!("the method `{}` is unknown", shortened(other));
                return Err(RpcError::new(Code::MethodNotFound, message));
            }
        };
        self.dress(&mut result, era);
        Ok(result)
    }

    /// What `initialize` answers, and the revision that was agreed on.
    pub(crate) fn initialize(
        &self,
        params: &Map<String, Value>,
    ) -> Result<(Value, &'static str), RpcError> {
        let asked = params
            .get("protocolVersion")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("`params.protocolVersion` is not a text"))?;
        let version = negotiate(asked);
        let result = json!({
            "protocolVersion": version,
            "capabilities": capabilities(),
            "serverInfo": self.info(),
            "instructions": INSTRUCTIONS,
        });
        Ok((result, version))
    }

    fn discover() -> Value {
        json!({
            "supportedVersions": SUPPORTED,
            "capabilities": capabilities(),
            "instructions": INSTRUCTIONS,
            "ttlMs": LIST_TTL_MS,
            "cacheScope": "private",
        })
    }

    fn info(&self) -> Value {
        json!({ "name": "flowhost", "title": "flowhost", "version": self.version })
    }

    /// Gives a result the form of its era.
    fn dress(&self, result: &mut Value, era: Era) {
        match (era, result) {
            (Era::Modern, Value::Object(result)) => {
                result.insert("resultType".to_owned(), Value::from("complete"));
                let meta = result.entry("_meta").or_insert_with(|| json!({}));
                if let Value::Object(meta) = meta {
                    meta.insert(SERVER_INFO.to_owned(), self.info());
                }
            }
            (Era::Legacy, result) => {
                answer::for_legacy(result);
                if let Value::Object(result) = result {
                    result.remove("ttlMs");
                    result.remove("cacheScope");
                }
            }
            (Era::Modern, _) => debug_assert!(false, "every result is an object"),
        }
    }

    fn tools(&self, era: Era) -> Vec<Value> {
        self.shelf
            .offers()
            .iter()
            .map(|offer| tool(offer, era))
            .collect()
    }

    fn resources(&self) -> Vec<Value> {
        let made = self.runs.list().into_iter();
        let of = |made: crate::runs::Made| {
            Document::ALL.map(|document| {
                json!({
                    "uri": address(&made.run, document),
                    "name": format!("{} of run {} ({})", document.file(), made.run, made.offer),
                    "description": document.description(),
                    "mimeType": document.mime_type(),
                })
            })
        };
        made.flat_map(of).collect()
    }

    async fn read(
        self: &Arc<Self>,
        params: &Map<String, Value>,
        era: Era,
    ) -> Result<Value, RpcError> {
        let uri = params.get("uri").and_then(Value::as_str);
        let uri = uri
            .ok_or_else(|| invalid("`params.uri` is not a text"))?
            .to_owned();
        let missing = |message: String| {
            let code = match era {
                Era::Legacy => Code::ResourceNotFound,
                Era::Modern => Code::InvalidParams,
            };
            RpcError {
                data: json!({ "uri": uri }),
                ..RpcError::new(code, message)
            }
        };
        let Some((run, document)) = self.runs.find(&uri) else {
            return Err(missing(
                "this server does not offer the resource".to_owned(),
            ));
        };
        // Before it is read: what is handed out may be kept for a day, and has to be the last word.
        if let Some(session) = self.runs.session_of(&run)
            && let Err(failure) = session.sign(&run).await
        {
            return Err(missing(answer::told(&failure)));
        }
        let server = self.clone();
        let read = tokio::task::spawn_blocking(move || server.shelf.document(&run, document)).await;
        let Handed { bytes, is_final } = match read {
            Ok(Ok(handed)) => handed,
            Ok(Err(failure)) => return Err(missing(answer::told(&failure))),
            Err(_panic) => {
                return Err(RpcError::new(
                    Code::Internal,
                    "the host failed while it read the document",
                ));
            }
        };
        let contents = contents(&uri, document, bytes);
        let ttl_ms = match is_final {
            true => DOCUMENT_TTL_MS,
            false => 0,
        };
        Ok(json!({ "contents": [contents], "ttlMs": ttl_ms, "cacheScope": "private" }))
    }

    fn prompts(&self) -> Vec<Value> {
        let prompts = self.shelf.prompts().iter();
        prompts
            .map(|it| json!({ "name": it.name, "description": it.description }))
            .collect()
    }

    fn prompt(&self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        let name = params.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("`params.name` is not a text"))?;
        let found = self
            .shelf
            .prompts()
            .iter()
            .find(|prompt| prompt.name == name);
        let found = found.ok_or_else(|| {
            invalid(&format!(
                "this server does not offer the prompt `{}`",
                shortened(name)
            ))
        })?;
        let message = json!({ "role": "user", "content": { "type": "text", "text": found.text } });
        Ok(json!({ "description": found.description, "messages": [message] }))
    }

    /// Completes the run in the address of a document; nothing else has values to choose from.
    fn complete(&self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        let argument = params.get("argument").and_then(Value::as_object);
        let argument = argument.ok_or_else(|| invalid("`params.argument` is not an object"))?;
        let said = |key: &str| argument.get(key).and_then(Value::as_str);
        let (Some(name), Some(begun)) = (said("name"), said("value")) else {
            return Err(invalid(
                "`params.argument` needs the texts `name` and `value`",
            ));
        };
        let reference = params
            .get("ref")
            .and_then(Value::as_object)
            .ok_or_else(|| invalid("`params.ref` is not an object"))?;
        let uri = reference.get("uri").and_then(Value::as_str);
        let ours = Document::ALL
            .into_iter()
            .any(|it| Some(template(it).as_str()) == uri);
        let mut values = Vec::new();
        if ours && name == "run" {
            values = self.runs.list().into_iter().map(|made| made.run).collect();
            values.retain(|run| run.starts_with(begun));
        }
        let total = values.len();
        values.truncate(COMPLETIONS_MAX);
        Ok(
            json!({ "completion": { "values": values, "total": total, "hasMore": total > COMPLETIONS_MAX } }),
        )
    }
}

/// A document as MCP hands it out: a text as it is, all else in base64, whatever its bytes look like.
fn contents(uri: &str, document: Document, bytes: Vec<u8>) -> Value {
    let text = match document.is_text() {
        true => String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes),
        false => Err(bytes),
    };
    let (key, value) = match text {
        Ok(text) => ("text", text),
        Err(binary) => ("blob", STANDARD.encode(binary)),
    };
    let mut contents = json!({ "uri": uri, "mimeType": document.mime_type() });
    if let Value::Object(contents) = &mut contents {
        contents.insert(key.to_owned(), Value::from(value));
    }
    contents
}

fn capabilities() -> Value {
    json!({ "tools": {}, "resources": {}, "prompts": {}, "completions": {} })
}

/// What models are told of this server.
const INSTRUCTIONS: &str = "Each tool runs in a sandbox under a fixed policy and leaves signed evidence. \
    An answer names its run; the run's report and evidence are resources, and who reads one ends the run.";

/// A list, whole: what is offered fits into one page, and a cursor that was not handed out is refused.
fn page(
    key: &str,
    items: Vec<Value>,
    params: &Map<String, Value>,
    ttl_ms: u64,
) -> Result<Value, RpcError> {
    if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(invalid("the cursor is unknown: every list is one page"));
    }
    Ok(json!({ key: items, "ttlMs": ttl_ms, "cacheScope": "private" }))
}

fn templates() -> Vec<Value> {
    let of = |document: Document| {
        json!({
            "uriTemplate": template(document),
            "name": document.file(),
            "description": document.description(),
            "mimeType": document.mime_type(),
        })
    };
    Document::ALL.into_iter().map(of).collect()
}

fn tool(offer: &Offer, era: Era) -> Value {
    let mut tool = json!({
        "name": offer.name,
        "description": offer.description,
        "inputSchema": offer.input,
    });
    let Value::Object(fields) = &mut tool else {
        return tool;
    };
    if !offer.title.is_empty() {
        fields.insert("title".to_owned(), Value::from(offer.title.as_str()));
    }
    let is_object = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("object");
    let output = offer.output.as_ref();
    // A legacy client refuses the whole list for an output schema of another type.
    if let Some(output) = output.filter(|output| era == Era::Modern || is_object(output)) {
        fields.insert("outputSchema".to_owned(), output.clone());
    }
    let hints = offer.hints;
    let said = [
        ("readOnlyHint", hints.read_only),
        ("destructiveHint", hints.destructive),
        ("idempotentHint", hints.idempotent),
        ("openWorldHint", hints.open_world),
    ];
    let said = said
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
    let said: Map<String, Value> = said.collect();
    if !said.is_empty() {
        fields.insert("annotations".to_owned(), Value::Object(said));
    }
    tool
}

fn invalid(message: &str) -> RpcError {
    RpcError::new(Code::InvalidParams, message)
}

/// A name that a client made up, as far as a message repeats it.
pub(crate) fn shortened(name: &str) -> String {
    name.chars()
        .filter(|it| !it.is_control())
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_no_text_even_where_its_bytes_are_one() {
        let archive = contents("a:b", Document::Evidence, b"ledger\0\0".to_vec());
        assert_eq!(archive.get("text"), None);
        assert_eq!(archive["blob"], "bGVkZ2VyAAA=");
        assert_eq!(archive["mimeType"], "application/x-tar");
        let report = contents("a:b", Document::Report, b"{}".to_vec());
        assert_eq!(report["text"], "{}");
        assert_eq!(report.get("blob"), None);
    }
}
