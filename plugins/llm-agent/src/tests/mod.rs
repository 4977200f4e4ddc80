//! The agent against a scripted host: what the model says and what tools give is written down, and what
//! was asked is looked at afterwards.

mod bounds;
mod code;
mod errors;
mod golden;
mod messages;
mod tool_use;

use std::cell::RefCell;
use std::collections::VecDeque;

use flowhost_sdk::host::model::{Completion, Finish, Prompt, Speaker, ToolCall};
use flowhost_sdk::{Answer, Context, Descriptor, Effects, Error, Output, Task, ToolSpec, Usage};
use serde_json::{Value, json};

use crate::config::Config;
use crate::host::{Host, Left};
use crate::work;

/// What a tool gives for its name and arguments.
type Tool = dyn Fn(&str, &str) -> Result<String, Error>;

/// A host whose model says what was written down; the last answer is said again for ever.
pub(super) struct Script {
    answers: RefCell<VecDeque<Result<Completion, Error>>>,
    /// What each call of a tool gives.
    tool: Box<Tool>,
    left: RefCell<VecDeque<Left>>,
    /// Tools beside those that each script has.
    more: Vec<&'static str>,
    pub(super) asked: RefCell<Vec<Prompt>>,
    pub(super) called: RefCell<Vec<(String, String)>>,
    pub(super) warned: RefCell<Vec<String>>,
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Completion>) -> Self {
        Self::of(answers.into_iter().map(Ok))
    }

    pub(super) fn of(answers: impl IntoIterator<Item = Result<Completion, Error>>) -> Self {
        let plenty = Left {
            tokens: 1_000_000,
            micro_usd: 1_000_000,
        };
        Self {
            answers: RefCell::new(answers.into_iter().collect()),
            tool: Box::new(|name, _| Ok(json!({ "from": name }).to_string())),
            left: RefCell::new(VecDeque::from([plenty])),
            more: Vec::new(),
            asked: RefCell::default(),
            called: RefCell::default(),
            warned: RefCell::default(),
        }
    }

    pub(super) fn tool(
        mut self,
        tool: impl Fn(&str, &str) -> Result<String, Error> + 'static,
    ) -> Self {
        self.tool = Box::new(tool);
        self
    }

    /// More tools that the host lists.
    pub(super) fn lists(mut self, more: &[&'static str]) -> Self {
        self.more = more.to_vec();
        self
    }

    /// What is left before each call; the last one for ever.
    pub(super) fn left(self, left: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let left = left
            .into_iter()
            .map(|(tokens, micro_usd)| Left { tokens, micro_usd });
        *self.left.borrow_mut() = left.collect();
        self
    }

    /// Does a step with the prompt `Do it.` and the given configuration besides role and model.
    pub(super) fn work(&self, config: Value, schema: &str) -> Result<Output, Error> {
        work::work(
            self,
            &configured(config),
            &context(),
            &task(&json!({ "path": "a.md" }), schema),
        )
    }

    /// The last turn of each request.
    pub(super) fn last_turns(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        asked
            .iter()
            .filter_map(|prompt| Some(prompt.turns.last()?.content.clone()))
            .collect()
    }

    /// What the model was told of its tools' results in the last request.
    pub(super) fn results(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let turns = asked
            .last()
            .map(|prompt| prompt.turns.as_slice())
            .unwrap_or_default();
        turns
            .iter()
            .filter(|turn| turn.speaker == Speaker::Tool)
            .map(|turn| turn.content.clone())
            .collect()
    }
}

fn next<T: Clone>(queue: &RefCell<VecDeque<T>>) -> T {
    let mut queue = queue.borrow_mut();
    let first = queue.front().cloned().expect("something was written down");
    if queue.len() > 1 {
        queue.pop_front();
    }
    first
}

impl Host for Script {
    fn config(&self) -> String {
        "{}".to_owned()
    }

    fn complete(&self, prompt: &Prompt) -> Result<Completion, Error> {
        self.asked.borrow_mut().push(prompt.clone());
        next(&self.answers)
    }

    fn tools(&self) -> Vec<Descriptor> {
        let own = ["files/read", "markdown/links"];
        own.iter()
            .chain(&self.more)
            .map(|name| descriptor(name))
            .collect()
    }

    fn call(&self, name: &str, arguments: &str) -> Result<Answer, Error> {
        self.called
            .borrow_mut()
            .push((name.to_owned(), arguments.to_owned()));
        let value = (self.tool)(name, arguments)?;
        Ok(Answer {
            value,
            parts: Vec::new(),
        })
    }

    fn ask(&self, peer: &str, payload: &str, _: f64) -> Result<String, Error> {
        self.called
            .borrow_mut()
            .push((format!("ask {peer}"), payload.to_owned()));
        (self.tool)(peer, payload)
    }

    fn left(&self) -> Left {
        next(&self.left)
    }

    fn warn(&self, message: &str) {
        self.warned.borrow_mut().push(message.to_owned());
    }
}

fn descriptor(name: &str) -> Descriptor {
    Descriptor {
        name: name.to_owned(),
        title: name.to_owned(),
        description: format!("Does {name}."),
        input_schema: r#"{"type":"object"}"#.to_owned(),
        output_schema: String::new(),
        effects: Effects::None,
        annotations: ToolSpec::any("t").annotations,
    }
}

pub(super) fn context() -> Context {
    Context {
        run: "01JD0000000000000000000000".to_owned(),
        call: "1".to_owned(),
        step: "step".to_owned(),
        attempt: 1,
        actor: "default/auditor".to_owned(),
        traceparent: String::new(),
        deadline_ms: 1_000.0,
        seed: "00".repeat(32),
        key: "00".repeat(16),
    }
}

pub(super) fn task(input: &Value, schema: &str) -> Task {
    Task {
        id: "audit".to_owned(),
        input: input.to_string(),
        prompt: "Do it.".to_owned(),
        prompt_version: String::new(),
        schema: schema.to_owned(),
    }
}

pub(super) fn configured(more: Value) -> Config {
    let mut config = json!({ "role": "auditor", "model": "mock/auditor" });
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    Config::read(&config.to_string()).expect("a configuration")
}

/// The model says something.
pub(super) fn says(content: &str) -> Completion {
    Completion {
        content: content.to_owned(),
        tool_calls: Vec::new(),
        finish: Finish::Stop,
        usage: Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
            cost_micro_usd: 100.0,
        },
        model: "auditor-1".to_owned(),
    }
}

/// The model asks for tools.
pub(super) fn asks(calls: &[(&str, &str)]) -> Completion {
    let call = |(place, (name, arguments)): (usize, &(&str, &str))| ToolCall {
        id: format!("c{place}"),
        name: (*name).to_owned(),
        arguments: (*arguments).to_owned(),
    };
    Completion {
        tool_calls: calls.iter().enumerate().map(call).collect(),
        finish: Finish::ToolCalls,
        ..says("")
    }
}

pub(super) fn failed(result: Result<Output, Error>) -> String {
    match result {
        Err(Error::Failed(text)) => text,
        other => panic!("not a failure: {other:?}"),
    }
}

/// An object with the integer `n`.
pub(super) const NUMBER: &str = r#"{"type":"object","required":["n"],"additionalProperties":false,"properties":{"n":{"type":"integer"}}}"#;
