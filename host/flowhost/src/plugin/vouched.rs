//! Who vouches for the tools of an MCP server: `PLUGIN.tools.sig` beside the plan.
//!
//! A lock says what somebody accepted; whoever may write the plan's folder may write it. A signature says who accepted it:
//! these tools, each by the hash of all that a model reads, of this server (its address, or its command with the hashes of
//! the granted files that the command names). A verifier makes the statement anew from what the server shows, and takes no
//! other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_ledger::{HostKey, VKey, dsse};
use flowhost_run::{Finding, Member, Project};
use serde_json::{Value, json};

use super::programs;
use super::trust::Trust;
use crate::ambient::{Ambient, FileError};

/// The type of the statement, which is part of what is signed.
const STATEMENT_TYPE: &str = "application/vnd.flowhost.tools.v1+json";
/// Bytes of a signature file: an envelope with the names and hashes of a thousand tools.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum Unvouched {
    /// The file is there and cannot be read.
    #[error("{0}: {why}", why = .0.source)]
    Unread(FileError),
    /// The envelope is not believed.
    #[error(transparent)]
    Envelope(#[from] dsse::DsseError),
    /// It vouches for something else.
    #[error("it vouches for other tools, or for those of another server")]
    Other,
}

/// Whose tools are looked at: a plugin of a project, and what its server shows or somebody accepted.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The project.
    pub project: &'a Project,
    /// The plugin's key in it.
    pub plugin: &'a str,
    /// The hash of each tool.
    pub tools: &'a BTreeMap<String, String>,
}

impl Shown<'_> {
    /// Where its signature stands: beside the plan that declares the plugin.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        place(&self.project.dir, self.plugin)
    }

    /// What is signed; none where the project has no such plugin.
    fn statement(&self, ambient: &Ambient) -> Option<String> {
        let member = self.project.members.get(self.plugin)?;
        let server = server(ambient, member, &self.project.dir);
        // serde_json's maps are sorted, and so is the one of the tools: the same always gives the same bytes.
        Some(json!({ "server": server, "tools": self.tools }).to_string())
    }

    /// Who vouches for them, of those whom `trust` names; nobody where there is no signature.
    ///
    /// # Errors
    /// Why a signature that is there does not count.
    pub fn by(&self, ambient: &Ambient, trust: &Trust) -> Result<Option<VKey>, Unvouched> {
        // Not `read_rights`: whoever may write this file can only bring a signature, and the keys decide.
        let text = match ambient.read_text(&self.file(), FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(Unvouched::Unread(error)),
        };
        let opened = dsse::open(&text, STATEMENT_TYPE, &trust.keys, &trust.revoked)?;
        // Compared as bytes, as in [`super::trust::opened`].
        match self.statement(ambient) {
            Some(statement) if statement.as_bytes() == opened.payload => Ok(Some(opened.key)),
            _ => Err(Unvouched::Other),
        }
    }

    /// Vouches for them: writes the signature file, and gives its path.
    ///
    /// # Errors
    /// What the disk says; and where the project has no such plugin, because a signature over nothing is worse than
    /// none.
    pub fn sign(&self, ambient: &Ambient, key: &HostKey) -> Result<PathBuf, FileError> {
        let path = self.file();
        let statement = self.statement(ambient).ok_or_else(|| {
            debug_assert!(false, "tools are shown of a plugin that the project has");
            FileError::new("sign", &path, std::io::ErrorKind::NotFound.into())
        })?;
        let envelope = dsse::sign(key, STATEMENT_TYPE, statement.as_bytes());
        ambient.write(&path, envelope.as_bytes())?;
        Ok(path)
    }

    /// Holds them against what the operator asks of signatures. Where he says nothing, no signature is looked at.
    ///
    /// # Errors
    /// Why the server must not be used, without a place.
    pub fn admitted(&self, ambient: &Ambient, trust: &Trust) -> Result<(), Finding> {
        let Some(file) = &trust.file else {
            return Ok(());
        };
        let refused = |message: String, cure: String| Err(Finding::new("", message).cure(cure));
        let strange =
            |error: &Unvouched| matches!(error, Unvouched::Envelope(dsse::DsseError::Untrusted(_)));
        match self.by(ambient, trust) {
            Ok(Some(_)) => Ok(()),
            Ok(None) if !trust.tools_signed => Ok(()),
            // A stranger's signature is as good as none, where none is asked for.
            Err(error) if strange(&error) && !trust.tools_signed => Ok(()),
            Ok(None) => refused(
                format!(
                    "nobody vouches for the tools of its server, and `signed = true` under [tools] of `{}` asks for it",
                    file.display()
                ),
                format!(
                    "look at them with `{}`, and vouch for them with `--sign`",
                    self.project.inspect_command(self.plugin)
                ),
            ),
            Err(why) => refused(
                format!(
                    "the signature `{}` is not accepted: {why}",
                    self.file().display()
                ),
                format!("`{}` says whom this host believes", file.display()),
            ),
        }
    }
}

/// `PLUGIN.tools.sig` beside the plan; a sub-plan's plugin is `SUB-PLAN::PLUGIN`.
fn place(dir: &Path, plugin: &str) -> PathBuf {
    let (mut dir, mut rest) = (dir.to_owned(), plugin);
    while let Some((plan, below)) = rest.split_once("::") {
        // A sub-plan is named by its path, so that its folder is that path without the last part.
        dir = dir.join(plan);
        dir.pop();
        rest = below;
    }
    dir.join(format!("{rest}.tools.sig"))
}

/// Which server it is: where it is asked, else what is started, else whatever the component reaches.
fn server(ambient: &Ambient, member: &Member, dir: &Path) -> Value {
    // Written by this program from the plan, so that it is always JSON; were it none, the statement would name no
    // address, and no signature would fit it.
    let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
    // The address alone, and not the component that asks there: an adapter's new release does not make it another
    // server.
    if let Some(url) = config.get("url").and_then(Value::as_str) {
        return json!({ "url": url });
    }
    match member.effective.grants.process.first() {
        Some(grant) => {
            json!({ "command": grant.command, "files": programs::files(ambient, member, dir) })
        }
        None => json!({ "component": &*member.inspection.digest }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_stands_beside_the_plan_that_declares_the_plugin() {
        for (plugin, file) in [
            ("notes", "/plan/notes.tools.sig"),
            ("sub/b.yaml::notes", "/plan/sub/notes.tools.sig"),
            ("sub/b.yaml::c.yaml::notes", "/plan/sub/notes.tools.sig"),
        ] {
            assert_eq!(
                place(Path::new("/plan"), plugin),
                Path::new(file),
                "{plugin}"
            );
        }
    }
}
