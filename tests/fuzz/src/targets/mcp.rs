//! Frames of MCP, as a client or a server sends them, and the streams of events that carry them.

use flowhost_mcp::{
    Events, Message, check_headers, decode_header, encode_header, modern, progress_token, read,
};

use super::text;
use crate::{Outcome, Target};

pub(crate) const FRAME: Target = Target {
    name: "mcp-frame",
    run: frame,
    words: &[
        "\"jsonrpc\":\"2.0\"",
        "\"id\":",
        "\"id\":null",
        "\"id\":1e3",
        "\"method\":\"tools/call\"",
        "\"params\":{",
        "\"result\":{}",
        "\"error\":{\"code\":-32022,\"message\":\"\"}",
        "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"",
        "\"io.modelcontextprotocol/clientCapabilities\":{}",
        "\"progressToken\":1",
        "[{",
        "{\"a\":{\"a\":{\"a\":",
        "9223372036854775807",
        "\\u0000",
        "\u{feff}",
    ],
};

pub(crate) const HEADER: Target = Target {
    name: "mcp-header",
    run: header,
    words: &[
        "=?base64?",
        "?=",
        "=?base64??=",
        "w6TDtsO8",
        "\u{e9}",
        "\r\n",
        " ",
        "==",
    ],
};

pub(crate) const EVENTS: Target = Target {
    name: "mcp-events",
    run: events,
    words: &[
        "data: ",
        "data:{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        "data\n",
        "id: 7\n",
        "id:\n",
        "retry: 250\n",
        "retry: 99999999999999999999\n",
        "event: message\n",
        "event: endpoint\n",
        ": ping\n",
        "\n\n",
        "\r\n",
        "\r",
        "\u{feff}",
    ],
};

/// Wherever a stream is cut, it says the same; no frame is longer than the bound, and what is gone on after can
/// stand in a header.
fn events(bytes: &[u8]) -> Outcome {
    const MAX: usize = 64;
    let mut whole = Events::new(MAX);
    let at_once = whole.push(bytes);
    let mut parts = Events::new(MAX);
    let mut by_parts = Ok(Vec::new());
    for byte in bytes {
        by_parts = by_parts.and_then(|mut events: Vec<_>| {
            events.extend(parts.push(std::slice::from_ref(byte))?);
            Ok(events)
        });
    }
    assert_eq!(at_once, by_parts);
    for event in at_once.iter().flatten() {
        assert!(!event.data.is_empty() && event.data.len() <= MAX);
    }
    assert!(
        whole
            .last_id()
            .bytes()
            .all(|byte| (0x20..0x7f).contains(&byte)),
        "{:?}",
        whole.last_id()
    );
    Outcome::of(&at_once)
}

/// Accepted means: what is sent on is what came in, and what is said of itself can be asked for.
fn frame(bytes: &[u8]) -> Outcome {
    let message = read(bytes);
    if let Ok(message) = &message {
        let sent = match message {
            Message::Request(request) => {
                let _version = modern(&request.params);
                let _token = progress_token(&request.params);
                assert!(
                    check_headers(request, "2026-07-28", |_| None).is_err(),
                    "a request without headers was taken for one with them"
                );
                request.value()
            }
            Message::Notification(note) => note.value(),
            Message::Reply(reply) => reply.value(),
        };
        let again = read(sent.to_string().as_bytes());
        assert_eq!(again.as_ref(), Ok(message));
    }
    Outcome::of(&message)
}

/// Every text survives a header, and what stands in one cannot end it.
fn header(bytes: &[u8]) -> Outcome {
    let value = text(bytes);
    let encoded = encode_header(&value);
    assert!(
        encoded.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{encoded:?}"
    );
    assert_eq!(decode_header(&encoded).as_deref(), Some(&*value));
    Outcome::of(&decode_header(&value).ok_or(()))
}
