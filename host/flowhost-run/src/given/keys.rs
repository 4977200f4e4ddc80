//! The second keys of a run: which of them its rights ask for, and which whoever began it had turned.
//!
//! They are options of a process, and no part of the plan, so another process that takes the run up may lack them.
//! What it goes on with would be denied then, and so would what takes its effects back: the run would end for good by a
//! word that nobody gave. So they are on record, a process that lacks one is refused before anything happens, and every
//! command that is printed repeats them. They are never turned unasked.

use flowhost_words::{PRIVATE_NETWORK_OPTION, PROCESS_OPTION};

use crate::given::project::Project;

/// The second keys that rights of this project ask for.
fn asked_for(project: &Project) -> Vec<&'static str> {
    let grants = || project.members.values().map(|it| &it.effective.grants);
    let private = grants().any(|it| it.http.iter().any(|rule| rule.private_network));
    let process = grants().any(|it| !it.process.is_empty());
    let keys = [(private, PRIVATE_NETWORK_OPTION), (process, PROCESS_OPTION)];
    let asked = keys.into_iter().filter(|(asked, _)| *asked);
    asked.map(|(_, key)| key).collect()
}

/// What a process has turned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) private_network: bool,
    pub(crate) process: bool,
}

impl Turned {
    pub(crate) fn has(self, key: &str) -> bool {
        match key {
            PRIVATE_NETWORK_OPTION => self.private_network,
            PROCESS_OPTION => self.process,
            _ => false,
        }
    }

    /// Those of them that rights of this project ask for, for the record. None where they ask for none: a run that needs
    /// no second key has nothing to say of it.
    pub(crate) fn of(self, project: &Project) -> Option<Vec<String>> {
        let asked = asked_for(project);
        let turned = asked.iter().filter(|key| self.has(key));
        (!asked.is_empty()).then(|| turned.map(|key| (*key).to_owned()).collect())
    }

    /// Those that `had` before, rights of this project ask for, and this process lacks.
    pub(crate) fn missing(
        self,
        project: &Project,
        had: impl Fn(&str) -> bool,
    ) -> Vec<&'static str> {
        let mut asked = asked_for(project);
        asked.retain(|key| had(key) && !self.has(key));
        asked
    }
}
