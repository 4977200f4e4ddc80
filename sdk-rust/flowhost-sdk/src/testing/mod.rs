//! For `cargo test` on the build machine: [`Fakes`] of the host, and a [`Sandbox`] of the real one.
//!
//! What a plugin's functions call is answered from the fakes, and what they did can be read afterwards. As
//! with the real host, the default is no: what a test does not set up is denied with the right that is
//! missing. The fakes confine nothing and check no profile. A [`Sandbox`] does both, with the built component and the
//! `flowhost` executable; `flowhost plugin test` tries what an author does not think of.
//!
//! ```
//! use flowhost_sdk::testing::{Fakes, context};
//! use flowhost_sdk::{files, Error};
//!
//! fn lines(path: &str) -> Result<usize, Error> {
//!     Ok(files::read_text(path)?.lines().count())
//! }
//!
//! let fakes = Fakes::new().file("/docs/a.md", "one\ntwo\n");
//! assert_eq!(fakes.run(|| lines("/docs/a.md")).unwrap(), 2);
//! assert!(matches!(fakes.run(|| lines("/elsewhere")), Err(Error::Denied(_))));
//! # let _ = context();
//! ```

mod files;
mod sandbox;
mod world;

use std::cell::RefCell;
use std::rc::Rc;

use crate::host::http::{Header, Request, Response};
use crate::host::log::{Field, Level};
use crate::host::model::{Completion, Embeddings, Finish, Prompt};
use crate::host::{budget, state};
use crate::{Answer, Context, Denial, Descriptor, Error, Message, Usage, answer};
pub use sandbox::{Denied, Ended, Failed, Ran, Sandbox, Used};
use world::World;

thread_local! {
    /// The fakes of the test that runs on this thread, the innermost last.
    static RUNNING: RefCell<Vec<Fakes>> = const { RefCell::new(Vec::new()) };
}

/// What the functions of `flowhost_sdk` meet on the build machine. Clones are the same fakes.
#[derive(Clone, Default)]
pub struct Fakes(Rc<RefCell<World>>);

impl std::fmt::Debug for Fakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fakes").finish_non_exhaustive()
    }
}

/// What a message that was published says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where it went.
    pub topic: String,
    /// The conversation; empty for none.
    pub correlation: String,
    /// One JSON document.
    pub payload: String,
}

/// The context of a first attempt with ten seconds left.
#[must_use]
pub fn context() -> Context {
    Context {
        run: "01JD0000000000000000000000".to_owned(),
        call: "1".to_owned(),
        step: "only".to_owned(),
        attempt: 1,
        actor: "default/under-test".to_owned(),
        traceparent: "00-00000000000000000000000000000001-0000000000000001-01".to_owned(),
        deadline_ms: 10_000.0,
        seed: "07".repeat(32),
        key: "0123456789abcdef0123456789abcdef".to_owned(),
    }
}

/// What a host function asks; a test that sets nothing up meets fakes that deny all.
pub(crate) fn with<T>(ask: impl FnOnce(&Fakes) -> T) -> T {
    let running = RUNNING.with_borrow(|all| all.last().cloned());
    ask(&running.unwrap_or_default())
}

/// Takes the fakes off the stack also when the test panics.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}

/// Setting up.
impl Fakes {
    /// Fakes that deny everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs what is to be tested, on this thread.
    pub fn run<T>(&self, test: impl FnOnce() -> T) -> T {
        RUNNING.with_borrow_mut(|all| all.push(self.clone()));
        let _guard = Guard;
        test()
    }

    fn set(self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    /// A file; the first part of its path (`/docs`) becomes a granted folder that may be read.
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.set(|world| world.files.put(path, contents.as_ref()))
    }

    /// A granted folder that may be written.
    #[must_use]
    pub fn writable(self, root: &str) -> Self {
        self.set(|world| world.files.grant(root, true))
    }

