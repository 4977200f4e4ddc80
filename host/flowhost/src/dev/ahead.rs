//! Compiles a component as soon as its file is whole, while the end of the save is waited for.
//!
//! Nothing follows from it. Whether the save is over, whether the project is sound and whether the component may come in
//! is asked as ever, and whoever then wants its code finds it done or on its way. It is worth the wait that it spares: to
//! compile takes longer than all else between a save and the next call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_run::{Host, Project};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ambient::Ambient;
use crate::sources::COMPONENT_BYTES_MAX;

/// What is compiled before anybody asks for it.
pub(super) struct Ahead {
    ambient: Ambient,
    host: Host,
    whole: mpsc::Receiver<PathBuf>,
    /// By file, and one for each: another change makes what was begun worthless.
    begun: BTreeMap<PathBuf, JoinSet<()>>,
}

impl Ahead {
    /// Hears of files that are whole.
    #[must_use]
    pub(super) fn new(ambient: &Ambient, host: &Host, whole: mpsc::Receiver<PathBuf>) -> Self {
        host.keep_compiler_ready();
        Self {
            ambient: ambient.clone(),
            host: host.clone(),
            whole,
            begun: BTreeMap::new(),
        }
    }

    /// The next file that is whole; for ever none where the system tells of none.
    pub(super) async fn next(&mut self) -> PathBuf {
        match self.whole.recv().await {
            Some(path) => path,
            None => std::future::pending().await,
        }
    }

    /// Begins with this file, if a plugin of the project comes from it.
    pub(super) fn begin(&mut self, file: PathBuf, project: Option<&Project>) {
        let mut members = project.into_iter().flat_map(|it| it.members.values());
        if !members.any(|member| member.path == file) {
            return;
        }
        let mut task = JoinSet::new();
        task.spawn(compile(
            self.ambient.clone(),
            self.host.clone(),
            file.clone(),
        ));
        // What was begun before ends here, with its compiler.
        self.begun.insert(file, task);
    }
}

async fn compile(ambient: Ambient, host: Host, file: PathBuf) {
    let read = tokio::task::spawn_blocking(move || component(&ambient, &file));
    if let Ok(Some(component)) = read.await {
        host.compile_ahead(&component).await;
    }
}

/// None for what cannot be read, or is no component: that is told when the project is read.
fn component(ambient: &Ambient, file: &Path) -> Option<flowhost_engine::Inspected> {
    ambient.component(file, COMPONENT_BYTES_MAX).ok()
}
