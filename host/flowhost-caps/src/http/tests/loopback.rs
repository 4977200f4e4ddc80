//! The real connector, against servers on 127.0.0.1: both keys and an explicit rule open it.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::http::TcpConnector;

fn open(services: &mut HttpServices) {
    services.connector = Arc::new(TcpConnector);
    services.allow_private_network = true;
}

#[expect(clippy::disallowed_methods, reason = "a test's server, on loopback")]
async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn loopback_rule(url: &str) -> HttpRule {
    HttpRule {
        private_network: true,
        ..rule(url)
    }
}

#[tokio::test]
async fn reaches_an_explicit_loopback_rule_with_both_keys() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(TokioIo::new(stream), echo).await;
    });
    let url = format!("http://{address}/");
    let bench = Bench::with(
        vec![loopback_rule(&url)],
        ScriptedResolver::default(),
        RecordingConnector::default(),
        open,
    );
    let asked = wit::Request {
        body: b"hello".to_vec(),
        ..request("POST", &url)
    };
    assert!(bench.send(asked).await.unwrap().body.ends_with(b"hello"));
}

#[tokio::test]
async fn a_closed_port_is_a_transient_error() {
    let (listener, address) = listen().await;
    drop(listener);
    let url = format!("http://{address}/");
    let bench = Bench::with(
        vec![loopback_rule(&url)],
        ScriptedResolver::default(),
        RecordingConnector::default(),
        open,
    );
    assert!(matches!(
        bench.get(&url).await,
        Err(types::Error::Transient(_))
    ));
}

/// A certificate authority of the test's own.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(super) fn server(&self, name: &str, expired: bool) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

fn server_config(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Authority {
    /// For a server that talks only with whom it vouches for.
    pub(super) fn guarded(&self, name: &str) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (key, certificate) = self.issue(CertificateParams::new(vec![name.to_owned()]).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(self.roots()),
            Arc::clone(&provider),
        );
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }

    /// A pair, as the authority makes them.
    pub(super) fn issue(
        &self,
        params: CertificateParams,
    ) -> (KeyPair, rustls::pki_types::CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (key, certificate.der().clone())
    }

    /// Its own certificate.
    pub(super) fn der(&self) -> &[u8] {
        self.0.der()
    }
}

/// Serves TLS in memory at whatever address is asked for; answers with SNI, protocol and Host.
pub(super) fn tls_server(config: Arc<ServerConfig>) -> RecordingConnector {
    RecordingConnector::serving(move |_, stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let session = stream.get_ref().1;
            let sni = session.server_name().unwrap_or("none").to_owned();
            let alpn =
                String::from_utf8_lossy(session.alpn_protocol().unwrap_or(b"none")).into_owned();
            let answer = move |request: Request<Incoming>| {
                let host = request
                    .headers()
                    .get("host")
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                let line = format!("sni={sni} alpn={alpn} host={host}");
                async move { text(line) }
            };
            serve(TokioIo::new(stream), answer).await;
        });
    })
}

async fn https(
    config: Arc<ServerConfig>,
    roots: RootCertStore,
) -> Result<wit::Response, types::Error> {
    let bench = Bench::with(vec![rule(API)], public(), tls_server(config), |services| {
        services.tls = Tls::with_roots(roots).unwrap();
    });
    bench.get(API).await
}

#[tokio::test]
async fn netx_016_sni_and_host_are_the_decided_host_and_http2_is_not_offered() {
    let authority = Authority::new();
    let response = https(
        authority.server("api.example.com", false),
        authority.roots(),
    )
    .await;
    assert_eq!(
        response.unwrap().body,
        b"sni=api.example.com alpn=http/1.1 host=api.example.com"
    );
}

#[tokio::test]
async fn netx_015_an_expired_certificate_fails_closed() {
    let authority = Authority::new();
    let result = https(authority.server("api.example.com", true), authority.roots()).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
}

#[tokio::test]
async fn netx_015_a_certificate_for_another_host_fails_closed() {
    let authority = Authority::new();
    let result = https(authority.server("evil.test", false), authority.roots()).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
}

#[tokio::test]
async fn netx_015_an_unknown_authority_and_a_self_signed_certificate_fail_closed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let result = https(theirs.server("api.example.com", false), ours.roots()).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    let result = https(server_config(own.der().clone(), &key), ours.roots()).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
}

#[tokio::test]
async fn netx_015_a_tls_1_0_server_fails_closed() {
    // A ServerHello that chooses TLS 1.0, as such a server answers (RFC 2246 section 7.4.1.3).
    let mut hello = vec![2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 47, 0]);
    let mut record = vec![22, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    let bench = Bench::with(vec![rule(API)], public(), raw(record), |_| {});
    let result = bench.get(API).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_the_network_breaks_is_transient() {
    // Nothing, and the first bytes of a ServerHello that never ends.
    const SAID: [&[u8]; 2] = [&[], &[22, 3, 3, 0, 90, 2, 0]];
    for said in SAID {
        let breaks = RecordingConnector::serving(move |_, mut stream| {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(said).await;
            });
        });
        let bench = Bench::with(vec![rule(API)], public(), breaks, |_| {});
        let result = bench.get(API).await;
        assert!(
            matches!(&result, Err(types::Error::Transient(why)) if why.contains("TLS")),
            "{result:?}"
        );
        // Nothing of a request was sent, so that nobody has to wonder whether it had its effect.
        let posted = host::send(&bench.sender, &bench.scope, request("POST", API)).await;
        assert!(!posted.expect_err("no connection").is_unanswered());
    }
}

#[tokio::test]
async fn netx_015_a_plain_server_on_the_tls_port_fails_closed() {
    let bench = Bench::with(
        vec![rule(API)],
        public(),
        raw("HTTP/1.1 200 OK\r\n\r\n"),
        |_| {},
    );
    let result = bench.get(API).await;
    assert!(
        matches!(&result, Err(types::Error::Failed(why)) if why.contains("TLS")),
        "{result:?}"
    );
}
