//! What stands where below the state root.
//!
//! Owns paths only. The ledger's own files are the ledger's.

use std::path::{Path, PathBuf};

/// The state root of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    root: PathBuf,
    tenant: String,
}

impl State {
    /// The tenant's view of a root.
    #[must_use]
    pub fn new(root: PathBuf, tenant: &str) -> Self {
        Self {
            root,
            tenant: tenant.to_owned(),
        }
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
