//! Follows the brackets of a JSON text that comes in pieces, to know when it is whole.
//!
//! A parser would have to begin anew with every piece, which is quadratic in what a server sends; this
//! looks at each byte once. It says where a list or an object ends, not that it is valid.

#[derive(Clone, Debug, Default)]
pub(super) struct Balance {
    depth: usize,
    in_text: bool,
    escaped: bool,
    begun: bool,
}

impl Balance {
    /// Takes the next piece; returns where in it the first value ended, if it did there.
    pub(super) fn push(&mut self, piece: &str) -> Option<usize> {
        let was_whole = self.is_whole();
        let mut end = None;
        for (at, byte) in piece.bytes().enumerate() {
            self.byte(byte);
            if end.is_none() && !was_whole && self.is_whole() {
                end = Some(at + 1);
            }
        }
        end
    }

    /// Whether a list or an object has begun and ended.
    pub(super) fn is_whole(&self) -> bool {
        self.begun && self.depth == 0
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            // A quote outside of any bracket is prose.
            b'"' if self.depth > 0 => self.in_text = !self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => {
                self.begun = true;
                self.depth = self.depth.saturating_add(1);
            }
            // A bracket too many closes nothing: prose before the value may hold one.
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn knows_where_a_value_ends() {
        let end = |text: &str| Balance::default().push(text);
        assert_eq!(end("{\"a\": \"}\\\"}\"} rest"), Some(13));
        assert_eq!(end("[[], {}]"), Some(8));
        for open in ["", "text", "{", "{\"a\": \"}", "[{}"] {
            assert_eq!(end(open), None, "{open}");
        }
    }

    proptest! {
        #[test]
        fn any_cutting_of_a_document_ends_with_its_last_byte(text in any::<String>(), cut in any::<usize>()) {
            let document = json!({"a": [text, {}], text.clone(): "}"}).to_string();
            let cuts: Vec<usize> = document.char_indices().map(|(at, _)| at).collect();
            let (head, tail) = document.split_at(cuts[cut % cuts.len()]);
            let mut balance = Balance::default();
            prop_assert_eq!(balance.push(head), None);
            prop_assert_eq!(balance.push(tail), Some(tail.len()));
            prop_assert!(balance.is_whole());
        }
    }
}
