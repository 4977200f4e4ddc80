//! What another process of this host asks of a run: a file in the state folder, named by the run.
//!
//! The state folder belongs to one user, who may do with the runs what they like; whoever can write a file here
//! could as well kill the process. A process takes only what is asked of its own runs, within a
//! quarter of a second. An ask that nobody took is taken away by whoever asked, and by whoever resumes
//! the run: it was meant for the process that had it then.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::state::State;
use crate::given::process::Process;
use crate::host::Inner;

/// How often is looked: a person does not notice it, and a list of an empty folder costs microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// To come to its end.
    Cancel {
        /// Why, for the record.
        reason: String,
        /// How long calls at work may take, in milliseconds.
        grace_ms: u64,
    },
}

/// Where it stands what is asked of a run.
#[must_use]
pub fn path(state: &State, run: &str) -> PathBuf {
    state.asks_dir().join(run)
}

/// Looks as long as runs go on.
pub(super) async fn heed(host: Arc<Inner>) {
    while !host.rests() {
        tokio::time::sleep(LOOK_EVERY).await;
        let config = &host.process.config;
        match config.world.list(&config.state.asks_dir()) {
            Ok(asked) => asked.iter().for_each(|run| take(&host, run)),
            // A world without other processes.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
            // Whoever asks waits in vain, and says so; the next look may go well.
            Err(_) => {}
        }
    }
}

fn take(host: &Inner, id: &str) {
    // Another process of this state has it, or it has ended meanwhile.
    let Some(run) = host.going_on(id) else { return };
    let config = &host.process.config;
    let Ok(bytes) = config.world.read(&path(&config.state, id)) else {
        return; // taken back
    };
    // Taken away before it is done, so that it is done once; what cannot be read would be looked at for ever.
    forget(&host.process, id);
    match serde_json::from_slice(&bytes) {
        Ok(Ask::Cancel { reason, grace_ms }) => {
            run.wind_down(&reason, Duration::from_millis(grace_ms));
        }
        Err(error) => {
            let why = error.to_string();
            tracing::warn!(run = id, why, "what is asked of the run cannot be read");
        }
    }
}

/// Takes away what was asked of a run.
pub(crate) fn forget(process: &Process, run: &str) {
    // It is not there as a rule; one that stays is heard, or taken away by whoever asked.
    let config = &process.config;
    let _not_there = config.world.remove(&path(&config.state, run));
}
