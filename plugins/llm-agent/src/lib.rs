//! The agent `llm-agent`: does a step's work with a language model and the tools that it is granted.
//!
//! Everything that decides is ordinary Rust behind the trait [`host::Host`]; this file is the glue. The
//! agent keeps nothing between calls (each is a fresh instance), holds no key, and reaches nothing but
//! the model, the tools and the budget that its profile grants: what it wants done, it asks for.

mod answer;
mod code;
mod config;
mod host;
mod message;
mod notes;
mod panel;
mod prompt;
mod spend;
mod template;
mod text;
mod tools;
mod trim;
mod work;

#[cfg(test)]
mod tests;

use flowhost_sdk::{Agent, Context, Error, Message, Outgoing, Output, Task};

use crate::config::Config;
use crate::host::{Host, Imports};

struct LlmAgent;

impl Agent for LlmAgent {
    fn on_start(_: &Context, config: &str) -> Result<(), Error> {
        config::check(&Imports, config)
    }

    fn on_plan(ctx: &Context, task: &Task) -> Result<Output, Error> {
        let config = Config::read(&Imports.config())?;
        work::work(&Imports, &config, ctx, task)
    }

    fn on_message(ctx: &Context, message: &Message) -> Result<Vec<Outgoing>, Error> {
        let config = Config::read(&Imports.config())?;
        message::answer(&Imports, &config, ctx, message)
    }
}

flowhost_sdk::export_agent!(LlmAgent);
