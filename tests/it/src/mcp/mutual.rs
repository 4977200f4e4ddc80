//! A server that asks for a client certificate, on a port of this machine, and an adapter whose profile names an identity
//! of the operator's.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::client::{Reply, modern, read};
use crate::authority::{Authority, Pair};
use crate::support::{Home, Ran};

/// Longest silence of a client before a test gives up on it.
const SILENCE: Duration = Duration::from_secs(60);

/// An MCP server of the modern era behind TLS.
struct Guarded {
    address: SocketAddr,
    /// Requests that came through the handshake.
    asked: Arc<AtomicUsize>,
}

impl Guarded {
    fn start(tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(SILENCE)).unwrap();
                let connection = ServerConnection::new(tls.clone()).unwrap();
                answer(StreamOwned::new(connection, stream), &count);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>, count: &AtomicUsize) {
    let Some(request) = read(&mut stream) else {
        // Who is turned away may have written a request already. To close over it would take the alert back.
        let _gone = std::io::copy(&mut stream.sock, &mut std::io::sink());
        return;
    };
    let before = count.fetch_add(1, Ordering::SeqCst);
    let Reply(status, headers, body) = modern(&request, before);
    let id = format!("\"id\":{}", request.body["id"]);
    let body = body
        .replace("\"id\":1,", &format!("{id},"))
        .replace("\"id\":1}", &format!("{id}}}"));
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    // A client that has seen enough closes before all of it is written.
    let _closed = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
    stream.conn.send_close_notify();
    let _closed = stream.flush();
}

/// A folder with a plan that calls the server's tool as `BILLING`, whose files are `pair` and the authority `house`.
fn home(address: SocketAddr, house: &Authority, pair: &Pair) -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "policies/peer.toml",
        format!(
            "version = 1\nname = \"peer\"\n[limits]\ndeadline = \"20s\"\n[[http]]\nurl = \"https://{address}/mcp\"\n\
             methods = [\"POST\"]\nprivate_network = true\nidentity = \"BILLING\"\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  peer: {{ kind: mcp_adapter, source: \"builtin:mcp-client\", \
             profile: peer, config: {{ url: \"https://{address}/mcp\" }} }}\nsteps:\n  a: {{ uses: peer/shout, with: {{ text: hello }} }}\n\
             outputs: {{ said: \"${{{{ steps.a.output }}}}\" }}\n"
        ),
    );
    home.file(
        "home-of-user/.config/flowhost/flowhost.toml",
        "[identities.BILLING]\ncertificate = \"billing.pem\"\nkey = \"billing.key\"\nauthority = \"house.pem\"\n",
    );
    put(&home, "house.pem", &house.pem());
    put(&home, "billing.pem", &pair.certificate);
    put(&home, "billing.key", &pair.key);
    home
}

/// A file of the operator's that nobody else may read.
fn put(home: &Home, name: &str, text: &str) {
    let path = home.file(&format!("home-of-user/.config/flowhost/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn run(home: &Home) -> Ran {
    let mut line = vec!["run", "plan.yaml", "--allow-private-network", "--json"];
    line.extend(["--policies", "policies"]);
    home.flowhost(&line)
}

#[test]
fn a_server_that_asks_is_shown_the_operators_certificate() {
    let house = Authority::new();
    let server = Guarded::start(house.guarded());
    let home = home(server.address, &house, &house.client(|_| {}));
    let ran = run(&home).expect(0);
    let said = &ran.json()["outputs"]["said"];
    assert_eq!(*said, json!({ "text": "HELLO" }), "{}", ran.all());
    let records = home.records();
    let mut dialled = records
        .iter()
        .filter(|record| record["kind"] == "net.decision" && record["stage"] == "address");
    assert!(dialled.clone().count() > 0);
    assert!(dialled.all(|record| record["identity"] == "BILLING"));
}

#[test]
fn a_certificate_of_another_authority_ends_the_run_with_what_the_server_says() {
    let (house, other) = (Authority::new(), Authority::new());
    let server = Guarded::start(house.guarded());
    let home = home(server.address, &house, &other.client(|_| {}));
    let ran = run(&home);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let told = ran.json().to_string();
    assert!(
        told.contains("does not accept the client certificate"),
        "{}",
        ran.all()
    );
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_profile_that_came_with_the_plan_shows_nobodys_certificate() {
    let house = Authority::new();
    let server = Guarded::start(house.guarded());
    let home = home(server.address, &house, &house.client(|_| {}));
    let ran = home.flowhost(&["run", "plan.yaml", "--allow-private-network"]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    assert!(
        ran.stderr.contains("`BILLING`") && ran.stderr.contains("--policies"),
        "{}",
        ran.all()
    );
    assert_eq!(server.asked(), 0);
}

#[test]
fn what_is_wrong_with_the_files_is_told_before_anything_is_sent() {
    let house = Authority::new();
    let server = Guarded::start(house.guarded());
    let good = house.client(|_| {});
    let home = home(server.address, &house, &good);
    let old = house.client(|params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let of_a_server = house.client(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (name, text, file, says) in [
        (
            "billing.key",
            &*of_a_server.key,
            "billing.pem",
            "`key` is not the key of `certificate`",
        ),
        (
            "billing.key",
            locked,
            "billing.key",
            "`key` holds no private key in PEM",
        ),
        ("billing.pem", &*old.certificate, "billing.pem", "expired"),
        (
            "billing.pem",
            &*of_a_server.certificate,
            "billing.pem",
            "is not for clients",
        ),
        (
            "billing.pem",
            "hello",
            "billing.pem",
            "`certificate` holds no certificate in PEM",
        ),
        (
            "house.pem",
            "hello",
            "house.pem",
            "`authority` holds no certificate in PEM",
        ),
    ] {
        put(&home, name, text);
        let told = refused(&home);
        assert!(told.contains(says) && told.contains(file), "{name}: {told}");
        put(&home, "billing.pem", &good.certificate);
        put(&home, "billing.key", &good.key);
        put(&home, "house.pem", &house.pem());
    }
    let key = home
        .path()
        .join("home-of-user/.config/flowhost/billing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = refused(&home);
    assert!(
        told.contains("chmod 600") && told.contains("billing.key"),
        "{told}"
    );
    std::fs::remove_file(&key).unwrap();
    let told = refused(&home);
    assert!(
        told.contains("No such file") && told.contains("[identities.BILLING]"),
        "{told}"
    );
    assert_eq!(server.asked(), 0);
}

/// What `validate` and `run` say alike, on one line.
fn refused(home: &Home) -> String {
    let checked = home.flowhost(&["validate", "plan.yaml", "--policies", "policies", "--json"]);
    let checked = checked.expect(1).json();
    let ran = run(home).expect(1).json();
    for said in ["message", "hint", "file"] {
        let of = |document: &serde_json::Value| document["problems"][0][said].clone();
        assert_eq!(of(&checked), of(&ran));
    }
    checked["problems"].to_string()
}
