//! What is refused before anything is looked up.

use super::*;

#[tokio::test]
async fn net_001_denies_another_scheme_before_any_lookup() {
    let bench = Bench::new(vec![rule(API)]);
    assert_eq!(denied_rule(bench.get(PLAIN).await), "http#none");
    bench.nothing_left("http#none");
    assert!(bench.resolver.asked().is_empty());
}

#[tokio::test]
async fn net_002_denies_another_port() {
    let bench = Bench::new(vec![rule(API)]);
    assert_eq!(
        denied_rule(bench.get("https://api.example.com:8443/").await),
        "http#none"
    );
    bench.nothing_left("http#none");
    assert!(bench.resolver.asked().is_empty());
}

#[tokio::test]
async fn net_009_records_a_refused_text_without_its_userinfo() {
    let bench = Bench::new(vec![rule(API)]);
    assert_eq!(
        denied_rule(bench.get("https://api.example.com\\@evil.test/").await),
        "url.backslash"
    );
    bench.nothing_left("url.backslash");
}

#[tokio::test]
async fn net_026_denies_connect_and_trace() {
    let bench = Bench::new(vec![rule(API)]);
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(
            denied_rule(bench.send(request(method, API)).await),
            "http.method"
        );
        bench.nothing_left("http.method");
    }
}

#[tokio::test]
async fn net_028_denies_a_method_that_is_not_upper_case_letters() {
    let bench = Bench::new(vec![rule(API)]);
    for method in ["get", "GET x", "GET\r\nHost: evil.test", ""] {
        assert_eq!(
            denied_rule(bench.send(request(method, API)).await),
            "http.method"
        );
    }
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn denies_a_method_that_the_rule_does_not_list() {
    let bench = Bench::new(vec![rule(API)]);
    let result = bench.send(request("DELETE", API)).await;
    assert_eq!(denied_rule(result), "http[0].methods");
    bench.nothing_left("http[0].methods");
}

#[tokio::test]
async fn net_030_denies_every_other_scheme() {
    let bench = Bench::new(vec![rule(API)]);
    for scheme in ["HTTPS", "ftp", "file", "ws", "wss", "javascript", "data"] {
        denied_rule(bench.get(&format!("{scheme}://api.example.com/")).await);
    }
    assert_eq!(bench.connector.dialled(), []);
    assert!(bench.resolver.asked().is_empty());
}

#[tokio::test]
async fn netx_011_denies_an_upgrade_and_says_so() {
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        RecordingConnector::default(),
        |_| {},
    );
    for headers in [
        vec![
            header("upgrade", "websocket"),
            header("connection", "Upgrade"),
        ],
        vec![header("connection", "keep-alive, Upgrade")],
        vec![header("Upgrade", "h2c")],
    ] {
        let asked = wit::Request {
            headers,
            ..request("GET", PLAIN)
        };
        assert_eq!(denied_rule(bench.send(asked).await), "http.upgrade");
        bench.nothing_left("http.upgrade");
    }
    assert!(bench.resolver.asked().is_empty());
}

#[tokio::test]
async fn netx_012_denies_websocket_urls_through_the_same_matcher() {
    let bench = Bench::new(vec![rule(API)]);
    for url in ["ws://api.example.com/", "wss://evil.test/"] {
        assert_eq!(denied_rule(bench.get(url).await), "url.scheme");
        bench.nothing_left("url.scheme");
    }
}

#[tokio::test]
async fn refuses_headers_that_belong_to_the_host() {
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        RecordingConnector::default(),
        |_| {},
    );
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "TE",
        "Proxy-Authorization",
        "expect",
    ] {
        let asked = wit::Request {
            headers: vec![header(name, "1")],
            ..request("GET", PLAIN)
        };
        let result = bench.send(asked).await;
        assert!(
            matches!(result, Err(types::Error::Invalid(_))),
            "{name}: {result:?}"
        );
    }
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn refuses_line_breaks_in_headers() {
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        RecordingConnector::default(),
        |_| {},
    );
    for bad in [
        header("x\r\nhost", "a"),
        header("x", "a\r\nhost: evil.test"),
        header("", "a"),
    ] {
        let asked = wit::Request {
            headers: vec![bad],
            ..request("GET", PLAIN)
        };
        assert!(matches!(
            bench.send(asked).await,
            Err(types::Error::Invalid(_))
        ));
    }
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn refuses_one_header_too_many_from_the_guest() {
    let many = |count| vec![header("x", "y"); count];
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        serving(|_| async { text("ok") }),
        |_| {},
    );
    let asked = wit::Request {
        headers: many(101),
        ..request("GET", PLAIN)
    };
    let result = bench.send(asked).await;
    assert!(matches!(&result, Err(types::Error::Limit(limit)) if limit.name == "http.headers"));
    assert_eq!(bench.connector.dialled(), []);
    let asked = wit::Request {
        headers: many(100),
        ..request("GET", PLAIN)
    };
    bench.send(asked).await.unwrap();
}

#[tokio::test]
async fn records_the_rule_then_the_address_of_what_it_allows() {
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        serving(|_| async { text("ok") }),
        |_| {},
    );
    bench
        .get("http://API.example.com/path?key=private")
        .await
        .unwrap();
    let facts = crate::testing::decided(&bench.recorder);
    let lines: Vec<_> = facts
        .iter()
        .map(|fact| {
            ["decision", "stage", "rule", "address", "wanted"].map(|name| field(fact, name))
        })
        .collect();
    let wanted = "GET http://api.example.com/path";
    assert_eq!(
        lines,
        [
            ["allow", "rule", "http[0]", "", wanted],
            ["allow", "address", "http[0]", PUBLIC, wanted]
        ]
    );
}

#[tokio::test]
async fn refuses_a_timeout_that_is_no_number() {
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        RecordingConnector::default(),
        |_| {},
    );
    for timeout_ms in [f64::NAN, f64::INFINITY, -1.0] {
        let asked = wit::Request {
            timeout_ms,
            ..request("GET", PLAIN)
        };
        assert!(matches!(
            bench.send(asked).await,
            Err(types::Error::Invalid(_))
        ));
    }
}
