//! Providers behind a proxy: it sees where a connection goes, and nothing of what is said.

use std::sync::{Arc, Mutex, PoisonError};

use flowhost_models::{ErrorClass, Gateway};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    harness::{Host, answered, config, failure, prompt},
    server::{Reply, Server},
    words::openai_hello,
};

struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers every request for a tunnel with `answer`, and tunnels when that is a 200.
    async fn start(answer: &'static str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's own proxy on loopback")]
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(tunnel(stream, answer, seen));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn tunnel(mut stream: TcpStream, answer: &str, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    stream
        .write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    if answer.starts_with("200") {
        assert!(target.starts_with("127.0.0.1:"), "{target}");
        #[expect(clippy::disallowed_methods, reason = "a test's own server on loopback")]
        let mut server = TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}

fn through(proxy: &Proxy, server: &Server, more: &str, host: Host) -> Gateway {
    let lines = format!(
        "key = \"KEY\"\nproxy = \"http://{}\"\n{more}",
        proxy.address
    );
    host.gateway(&config("openai", &server.address).replace("key = \"KEY\"", &lines))
}

async fn hello() -> Server {
    Server::start(vec![Reply::events(&openai_hello(&[]))]).await
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_the_server_sees_nothing() {
    for answer in ["407 Proxy Authentication Required", "403 Forbidden"] {
        let (proxy, server) = (Proxy::start(answer).await, hello().await);
        let gateway = through(&proxy, &server, "", Host::default());
        let (error, _) = failure(&gateway, &prompt("p/m")).await;
        assert_eq!(error.class, ErrorClass::Unreachable);
        assert!(error.message.contains("through the proxy"), "{error}");
        assert_eq!(server.connections(), 0);
    }
}

#[tokio::test]
async fn a_proxy_whose_password_is_not_there_is_not_asked() {
    let (proxy, server) = (Proxy::start("200 OK").await, hello().await);
    let gateway = through(&proxy, &server, "proxy_key = \"DOOR\"", Host::default());
    let (error, _) = failure(&gateway, &prompt("p/m")).await;
    assert!(error.message.contains("DOOR"), "{error}");
    assert_eq!((proxy.heads().len(), server.connections()), (0, 0));
}

#[tokio::test]
async fn the_proxy_is_asked_for_a_tunnel_and_sees_neither_key_nor_prompt() {
    let (proxy, server) = (Proxy::start("200 OK").await, hello().await);
    let mut host = Host::default();
    host.keys.insert("DOOR".to_owned(), "user:word".to_owned());
    let gateway = through(&proxy, &server, "proxy_key = \"DOOR\"", host);
    let answer = answered(&gateway, &prompt("p/m")).await;
    assert_eq!(answer.content, "Hello.");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with(&format!("CONNECT {} HTTP/1.1", server.address)),
        "{heads:?}"
    );
    let head = heads[0].to_lowercase();
    assert!(
        head.contains("proxy-authorization: basic dxnlcjp3b3jk"),
        "{head}"
    );
    assert!(!head.contains("bearer"), "{head}");
    assert!(
        !server.asked()[0]
            .head
            .to_lowercase()
            .contains("proxy-authorization")
    );
}
