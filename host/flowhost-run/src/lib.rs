//! Runs plans: one [`Host`] per process, and a [`Run`] for each plan that goes on in it.
//!
//! A host is made of what its process lends ([`HostConfig`]); a run is started with a resolved
//! [`Project`] and can be held, watched, stopped and waited for. Nothing in here knows a command line, a
//! page or ambient authority, so that a server, a worker and a test hold runs as the binary does.

pub mod agents;
pub mod asks;
pub mod bundle;
pub mod document;
pub mod estimate;
pub mod failure;
pub mod finding;
#[cfg(test)]
mod free;
pub mod functions;
pub mod memory;
pub mod nofollow;
pub mod specs;

mod account;
mod books;
mod breaker;
mod clock;
mod content;
mod desk;
mod driver;
mod elsewhere;
mod execute;
mod folders;
mod fork;
mod guards;
mod guest;
mod handle;
mod held;
mod host;
mod installed;
mod introduce;
mod journal;
mod lines;
mod logs;
mod mailbox;
mod order;
mod pace;
mod preflight;
mod project;
mod prompts;
mod purse;
mod redaction;
mod registry;
mod replay;
mod resume;
mod reuse;
mod revealed;
mod rights;
mod router;
mod server;
#[cfg(test)]
mod sim;
mod stages;
mod state;
mod swap;
mod tally;
mod tasks;
#[cfg(test)]
mod testing;
mod wiring;
mod worker;
mod world;

pub use document::RunDocument;
pub use driver::{Outcome, Paused, StepOutcome};
pub use elsewhere::Work;
pub use execute::{Evidence, Finished, RunOptions, WorkTree, status_word};
pub use failure::Failure;
pub use finding::Finding;
pub use handle::{Events, Heard, Run, RunEvent, RunState};
pub use host::Host;
pub use installed::declared;
pub use introduce::{Introduced, Introduction};
pub use journal::{Denial, view_fact};
pub use order::Detail;
pub use preflight::{Preflight, missing_rights, preflight};
pub use project::{Documented, Member, Project};
pub use redaction::redaction;
pub use replay::{Difference, Entry, Recorded, ReplayOptions, Replayed};
pub use resume::{Fed, FedError, Kept, ResumeOptions, Settlement, Spoken, Verdict, Word};
pub use reuse::{Earlier, ReusedCall};
pub use state::State;
pub use swap::{Swapped, widens};
pub use wiring::plan_hash;
pub use world::{
    FactObserver, HostConfig, Operator, Said, StageMade, StageWanted, Views, Workers, World,
    local_bus,
};
