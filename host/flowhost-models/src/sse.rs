//! Event streams (WHATWG HTML, section 9.2.6), bounded.
//!
//! Pure: bytes in, events out, however the bytes were cut. Only `event` and `data` are kept; `id` and
//! `retry` mean nothing for an answer that is never resumed. An event whose end never came is no
//! event, unless the stream ended in order and the caller finds it whole. A line that begins with a
//! brace is data: no field is called so.

/// Bytes of one line, and of one event's data: far above any provider's pieces.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The value of `event`, or empty.
    pub(crate) name: String,
    /// The values of `data`, joined by line feeds.
    pub(crate) data: String,
}

/// A stream that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("an event is larger than {EVENT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("an event is not UTF-8")]
    Encoding,
}

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    /// A byte order mark is cut from the first line only.
    begun: bool,
}

impl Parser {
    /// Takes the next bytes and adds the events that they end to `events`.
    pub(crate) fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        let mut rest = bytes;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(at);
            self.keep(head)?;
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_of_line(&line)?);
            rest = match tail {
                [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
                [] => tail,
            };
            // Only at the end of a piece: within one, the arm above has taken both at once.
            self.after_return = tail == b"\r";
        }
        self.keep(rest)
    }

    /// The event that the end of the stream found open.
    pub(crate) fn end(&mut self) -> Result<Option<Event>, SseError> {
        let line = std::mem::take(&mut self.line);
        let ended = if line.is_empty() {
            None
        } else {
            self.end_of_line(&line)?
        };
        match ended {
            Some(event) => Ok(Some(event)),
            None => self.end_of_event(),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(SseError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<Event>, SseError> {
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.begun => rest,
            _ => line,
        };
        self.begun = true;
        if line.is_empty() {
            return self.end_of_event();
        }
        // A proxy that fails in mid-stream writes its error as it would write any other.
        if line.starts_with(b"{") {
            self.add_data(line)?;
            return Ok(None);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => self.add_data(value)?,
            // No field of the standard's: llama.cpp ends a stream that fails with it.
            b"error" => {
                self.name = b"error".to_vec();
                self.add_data(value)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), SseError> {
        // The line feed between two values is counted, too.
        if self.data.len() + value.len() >= EVENT_BYTES_MAX {
            return Err(SseError::TooLarge);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn end_of_event(&mut self) -> Result<Option<Event>, SseError> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return Ok(None);
        }
        // Here and not by the piece: a packet may end within a character.
        let text = |bytes| String::from_utf8(bytes).map_err(|_| SseError::Encoding);
        Ok(Some(Event {
            name: text(name)?,
            data: text(data)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, SseError> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut events)?;
        }
        Ok(events.into_iter().map(|it| (it.name, it.data)).collect())
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn refuses_an_event_without_end() {
        let line = vec![b'x'; EVENT_BYTES_MAX];
        assert_eq!(read(&[&line, b"x"]), Err(SseError::TooLarge));
        let data = [
            b"data: ".as_slice(),
            &vec![b'x'; EVENT_BYTES_MAX / 2],
            b"\n",
        ]
        .concat();
        assert_eq!(read(&[&data, &data, &data]), Err(SseError::TooLarge));
    }

    #[test]
    fn refuses_what_is_not_utf_8() {
        assert_eq!(read(&[b"data: \xff\n\n"]), Err(SseError::Encoding));
    }

    #[test]
    fn an_event_whose_end_never_came_is_none() {
        assert_eq!(read(&[b"data: a\n\ndata: b\n"]), Ok(vec![event("", "a")]));
    }

    #[test]
    fn a_stream_that_ended_in_order_gives_its_open_event() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        parser
            .push(b"data: a\n\ndata: [DONE]", &mut events)
            .unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(parser.end().unwrap().unwrap().data, "[DONE]");
        assert_eq!(parser.end(), Ok(None));
    }

    #[test]
    fn a_bare_object_is_data() {
        assert_eq!(
            read(&[b"data: a\n\n{\"error\": 1}\n\n"]),
            Ok(vec![event("", "a"), event("", "{\"error\": 1}")])
        );
    }

    #[test]
    fn reads_fields_comments_and_all_line_ends() {
        let text = "\u{feff}: hello\nevent: delta\ndata: {\"a\":\ndata: 1}\nid: 7\n\n\
                    data\r\rerror: {\"code\":400}\n\ndata:no blank\r\ndata:  two\r\n\r\nevent: lost\n\nretry: 5\n\n";
        assert_eq!(
            read(&[text.as_bytes()]),
            Ok(vec![
                event("delta", "{\"a\":\n1}"),
                event("", ""),
                event("error", "{\"code\":400}"),
                event("", "no blank\n two"),
            ])
        );
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(
            parts in prop::collection::vec("(data|event|:|id)?(: ?)?[a-zü]{0,3}(\n|\r|\r\n){0,3}", 0..20),
            cuts in prop::collection::vec(0_usize..200, 0..12),
        ) {
            let bytes = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&bytes]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(read(&single), read(&[&bytes]));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&[&bytes]);
        }
    }
}
