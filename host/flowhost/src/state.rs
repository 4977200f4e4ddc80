//! What stands where below the state root, and how a person names a run.
//!
//! Owns paths only. The ledger's own files are the ledger's.

use std::path::{Path, PathBuf};

use flowhost_flow::Exit;

use crate::ambient::Ambient;
use crate::failure::Failure;

/// The state root of one tenant.
#[derive(Debug, Clone)]
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

    /// Compiled components, shared by all tenants: a component's digest names its code.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Names of all runs, oldest first: ULIDs sort by time.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn runs(&self, ambient: &Ambient) -> Result<Vec<String>, Failure> {
        match ambient.list(&self.runs_dir()) {
            Ok(names) => Ok(names.into_iter().filter(|name| is_run_id(name)).collect()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The run that a person means: an id, an unambiguous beginning of one, or `latest`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn resolve_run(&self, ambient: &Ambient, wanted: &str) -> Result<String, Failure> {
        let runs = self.runs(ambient)?;
        pick(&runs, wanted).map_err(|message| {
            Failure::new(Exit::Internal, message)
                .because(format!("runs are kept in `{}`", self.runs_dir().display()))
                .hint("`flowhost runs list` shows them; `--state DIR` looks elsewhere")
        })
    }
}

fn is_run_id(name: &str) -> bool {
    name.len() == 26
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn pick(runs: &[String], wanted: &str) -> Result<String, String> {
    if wanted == "latest" {
        return runs
            .last()
            .cloned()
            .ok_or_else(|| "there is no run yet".to_owned());
    }
    let upper = wanted.to_ascii_uppercase();
    let mut matches = runs
        .iter()
        .filter(|run| !upper.is_empty() && run.starts_with(&upper));
    match (matches.next(), matches.count()) {
        (Some(run), 0) => Ok(run.clone()),
        (Some(_), more) => Err(format!("`{wanted}` is the beginning of {} runs", more + 1)),
        (None, _) => Err(format!("there is no run `{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<String> {
        [
            "01KA0000000000000000000000",
            "01KA0000000000000000000001",
            "01KB0000000000000000000000",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn refuses_a_beginning_that_means_two_runs_or_none() {
        assert!(pick(&runs(), "01KA").unwrap_err().contains("2 runs"));
        assert!(pick(&runs(), "01KC").is_err());
        assert!(pick(&runs(), "").is_err());
        assert!(pick(&[], "latest").is_err());
    }

    #[test]
    fn finds_a_run_by_its_beginning_in_any_case_or_as_the_latest() {
        assert_eq!(
            pick(&runs(), "01kb").as_deref(),
            Ok("01KB0000000000000000000000")
        );
        assert_eq!(
            pick(&runs(), "latest").as_deref(),
            Ok("01KB0000000000000000000000")
        );
    }

    #[test]
    fn takes_no_other_folder_for_a_run() {
        assert!(!is_run_id("../../../../../../../../et"));
        assert!(!is_run_id("notes"));
    }
}
