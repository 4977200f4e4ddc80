//! `http`: one request out, one response in, below the rules of the profile.
//!
//! Two interfaces, one sender: `flowhost:http` and `wasi:http/outgoing-handler` differ in how a
//! request is written down and in nothing else. A guest never gets a socket, a name look-up, a
//! redirect that was followed, or a connection that another request used.

mod body;
mod connect;
mod error;
mod headers;
mod host;
mod identity;
mod inject;
mod outward;
mod recorded;
mod resolve;
mod sender;
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;
mod wasi;

use std::{any::Any, net::IpAddr, sync::Arc};

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::{HasData, Linker};

pub use connect::{Connector, Stream, TcpConnector};
pub use identity::{Identities, IdentityFiles, Roots, Unfit, read_authorities, read_identity};
pub use resolve::{ResolveError, Resolver, SystemResolver};
pub use tls::Tls;

pub use crate::shared::login::{LoginError, LoginStore, NoLogins};

use crate::shared::outward::Outward;
use crate::shared::secret::SecretStore;
use sender::Sender;

/// What requests need from the process.
#[derive(Clone)]
pub struct HttpServices {
    /// Looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Dials.
    pub connector: Arc<dyn Connector>,
    /// Checks servers.
    pub tls: Tls,
    /// Checks servers that authorities of the operator's own vouch for.
    pub roots: Arc<Roots>,
    /// Whom rules let the host say that it is.
    pub identities: Arc<Identities>,
    /// Values for `inject`.
    pub secrets: Arc<dyn SecretStore>,
    /// Tokens for `inject`.
    pub logins: Arc<dyn LoginStore>,
    /// Every address of this machine's interfaces; requests to them are refused.
    pub own_addresses: Vec<IpAddr>,
    /// `--allow-private-network`: the second key beside a rule's `private_network`.
    pub allow_private_network: bool,
}

impl HttpServices {
    /// The real network: system name servers without the hosts file, TCP, the web's roots, no logins, one key
    /// only. What is reached is what the rules name.
    ///
    /// # Errors
    /// As [`Tls::web`].
    pub fn system(
        secrets: Arc<dyn SecretStore>,
        own_addresses: Vec<IpAddr>,
        allow_private_network: bool,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            resolver: Arc::new(SystemResolver::default()),
            connector: Arc::new(TcpConnector),
            tls: Tls::web()?,
            roots: Arc::default(),
            identities: Arc::default(),
            secrets,
            logins: Arc::new(NoLogins),
            own_addresses,
            allow_private_network,
        })
    }
}

/// The capability.
pub struct Http {
    sender: Arc<Sender>,
}

impl Http {
    /// With its one sender, shared by all calls of the run.
    #[must_use]
    pub fn new(services: HttpServices) -> Self {
        Self {
            sender: Arc::new(Sender::new(services)),
        }
    }

    /// The same sender, for a capability that sends requests and is not this one.
    pub(crate) fn outward(&self) -> Arc<dyn Outward> {
        self.sender.clone()
    }
}

/// What a store holds.
pub(crate) struct HttpState {
    sender: Arc<Sender>,
    wasi: wasi::WasiState,
}

/// Names the data of our host functions.
struct HasHttp;

impl HasData for HasHttp {
    type Data<'a> = &'a mut HostState;
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "http"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE, wasi::INTERFACE, wasi::TYPES]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted {
            host::link(linker)?;
            wasi::link(linker)?;
        }
        Ok(())
    }
}

impl Provider for Http {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let sender = Arc::clone(&self.sender);
        let wasi = wasi::WasiState::new(Arc::clone(&sender), scope.clone());
        Ok(Box::new(HttpState { sender, wasi }))
    }
}
