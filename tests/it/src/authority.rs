//! An authority of the test's own, with servers and clients that it vouches for.

use std::sync::Arc;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// For a server at 127.0.0.1.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let (certificate, key) = self.of_this_machine();
        let config = versions(provider()).with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// For a server at 127.0.0.1 that talks only with clients of this authority.
    pub(crate) fn guarded(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let (certificate, key) = self.of_this_machine();
        let config = versions(provider()).with_client_cert_verifier(verifier.build().unwrap());
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// A client.
    pub(crate) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        let (certificate, key) = self.issue(params);
        Pair {
            certificate: pem("CERTIFICATE", &certificate),
            key: pem("PRIVATE KEY", &key.serialize_der()),
        }
    }

    fn of_this_machine(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = self.issue(params);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate, key)
    }

    fn issue(&self, params: CertificateParams) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn versions(provider: Arc<CryptoProvider>) -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
