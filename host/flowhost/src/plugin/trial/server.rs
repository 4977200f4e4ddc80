//! The server of a trial: a name that every trial knows, which answers over a stream in memory. The request has
//! gone the whole way (decision, address, HTTP) by the time it comes here; no socket is opened.

use std::net::SocketAddr;

use flowhost_caps::http::testing::{RecordingConnector, ScriptedResolver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::World;

/// Its name.
const NAME: &str = "server.example";
/// A public address, because a profile's rule reaches no other; nobody is asked there.
const ADDRESS: &str = "93.184.215.14";
/// Its address as a caller writes it.
pub(in crate::plugin) const URL: &str = "http://server.example/";
/// Lines of a profile that grant it.
pub(super) const LINES: &str = "[[http]]\nurl = \"http://server.example/\"\n\
    methods = [\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"]";
/// Bytes of a request's head that are waited for. Whoever sends more is answered all the same.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A resolver that knows the server and nobody else.
pub(super) fn resolver() -> ScriptedResolver {
    ScriptedResolver::default().answer(NAME, &[ADDRESS])
}

/// Connections to it; how it answers, the world says.
pub(super) fn connector(world: World) -> RecordingConnector {
    RecordingConnector::serving(move |_: SocketAddr, stream| {
        // Nobody waits for it: it ends when the plugin's side of the stream is dropped, at the latest with the
        // runtime.
        tokio::spawn(serve(world, stream));
    })
}

async fn serve(world: World, mut stream: DuplexStream) {
    if world == World::Slow {
        // The connection stays open, and nothing comes.
        discard(&mut stream).await;
        return;
    }
    let mut head: Vec<u8> = Vec::new();
    // A body is not read before the answer: a server that refuses does not wait for it either, and a client has to
    // live with that.
    let mut part = [0; 4_096];
    while !head.windows(4).any(|it| it == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read(&mut part).await {
            // The call was cut off.
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend(part.iter().take(read)),
        }
    }
    let _gone = stream.write_all(&answer(world)).await;
    // A body that is still on its way must not meet a closed stream.
    discard(&mut stream).await;
}

async fn discard(stream: &mut DuplexStream) {
    let mut part = [0; 4_096];
    while let Ok(1..) = stream.read(&mut part).await {}
}

/// What is answered to anything.
fn answer(world: World) -> Vec<u8> {
    let (status, kind, body): (&str, &str, &[u8]) = match world {
        World::Kind | World::Slow => (
            "200 OK",
            "application/json",
            br#"{"text":"A text.","count":2}"#,
        ),
        World::Failing => ("503 Service Unavailable", "text/plain", b"not now"),
        World::Lying => ("200 OK", "application/json", b"<!doctype html>{"),
        World::Garbled => ("200 OK", "text/plain; charset=utf-8", super::NO_TEXT),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(world: World) -> String {
        let (mut near, far) = tokio::io::duplex(1_024);
        tokio::spawn(serve(world, far));
        near.write_all(b"GET / HTTP/1.1\r\nhost: server.example\r\n\r\n")
            .await
            .unwrap();
        near.shutdown().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn it_answers_as_the_world_is_and_in_a_slow_one_not_at_all() {
        assert_eq!(asked(World::Slow).await, "");
        assert!(asked(World::Failing).await.starts_with("HTTP/1.1 503 "));
        assert!(asked(World::Garbled).await.contains('\u{fffd}'));
        let kind = asked(World::Kind).await;
        assert!(kind.ends_with(r#"{"text":"A text.","count":2}"#), "{kind}");
    }
}