    /// The answer to one kind of request; a later one for the same method and URL takes its place.
    #[must_use]
    pub fn respond(self, method: &str, url: &str, status: i32, body: impl AsRef<[u8]>) -> Self {
        let response = Response {
            status,
            headers: Vec::new(),
            body: body.as_ref().to_vec(),
        };
        self.answer_http(method, url, Ok(response))
    }

    /// As [`Fakes::respond`], with headers.
    #[must_use]
    pub fn respond_with(
        self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Self {
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let response = Response {
            status: 200,
            headers: headers.iter().map(header).collect(),
            body: body.as_ref().to_vec(),
        };
        self.answer_http(method, url, Ok(response))
    }

    /// A request that fails: a connection that breaks, a rule that says no.
    #[must_use]
    pub fn refuse(self, method: &str, url: &str, error: Error) -> Self {
        self.answer_http(method, url, Err(error))
    }

    fn answer_http(self, method: &str, url: &str, answer: Result<Response, Error>) -> Self {
        let key = (method.to_owned(), url.to_owned());
        self.set(|world| drop(world.responses.insert(key, answer)))
    }

    /// The next answer of the model: each call takes one, in order.
    #[must_use]
    pub fn model(self, content: &str) -> Self {
        self.model_answer(Ok(Completion {
            content: content.to_owned(),
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: no_usage(),
            model: "fake".to_owned(),
        }))
    }

    /// The next answer of the model with everything that it can have, or its failure.
    #[must_use]
    pub fn model_answer(self, answer: Result<Completion, Error>) -> Self {
        self.set(|world| world.model.push_back(answer))
    }

    /// A tool of another plugin, `plugin/tool`, which answers with a JSON document.
    #[must_use]
    pub fn tool(self, name: &str, call: impl Fn(&str) -> Result<String, Error> + 'static) -> Self {
        self.set(|world| drop(world.tools.insert(name.to_owned(), Rc::new(call))))
    }

    /// The plan's `config:`, a JSON object.
    #[must_use]
    pub fn config(self, config: &str) -> Self {
        self.set(|world| config.clone_into(&mut world.config))
    }

    /// A namespace of state that may be used.
    #[must_use]
    pub fn namespace(self, name: &str) -> Self {
        self.set(|world| {
            world.state.entry(name.to_owned()).or_default();
        })
    }

    /// A secret that may be named and revealed.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.set(|world| drop(world.secrets.insert(name.to_owned(), value.to_owned())))
    }

    /// A topic that may be published to.
    #[must_use]
    pub fn topic(self, topic: &str) -> Self {
        self.set(|world| {
            world.topics.insert(topic.to_owned());
        })
    }

    /// The next answer to a message that is a request.
    #[must_use]
    pub fn reply(self, payload: &str) -> Self {
        self.set(|world| world.replies.push_back(payload.to_owned()))
    }

    /// The time.
    #[must_use]
    pub fn now_ms(self, now: f64) -> Self {
        self.set(|world| world.now_ms = now)
    }

    /// The seed of the randomness.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.set(|world| world.random = seed)
    }

    /// What is left of tokens and of money.
    #[must_use]
    pub fn budget(self, tokens: u64, micro_usd: u64) -> Self {
        self.set(|world| (world.tokens, world.micro_usd) = (tokens, micro_usd))
    }
}

/// Looking at what was done.
impl Fakes {
    /// The log lines: `warn: slow files=12`.
    #[must_use]
    pub fn logged(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// The messages that were published and requested, in order.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        self.0.borrow().published.clone()
    }

    /// The requests that were sent, answered or not.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The conversations that a model was asked to complete.
    #[must_use]
    pub fn prompts(&self) -> Vec<Prompt> {
        self.0.borrow().prompts.clone()
    }

    /// The reports of progress.
    #[must_use]
    pub fn progress(&self) -> Vec<(f64, Option<f64>, String)> {
        self.0.borrow().progress.clone()
    }

    /// What stands in a file.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().files.contents(path)
    }
}

