//! Runs plans: one [`Host`] per process, and a [`Run`] for each plan that goes on in it.
//!
//! A host is made of what its process lends ([`HostConfig`]); a run is started with a resolved
//! [`Project`] and can be held, watched, stopped and waited for. Nothing in here knows a command line, a
//! page or ambient authority, so that a server, a worker and a test hold runs as the binary does.

mod base;
mod before;
mod calls;
mod earlier;
mod given;
mod host;
mod kept;
mod meters;
mod plugins;
#[cfg(test)]
mod standin;

pub use base::failure::{self, Failure, RefusedRun};
pub use base::finding::{self, Finding};
pub use base::nofollow;
pub use base::state::State;
pub use before::offers::{self, Offers};
pub use before::preflight::{Preflight, preflight};
pub use before::prompts::{ShownPrompt, StepToAsk};
pub use before::{agents, estimate, functions};
pub use calls::driver::{Outcome, Paused, StepOutcome, status_word};
pub use earlier::replay::{Difference, Entry, Recorded, ReplayOptions, Replayed};
pub use earlier::resume::{
    Fed, FedError, Kept, NOT_RESUMED, ResumeOptions, Settlement, Spoken, Verdict, Word, at_work,
};
pub use earlier::reuse::{Earlier, ReusedCall};
pub use given::bundle;
pub use given::options::{RunOptions, WorkTree};
pub use given::project::{Documented, Member, OwnProfile, Project};
pub use given::redaction::redaction;
pub use given::world::{
    AtHand, Crowd, FactObserver, HostConfig, Listener, Operator, Said, StageViews, StageWanted,
    Taken, Views, Workers, World, local_bus,
};
pub use host::elsewhere::Work;
pub use host::handle::{Events, Heard, Run, RunEvent, RunState};
pub use host::introduce::{Introduced, Introduction, Unasked};
pub use host::requests::{Replied, Requested, Unheard, Withdrawal};
pub use host::rest::Rests;
pub use host::{Host, asks};
pub use kept::document::{self, RunDocument};
pub use kept::finished::{Evidence, Finished};
pub use kept::journal::{Denial, view_fact};
pub use kept::{memory, specs};
pub use meters::detail::Detail;
pub use plugins::described::declared;
pub use plugins::drift;
pub use plugins::swap::{Swapped, widens};
pub use plugins::wiring::plan_hash;
