//! Servers that ask who the host is.

use base64::Engine as _;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};

use super::loopback::{Authority, tls_server};
use super::*;
use crate::http::{
    Identities, IdentityFiles, Roots, Unfit, error::SendError, read_authorities, read_identity,
};

/// The middle of 2026, in milliseconds.
const NOW_MS: u64 = 1_782_000_000_000;

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
}

/// A client's certificate and key in PEM.
fn pair(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    change(&mut params);
    let (key, certificate) = authority.issue(params);
    (
        pem("CERTIFICATE", &certificate),
        pem("PRIVATE KEY", &key.serialize_der()),
    )
}

/// A guest that may ask `https://api.example.com`, a server of `house` that wants to see a client, under a rule that names an
/// identity, which `client` vouches for. `roots` names who vouches for servers; the identity's own files do where they
/// show `house`.
fn guarded(
    house: &Authority,
    client: &Authority,
    roots: &[(&str, &Authority)],
    shows_authority: bool,
) -> Bench {
    let (certificate, key) = pair(client, |_| {});
    let authority = pem("CERTIFICATE", house.der());
    let files = IdentityFiles {
        certificate: &certificate,
        key: &key,
        authority: shows_authority.then_some(&*authority),
    };
    let identity = read_identity(files, NOW_MS).unwrap();
    let rule = HttpRule {
        identity: Some("BILLING".to_owned()),
        ..rule(API)
    };
    let server = tls_server(house.guarded("api.example.com"));
    Bench::with(vec![rule], public(), server, |services| {
        services.identities = Arc::new(Identities::from([("BILLING".to_owned(), identity)]));
        let by = |(host, authority): &(&str, &Authority)| {
            let tls = read_authorities(&pem("CERTIFICATE", authority.der())).unwrap();
            ((*host).to_owned(), tls)
        };
        services.roots = Arc::new(roots.iter().map(by).collect());
    })
}

/// Asks a server of `house` with an identity that `client` vouches for.
async fn asked(house: &Authority, client: &Authority) -> Result<wit::Response, types::Error> {
    let bench = guarded(house, client, &[], true);
    let answer = bench.get(API).await;
    let decided = crate::testing::decided(&bench.recorder);
    let shown: Vec<String> = decided.iter().map(|it| field(it, "identity")).collect();
    assert_eq!(shown, ["", "BILLING"], "the record says who the host was");
    answer
}

#[tokio::test]
async fn a_server_that_asks_is_shown_the_identity_of_the_rule() {
    let house = Authority::new();
    assert_eq!(asked(&house, &house).await.unwrap().status, 200);
}

/// Asks a server of `house` with an identity of the same, where `roots` names who vouches for servers.
async fn asked_by_host(
    house: &Authority,
    roots: &[(&str, &Authority)],
    shows_authority: bool,
) -> Result<wit::Response, types::Error> {
    let bench = guarded(house, house, roots, shows_authority);
    bench.get(API).await
}

