//! Host capabilities, one folder each; none knows another.
//!
//! This file owns the list and what the binary must bring ([`Services`]). It must never decide a
//! right or act: policy decides, a folder's `host.rs` acts, and the engine links what is granted.

pub mod budget;
pub mod clock;
pub mod config;
pub mod env;
pub mod files;
pub mod http;
pub mod log;
#[path = "mcp-transport/mod.rs"]
pub mod mcp_transport;
pub mod messaging;
pub mod model;
pub mod progress;
pub mod random;
pub mod runtime;
pub mod secrets;
pub mod state;
pub mod tools;

mod shared;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flowhost_bus::Bus;
use flowhost_engine::{Capability, Provider};

/// What capabilities need from a run and from the process that hosts it. Every field is a trait of the
/// folder that uses it, so that a test brings doubles and the binary brings the world.
#[derive(Clone)]
pub struct Services {
    /// Carries messages.
    pub bus: Arc<dyn Bus>,
    /// Knows who reads which topic.
    pub mailboxes: Arc<dyn messaging::Mailboxes>,
    /// Takes log lines.
    pub logs: Arc<dyn log::LogSink>,
    /// Finds and calls tools.
    pub tools: Arc<dyn tools::ToolRouter>,
    /// Knows values of secrets.
    pub secrets: Arc<dyn secrets::SecretStore>,
    /// Keeps state.
    pub state: Arc<dyn state::StateStore>,
    /// Knows what is left.
    pub budget: Arc<dyn budget::BudgetView>,
    /// Asks language models.
    pub model: model::ModelServices,
    /// Tells the time.
    pub time: Arc<dyn clock::TimeSource>,
    /// Real randomness.
    pub entropy: Arc<dyn random::Entropy>,
    /// Variables that a profile may take from the host.
    pub variables: Arc<dyn env::HostVariables>,
    /// What requests need.
    pub http: http::HttpServices,
    /// Folders, opened when the run started.
    pub files: files::FileServices,
    /// What starting native processes needs.
    pub process: mcp_transport::ProcessServices,
}

/// Every capability there is, in the order in which they are linked. What a run brings for them comes
/// in the same order from [`providers`]; a test compares the two.
#[must_use]
pub fn all() -> Vec<Arc<dyn Capability>> {
    vec![
        Arc::new(runtime::Seam),
        Arc::new(env::Seam),
        Arc::new(clock::Seam),
        Arc::new(random::Seam),
        Arc::new(log::Seam),
        Arc::new(progress::Seam),
        Arc::new(config::Seam),
        Arc::new(budget::Seam),
        Arc::new(state::Seam),
        Arc::new(secrets::Seam),
        Arc::new(tools::Seam),
        Arc::new(messaging::Seam),
        Arc::new(model::Seam),
        Arc::new(http::Seam),
        Arc::new(files::Seam),
        Arc::new(mcp_transport::Seam),
    ]
}

/// What one run brings for each capability, in the order of [`all`].
#[must_use]
pub fn providers(services: Services) -> Arc<[Arc<dyn Provider>]> {
    let it = services;
    // Made before the list is: `mcp-transport` sends through the same sender, so that one account
    // of requests and bytes holds for both.
    let http = http::Http::new(it.http);
    let outward = http.outward();
    Arc::new([
        Arc::new(runtime::Runtime::new(
            Arc::clone(&it.logs),
            Arc::clone(&it.secrets),
        )),
        Arc::new(env::Env::new(it.variables)),
        Arc::new(clock::Clock::new(it.time)),
        Arc::new(random::Random::new(it.entropy)),
        Arc::new(log::Log::new(Arc::clone(&it.logs), Arc::clone(&it.secrets))),
        Arc::new(progress::Progress::new(it.logs, Arc::clone(&it.secrets))),
        Arc::new(config::Config),
        Arc::new(budget::Budget::new(it.budget)),
        Arc::new(state::State::new(it.state)),
        Arc::new(secrets::Secrets::new(it.secrets)),
        Arc::new(tools::Tools::new(it.tools)),
        Arc::new(messaging::Messaging::new(it.bus, it.mailboxes)),
        Arc::new(model::Model::new(it.model)),
        Arc::new(http),
        Arc::new(files::Files::new(it.files)),
        Arc::new(mcp_transport::McpTransport::new(it.process, outward)),
    ])
}
