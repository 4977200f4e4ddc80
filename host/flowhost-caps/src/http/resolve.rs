//! Names to addresses, once, in the host.
//!
//! The attack: a name that answers with a public address when it is checked and with 127.0.0.1 when
//! it is dialled. So there is one lookup, all of its answers are checked, and one of exactly those
//! is dialled. Nothing here decides; the answers go to `flowhost_policy::egress::check_addresses`.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use flowhost_policy::egress::ADDRESSES_MAX;
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
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
    finish(TokioResolver::builder_tokio().map_err(failed)?)
}

fn finish(
    mut builder: ResolverBuilder<TokioRuntimeProvider>,
) -> Result<TokioResolver, ResolveError> {
    configure(builder.options_mut());
    builder.build().map_err(failed)
}

fn failed(error: NetError) -> ResolveError {
    ResolveError::Failed(error.to_string())
}

fn configure(options: &mut ResolverOpts) {
    options.use_hosts_file = ResolveHosts::Never;
    // Both at once and all of both: an address that is checked only where the other kind fails
    // could be a private one.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = QUERY_TIMEOUT;
    // Retries, not tries. A try takes the timeout at most, over all servers, so that both take six
    // seconds, below the ten of a connection.
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

fn explain(error: &NetError) -> ResolveError {
    if error.is_no_records_found() || error.is_nx_domain() {
        return ResolveError::NotFound;
    }
    match error {
        NetError::Timeout => ResolveError::Timeout,
        other => ResolveError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        sync::{Arc, Mutex},
    };

    use hickory_resolver::{
        config::{NameServerConfig, ResolverConfig},
        proto::{
            op::{Message, OpCode, ResponseCode},
            rr::{Name, RData, Record, RecordType, rdata::CNAME},
        },
    };
    use tokio::net::UdpSocket;

    use super::*;

    /// What a test's name server says to a question.
    type Zone = fn(&Name, RecordType) -> (ResponseCode, Vec<RData>);

    /// A resolver that asks a name server on loopback, and the questions that came in.
    async fn asking(zone: Zone) -> (SystemResolver, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
        server.connections[0].port = socket.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(socket, zone, Arc::clone(&asked)));
        let search = vec![Name::from_ascii("corp.example.").unwrap()];
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = SystemResolver::default();
        assert!(resolver.inner.set(finish(builder)).is_ok());
        (resolver, asked)
    }

    async fn serve(socket: UdpSocket, zone: Zone, asked: Arc<Mutex<Vec<String>>>) {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = query.queries[0].clone();
            let (name, kind) = (question.name().clone(), question.query_type());
            asked
                .lock()
                .unwrap()
                .push(format!("{} {kind}", name.to_ascii().to_lowercase()));
            let (code, answers) = zone(&name, kind);
            let mut response = Message::response(query.metadata.id, OpCode::Query);
            response.metadata.response_code = code;
            response.metadata.recursion_available = true;
            response.add_query(question);
            // A chain hangs each record on the name that the one before it gave.
            let mut owner = name;
            for data in answers {
                let next = if let RData::CNAME(alias) = &data {
                    alias.0.clone()
                } else {
                    owner.clone()
                };
                response.add_answer(Record::from_rdata(owner, 0, data));
                owner = next;
            }
            socket
                .send_to(&response.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    }

    fn address(last: u8, kind: RecordType) -> RData {
        match kind {
            RecordType::A => RData::A(Ipv4Addr::new(93, 184, 215, last).into()),
            _ => RData::AAAA(Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0, 0, last.into()).into()),
        }
    }

    #[tokio::test]
    async fn netip_033_asks_for_both_kinds_once_and_gives_all_answers() {
        let zone: Zone = |_, kind| {
            (
                ResponseCode::NoError,
                vec![address(1, kind), address(2, kind)],
            )
        };
        let (resolver, asked) = asking(zone).await;
        assert_eq!(resolver.resolve("api.example.com").await.unwrap().len(), 4);
        let mut asked = asked.lock().unwrap().clone();
        asked.sort();
        assert_eq!(asked, ["api.example.com. A", "api.example.com. AAAA"]);
    }

    #[tokio::test]
    async fn netip_036_an_endless_chain_of_aliases_ends_in_an_error() {
        let zone: Zone = |name, _| {
            let label = name
                .iter()
                .next()
                .map(|label| label.len())
                .unwrap_or_default();
            let next = Name::from_ascii(format!("{}.example.com.", "x".repeat(label % 60 + 1)));
            (
                ResponseCode::NoError,
                vec![RData::CNAME(CNAME(next.unwrap()))],
            )
        };
        let (resolver, asked) = asking(zone).await;
        assert!(resolver.resolve("x.example.com").await.is_err());
        assert!(
            asked.lock().unwrap().len() <= 40,
            "the chain was followed for too long"
        );
    }

    #[tokio::test]
    async fn netip_037_gives_no_more_than_one_over_the_cap() {
        let zone: Zone = |_, kind| {
            (
                ResponseCode::NoError,
                (0..40).map(|last| address(last, kind)).collect(),
            )
        };
        let (resolver, _) = asking(zone).await;
        let found = resolver.resolve("api.example.com").await.unwrap();
        assert_eq!(found.len(), ADDRESSES_MAX + 1);
    }

    #[tokio::test]
    async fn netip_038_a_missing_name_and_a_failing_server_are_typed_errors() {
        let (resolver, asked) = asking(|_, _| (ResponseCode::NXDomain, Vec::new())).await;
        assert_eq!(
            resolver.resolve("api.example.com").await,
            Err(ResolveError::NotFound)
        );
        let strange = |line: &String| !line.starts_with("api.example.com. ");
        assert!(
            !asked.lock().unwrap().iter().any(strange),
            "a search domain was tried"
        );
        let (resolver, _) = asking(|_, _| (ResponseCode::ServFail, Vec::new())).await;
        assert!(resolver.resolve("api.example.com").await.is_err());
    }

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