/// The host functions.
impl Fakes {
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[Field]) {
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let fields = fields.iter().map(|it| format!(" {}={}", it.key, it.value));
        let line = format!("{level}: {message}{}", fields.collect::<String>());
        self.0.borrow_mut().log.push(line);
    }

    pub(crate) fn report(&self, done: f64, total: Option<f64>, message: &str) {
        let report = (done, total, message.to_owned());
        self.0.borrow_mut().progress.push(report);
    }

    pub(crate) fn left(&self) -> budget::Remaining {
        let world = self.0.borrow();
        budget::Remaining {
            fuel: "1000000000".to_owned(),
            host_calls: "100000".to_owned(),
            deadline_ms: 10_000.0,
            tokens: world.tokens.to_string(),
            micro_usd: world.micro_usd.to_string(),
        }
    }

    pub(crate) fn time(&self) -> f64 {
        self.0.borrow().now_ms
    }

    /// Time stands still in a test.
    pub(crate) fn elapsed(&self) -> f64 {
        0.0
    }

    pub(crate) fn config_text(&self) -> String {
        let world = self.0.borrow();
        match world.config.as_str() {
            "" => "{}".to_owned(),
            text => text.to_owned(),
        }
    }

    pub(crate) fn config_key(&self, key: &str) -> Option<String> {
        let config: serde_json::Value = serde_json::from_str(&self.config_text()).ok()?;
        config.get(key).map(ToString::to_string)
    }

    pub(crate) fn roots(&self) -> Vec<String> {
        self.0.borrow().files.roots()
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.0.borrow().files.read(path)
    }

    pub(crate) fn read_range(&self, path: &str, from: &str, length: i32) -> Result<Vec<u8>, Error> {
        let contents = self.read(path)?;
        let from = from.parse::<usize>();
        let from = from.map_err(|_| Error::invalid("the offset is not a number"))?;
        let length = usize::try_from(length).unwrap_or(0);
        Ok(contents.into_iter().skip(from).take(length).collect())
    }

    pub(crate) fn list_files(&self, path: &str) -> Result<Vec<crate::files::Entry>, Error> {
        self.0.borrow().files.list(path)
    }

    pub(crate) fn stat(&self, path: &str) -> Result<crate::files::Entry, Error> {
        self.0.borrow().files.stat(path)
    }

    pub(crate) fn write(&self, path: &str, contents: &[u8], append: bool) -> Result<(), Error> {
        self.0.borrow_mut().files.write(path, contents, append)
    }

    pub(crate) fn make_directory(&self, path: &str) -> Result<(), Error> {
        self.0.borrow_mut().files.make_directory(path)
    }

    pub(crate) fn remove(&self, path: &str) -> Result<(), Error> {
        self.0.borrow_mut().files.remove(path)
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut world = self.0.borrow_mut();
        world.requests.push(request.clone());
        let key = (request.method.clone(), request.url.clone());
        let wanted = format!("{} {}", request.method, request.url);
        match world.responses.get(&key) {
            Some(answer) => answer.clone(),
            None => Err(denied("http", &wanted, "Fakes::respond")),
        }
    }

    pub(crate) fn complete(&self, prompt: &Prompt) -> Result<Completion, Error> {
        let mut world = self.0.borrow_mut();
        world.prompts.push(prompt.clone());
        let next = world.model.pop_front();
        next.unwrap_or_else(|| Err(denied("model", &prompt.model, "Fakes::model")))
    }

    /// A vector of one number for each text, its length: enough to see that texts arrive.
    pub(crate) fn embed(&self, model: &str, texts: &[String]) -> Result<Embeddings, Error> {
        if self.0.borrow().model.is_empty() {
            return Err(denied("model", model, "Fakes::model"));
        }
        let vector = |text: &String| vec![f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX))];
        Ok(Embeddings {
            vectors: texts.iter().map(vector).collect(),
            usage: no_usage(),
        })
    }

    pub(crate) fn tool_list(&self) -> Vec<Descriptor> {
        let world = self.0.borrow();
        let descriptor = |name: &String| crate::ToolSpec::any("").named(name);
        world.tools.keys().map(descriptor).collect()
    }

    pub(crate) fn call_tool(&self, name: &str, input: &str) -> Result<Answer, Error> {
        // Not borrowed during the call: a fake may call others.
        let tool = self.0.borrow().tools.get(name).cloned();
        let Some(tool) = tool else {
            return Err(denied("tools.call", name, "Fakes::tool"));
        };
        let value: serde_json::Value = crate::parse(&tool(input)?)?;
        answer(&value)
    }

    pub(crate) fn publish(
        &self,
        topic: &str,
        thread: &str,
        payload: &str,
    ) -> Result<String, Error> {
        let mut world = self.0.borrow_mut();
        if !world.topics.contains(topic) {
            return Err(denied("messages.publish", topic, "Fakes::topic"));
        }
        let _checked: serde_json::Value = crate::parse(payload)?;
        world.published.push(Published {
            topic: topic.to_owned(),
            correlation: thread.to_owned(),
            payload: payload.to_owned(),
        });
        Ok(format!("message-{}", world.published.len()))
    }

    pub(crate) fn request(&self, topic: &str, payload: &str, _: f64) -> Result<Message, Error> {
        let id = self.publish(topic, "", payload)?;
        let reply = self.0.borrow_mut().replies.pop_front();
        let payload = reply.ok_or_else(|| Error::transient("nobody answered (Fakes::reply)"))?;
        Ok(Message {
            id: format!("{id}-answer"),
            topic: topic.to_owned(),
            sender: "default/fake".to_owned(),
            correlation: id,
            payload,
        })
    }

    pub(crate) fn random(&self, length: i32) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(length).unwrap_or(0);
        Ok(self.0.borrow_mut().random_bytes(length))
    }

    pub(crate) fn secret_names(&self) -> Vec<String> {
        self.0.borrow().secrets.keys().cloned().collect()
    }

    pub(crate) fn reveal(&self, name: &str) -> Result<String, Error> {
        let world = self.0.borrow();
        let value = world.secrets.get(name).cloned();
        value.ok_or_else(|| denied("secrets.reveal", name, "Fakes::secret"))
    }

    pub(crate) fn state_get(&self, space: &str, key: &str) -> Result<Option<state::Entry>, Error> {
        self.0.borrow().state_get(space, key)
    }

    pub(crate) fn state_set(&self, space: &str, key: &str, value: &[u8]) -> Result<String, Error> {
        self.0.borrow_mut().state_set(space, key, value)
    }

    pub(crate) fn state_swap(
        &self,
        space: &str,
        key: &str,
        expected: &str,
        value: &[u8],
    ) -> Result<Option<String>, Error> {
        let mut world = self.0.borrow_mut();
        let now = world.state_get(space, key)?;
        if now.map_or_else(String::new, |entry| entry.revision) != expected {
            return Ok(None);
        }
        world.state_set(space, key, value).map(Some)
    }

    pub(crate) fn state_delete(&self, space: &str, key: &str) -> Result<bool, Error> {
        let mut world = self.0.borrow_mut();
        world.namespace(space)?;
        let entries = world.state.get_mut(space);
        Ok(entries.is_some_and(|entries| entries.remove(key).is_some()))
    }

    pub(crate) fn state_list(&self, space: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let world = self.0.borrow();
        let keys = world.namespace(space)?.keys();
        let keys = keys.filter(|key| key.starts_with(prefix)).take(1_000);
        Ok(keys.cloned().collect())
    }
}

const fn no_usage() -> Usage {
    Usage {
        prompt_tokens: 0,
        completion_tokens: 0,
        cost_micro_usd: 0.0,
    }
}

/// A refusal as the host's, whose rule names what a test would set up.
fn denied(right: &str, wanted: &str, cure: &str) -> Error {
    Error::Denied(Denial {
        right: right.to_owned(),
        wanted: wanted.to_owned(),
        rule: format!("the test grants nothing of it: see {cure}"),
    })
}
