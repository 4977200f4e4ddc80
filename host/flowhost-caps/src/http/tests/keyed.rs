//! The key of a keyed effect travels with the requests that change something, and with no others.

use super::*;

/// A server that answers with the key that it was sent.
fn echo() -> RecordingConnector {
    serving(|request| async move {
        let key = request.headers().get("idempotency-key");
        let key = key.map_or(b"none".to_vec(), |key| key.as_bytes().to_vec());
        text(key)
    })
}

fn bench(keyed: bool) -> Bench {
    let mut bench = Bench::with(vec![rule(PLAIN)], public(), echo(), |_| {});
    bench.scope.keyed = keyed;
    bench
}

async fn sent(bench: &Bench, request: wit::Request) -> String {
    String::from_utf8(bench.send(request).await.unwrap().body).unwrap()
}

#[tokio::test]
async fn no_key_travels_where_an_effect_is_not_keyed_and_with_what_only_reads() {
    assert_eq!(sent(&bench(false), request("POST", PLAIN)).await, "none");
    assert_eq!(sent(&bench(true), request("GET", PLAIN)).await, "none");
}

#[tokio::test]
async fn each_request_of_a_call_has_a_key_of_its_own_and_the_same_when_the_call_is_made_again() {
    for _ in 0..2 {
        let call = bench(true);
        assert_eq!(sent(&call, request("POST", PLAIN)).await, "k-1");
        assert_eq!(sent(&call, request("GET", PLAIN)).await, "none");
        assert_eq!(sent(&call, request("POST", PLAIN)).await, "k-2");
    }
}

#[tokio::test]
async fn a_plugin_that_brings_a_key_keeps_it() {
    let own = wit::Request {
        headers: vec![header("Idempotency-Key", "mine")],
        ..request("POST", PLAIN)
    };
    assert_eq!(sent(&bench(true), own).await, "mine");
}
