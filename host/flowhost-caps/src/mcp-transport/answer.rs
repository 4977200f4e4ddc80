//! An answer over HTTP as it is read: head, frames, and where its stream may be gone on with. Of what a server
//! says nothing is looked at but where a frame ends, whose it is, and secrets of ours that come back.

use flowhost_engine::{Bytes, bindings::types, neutralise};
use flowhost_mcp::{EventFault, Events, Route, route};
use futures::StreamExt as _;

use super::mailbox::Head;
use crate::shared::outward::{Answer, Echoes, Pieces};
use crate::shared::support::Refusal;

/// Longest frame over HTTP, where the rule's `response` allows as much: what the host holds of one answer.
pub(super) const FRAME_MAX: usize = 64 << 20;
/// Bytes that an error's body is shown with. An error page of a gateway fits, and a message shows the first few hundred
/// characters of it.
const BODY_MAX: usize = 64 << 10;
/// Bytes behind them that are read as well, as many as a header with a secret may have: a secret that begins in what is
/// shown may end here, and half of one is found by nobody.
const BEYOND: usize = 64 << 10;
/// Bytes of the frame before in which a secret may have begun.
const TAIL_BYTES: usize = 512;

/// The header of a session, which stays with the host.
pub(super) const SESSION: &str = "mcp-session-id";

/// What a body is, as its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One frame.
    Json,
    /// A stream of events.
    Events,
    /// Something for people.
    Other,
}

/// The only value of a header.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = headers
        .iter()
        .filter(|(it, _)| it.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        // Given twice it says two things, and two readers could each believe another.
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

pub(super) fn kind(headers: &[(String, String)]) -> Kind {
    let said = header(headers, "content-type").unwrap_or_default();
    let said = said.split(';').next().unwrap_or_default().trim();
    match said.to_ascii_lowercase().as_str() {
        "application/json" => Kind::Json,
        "text/event-stream" => Kind::Events,
        _ => Kind::Other,
    }
}

/// The head as the adapter sees it: a session's id is the host's, as credentials are.
pub(super) fn head(answer: &Answer, body: Vec<u8>) -> Head {
    let shown = |(name, _): &&(String, String)| !name.eq_ignore_ascii_case(SESSION);
    Head {
        status: answer.status,
        headers: answer.headers.iter().filter(shown).cloned().collect(),
        body: Bytes::from(body),
    }
}

/// The beginning of a body that is for people, without secrets.
pub(super) async fn words(answer: &mut Answer) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut is_whole = true;
    while let Some(piece) = answer.body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() >= BODY_MAX + BEYOND {
            // A piece may be as large as the connection's buffer.
            bytes.truncate(BODY_MAX + BEYOND);
            is_whole = false;
            break;
        }
    }
    if let Some(echoes) = &answer.echoes {
        bytes = echoes.clean(&bytes)?;
        if !is_whole {
            // What was taken out may have moved the end forward, and half a secret with it.
            bytes.truncate(bytes.len().saturating_sub(BEYOND));
        }
    }
    bytes.truncate(BODY_MAX);
    Ok(bytes)
}

/// The one frame of a body of JSON; none where the body is empty.
pub(super) async fn frame(answer: &mut Answer) -> Result<Option<String>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.body.next().await {
        let piece = piece?;
        // Before it is kept: the rule's own cap may be larger than what the host holds of one
        // answer.
        if bytes.len() + piece.len() > FRAME_MAX {
            return Err(too_long());
        }
        bytes.extend_from_slice(&piece);
    }
    if let Some(echoes) = &answer.echoes {
        bytes = echoes.clean(&bytes)?;
    }
    let text = String::from_utf8(bytes).map_err(|_| not_text())?;
    Ok((!text.trim_ascii().is_empty()).then_some(text))
}

fn too_long() -> Refusal {
    let why = format!(
        "the server sent a frame of more than {} MiB",
        FRAME_MAX >> 20
    );
    types::Error::Failed(why).into()
}

