//! Frames out of a stream of events (WHATWG HTML, "server-sent events"), while it comes.
//!
//! Whoever carries such a stream has to know where a frame ends, which event may be gone on after, and how
//! long to wait before that; it keeps no more than one event, and of that no more than a bound.

/// Bytes of an event's id that can be said again in a header. A longer one, and one with what no header holds, is no
/// place to go on after.
const ID_MAX: usize = 1_024;

/// One event with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its data: a frame, if the server keeps to the protocol.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    /// A line, or the data of an event, is longer than the bound.
    TooLong,
    /// The data are not UTF-8.
    NotText,
}

/// A stream of events, as far as it has come.
///
/// # Examples
///
/// ```
/// use flowhost_mcp::Events;
///
/// let mut events = Events::new(1_024);
/// assert!(events.push(b"id: 7\ndata: {\"a\"").unwrap().is_empty());
/// let came = events.push(b":1}\n\n").unwrap();
/// assert_eq!(came[0].data, "{\"a\":1}");
/// assert_eq!(events.last_id(), "7");
/// ```
#[derive(Debug)]
pub struct Events {
    bytes_max: usize,
    /// The line that has not ended.
    line: Vec<u8>,
    /// The event that has not ended: data, type, id.
    data: Vec<u8>,
    kind: Vec<u8>,
    id: Option<String>,
    /// The id of the last event that ended.
    last_id: String,
    retry_ms: Option<u64>,
    /// Whether no line has ended, so that a mark of the byte order may stand before the first.
    at_start: bool,
    /// Whether the last line ended with a carriage return, to which a line feed may belong that is still to come.
    after_cr: bool,
}

impl Events {
    /// A stream of which nothing has come. One line, and the data of one event, has at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            data: Vec::new(),
            kind: Vec::new(),
            id: None,
            last_id: String::new(),
            retry_ms: None,
            at_start: true,
            after_cr: false,
        }
    }

    /// Takes what came, and gives the events that ended with it. An event without data says nothing, but may have
    /// an id.
    ///
    /// # Errors
    /// When the stream cannot be read on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, EventFault> {
        let mut ended = Vec::new();
        let mut rest = bytes;
        if let (true, Some((first, tail))) = (self.after_cr, rest.split_first()) {
            self.after_cr = false;
            if *first == b'\n' {
                rest = tail;
            }
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, tail) = rest.split_at(end);
            self.lengthen(line)?;
            ended.extend(self.end_line()?);
            rest = match tail {
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => tail,
            };
            self.after_cr = tail == b"\r";
        }
        self.lengthen(rest)?;
        Ok(ended)
    }

    /// The id of the last event that ended and had one that a header can repeat; empty for none.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server wants whoever comes again to wait, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn lengthen(&mut self, piece: &[u8]) -> Result<(), EventFault> {
        if self.line.len() + self.data.len() + piece.len() > self.bytes_max {
            return Err(EventFault::TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, EventFault> {
        let line = std::mem::take(&mut self.line);
        let at_start = std::mem::take(&mut self.at_start);
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(line) if at_start => line,
            _ => line.as_slice(),
        };
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.kind = value.to_vec(),
            b"id" => self.id = Some(repeatable(value)),
            b"retry" => self.retry_ms = number(value).or(self.retry_ms),
            // A comment, or what this reader does not know.
            _ => {}
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Result<Option<Event>, EventFault> {
        let mut data = std::mem::take(&mut self.data);
        let kind = std::mem::take(&mut self.kind);
        // Also of an event without data, and an id that cannot be repeated takes the place of the one before: going on after
        // an older event would bring those between a second time.
        if let Some(id) = self.id.take() {
            self.last_id = id;
        }
        data.pop(); // the end of the last line of data
        // Frames are messages; what a server calls otherwise is not for this protocol.
        if data.is_empty() || !(kind.is_empty() || kind == b"message") {
            return Ok(None);
        }
        let data = String::from_utf8(data).map_err(|_| EventFault::NotText)?;
        Ok(Some(Event { data }))
    }
}

/// An id as a header can repeat it; empty where it cannot.
fn repeatable(value: &[u8]) -> String {
    let fits = value.len() <= ID_MAX && value.iter().all(|byte| (0x20..0x7f).contains(byte));
    match std::str::from_utf8(value) {
        Ok(text) if fits => text.trim().to_owned(),
        _ => String::new(),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(text: &[u8]) -> Vec<String> {
        let events = Events::new(1_000).push(text).unwrap();
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn a_line_or_an_event_over_the_bound_ends_the_stream() {
        let of = |text: &[u8]| Events::new(10).push(text).map(|events| events.len());
        assert_eq!(of(b"data: 1234"), Ok(0));
        assert_eq!(of(b"data: 12345"), Err(EventFault::TooLong));
        assert_eq!(of(b"data:1234\ndata:12"), Err(EventFault::TooLong));
        assert_eq!(of(b"data:1234\n\ndata:5678\n\n"), Ok(2));
        assert_eq!(of(&b"data\n".repeat(11)), Err(EventFault::TooLong));
    }

    #[test]
    fn half_an_event_says_nothing() {
        assert_eq!(data(b"data: {\"a\":1}"), Vec::<String>::new());
        assert_eq!(data(b"data: a\n\ndata: b\n"), ["a"]);
    }

    #[test]
    fn reads_lines_with_all_three_ends_and_joins_the_data_of_one_event() {
        let text =
            b"\xef\xbb\xbf: hello\r\nevent: message\r\ndata: a\r\ndata:b\r\n\r\nid: 7\rdata: c\r\r";
        assert_eq!(data(text), ["a\nb", "c"]);
    }

    #[test]
    fn what_is_no_message_is_not_for_this_protocol() {
        let text = b"event: endpoint\ndata: /messages\n\nevent: ping\ndata: {}\n\ndata: {}\n\n";
        assert_eq!(data(text), ["{}"]);
    }

    #[test]
    fn data_that_are_not_utf_8_end_the_stream() {
        assert_eq!(
            Events::new(100).push(b"data: \xff\n\n"),
            Err(EventFault::NotText)
        );
    }

    #[test]
    fn an_event_without_data_may_say_where_to_go_on() {
        let mut events = Events::new(100);
        assert_eq!(events.push(b"id: 9\nretry: 250\ndata:\n\n"), Ok(Vec::new()));
        assert_eq!((events.last_id(), events.retry_ms()), ("9", Some(250)));
        events.push(b"id: a\xc3\xa9\nretry: soon\n\n").unwrap();
        assert_eq!((events.last_id(), events.retry_ms()), ("", Some(250)));
        events.push(b"id: 10\ndata: half").unwrap();
        assert_eq!(events.last_id(), "", "the event has not ended");
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_makes_no_difference(text in "(data|id|event|retry|[:\r\n ]|.){0,80}", cut in 0_usize..200) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut whole = Events::new(1_000);
            let mut parts = Events::new(1_000);
            let at_once = whole.push(bytes);
            let by_parts = parts.push(first).and_then(|mut events| {
                events.extend(parts.push(second)?);
                Ok(events)
            });
            prop_assert_eq!(at_once, by_parts);
            prop_assert_eq!(whole.last_id(), parts.last_id());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _events_or_not = Events::new(64).push(&bytes);
        }
    }
}
