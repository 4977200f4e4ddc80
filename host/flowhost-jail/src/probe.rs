//! What of the sandbox this machine can do, by trying it: said by `doctor`, and no part of a decision.
//! Whether a process is confined is known when it is confined.

use std::path::Path;

use crate::launch;
use crate::spec::{Bounds, Spec};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Whether this machine confines a process.
    pub there: bool,
    /// What was found.
    pub found: String,
}

/// Starts `true` in the sandbox by `program`, this executable, and says what came of it.
pub async fn probe(program: &Path) -> Probed {
    let tried = launch(program, &nothing()).await;
    match tried {
        Ok(mut running) => Probed {
            there: true,
            found: format!(
                "namespaces, Landlock, seccomp and limits, all of them; a trial process: {}",
                running.ended().await
            ),
        },
        Err(refused) => Probed {
            there: false,
            found: refused.to_string(),
        },
    }
}

/// A process that does nothing.
fn nothing() -> Spec {
    Spec {
        command: vec!["true".to_owned()],
        sha256: String::new(),
        environment: std::collections::BTreeMap::new(),
        folder: "/tmp".to_owned(),
        folders: Vec::new(),
        bounds: Bounds {
            // Small bounds of each kind, so that a machine that cannot set one is found out.
            memory_bytes: 64 << 20,
            cpu_seconds: 5,
            processes: 8,
            open_files: 64,
            file_bytes: 1 << 20,
            wall_seconds: 5,
        },
    }
}
