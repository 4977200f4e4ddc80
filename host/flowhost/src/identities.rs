//! The operator's identities: the files of `[identities.NAME]`, read and checked before a run that may show one.
//!
//! Only those that a profile of the project names are opened. What is wrong with one is told with its file and its cure
//! by `validate` and at the start of a run, never by a server in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use flowhost_caps::http::{Identities, IdentityFiles, Tls, Unfit, read_identity};
use flowhost_run::{Member, Project};
use zeroize::Zeroizing;

use crate::ambient::{Ambient, FileError};
use crate::config::{CONFIG_FILE, Config, IdentitySource};
use crate::failure::Failure;
use crate::finding::Finding;

/// Bytes of one file: a chain of certificates has some thousand, a bundle of authorities some hundred thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The identities that the project's profiles name, as far as they are configured.
///
/// # Errors
/// Everything that is wrong with their files.
pub fn identities(
    ambient: &Ambient,
    config: &Config,
    project: &Project,
) -> Result<Arc<Identities>, Failure> {
    let mut found = Vec::new();
    let mut all = Identities::new();
    for name in named(&project.members) {
        let Some(source) = config.identities.get(name) else {
            continue;
        };
        match read(ambient, config, name, source) {
            Ok(tls) => {
                all.insert(name.to_owned(), tls);
            }
            Err(finding) => found.push(finding),
        }
    }
    unless_found(all, found)
}

/// What was read of the operator's files, if nothing is wrong with any of them.
pub(crate) fn unless_found<T>(all: T, found: Vec<Finding>) -> Result<Arc<T>, Failure> {
    match found.is_empty() {
        true => Ok(Arc::new(all)),
        false => Err(Failure::findings("the operator's configuration", found)),
    }
}

/// One line for each identity that nothing is configured for, said before the run; files that are wrong are findings,
/// because the run would end with them.
pub(crate) fn look(
    ambient: &Ambient,
    config: &Config,
    members: &BTreeMap<String, Member>,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let mut notes = Vec::new();
    for name in named(members) {
        match config.identities.get(name) {
            Some(source) => findings.extend(read(ambient, config, name, source).err()),
            None => notes.push(format!(
                "the identity `{name}` has no certificate: name `certificate` and `key` under [identities.{name}] of \
                 {}",
                own(config)
            )),
        }
    }
    notes
}

fn named(members: &BTreeMap<String, Member>) -> BTreeSet<&str> {
    let rules = members
        .values()
        .flat_map(|member| &member.effective.grants.http);
    rules.filter_map(|rule| rule.identity.as_deref()).collect()
}

/// How the operator's file is called in a cure.
pub(crate) fn own(config: &Config) -> String {
    let path = config.own_path.as_ref();
    path.map_or(CONFIG_FILE.to_owned(), |path| path.display().to_string())
}

fn read(
    ambient: &Ambient,
    config: &Config,
    name: &str,
    source: &IdentitySource,
) -> Result<Tls, Finding> {
    let unread = |error: FileError| {
        let cure = format!(
            "mend it, or its name under [identities.{name}] of {}",
            own(config)
        );
        Finding::from(&error).cure(cure)
    };
    // Every server is shown it: it is no secret, and of no use without the key.
    let certificate = ambient.read(&source.certificate, FILE_BYTES_MAX);
    let certificate = certificate.map_err(unread)?;
    let key = ambient.read_secret(&source.key, FILE_BYTES_MAX);
    let key = Zeroizing::new(key.map_err(unread)?);
    // Whoever may write it decides whom the host believes.
    let trusted = |path: &Path| ambient.read_rights(path, FILE_BYTES_MAX);
    let authority = source.authority.as_deref().map(trusted).transpose();
    let authority = authority.map_err(unread)?;
    let files = IdentityFiles {
        certificate: &certificate,
        key: &key,
        authority: authority.as_deref().map(str::as_bytes),
    };
    read_identity(files, ambient.now_ms()).map_err(|unfit| unusable(name, source, &unfit))
}

fn unusable(name: &str, source: &IdentitySource, unfit: &Unfit) -> Finding {
    let at = match unfit {
        Unfit::Missing("key", _) | Unfit::Unreadable("key", _) => Some(&source.key),
        Unfit::Missing("authority", _) | Unfit::Unreadable("authority", _) => {
            source.authority.as_ref()
        }
        _ => Some(&source.certificate),
    };
    let file = at.unwrap_or(&source.certificate).display().to_string();
    Finding::new(file, format!("the identity `{name}`: {unfit}")).cure(unfit.cure())
}
