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

pub use base::failure::{self, Failure};
pub use base::finding::{self, Finding};
pub use base::nofollow;
pub use base::state::State;
pub use before::preflight::{Preflight, missing_rights, preflight};
pub use before::{agents, estimate, functions};
pub use calls::driver::{Outcome, Paused, StepOutcome, status_word};
pub use calls::order::Detail;
pub use earlier::replay::{Difference, Entry, Recorded, ReplayOptions, Replayed};
pub use earlier::resume::{Fed, FedError, Kept, ResumeOptions, Settlement, Spoken, Verdict, Word};
pub use earlier::reuse::{Earlier, ReusedCall};
pub use given::bundle;
pub use given::options::{RunOptions, WorkTree};
pub use given::project::{Documented, Member, Project};
pub use given::redaction::redaction;
pub use given::world::{
    FactObserver, HostConfig, Operator, Said, StageMade, StageWanted, Views, Workers, World,
    local_bus,
};
pub use host::elsewhere::Work;
pub use host::handle::{Events, Heard, Run, RunEvent, RunState};
pub use host::introduce::{Introduced, Introduction};
pub use host::{Host, asks};
pub use kept::document::{self, RunDocument};
pub use kept::finished::{Evidence, Finished};
pub use kept::journal::{Denial, view_fact};
pub use kept::{memory, specs};
pub use plugins::installed::declared;
pub use plugins::swap::{Swapped, widens};
pub use plugins::wiring::plan_hash;

/// The rooms' doors at their old places, for work that was begun before there were rooms. They go
/// when that has landed.
#[expect(unused_imports, reason = "whoever has landed needs none of them")]
mod doors {
    pub(crate) use crate::base::{clock, lines, state, tasks};
    pub(crate) use crate::before::{preflight, prompts, rights};
    pub(crate) use crate::calls::{desk, driver, mailbox, order, worker};
    pub(crate) use crate::earlier::{fork, replay, resume, reuse};
    pub(crate) use crate::given::{folders, project, redaction, world};
    pub(crate) use crate::host::{elsewhere, execute, handle, introduce};
    pub(crate) use crate::kept::{books, journal, revealed, stages};
    pub(crate) use crate::meters::{account, breaker, held, pace, purse, tally};
    pub(crate) use crate::plugins::{
        content, guards, guest, installed, logs, registry, router, server, swap, wiring,
    };
    #[cfg(test)]
    pub(crate) use crate::standin::{free, testing};
}
#[expect(unused_imports, reason = "whoever has landed needs none of them")]
use doors::*;
