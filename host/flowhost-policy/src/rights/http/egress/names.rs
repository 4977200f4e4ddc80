//! Names that mean "here" or "this network", whatever a resolver says.
//!
//! A wildcard never reaches them; only a rule that writes the name out does. Sources: RFC 6761
//! (localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN's reservation of `internal`, and
//! what clouds and container engines put into hosts files.

const SUFFIXES: [&str; 9] = [
    "localhost",
    "local",
    "internal",
    "localdomain",
    "home.arpa",
    "lan",
    "intranet",
    "corp",
    "home",
];

const EXACT: [&str; 5] = [
    "metadata",
    "instance-data",
    "host.docker.internal",
    "gateway.docker.internal",
    "wpad",
];

/// Whether `host` (canonical) names this machine, this network or a metadata service.
pub(crate) fn is_local(host: &str) -> bool {
    let under = |suffix: &str| {
        host.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    EXACT.contains(&host) || SUFFIXES.into_iter().any(under) || !host.contains('.')
}
