//! Names to addresses, once, in the host.
//!
//! The attack: a name that answers with a public address when it is checked and with 127.0.0.1 when
//! it is dialled. So there is one lookup, all of its answers are checked, and one of exactly those
//! is dialled. Nothing here decides; the answers go to `flowhost_policy::egress::check_addresses`.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use flowhost_policy::egress::ADDRESSES_MAX;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ResolverOpts},
};

/// Why a name has no addresses. Never answered by a second resolver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name does not exist, or has no address.
    #[error("the name has no address")]
    NotFound,
    /// No answer in time.
    #[error("the resolver did not answer in time")]
    Timeout,
    /// The answer was an error or not usable (SERVFAIL, a chain of aliases that does not end).
    #[error("the resolver failed: {0}")]
    Failed(String),
}

/// Looks up all A and AAAA records of a name, in one go.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// Every address of `host`, a canonical name without a trailing dot; at least one.
    ///
    /// # Errors
    /// [`ResolveError`]; the caller tries nothing else.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// The system's name servers, asked directly: no hosts file, no search domains, no local names.
///
/// The hosts file is left out because it belongs to this machine's own view of the network: a line
/// in it could point an allowed name at a loopback service. The configuration is read at the first
/// lookup, so a run without requests never touches it.
#[derive(Default)]
pub struct SystemResolver {
    inner: OnceLock<Result<TokioResolver, ResolveError>>,
}

/// How long one query may take. Two servers and one retry stay below the connect timeout.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

impl SystemResolver {
    fn inner(&self) -> Result<&TokioResolver, ResolveError> {
        self.inner.get_or_init(build).as_ref().map_err(Clone::clone)
    }
}

fn build() -> Result<TokioResolver, ResolveError> {
    let failed = |error: hickory_resolver::net::NetError| ResolveError::Failed(error.to_string());
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    configure(builder.options_mut());
    builder.build().map_err(failed)
}

fn configure(options: &mut ResolverOpts) {
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 1;
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        // The closing dot makes the name absolute: no search domain is ever appended.
        let lookup = self.inner()?.lookup_ip(format!("{host}.")).await;
        let lookup = lookup.map_err(|error| explain(&error))?;
        // One over the cap is enough for the check to refuse.
        let addresses: Vec<IpAddr> = lookup.iter().take(ADDRESSES_MAX + 1).collect();
        if addresses.is_empty() {
            Err(ResolveError::NotFound)
        } else {
            Ok(addresses)
        }
    }
}

fn explain(error: &hickory_resolver::net::NetError) -> ResolveError {
    if error.is_no_records_found() || error.is_nx_domain() {
        return ResolveError::NotFound;
    }
    match error {
        hickory_resolver::net::NetError::Timeout => ResolveError::Timeout,
        other => ResolveError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netip_039_reads_no_hosts_file_whatever_the_system_says() {
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Always;
        options.ip_strategy = LookupIpStrategy::Ipv4Only;
        configure(&mut options);
        assert_eq!(options.use_hosts_file, ResolveHosts::Never);
        assert_eq!(options.ip_strategy, LookupIpStrategy::Ipv4AndIpv6);
    }
}
