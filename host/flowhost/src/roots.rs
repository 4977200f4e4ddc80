//! Whom servers of the operator's own network are vouched for by: the files of `[[tls]]`, for the sender of plugins'
//! requests and for logins alike.
//!
//! What is wrong with a file is told with its cure by `validate`, at the start of a run and by a login, never by a handshake
//! that fails. An authority stands in for the web's where it is named, and nowhere beside.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_caps::http::{Roots, Tls, read_authorities};
use flowhost_run::{Member, Project};

use crate::ambient::Ambient;
use crate::config::{Config, TlsLine};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::identities::{own, unless_found};

/// Bytes of one file of authorities: a bundle of all that the web believes has some hundred thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the servers of `[[tls]]` are checked, for a project that may send requests.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn roots(ambient: &Ambient, config: &Config, project: &Project) -> Result<Arc<Roots>, Failure> {
    let (mut all, mut found) = (Roots::new(), Vec::new());
    for line in wanted(config, &project.members) {
        match read(ambient, config, line) {
            Ok(tls) => all.extend(line.hosts.iter().map(|host| (host.clone(), tls.clone()))),
            Err(finding) => found.push(finding),
        }
    }
    unless_found(all, found)
}

/// Files that are wrong are findings, because the run would end with them.
pub(crate) fn look(
    ambient: &Ambient,
    config: &Config,
    members: &BTreeMap<String, Member>,
    findings: &mut Vec<Finding>,
) {
    let wanted = wanted(config, members).iter();
    findings.extend(wanted.filter_map(|line| read(ambient, config, line).err()));
}

/// How one server is checked, by an authority of the operator's own or by the web's.
///
/// # Errors
/// What is wrong with the authority's file, with its cure.
pub(crate) fn of_host(ambient: &Ambient, config: &Config, host: &str) -> Result<Tls, String> {
    let of = |line: &&TlsLine| line.hosts.iter().any(|it| it == host);
    match config.tls.iter().find(of) {
        // Where a host is named, its authority stands in for the web's, which cannot vouch for it any more.
        None => Tls::web().map_err(|error| format!("TLS cannot be set up: {error}")),
        Some(line) => {
            read(ambient, config, line).map_err(|finding| format!("{finding}; {}", finding.hint))
        }
    }
}

/// A plan that sends no requests meets no server.
fn wanted<'a>(config: &'a Config, members: &BTreeMap<String, Member>) -> &'a [TlsLine] {
    let sends = |member: &Member| !member.effective.grants.http.is_empty();
    match members.values().any(sends) {
        true => &config.tls,
        false => &[],
    }
}

fn read(ambient: &Ambient, config: &Config, line: &TlsLine) -> Result<Tls, Finding> {
    // Whoever may write it decides whom the host believes.
    let pem = ambient.read_rights(&line.ca, FILE_BYTES_MAX);
    let pem = pem.map_err(|error| {
        let cure = format!("mend it, or its name in [[tls]] of {}", own(config));
        Finding::from(&error).cure(cure)
    })?;
    read_authorities(pem.as_bytes()).map_err(|unfit| {
        let servers = line.hosts.join("`, `");
        let message = format!("who vouches for `{servers}`: {unfit}");
        Finding::new(line.ca.display().to_string(), message).cure(unfit.cure())
    })
}
