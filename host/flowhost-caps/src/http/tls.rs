//! TLS towards servers: ring, the Mozilla roots, TLS 1.2 and 1.3, HTTP/1.1 only.
//!
//! HTTP/2 is not offered: connections would be coalesced across names (NETX-016), and its
//! flow-control attacks (NETX-026) would be ours. There is no switch that skips verification.

use std::{io, net::IpAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio_rustls::TlsConnector;

use super::{
    connect::Stream,
    error::{SendError, is_broken},
};

/// How servers prove who they are.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// The roots that Mozilla ships.
    ///
    /// # Errors
    /// When the cryptographic provider lacks a protocol version, which is a bug of the build.
    pub fn web() -> Result<Self, rustls::Error> {
        Self::with_roots(RootCertStore::from_iter(
            webpki_roots::TLS_SERVER_ROOTS.iter().cloned(),
        ))
    }

    /// Roots of the caller's choice: a private authority, or a test's.
    ///
    /// # Errors
    /// As [`Tls::web`].
    pub fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would link requests of different plugins; see `sender.rs` on pooling.
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// As for a plugin's request, for traffic of the host itself: `host` is a name or an address.
    ///
    /// # Errors
    /// When the server cannot prove who it is, or speaks another TLS.
    pub async fn connect(
        &self,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> io::Result<Box<dyn Stream>> {
        self.handshake(host, host.parse().ok(), stream)
            .await
            .map_err(|error| io::Error::other(error.to_string()))
    }

    /// Shakes hands as `host`, which is also the SNI; an address is verified as an address.
    pub(super) async fn handshake(
        &self,
        host: &str,
        ip: Option<IpAddr>,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, SendError> {
        let name = match ip {
            Some(ip) => ServerName::IpAddress(ip.into()),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| SendError::Invalid("the host is not a TLS server name".to_owned()))?,
        };
        let stream = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
            .map_err(|error| refused(&error))?;
        let protocol = stream.get_ref().1.alpn_protocol();
        if protocol.is_some_and(|name| name != b"http/1.1") {
            return Err(SendError::Tls(
                "the server chose another protocol".to_owned(),
            ));
        }
        Ok(Box::new(stream))
    }
}

/// A handshake that the network broke says nothing of the server's certificate: the next one may succeed.
fn refused(error: &io::Error) -> SendError {
    match is_broken(error.kind()) {
        true => SendError::Broken(format!("TLS: {error}")),
        false => SendError::Tls(error.to_string()),
    }
}
