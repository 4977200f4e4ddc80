//! What servers, redirects and sizes cannot do.

use std::time::Duration;

use super::*;
use bytes::Bytes;
use http::StatusCode;

async fn against(connector: RecordingConnector) -> Result<wit::Response, types::Error> {
    Bench::with(vec![rule(PLAIN)], public(), connector, |_| {})
        .get(PLAIN)
        .await
}

#[tokio::test]
async fn netx_001_hands_redirects_back_and_denies_the_follow_up() {
    for status in [301_u16, 302, 303, 307, 308] {
        let connector = serving(move |_| async move {
            let mut response = text("");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
                .headers_mut()
                .insert("location", "https://evil.test/".parse().unwrap());
            response
        });
        let bench = Bench::with(vec![rule(PLAIN)], public(), connector, |_| {});
        let response = bench.get(PLAIN).await.unwrap();
        assert_eq!(response.status, i32::from(status));
        let location = response
            .headers
            .iter()
            .find(|header| header.name == "location")
            .unwrap();
        denied_rule(bench.get(&location.value).await);
        assert_eq!(bench.connector.dialled().len(), 1);
    }
}

#[tokio::test]
async fn netx_002_denies_where_redirects_point() {
    let bench = Bench::new(vec![rule(PLAIN)]);
    for location in [
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "//evil.test/",
    ] {
        denied_rule(bench.get(location).await);
    }
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn netx_003_follows_no_chain() {
    let connector = serving(|_| async {
        let mut response = text("");
        *response.status_mut() = StatusCode::FOUND;
        response
            .headers_mut()
            .insert("location", "/again".parse().unwrap());
        response
    });
    let bench = Bench::with(vec![rule(PLAIN)], public(), connector, |_| {});
    assert_eq!(bench.get(PLAIN).await.unwrap().status, 302);
    assert_eq!(bench.connector.dialled().len(), 1);
}

#[tokio::test]
async fn netx_010_a_hundred_thousand_header_fields_are_a_limit_error() {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for index in 0..100_001 {
        head.extend(format!("x-{index}: y\r\n").bytes());
    }
    head.extend(b"\r\n");
    let result = against(raw(head)).await;
    assert!(
        matches!(&result, Err(types::Error::Limit(limit)) if limit.name == "http.headers"),
        "{result:?}"
    );
}

#[tokio::test]
async fn netx_010_takes_a_hundred_fields_and_not_one_more() {
    for (fields, fits) in [(99, true), (101, false)] {
        let mut head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_vec();
        for index in 0..fields {
            head.extend(format!("x-{index}: y\r\n").bytes());
        }
        head.extend(b"\r\n");
        assert_eq!(against(raw(head)).await.is_ok(), fits, "{fields}");
    }
}

#[tokio::test]
async fn netx_011_a_server_that_switches_protocols_is_an_error() {
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    assert!(matches!(
        against(raw(head)).await,
        Err(types::Error::Failed(_))
    ));
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(against(raw(head)).await.unwrap().body, b"ok");
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/2.0 200\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        assert!(
            matches!(against(raw(bytes)).await, Err(types::Error::Failed(_))),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!";
    assert!(matches!(
        against(raw(head)).await,
        Err(types::Error::Failed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn netx_023_a_trickling_server_ends_at_the_deadline() {
    let connector = RecordingConnector::serving(|_, mut stream| {
        tokio::spawn(async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
                .await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
    });
    let started = tokio::time::Instant::now();
    let bench = Bench::with(vec![rule(PLAIN)], public(), connector, |_| {});
    let asked = wit::Request {
        timeout_ms: 12_000.0,
        ..request("GET", PLAIN)
    };
    let result = bench.send(asked).await;
    assert!(
        matches!(result, Err(types::Error::Transient(_))),
        "{result:?}"
    );
    assert_eq!(started.elapsed().as_secs(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_ends_at_the_calls_own_deadline() {
    let started = tokio::time::Instant::now();
    let result = against(raw("")).await;
    assert!(
        matches!(result, Err(types::Error::Transient(_))),
        "{result:?}"
    );
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_sent_may_have_had_its_effect() {
    let bench = Bench::with(vec![rule(PLAIN)], public(), raw(""), |_| {});
    let post = |timeout_ms| {
        let asked = wit::Request {
            timeout_ms,
            ..request("POST", PLAIN)
        };
        host::send(&bench.sender, &bench.scope, asked)
    };
    // More than may be in flight, so that the one behind them waits for a place until its time is up.
    let many = futures::future::join_all((0..40).map(|_| post(10_000.0)));
    let behind = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        post(2_000.0).await
    };
    let (many, behind) = tokio::join!(many, behind);
    assert!(!behind.expect_err("no place").is_unanswered());
    let first = many.into_iter().next().expect("forty");
    assert!(first.expect_err("no answer").is_unanswered());
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_ends_after_ten_seconds() {
    struct Never;
    #[async_trait::async_trait]
    impl crate::http::Connector for Never {
        async fn connect(&self, _: SocketAddr) -> std::io::Result<Box<dyn crate::http::Stream>> {
            std::future::pending().await
        }
    }
    let started = tokio::time::Instant::now();
    let bench = Bench::with(
        vec![rule(PLAIN)],
        public(),
        RecordingConnector::default(),
        |services| {
            services.connector = Arc::new(Never);
        },
    );
    assert!(matches!(
        bench.get(PLAIN).await,
        Err(types::Error::Transient(_))
    ));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn netx_025_a_compressed_answer_is_handed_over_as_it_is() {
    let bomb = Bytes::from_static(b"\x1f\x8b\x08\x00 not decoded");
    let connector = serving(move |_| async move {
        let mut response = text(Bytes::from_static(b"\x1f\x8b\x08\x00 not decoded"));
        response
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        response
    });
    assert_eq!(against(connector).await.unwrap().body, bomb);
}

#[tokio::test]
async fn netx_025_a_transfer_that_is_compressed_though_nobody_asked_is_refused() {
    for (codings, taken) in [
        ("gzip, chunked", false),
        ("gzip\r\ntransfer-encoding: chunked", false),
        ("Chunked", true),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {codings}\r\n\r\n");
        let result = against(raw(head + "2\r\nok\r\n0\r\n\r\n")).await;
        match result {
            Ok(response) => assert!(taken && response.body == b"ok", "{codings}"),
            Err(types::Error::Failed(_)) => assert!(!taken, "{codings}"),
            other => panic!("{codings}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_response_is_taken_up_to_its_cap_and_not_one_byte_over() {
    for (size, fits) in [(1000, true), (1001, false)] {
        let connector = serving(move |_| async move { text(vec![b'x'; size]) });
        let small = HttpRule {
            response_bytes: 1000,
            ..rule(PLAIN)
        };
        let bench = Bench::with(vec![small], public(), connector, |_| {});
        match bench.get(PLAIN).await {
            Ok(response) => assert!(fits && response.body.len() == size),
            Err(types::Error::Limit(limit)) => {
                assert!(!fits);
                assert_eq!(
                    (limit.name.as_str(), limit.allowed.as_str()),
                    ("http.response", "1000")
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_response_without_a_length_is_counted_as_it_comes() {
    let mut stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..2000 {
        stream.extend(b"1\r\nx\r\n");
    }
    let small = HttpRule {
        response_bytes: 1000,
        ..rule(PLAIN)
    };
    let bench = Bench::with(vec![small], public(), raw(stream), |_| {});
    let result = bench.get(PLAIN).await;
    assert!(matches!(&result, Err(types::Error::Limit(limit)) if limit.name == "http.response"));
}

#[tokio::test]
async fn the_length_in_an_answer_to_head_is_not_a_body() {
    let connector = raw("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n");
    let bench = Bench::with(vec![rule(PLAIN)], public(), connector, |_| {});
    assert!(
        bench
            .send(request("HEAD", PLAIN))
            .await
            .unwrap()
            .body
            .is_empty()
    );
}

#[tokio::test]
async fn netx_029_a_request_body_over_the_cap_never_leaves() {
    let small = HttpRule {
        request_bytes: 10,
        ..rule(PLAIN)
    };
    let bench = Bench::with(vec![small], public(), serving(echo), |_| {});
    let asked = |size| wit::Request {
        body: vec![b'x'; size],
        ..request("POST", PLAIN)
    };
    let result = bench.send(asked(11)).await;
    assert!(matches!(&result, Err(types::Error::Limit(limit)) if limit.name == "http.request"));
    assert_eq!(bench.connector.dialled(), []);
    let response = bench.send(asked(10)).await.unwrap();
    assert!(response.body.ends_with(b"xxxxxxxxxx"));
}

#[tokio::test]
async fn host_and_framing_are_written_by_the_host() {
    let port = "http://api.example.com:8080/";
    let bench = Bench::with(vec![rule(port)], public(), serving(echo), |_| {});
    let asked = wit::Request {
        body: b"abc".to_vec(),
        ..request("POST", &format!("{port}a?b=c"))
    };
    let text = String::from_utf8(bench.send(asked).await.unwrap().body).unwrap();
    assert!(text.starts_with("POST /a?b=c "), "{text}");
    assert!(
        text.contains("\"host\": \"api.example.com:8080\""),
        "{text}"
    );
    assert!(
        text.contains("\"content-length\": \"3\"") && text.ends_with("abc"),
        "{text}"
    );
}

#[tokio::test]
async fn netx_016_every_request_has_its_own_connection() {
    let bench = Bench::with(vec![rule(PLAIN)], public(), serving(echo), |_| {});
    for _ in 0..3 {
        bench.get(PLAIN).await.unwrap();
    }
    assert_eq!(bench.connector.dialled().len(), 3);
    assert_eq!(bench.resolver.asked().len(), 3);
}

#[tokio::test]
async fn netx_035_an_alternative_service_is_never_followed() {
    let connector = serving(|_| async {
        let mut response = text("ok");
        response
            .headers_mut()
            .insert("alt-svc", "h3=\"evil.test:443\"".parse().unwrap());
        response
    });
    let bench = Bench::with(vec![rule(PLAIN)], public(), connector, |_| {});
    bench.get(PLAIN).await.unwrap();
    bench.get(PLAIN).await.unwrap();
    let only = SocketAddr::new(PUBLIC.parse().unwrap(), 80);
    assert_eq!(bench.connector.dialled(), [only, only]);
    assert_eq!(
        bench.resolver.asked(),
        ["api.example.com", "api.example.com"]
    );
}

#[tokio::test]
async fn netx_030_a_request_dropped_at_any_point_leaves_nothing_behind() {
    for polls in 0..40 {
        let bench = Bench::with(vec![rule(PLAIN)], public(), serving(echo), |_| {});
        let mut sending = Box::pin(bench.get(PLAIN));
        for _ in 0..polls {
            if futures::poll!(&mut sending).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(sending);
    }
}

#[tokio::test]
async fn hop_by_hop_headers_do_not_reach_the_guest() {
    let head = "HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\nkeep-alive: 5\r\n\
                x-kept: 1\r\ncontent-length: 0\r\n\r\n";
    let headers = against(raw(head)).await.unwrap().headers;
    let mut names: Vec<&str> = headers.iter().map(|header| header.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "x-kept"]);
}
