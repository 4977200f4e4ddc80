//! The texts that this process has looked at for every kind, and found nothing in.
//!
//! A host looks at the same text again and again: a prompt when it is sent and when it is recorded, an answer when it
//! comes, when it is recorded and when it is handed on, and all turns of a conversation in each of its turns. What a
//! text holds does not change, so where nothing was found before, nothing is looked for again. A text is known by 128
//! bits of a hash under keys that only this process has: nobody can make one that passes for another. What was
//! found is not kept. Guardrails, which are called once each, have no use for it and do not link it
//! (docs/adr/0042).

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::{Detector, Found};

/// Bytes of a text that is remembered: a shorter one is looked at in less than it takes to ask.
const LEAST: usize = 64;
/// Texts that are remembered, at 24 bytes each: what a hundred conversations say at once, in 200 KB.
const PLACES: usize = 8_192;

static CLEAN: LazyLock<Clean> = LazyLock::new(Clean::new);

/// How a text was looked at. A document is looked at text by text, so that one that was clean as a document need not
/// be so as a text, nor the other way round.
#[derive(Clone, Copy, Hash)]
enum As {
    Text,
    Document,
}

/// Everything found, of every kind.
pub(crate) fn find(text: &str) -> Vec<Found> {
    CLEAN.find(text)
}

/// Whether nothing was found in any text of this document before.
pub(crate) fn knows_document(text: &str) -> bool {
    CLEAN.knows_document(text)
}

/// Remembers that nothing was found in any text of this document.
pub(crate) fn keep_document(text: &str) {
    CLEAN.keep_document(text);
}

struct Clean {
    keys: [RandomState; 2],
    /// Each in the place that its hash gives; a later one takes the place of an earlier.
    places: Mutex<Vec<Option<Mark>>>,
}

/// What a text is known by.
type Mark = [u64; 2];

impl Clean {
    fn new() -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            places: Mutex::new(vec![None; PLACES]),
        }
    }

    fn find(&self, text: &str) -> Vec<Found> {
        let mark = (text.len() >= LEAST).then(|| self.mark(As::Text, text));
        if mark.is_some_and(|mark| self.knows(mark)) {
            return Vec::new();
        }
        let found = Detector::all().find(text);
        if let Some(mark) = mark.filter(|_| found.is_empty()) {
            self.keep(mark);
        }
        found
    }

    fn knows_document(&self, text: &str) -> bool {
        text.len() >= LEAST && self.knows(self.mark(As::Document, text))
    }

    fn keep_document(&self, text: &str) {
        if text.len() >= LEAST {
            self.keep(self.mark(As::Document, text));
        }
    }

    fn mark(&self, how: As, text: &str) -> Mark {
        self.keys.each_ref().map(|key| key.hash_one((how, text)))
    }

    fn knows(&self, mark: Mark) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // Both halves: two texts that share a place are told apart by 128 bits.
        places.get(place(mark)) == Some(&Some(mark))
    }

    fn keep(&self, mark: Mark) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(place(mark)) {
            *place = Some(mark);
        }
    }
}

fn place([first, _]: Mark) -> usize {
    usize::try_from(first % PLACES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_remembered_only_where_nothing_was_found_in_it() {
        let clean = Clean::new();
        let (nothing, some) = ("a word ".repeat(20), "ann@example.org ".repeat(20));
        for _ in 0..2 {
            assert_eq!(clean.find(&nothing), []);
            assert_eq!(clean.find(&some), Detector::all().find(&some));
        }
        assert!(clean.knows(clean.mark(As::Text, &nothing)));
        assert!(!clean.knows(clean.mark(As::Text, &some)));
        assert!(!clean.knows(clean.mark(As::Text, &nothing[1..])));
    }

    #[test]
    fn a_document_that_was_clean_is_not_a_text_that_was() {
        let clean = Clean::new();
        let document = format!("[{}\"nothing\"]", "\"a word\",".repeat(20));
        assert!(!clean.knows_document(&document));
        clean.keep_document(&document);
        assert!(clean.knows_document(&document));
        assert!(!clean.knows(clean.mark(As::Text, &document)));
        assert!(!clean.knows_document(&document[1..]));
        let short = "[\"a word\"]";
        clean.keep_document(short);
        assert!(!clean.knows_document(short), "too short to be worth it");
    }

    #[test]
    fn whatever_is_remembered_a_document_says_what_it_says() {
        let clean = format!("{{\"said\": [{}1]}}", "\"a word or two\",".repeat(9));
        let some = clean.replace("1]", "\"ann@example.org\"]");
        for _ in 0..2 {
            assert_eq!(crate::redact_document(&clean), None);
            let (redacted, counts) = crate::redact_document(&some).unwrap();
            assert_eq!(counts.total(), 1);
            assert!(redacted.contains("[redacted:email]"), "{redacted}");
        }
    }

    #[test]
    fn whatever_is_remembered_a_text_says_what_it_says() {
        let clean = Clean::new();
        // Twice as many as there are places, and each of them asked for again.
        let text = |number: usize| match number % 5 {
            0 => format!(
                "{number} writes to ann@example.org from time to time, and more often than that to bob"
            ),
            _ => format!(
                "{number} writes to nobody from time to time, and more often than that to nobody at all"
            ),
        };
        for _ in 0..2 {
            for number in 0..2 * PLACES {
                assert_eq!(
                    clean.find(&text(number)).len(),
                    usize::from(number % 5 == 0)
                );
            }
        }
    }
}