fn not_text() -> Refusal {
    types::Error::Failed("the server sent what is not UTF-8".to_owned()).into()
}

/// Where a stream of events may be gone on with.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The last event that ended; empty for none.
    pub(super) after: String,
    /// How long the server wants to be left alone before.
    pub(super) retry_ms: Option<u64>,
}

/// A stream of events that is read frame by frame.
pub(super) struct Stream {
    body: Pieces,
    echoes: Option<Box<dyn Echoes>>,
    events: Events,
    tail: Vec<u8>,
    /// Frames that have come and were not asked for yet.
    came: std::collections::VecDeque<String>,
}

impl Stream {
    pub(super) fn of(answer: Answer) -> Self {
        Self {
            body: answer.body,
            echoes: answer.echoes,
            events: Events::new(FRAME_MAX),
            tail: Vec::new(),
            came: Default::default(),
        }
    }

    /// The next frame, and whose it is; none when the stream has ended. `place` is where it may be gone on with.
    pub(super) async fn next(
        &mut self,
        place: &mut Place,
    ) -> Result<Option<(String, Route)>, Refusal> {
        loop {
            if let Some(frame) = self.came.pop_front() {
                let frame = self.without_echoes(frame)?;
                let Some(route) = route(frame.as_bytes()) else {
                    let said = neutralise(&frame, 120);
                    let why = format!("the server sent an event that is not a frame: `{said}`");
                    return Err(types::Error::Failed(why).into());
                };
                return Ok(Some((frame, route)));
            }
            let Some(piece) = self.body.next().await else {
                return Ok(None);
            };
            let came = self.events.push(&piece?).map_err(|fault| match fault {
                EventFault::TooLong => too_long(),
                EventFault::NotText => not_text(),
            })?;
            self.came.extend(came.into_iter().map(|event| event.data));
            // A stream that is gone on with need not say again where it was.
            if !self.events.last_id().is_empty() {
                // Into the text that is there: a stream has an id with each event.
                self.events.last_id().clone_into(&mut place.after);
            }
            place.retry_ms = self.events.retry_ms().or(place.retry_ms);
        }
    }

