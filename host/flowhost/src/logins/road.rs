//! The host's own way to MCP servers and their authorities: where it may go, and what of an answer is read.
//!
//! The attack: a server that sends us to an address inside of the operator's network by the address of a document
//! (MCP-023). So a name is looked up once, every address that it has is checked as those of plugins' requests are, and
//! the checked one is dialled. No redirect is followed, wherever it leads (MCP-025): what was sent may be a token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_caps::http::{Connector as _, Resolver as _, Stream, SystemResolver, TcpConnector};
use flowhost_oauth::{Reads, Road, RoadError};
use flowhost_policy::HttpRule;
use flowhost_policy::egress::{Target, check_addresses};
use flowhost_words::PRIVATE_NETWORK_OPTION;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use tokio::time::timeout;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::sender::speak;
use crate::{roots, services};

/// Time for all of a request. Somebody waits for it: a person who logs in, or a run whose token is renewed.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of an answer. Documents and tokens have some KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What we say we are.
const AGENT: &str = concat!("flowhost/", env!("CARGO_PKG_VERSION"));

/// The way.
pub(super) struct Street {
    resolver: SystemResolver,
    ambient: Ambient,
    config: Config,
    own: Vec<IpAddr>,
    /// Whether the person lets private addresses be asked.
    private: bool,
}

impl Street {
    /// A way to the public internet, and to private addresses where `private` says so.
    pub(super) fn new(ambient: &Ambient, config: &Config, private: bool) -> Self {
        Self {
            resolver: SystemResolver::default(),
            ambient: ambient.clone(),
            config: config.clone(),
            own: services::own_addresses(),
            private,
        }
    }

    async fn open(&self, request: &Request<Vec<u8>>) -> Result<Box<dyn Stream>, String> {
        let (url, method) = (request.uri().to_string(), request.method().as_str());
        let refused = |rule: &str| format!("its address is not asked ({rule})");
        let target = Target::parse(&url, method).map_err(|denied| refused(&denied.rule))?;
        let (scheme, host, port) = (target.scheme(), target.host(), target.port());
        let mut rule = HttpRule::new(&format!("{scheme}://{host}:{port}/"), &[method])?;
        // The first key is the person's, who named the server; the second is the option.
        rule.private_network = true;
        let addresses = match target.ip() {
            Some(address) => vec![address],
            // Whatever a name server says of it (RFC 6761, section 6.3).
            None if host == "localhost" => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None => {
                let found = self.resolver.resolve(host).await;
                found.map_err(|error| error.to_string())?
            }
        };
        let address = check_addresses(&rule, &addresses, &self.own, self.private);
        let address = address.map_err(|denied| match denied.cure.as_deref() {
            Some(PRIVATE_NETWORK_OPTION) => format!(
                "it is an address of this machine or its network, which is asked with {PRIVATE_NETWORK_OPTION} alone"
            ),
            _ => refused(&denied.rule),
        })?;
        let name = target
            .ip()
            .map_or_else(|| host.to_owned(), |it| it.to_string());
        // Before anything is dialled: who vouches for the server is the same as for a plugin's request to it.
        let tls = match scheme {
            "http" => None,
            _ => Some(roots::of_host(&self.ambient, &self.config, &name)?),
        };
        let stream = TcpConnector.connect(SocketAddr::new(address, port));
        let stream = stream.await.map_err(|error| error.to_string())?;
        match tls {
            None => Ok(stream),
            Some(tls) => {
                let shaken = tls.connect(&name, stream).await;
                shaken.map_err(|error| error.to_string())
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Vec<u8>>,
        reads: Reads,
    ) -> Result<Response<Vec<u8>>, String> {
        let stream = self.open(&request).await?;
        let mut request = request.map(Bytes::from);
        let agent = HeaderValue::from_static(AGENT);
        request.headers_mut().insert(USER_AGENT, agent);
        let most = match reads {
            Reads::Head => None,
            Reads::Whole => Some(ANSWER_BYTES_MAX),
        };
        let answer = speak(stream, &request, most).await;
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(answer.map(|body| body.to_vec()))
    }
}

#[async_trait]
impl Road for Street {
    async fn send(
        &self,
        request: Request<Vec<u8>>,
        reads: Reads,
    ) -> Result<Response<Vec<u8>>, RoadError> {
        let whole = timeout(WHOLE, self.exchange(request, reads)).await;
        let late = || format!("it took longer than {} s", WHOLE.as_secs());
        whole.unwrap_or_else(|_| Err(late())).map_err(RoadError)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    async fn refused(url: &str, private: bool) -> String {
        let ambient = Ambient::with(BTreeMap::new(), PathBuf::from("/"), None);
        let street = Street::new(&ambient, &Config::default(), private);
        let request = Request::builder().uri(url).body(Vec::new()).unwrap();
        let refused = street.send(request, Reads::Whole).await.unwrap_err();
        refused.to_string()
    }

    #[tokio::test]
    async fn mcp_023_an_address_inside_of_the_network_is_not_dialled() {
        for url in [
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://localhost:1/",
            "https://10.0.0.1/",
        ] {
            let refused = refused(url, false).await;
            assert!(refused.contains(PRIVATE_NETWORK_OPTION), "{url}: {refused}");
        }
        for url in ["http://169.254.169.254/latest", "https://0.0.0.0/"] {
            let refused = refused(url, true).await;
            assert!(refused.contains("is not asked"), "{url}: {refused}");
        }
    }
}
