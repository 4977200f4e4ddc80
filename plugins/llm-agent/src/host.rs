//! What the agent asks of its host, as a trait: the component uses its imports, the tests a script.

use flowhost_sdk::host::model::{Completion, Prompt};
use flowhost_sdk::host::{budget, config, messaging, model, tools};
use flowhost_sdk::{Answer, Descriptor, Error};

/// What is left to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) tokens: u64,
    /// Millionths of a US dollar.
    pub(crate) micro_usd: u64,
}

/// The host, as the agent knows it.
pub(crate) trait Host {
    /// The plan's `config:`, as JSON.
    fn config(&self) -> String;
    /// Asks a model.
    fn complete(&self, prompt: &Prompt) -> Result<Completion, Error>;
    /// The tools that may be called, named `plugin/tool`.
    fn tools(&self) -> Vec<Descriptor>;
    /// Calls a tool; its arguments are checked by the host.
    fn call(&self, name: &str, arguments: &str) -> Result<Answer, Error>;
    /// Asks another agent and waits for its answer, at most so many milliseconds.
    fn ask(&self, peer: &str, payload: &str, timeout_ms: f64) -> Result<String, Error>;
    /// What is left of tokens and money.
    fn left(&self) -> Left;
    /// Says something to the operator.
    fn warn(&self, message: &str);
}

/// The component's imports.
pub(crate) struct Imports;

impl Host for Imports {
    fn config(&self) -> String {
        config::all()
    }

    fn complete(&self, prompt: &Prompt) -> Result<Completion, Error> {
        model::complete(prompt)
    }

    fn tools(&self) -> Vec<Descriptor> {
        tools::list()
    }

    fn call(&self, name: &str, arguments: &str) -> Result<Answer, Error> {
        tools::call(name, arguments)
    }

    fn ask(&self, peer: &str, payload: &str, timeout_ms: f64) -> Result<String, Error> {
        let topic = crate::message::mailbox(peer);
        messaging::request(&topic, payload, timeout_ms).map(|answer| answer.payload)
    }

    fn left(&self) -> Left {
        let left = budget::left();
        // An amount that is no number counts as nothing left: the agent then stops early.
        let amount = |text: &str| text.parse().unwrap_or(0);
        Left {
            tokens: amount(&left.tokens),
            micro_usd: amount(&left.micro_usd),
        }
    }

    fn warn(&self, message: &str) {
        flowhost_sdk::log!(Warn, message);
    }
}
