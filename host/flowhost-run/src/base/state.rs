//! What stands where below the state root.
//!
//! Owns paths, and how commands that are printed name the root. The ledger's own files are the ledger's.

use std::path::{Path, PathBuf};

use flowhost_words::shell_word;

/// Commands that are about runs of a state root.
const OF_RUNS: [&str; 4] = ["runs", "verify", "evidence", "policy suggest"];

/// The state root of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    root: PathBuf,
    tenant: String,
    /// The root as a person named it for this command alone, fit for a shell.
    named: Option<String>,
}

impl State {
    /// The tenant's view of a root.
    #[must_use]
    pub fn new(root: PathBuf, tenant: &str) -> Self {
        Self {
            root,
            tenant: tenant.to_owned(),
            named: None,
        }
    }

    /// The same, where a person named the root for this command alone: the next one has to name it again.
    #[must_use]
    pub fn named(self, dir: Option<&Path>) -> Self {
        let named = dir.map(|dir| shell_word(&dir.display().to_string()));
        Self { named, ..self }
    }

    /// A text of the host with commands in it, as they can be typed: those that are about runs name the root where the
    /// person had to.
    #[must_use]
    pub fn told(&self, text: &str) -> String {
        let Some(dir) = &self.named else {
            return text.to_owned(); // whoever types them finds the same root
        };
        let named = |text: String, command: &&str| {
            let option = format!("flowhost --state {dir} {command} ");
            text.replace(&format!("flowhost {command} "), &option)
        };
        OF_RUNS.iter().fold(text.to_owned(), named)
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Everything of the tenant.
    #[must_use]
    pub fn tenant_dir(&self) -> PathBuf {
        self.root.join(&self.tenant)
    }

    /// One folder per run.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.tenant_dir().join("runs")
    }

    /// The ledger of a run.
    #[must_use]
    pub fn run_dir(&self, run: &str) -> PathBuf {
        self.runs_dir().join(run)
    }

    /// What processes of this host ask of each other's runs, a file for each run.
    #[must_use]
    pub(crate) fn asks_dir(&self) -> PathBuf {
        self.tenant_dir().join("runs.asks")
    }

    /// What agents said of stages, a file for each answer.
    #[must_use]
    pub fn memory_dir(&self) -> PathBuf {
        self.tenant_dir().join("memory")
    }

    /// Logins at MCP servers, a sealed file for each.
    #[must_use]
    pub fn logins_dir(&self) -> PathBuf {
        self.tenant_dir().join("logins")
    }

    /// The host's signing key.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.root.join("host").join("signing.key")
    }

    /// The key of the compile cache's MACs.
    #[must_use]
    pub fn cache_key(&self) -> PathBuf {
        self.root.join("host").join("cache.key")
    }

    /// The key that wraps those of what runs seal, and seals logins.
    #[must_use]
    pub fn seal_key(&self) -> PathBuf {
        self.root.join("host").join("seal.key")
    }

    /// Compiled components, shared by all tenants: a component's digest names its code.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Components by digest, as they were fetched.
    #[must_use]
    pub fn fetched_dir(&self) -> PathBuf {
        self.root.join("fetched")
    }

    /// Components by digest, as they were when a run used them.
    #[must_use]
    pub fn components_dir(&self) -> PathBuf {
        self.root.join("components")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_root_where_the_person_had_to_and_once() {
        let state = State::new(PathBuf::from("/s"), "default");
        let text = "`flowhost runs show 01K` shows it; `flowhost run PLAN` starts anew, `flowhost verify 01K` checks it";
        assert_eq!(state.told(text), text);
        let state = state.named(Some(Path::new("my state")));
        let told = state.told(text);
        assert_eq!(
            told,
            "`flowhost --state 'my state' runs show 01K` shows it; `flowhost run PLAN` starts anew, \
             `flowhost --state 'my state' verify 01K` checks it"
        );
        assert_eq!(state.told(&told), told);
    }
}
