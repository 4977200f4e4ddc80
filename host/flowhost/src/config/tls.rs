//! `[[tls]]`: servers that an authority of the operator's own vouches for, instead of the web's.
//!
//! By host, and not by rule or login: whom a server is vouched for by is the same whoever asks it, a plugin under a rule or
//! the host that renews a token for it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Host;

use crate::finding::Finding;

/// Servers and who vouches for them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsLine {
    /// Names and addresses without scheme and port, as [`host_of`] gives them.
    pub hosts: Vec<String>,
    /// A PEM file of authorities, relative to the configuration.
    pub ca: PathBuf,
}

/// A host as it is compared: a name in lower case, or an address without brackets; none for what is neither.
///
/// # Examples
///
/// ```
/// use flowhost::config::host_of;
///
/// assert_eq!(host_of("MCP.House.Example").as_deref(), Some("mcp.house.example"));
/// assert_eq!(host_of("[::1]").as_deref(), Some("::1"));
/// assert_eq!(host_of("mcp.house.example:8443"), None);
/// assert_eq!(host_of("*.house.example"), None);
/// ```
#[must_use]
pub fn host_of(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    match Host::parse(text).ok()? {
        // A server has one name, and a pattern none. With a dot at its end no request names it: the line would stand
        // there and vouch for nobody.
        Host::Domain(name) => (!name.contains('*') && !name.ends_with('.')).then_some(name),
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// The lines, with paths relative to `folder`; those that are wrong were told.
pub(super) fn lines(lines: Vec<TlsLine>, folder: &Path) -> Vec<TlsLine> {
    let read = |line: TlsLine| TlsLine {
        hosts: line.hosts.iter().filter_map(|it| host_of(it)).collect(),
        ca: folder.join(line.ca),
    };
    lines.into_iter().map(read).collect()
}

/// What is wrong with the lines.
pub(super) fn problems(lines: &[TlsLine], text: &str, file: &str) -> Vec<Finding> {
    const CURE: &str = "hosts = [\"mcp.house.example\"], the name or the address alone";
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for line in lines {
        if line.hosts.is_empty() {
            let ca = line.ca.display().to_string();
            let message = format!("`ca = \"{ca}\"` vouches for no server: `hosts` is empty");
            problems.push(Finding::at_text(file, text, &ca, message).cure(CURE));
        }
        for written in &line.hosts {
            let message = match host_of(written) {
                None => format!("`{written}` is not a host"),
                Some(host) if !seen.insert(host.clone()) => {
                    format!(
                        "`{written}` stands in `hosts` twice, and one authority vouches for a server"
                    )
                }
                Some(_) => continue,
            };
            problems.push(Finding::at_text(file, text, written, message).cure(CURE));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let read = Config::parse(text, Path::new("/home/me/flowhost.toml"));
        read.map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn refuses_what_is_no_host_and_a_server_with_two_authorities() {
        for (hosts, says) in [
            ("\"https://mcp.house.example\"", "is not a host"),
            ("\"mcp.house.example:8443\"", "is not a host"),
            ("\"*.house.example\"", "is not a host"),
            ("\"a.example.\"", "is not a host"),
            ("\"\"", "is not a host"),
            ("\"a.example\", \"A.example\"", "twice"),
            ("", "`hosts` is empty"),
        ] {
            let found = read(&format!("[[tls]]\nca = \"ca.pem\"\nhosts = [{hosts}]\n"));
            let found = found.unwrap_err();
            assert!(found[0].contains(says), "{hosts}: {found:?}");
            assert!(found[0].starts_with("/home/me/flowhost.toml:"), "{found:?}");
        }
        let again = "[[tls]]\nhosts = [\"a.example\"]\nca = \"b.pem\"\n";
        let found = read(&again.repeat(2)).unwrap_err();
        assert!(found[0].contains("twice"), "{found:?}");
    }

    #[test]
    fn a_host_is_compared_as_addresses_write_it_and_a_file_stands_beside_the_configuration() {
        let text =
            "[[tls]]\nhosts = [\"MCP.House.Example\", \"[::1]\", \"10.0.0.1\"]\nca = \"ca.pem\"\n";
        let [line] = read(text).unwrap().tls.try_into().unwrap();
        assert_eq!(line.hosts, ["mcp.house.example", "::1", "10.0.0.1"]);
        assert_eq!(line.ca, Path::new("/home/me/ca.pem"));
    }
}
