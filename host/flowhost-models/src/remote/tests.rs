//! What the headers and the first bytes of a provider's answer say.

use super::*;

/// 2026-11-21 10:00:00 UTC.
const NOW_MS: u64 = 1_795_255_200_000;

fn after(name: &'static str, value: &'static str) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_static(value));
    retry_after(&headers, NOW_MS)
}

#[test]
fn reads_retry_after_in_seconds_milliseconds_and_dates() {
    assert_eq!(after("retry-after", "7"), Some(Duration::from_secs(7)));
    assert_eq!(
        after("retry-after", "0.5"),
        Some(Duration::from_millis(500))
    );
    assert_eq!(
        after("retry-after-ms", "250"),
        Some(Duration::from_millis(250))
    );
    let date = "Sat, 21 Nov 2026 10:00:09 GMT";
    assert_eq!(after("retry-after", date), Some(Duration::from_secs(9)));
    let past = "Sat, 21 Nov 2026 09:00:00 GMT";
    assert_eq!(after("retry-after", past), Some(Duration::ZERO));
}

#[test]
fn a_retry_after_that_means_nothing_is_none() {
    for value in ["soon", "-5", "NaN", "inf", ""] {
        assert_eq!(after("retry-after", value), None, "{value}");
    }
    assert_eq!(after("retry-after", "99999999"), Some(RETRY_AFTER_MAX));
}

#[test]
fn a_body_is_what_its_first_bytes_say() {
    let table: [(&[u8], Option<Kind>); 12] = [
        (b"", None),
        (b" \r\n", None),
        (b"dat", None),
        (b"data: {}", Some(Kind::Stream)),
        (b"\n\nevent: x", Some(Kind::Stream)),
        (b": ping", Some(Kind::Stream)),
        (b"\xef\xbb\xbfdata:", Some(Kind::Stream)),
        (b"{", Some(Kind::Json)),
        (b"\xef\xbb\xbf [", Some(Kind::Json)),
        (b"<html>", Some(Kind::Other)),
        (b"dance", Some(Kind::Other)),
        (b"402 Payment Required", Some(Kind::Other)),
    ];
    for (head, wanted) in table {
        assert_eq!(kind(head, false), wanted, "{head:?}");
    }
    assert_eq!(kind(b"unknown: x", true), Some(Kind::Stream));
}

#[test]
fn a_malformed_trace_context_is_not_sent() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert!(is_traceparent(good));
    for bad in [
        "",
        "00-x",
        &good.to_uppercase(),
        &good.replacen("00", "ff", 1),
        &good[1..],
    ] {
        assert!(!is_traceparent(bad), "{bad}");
    }
}