    /// The frame without secrets. One that is split over two frames is in neither, so that the end of the one is
    /// looked at with the next.
    fn without_echoes(&mut self, frame: String) -> Result<String, Refusal> {
        let Some(echoes) = &self.echoes else {
            return Ok(frame);
        };
        let bytes = frame.as_bytes();
        let start = bytes.get(..TAIL_BYTES.min(bytes.len())).unwrap_or_default();
        let joint = [self.tail.as_slice(), start].concat();
        if echoes.hits(&joint) > echoes.hits(&self.tail) + echoes.hits(start) {
            echoes.clean(&joint)?; // it is on record
            let why = "the server sent a secret back in pieces".to_owned();
            return Err(types::Error::Failed(why).into());
        }
        let from = bytes.len().saturating_sub(TAIL_BYTES);
        self.tail = bytes.get(from..).unwrap_or_default().to_vec();
        String::from_utf8(echoes.clean(bytes)?).map_err(|_| not_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn headers(kind: &str) -> Vec<(String, String)> {
        vec![
            ("Content-Type".to_owned(), kind.to_owned()),
            ("Mcp-Session-Id".to_owned(), "s-1".to_owned()),
        ]
    }

    fn answer(kind: &str, pieces: &[&str], echoes: Option<Box<dyn Echoes>>) -> Answer {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|it| Ok(bytes::Bytes::from((*it).to_owned())))
            .collect();
        Answer {
            status: 200,
            headers: headers(kind),
            body: Box::pin(stream::iter(pieces)),
            echoes,
        }
    }

    /// Knows one secret.
    struct Known;

    impl Echoes for Known {
        fn hits(&self, text: &[u8]) -> usize {
            String::from_utf8_lossy(text).matches("s3cret").count()
        }

        fn clean(&self, text: &[u8]) -> Result<Vec<u8>, Refusal> {
            Ok(String::from_utf8_lossy(text)
                .replace("s3cret", "[redacted]")
                .into_bytes())
        }
    }

    fn said(refusal: Refusal) -> String {
        match refusal {
            Refusal::Guest(types::Error::Failed(why)) => why,
            Refusal::Guest(other) => panic!("{other:?}"),
            Refusal::Unanswered(why) => panic!("{why}"),
            Refusal::Fault(fault) => panic!("{fault}"),
        }
    }

    #[test]
    fn a_kind_is_said_by_one_header_alone() {
        assert_eq!(
            kind(&headers("application/JSON; charset=utf-8")),
            Kind::Json
        );
        assert_eq!(kind(&headers("text/event-stream")), Kind::Events);
        let twice = [headers("application/json"), headers("text/event-stream")].concat();
        assert_eq!(kind(&twice), Kind::Other);
        assert_eq!(kind(&[]), Kind::Other);
    }

    #[test]
    fn a_sessions_id_is_not_shown() {
        let head = head(&answer("text/plain", &[], None), Vec::new());
        assert_eq!(head.headers.len(), 1);
    }

    #[tokio::test]
    async fn a_stream_gives_frames_and_the_place_to_go_on_from() {
        let text = [
            "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,",
            "\"result\":{}}\n\nid: 2\nretry: 5\ndata:\n\n",
        ];
        let mut stream = Stream::of(answer("text/event-stream", &text, None));
        let mut place = Place::default();
        let (frame, route) = stream.next(&mut place).await.ok().flatten().unwrap();
        assert!(route.answers && frame.ends_with("{}}"));
        assert!(matches!(stream.next(&mut place).await, Ok(None)));
        assert_eq!((place.after.as_str(), place.retry_ms), ("2", Some(5)));
    }

    #[tokio::test]
    async fn an_event_that_is_not_a_frame_ends_the_stream() {
        // MCP-022
        let mut stream = Stream::of(answer("text/event-stream", &["data: hello\n\n"], None));
        let ended = stream.next(&mut Place::default()).await;
        assert!(said(ended.err().unwrap()).contains("not a frame: `hello`"));
    }

    #[tokio::test]
    async fn no_half_of_a_secret_stands_where_a_long_body_is_cut() {
        let cut_within = format!("{}s3cret", "x".repeat(BODY_MAX - 3));
        let endless = "y".repeat(4 * BODY_MAX);
        let moved = "s3cret".repeat(BODY_MAX);
        for pieces in [
            vec![cut_within.as_str()],
            vec![cut_within.as_str(), endless.as_str()],
            vec![moved.as_str(), "s3c"],
        ] {
            let echoes: Option<Box<dyn Echoes>> = Some(Box::new(Known));
            let mut answer = answer("text/plain", &pieces, echoes);
            let words = words(&mut answer).await.ok().unwrap();
            let words = String::from_utf8(words).unwrap();
            assert!(words.len() <= BODY_MAX && words.len() >= BODY_MAX / 2);
            assert!(!words.replace("[redacted]", "").contains('s'));
        }
    }

    #[tokio::test]
    async fn a_secret_that_comes_back_is_taken_out_and_one_in_pieces_ends_the_stream() {
        let note = |text: &str| {
            format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"x\":\"{text}\"}}\n\n")
        };
        let echoes = || -> Option<Box<dyn Echoes>> { Some(Box::new(Known)) };
        let whole = note("s3cret");
        let mut stream = Stream::of(answer("text/event-stream", &[whole.as_str()], echoes()));
        let (frame, _) = stream
            .next(&mut Place::default())
            .await
            .ok()
            .flatten()
            .unwrap();
        assert!(frame.contains("[redacted]") && !frame.contains("s3cret"));
        // What stands between two frames is no part of a secret, so that only their very ends can join.
        let mut stream = Stream::of(answer("text/event-stream", &[], echoes()));
        assert!(stream.without_echoes("s3c".to_owned()).is_ok());
        let split = stream.without_echoes("ret".to_owned());
        assert!(said(split.unwrap_err()).contains("in pieces"));
    }
}
