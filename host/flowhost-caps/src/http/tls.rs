//! TLS towards servers: ring, the Mozilla roots, TLS 1.2 and 1.3, HTTP/1.1 only.
//!
//! HTTP/2 is not offered: connections would be coalesced across names (NETX-016), and its
//! flow-control attacks (NETX-026) would be ours. There is no switch that skips verification.

use std::{io, net::IpAddr, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio_rustls::TlsConnector;

use super::{
    connect::Stream,
    error::{SendError, is_broken},
};

/// How servers prove who they are.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// Whether the web's authorities vouch for servers, because nobody has named others.
    is_webs: bool,
}

impl Tls {
    /// The roots that Mozilla ships.
    ///
    /// # Errors
    /// When the cryptographic provider lacks a protocol version, which is a bug of the build.
    pub fn web() -> Result<Self, rustls::Error> {
        let by_roots = Self::with_roots(web_roots())?;
        Ok(Self {
            is_webs: true,
            ..by_roots
        })
    }

    /// Roots of the caller's choice: a private authority, or a test's.
    ///
    /// # Errors
    /// As [`Tls::web`].
    pub fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self::of(trusting(roots)?.with_no_client_auth()))
    }

    /// The same, showing this certificate to servers that ask for one; without roots the web's are believed.
    pub(super) fn showing(
        roots: Option<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let is_webs = roots.is_none();
        let trusting = trusting(roots.unwrap_or_else(web_roots))?;
        let shown = Self::of(trusting.with_client_auth_cert(chain, key)?);
        Ok(Self { is_webs, ..shown })
    }

    /// Shows a server of this one's authorities who `identity` is. Authorities of the identity's own come first: they were
    /// named for it.
    pub(super) fn as_identity(&self, identity: &Self) -> Self {
        if !identity.is_webs {
            return identity.clone();
        }
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::clone(&identity.config.client_auth_cert_resolver);
        Self::of(config)
    }

    fn of(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would link requests of different plugins; see `sender.rs` on pooling.
        config.resumption = rustls::client::Resumption::disabled();
        // What is sent early can be sent again by somebody else.
        config.enable_early_data = false;
        Self {
            config: Arc::new(config),
            is_webs: false,
        }
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
        // None is fine: a server without ALPN speaks HTTP/1.1. Another that it chose would read our
        // bytes as something else.
        let protocol = stream.get_ref().1.alpn_protocol();
        if protocol.is_some_and(|name| name != b"http/1.1") {
            return Err(SendError::Tls(
                "the server chose another protocol".to_owned(),
            ));
        }
        Ok(Box::new(stream))
    }
}

/// The roots that Mozilla ships.
fn web_roots() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

fn trusting(
    roots: RootCertStore,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// A handshake that the network broke says nothing of the server's certificate: the next one may succeed.
fn refused(error: &io::Error) -> SendError {
    let why = unvouched(error).or_else(|| turned_away(error));
    match (is_broken(error.kind()), why) {
        // Nothing of a request was sent before it was over: it is no connection that broke under one.
        (true, _) => SendError::Connect(format!("TLS: {error}")),
        (false, Some(why)) => SendError::Tls(why),
        (false, None) => SendError::Tls(error.to_string()),
    }
}

/// That a server's certificate is of an authority which nobody has named.
fn unvouched(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) = error else {
        return None;
    };
    Some(format!(
        "{error}: no authority that is believed here vouches for the server; where a private one does, name the host and \
         the file of its authority under [[tls]] of your flowhost.toml"
    ))
}

/// What a server says that wants to know who the host is. Since TLS 1.3 it says so after the handshake, when the
/// answer is read.
pub(super) fn turned_away(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    match alert {
        AlertDescription::CertificateRequired => Some(
            "the server asks for a client certificate, and the rule of the profile names none: write `identity = \
             \"NAME\"` into its [[http]], and the files under [identities.NAME] of your flowhost.toml"
                .to_owned(),
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        // What a signature is answered with that another key made: of an authority with the same name, too.
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => Some(format!(
            "the server does not accept the client certificate that it was shown: it says {alert:?}"
        )),
        _ => Some(format!("the server ended the handshake: it says {alert:?}")),
    }
}
