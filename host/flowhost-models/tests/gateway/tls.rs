//! TLS: a server that no root vouches for gets nothing.

use std::{sync::Arc, time::Duration};

use flowhost_models::{ErrorClass, HttpTransport};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    harness::{Host, Log, complete, config, failure, prompt},
    server::{Reply, Server},
    words::openai_hello,
};

async fn server() -> (Server, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let replies = vec![Reply::events(&openai_hello(&[]))];
    (Server::start_with(replies, Some(acceptor)).await, roots)
}

fn secure(server: &Server) -> String {
    let port = server.address.rsplit(':').next().unwrap();
    config("openai", &format!("localhost:{port}")).replace("http://", "https://")
}

#[tokio::test]
async fn a_server_that_no_root_vouches_for_sees_no_request() {
    let (server, _) = server().await;
    let gateway = Host::default().gateway(&secure(&server));
    let (error, _) = failure(&gateway, &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(error.message.contains("certificate"), "{error}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_server_with_a_known_root_is_spoken_to() {
    let (server, roots) = server().await;
    let transport = HttpTransport::with_roots(roots, Duration::from_secs(5), 4).unwrap();
    let gateway = Host::default().gateway_over(&secure(&server), Arc::new(transport));
    let completion = complete(&gateway, &prompt("p/m"), &Log::default())
        .await
        .unwrap();
    assert_eq!(completion.content, "Hello.");
}

#[tokio::test]
async fn a_server_of_another_name_sees_no_request() {
    let (server, roots) = server().await;
    let transport = HttpTransport::with_roots(roots, Duration::from_secs(5), 4).unwrap();
    let config = secure(&server).replace("localhost", "127.0.0.1");
    let gateway = Host::default().gateway_over(&config, Arc::new(transport));
    assert_eq!(
        failure(&gateway, &prompt("p/m")).await.0.class,
        ErrorClass::Unreachable
    );
    assert!(server.asked().is_empty());
}
