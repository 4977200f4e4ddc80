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
    let (server, roots, _) = certified().await;
    (server, roots)
}

/// The server, its roots, and its certificate as PEM.
async fn certified() -> (Server, RootCertStore, rcgen::Certificate) {
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
    let server = Server::start_with(replies, Some(acceptor)).await;
    (server, roots, made.cert)
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

#[tokio::test]
async fn a_file_of_authorities_vouches_for_a_server_and_others_do_not() {
    let (server, _, certificate) = certified().await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = secure(&server).replace("key = \"KEY\"", "key = \"KEY\"\nca = \"house.pem\"");
    let gateway = |pem: String| {
        let authorities = [("house.pem".to_owned(), pem)].into();
        Host {
            authorities,
            ..Host::default()
        }
        .gateway(&config)
    };
    let (error, _) = failure(&gateway(certificate_pem(&other.cert)), &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(server.asked().is_empty());
    let both = certificate_pem(&other.cert) + &certificate_pem(&certificate);
    let answer = complete(&gateway(both), &prompt("p/m"), &Log::default()).await;
    assert_eq!(answer.unwrap().content, "Hello.");
}

#[tokio::test]
async fn the_systems_authorities_vouch_where_the_configuration_says_so() {
    let (server, _, certificate) = certified().await;
    let config = secure(&server).replace("key = \"KEY\"", "key = \"KEY\"\nsystem_roots = true");
    let host = Host {
        system: vec![b"not a certificate".to_vec(), certificate.der().to_vec()],
        ..Host::default()
    };
    let answer = complete(&host.gateway(&config), &prompt("p/m"), &Log::default()).await;
    assert_eq!(answer.unwrap().content, "Hello.");
}

#[test]
fn authorities_that_cannot_be_read_are_told_before_any_call() {
    let problems = |pem: Option<&str>, more: &str| {
        let text = format!("[providers.p]\nkind = \"openai\"\nurl = \"https://x/v1\"\n{more}");
        let authorities = pem.map(|pem| ("a.pem".to_owned(), pem.to_owned()));
        let host = Arc::new(Host {
            authorities: authorities.into_iter().collect(),
            ..Host::default()
        });
        let config = toml::from_str(&text).unwrap();
        let made = flowhost_models::Gateway::new(config, host.clone(), host.clone(), host);
        made.err().unwrap()[0].to_string()
    };
    let ca = "ca = \"a.pem\"";
    assert_eq!(
        problems(None, ca),
        "`models.providers.p.ca`: cannot be read: the file does not exist"
    );
    assert_eq!(
        problems(Some("text"), ca),
        "`models.providers.p.ca`: holds no certificate"
    );
    assert!(problems(None, "system_roots = true").ends_with("this system holds no certificates"));
}

fn certificate_pem(certificate: &rcgen::Certificate) -> String {
    let body = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        certificate.der(),
    );
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}