#[tokio::test]
async fn a_server_is_vouched_for_by_whom_the_operator_names_for_its_host_and_by_nobody_else() {
    let (house, other) = (Authority::new(), Authority::new());
    let cases: [&[(&str, &Authority)]; 3] = [
        &[],
        &[("other.example.com", &house)],
        &[("api.example.com", &other)],
    ];
    for roots in cases {
        let refused = asked_by_host(&house, roots, false).await;
        let Err(types::Error::Failed(why)) = &refused else {
            panic!("{refused:?}");
        };
        assert!(why.contains("invalid peer certificate"), "{why}");
    }
    let own = [("api.example.com", &house)];
    assert_eq!(
        asked_by_host(&house, &own, false).await.unwrap().status,
        200
    );
    // An authority that was named for the identity counts for it.
    let theirs = [("api.example.com", &other)];
    assert_eq!(
        asked_by_host(&house, &theirs, true).await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn without_an_identity_the_hosts_authority_counts_as_well() {
    let house = Authority::new();
    let server = tls_server(house.server("api.example.com", false));
    let tls = read_authorities(&pem("CERTIFICATE", house.der())).unwrap();
    let bench = Bench::with(vec![rule(API)], public(), server, |services| {
        services.roots = Arc::new(Roots::from([("api.example.com".to_owned(), tls)]));
    });
    assert_eq!(bench.get(API).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_that_accepts_somebody_else_only_ends_the_request_with_the_reason() {
    let (house, other) = (Authority::new(), Authority::new());
    let refused = asked(&house, &other).await;
    let Err(types::Error::Failed(why)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.contains("does not accept the client certificate"),
        "{why}"
    );
}

#[tokio::test]
async fn a_server_that_asks_and_is_shown_nothing_ends_the_request_with_the_cure() {
    let house = Authority::new();
    let server = tls_server(house.guarded("api.example.com"));
    let bench = Bench::with(vec![rule(API)], public(), server, |services| {
        services.tls = Tls::with_roots(house.roots()).unwrap();
    });
    let refused = bench.get(API).await;
    let Err(types::Error::Failed(why)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.contains("asks for a client certificate") && why.contains("[identities.NAME]"),
        "{why}"
    );
}

#[tokio::test]
async fn an_identity_without_files_is_the_hosts_fault_and_nothing_is_dialled() {
    let rule = HttpRule {
        identity: Some("BILLING".to_owned()),
        ..rule(API)
    };
    let bench = Bench::new(vec![rule]);
    let sent = host::send(&bench.sender, &bench.scope, request("GET", API)).await;
    let Err(SendError::Fault(fault)) = sent else {
        panic!("it was sent");
    };
    assert!(
        fault.to_string().contains("[identities.BILLING]"),
        "{fault}"
    );
    assert_eq!(bench.connector.dialled(), []);
    assert!(bench.resolver.asked().is_empty());
}

#[test]
fn files_that_are_no_identity_are_told_apart() {
    let house = Authority::new();
    let (certificate, key) = pair(&house, |_| {});
    let (_, other_key) = pair(&house, |_| {});
    let aged = |from, to| {
        pair(&house, |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        })
    };
    let (old, old_key) = aged(2019, 2020);
    let (early, early_key) = aged(2090, 2091);
    let (server, server_key) = pair(&house, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let read = |certificate: &[u8], key: &[u8], authority| {
        let files = IdentityFiles {
            certificate,
            key,
            authority,
        };
        read_identity(files, NOW_MS).err()
    };
    assert_eq!(read(&certificate, &key, None), None);
    assert_eq!(read(&certificate, &other_key, None), Some(Unfit::Pair));
    assert!(matches!(
        read(&old, &old_key, None),
        Some(Unfit::Expired(2_000..))
    ));
    assert!(matches!(
        read(&early, &early_key, None),
        Some(Unfit::NotYet(2_000..))
    ));
    assert_eq!(read(&server, &server_key, None), Some(Unfit::Purpose));
    assert!(matches!(
        read(&key, &key, None),
        Some(Unfit::Missing("certificate", _))
    ));
    assert!(matches!(
        read(&certificate, b"", None),
        Some(Unfit::Missing("key", _))
    ));
    assert!(matches!(
        read(&certificate, &key, Some(&key)),
        Some(Unfit::Missing("authority", _))
    ));
    assert_eq!(
        read_authorities(b"hello").err(),
        Some(Unfit::Missing("ca", "certificate"))
    );
    let noise = pem("CERTIFICATE", b"noise");
    assert!(matches!(
        read_authorities(&noise).err(),
        Some(Unfit::Unreadable("ca", _))
    ));
    assert!(matches!(
        read(&noise, &key, None),
        Some(Unfit::Unreadable("certificate", _))
    ));
    let noise = pem("PRIVATE KEY", b"noise");
    assert!(matches!(
        read(&certificate, &noise, None),
        Some(Unfit::Unreadable("key", _))
    ));
}
