//! Secrets that guests of a run were told, taken out of all that the run leaves behind.
//!
//! The attack: a plugin that may read a secret hands it on, as its output, in an error, a URL, a file's
//! name, a topic or a key, and the next reader finds it in a report or in a record that nobody can erase.
//! Nothing is looked for before the first secret is revealed; after it the work is linear in the text.
//! Never holds a value that no guest was told: what is only injected is the `http` capability's to watch.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use flowhost_caps::secrets::SecretStore;
use flowhost_detect::Secrets;
use flowhost_ledger::{Fact, Value};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::base::failure::Failure;
use crate::calls::desk::Remote;

/// Shortest value that is looked for, in bytes: a shorter one is no secret, and taking every place of it
/// out would leave no record that can be read.
const VALUE_MIN: usize = 4;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";

/// What a text ends with that was cut to a bound.
const CUT: char = '…';

/// What stands between the texts of a document while they are searched as one: no letter, so that a
/// secret that was split over them is found.
const BETWEEN: &[u8] = b"\",\"";

/// Fields of records that hold the host's own words, and that readers compare: no guest writes them.
const OWN_WORDS: &[&str] = &[
    "class",
    "component",
    "decision",
    "durability",
    "event",
    "interface",
    "part",
    "plugin",
    "profile",
    "result",
    "right",
    "role",
    "status",
    "verdict",
];

/// The secrets that guests of one run were told so far.
#[derive(Default)]
pub(crate) struct Revealed {
    any: AtomicBool,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    values: BTreeMap<String, Zeroizing<String>>,
    secrets: Option<Arc<Secrets>>,
    /// Kinds of records that one of them was found in.
    places: BTreeSet<&'static str>,
}

impl Revealed {
    pub(crate) fn add(&self, name: &str, value: &str) {
        if value.len() < VALUE_MIN {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known
            .values
            .get(name)
            .is_some_and(|it| it.as_str() == value)
        {
            return;
        }
        // By its name, because a store gives one value under it for as long as a run lasts.
        let value = Zeroizing::new(value.to_owned());
        known.values.insert(name.to_owned(), value);
        let values = known.values.values().map(|value| value.as_str());
        let secrets = Arc::new(Secrets::new(values));
        known.secrets = Some(secrets);
        // Behind the value, so that whoever sees the flag finds it: the guest is told only when this has returned.
        self.any.store(true, Ordering::Release);
    }

    /// What to look for; none before the first was revealed.
    fn secrets(&self) -> Option<Arc<Secrets>> {
        // No lock for the records of runs in which nobody is told anything, which are almost all.
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.secrets.clone()
    }

    /// Takes them out of a text. Of one that was cut, the last word goes too: it may be the beginning of
    /// what would have been found whole.
    pub(crate) fn clean_text(&self, text: &mut String) {
        if let Some(secrets) = self.secrets() {
            clean(&secrets, text);
        }
    }

    /// Takes them out of a document, whose shape stays.
    pub(crate) fn clean_json(&self, document: &mut Json) {
        if let Some(secrets) = self.secrets() {
            clean_document(&secrets, document);
        }
    }

    pub(crate) fn clean_failure(&self, mut failure: Failure) -> Failure {
        let texts = failure.causes.iter_mut().chain(&mut failure.hints);
        let found = failure.findings.iter_mut();
        let found = found.flat_map(|it| [&mut it.message, &mut it.hint]);
        for text in texts.chain(found).chain([&mut failure.message]) {
            self.clean_text(text);
        }
        failure
    }

    /// Takes them out of a fact: of its payload, and of every field that a guest can have a word in.
    /// Whether there was one, and it is the first in a fact of this kind.
    pub(crate) fn clean_fact(&self, fact: &mut Fact) -> bool {
        let Some(secrets) = self.secrets() else {
            return false;
        };
        let mut found = false;
        if let Some(payload) = &mut fact.payload {
            found |= clean_payload(&secrets, payload);
        }
        let fields = fact.fields.iter_mut();
        for (_, value) in fields.filter(|(name, _)| !OWN_WORDS.contains(name)) {
            found |= match value {
                Value::Text(text) => clean(&secrets, text),
                Value::List(texts) => clean_all(&secrets, texts.iter_mut()),
                Value::Map(texts) => clean_map(&secrets, texts),
            };
        }
        found && {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.places.insert(fact.kind.as_str())
        }
    }

    /// The names of those that guests were told.
    pub(crate) fn names(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values.keys().cloned().collect()
    }
}

/// A store that remembers what it gave away.
pub(crate) struct Remembering {
    pub(crate) store: Arc<dyn SecretStore>,
    pub(crate) revealed: Arc<Revealed>,
    /// Whoever writes the record, where that is another process.
    pub(crate) driver: Option<Remote>,
}

impl SecretStore for Remembering {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        self.store.get(name)
    }

    fn revealed(&self, name: &str, value: &str) {
        // Here as well: this process has log lines and answers of its own.
        self.revealed.add(name, value);
        if let Some(driver) = &self.driver {
            driver.revealed(name);
        }
    }
}

fn clean(secrets: &Secrets, text: &mut String) -> bool {
    let found = secrets.find(text.as_bytes());
    if !found.is_empty() {
        *text = without(text.as_bytes(), 0, &found);
    }
    if let Some(before) = text.strip_suffix(CUT) {
        let kept = before.trim_end_matches(|c: char| !c.is_whitespace());
        *text = format!("{kept}{CUT}");
    }
    !found.is_empty()
}

/// A list, as one text: a secret may be split over it.
fn clean_all<'a>(secrets: &Secrets, texts: impl Iterator<Item = &'a mut String>) -> bool {
    let mut texts: Vec<&mut String> = texts.collect();
    let mut search = Search::default();
    texts.iter_mut().for_each(|text| search.add(text));
    let Some(mut cleaned) = search.cleaned(secrets) else {
        return false;
    };
    for text in texts {
        cleaned.put(text);
    }
    true
}

fn clean_map(secrets: &Secrets, map: &mut BTreeMap<String, String>) -> bool {
    let mut found = clean_all(secrets, map.values_mut());
    if map.keys().any(|key| !secrets.is_clean(key.as_bytes())) {
        found = true;
        let old = std::mem::take(map);
        for (mut key, value) in old {
            clean(secrets, &mut key);
            map.insert(key, value);
        }
    }
    found
}

fn clean_payload(secrets: &Secrets, payload: &mut Vec<u8>) -> bool {
    // As a document where it is one: JSON may write a secret's characters in several ways.
    if let Ok(mut document) = serde_json::from_slice::<Json>(payload) {
        let found = clean_document(secrets, &mut document);
        if found {
            *payload = document.to_string().into_bytes();
        }
        return found;
    }
    let found = secrets.find(payload);
    if !found.is_empty() {
        *payload = without(payload, 0, &found).into_bytes();
    }
    !found.is_empty()
}

/// Values by themselves and keys by themselves: what is split over values has keys in between.
fn clean_document(secrets: &Secrets, document: &mut Json) -> bool {
    let mut any = false;
    for of in [Of::Values, Of::Keys] {
        let mut search = Search::default();
        each_text(document, of, &mut |text| search.add(text));
        if let Some(mut cleaned) = search.cleaned(secrets) {
            each_text(document, of, &mut |text| cleaned.put(text));
            any = true;
        }
    }
    any
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Values,
    Keys,
}

/// Every text of a document, always in the same order; a number is one that has become a text when it
/// changes. As deep as `serde_json` reads.
fn each_text(document: &mut Json, of: Of, act: &mut dyn FnMut(&mut String)) {
    match document {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) if of == Of::Values => {
            let shown = number.to_string();
            let mut text = shown.clone();
            act(&mut text);
            if text != shown {
                *document = Json::String(text);
            }
        }
        Json::Number(_) => {}
        Json::String(text) if of == Of::Values => act(text),
        Json::String(_) => {}
        Json::Array(items) => items.iter_mut().for_each(|item| each_text(item, of, act)),
        Json::Object(fields) if of == Of::Values => {
            fields
                .values_mut()
                .for_each(|item| each_text(item, of, act));
        }
        Json::Object(fields) => {
            for (mut key, mut value) in std::mem::take(fields) {
                act(&mut key);
                each_text(&mut value, of, act);
                fields.insert(key, value);
            }
        }
    }
}

/// Many texts, searched as one.
#[derive(Default)]
struct Search {
    all: Zeroizing<Vec<u8>>,
    spans: Vec<Range<usize>>,
}

impl Search {
    fn add(&mut self, text: &mut String) {
        let start = self.all.len();
        self.all.extend_from_slice(text.as_bytes());
        self.spans.push(start..self.all.len());
        self.all.extend_from_slice(BETWEEN);
    }

    /// None where there is nothing to take out.
    fn cleaned(self, secrets: &Secrets) -> Option<Cleaned> {
        let found = secrets.find(&self.all);
        let spans = self.spans.into_iter();
        (!found.is_empty()).then_some(Cleaned {
            spans,
            found,
            next: 0,
        })
    }
}

/// Puts what is left in the place of each text, in the order in which they were added.
struct Cleaned {
    spans: std::vec::IntoIter<Range<usize>>,
    found: Vec<Range<usize>>,
    /// The first place that does not end before the text that comes next.
    next: usize,
}

impl Cleaned {
    fn put(&mut self, text: &mut String) {
        let Some(span) = self.spans.next() else {
            debug_assert!(false, "the texts are walked twice, in the same order");
            return;
        };
        let ahead = self.found.get(self.next..).unwrap_or_default();
        self.next += ahead.iter().take_while(|it| it.end <= span.start).count();
        let ahead = self.found.get(self.next..).unwrap_or_default();
        let here = ahead.iter().take_while(|it| it.start < span.end);
        let here: Vec<Range<usize>> = here.cloned().collect();
        if !here.is_empty() {
            *text = without(text.as_bytes(), span.start, &here);
        }
    }
}

/// A text that begins at `start`, without the places that are found in it.
fn without(text: &[u8], start: usize, found: &[Range<usize>]) -> String {
    let mut left = Vec::with_capacity(text.len());
    let mut from = 0;
    for place in found {
        let begin = place.start.saturating_sub(start).min(text.len());
        let end = place.end.saturating_sub(start).min(text.len());
        left.extend_from_slice(text.get(from..begin).unwrap_or_default());
        left.extend_from_slice(REDACTED.as_bytes());
        from = end;
    }
    left.extend_from_slice(text.get(from..).unwrap_or_default());
    String::from_utf8_lossy(&left).into_owned()
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::Kind;
    use serde_json::json;

    use super::*;
    use crate::standin::free::Free as _;

    const VALUE: &str = "s3cr3t-canary-value";

    fn told() -> Revealed {
        let revealed = Revealed::default();
        revealed.add("TOKEN", VALUE);
        revealed
    }

    #[test]
    fn takes_a_secret_out_of_every_field_that_a_guest_has_a_word_in_and_of_the_payload() {
        let halves = BTreeMap::from([("a".to_owned(), VALUE.to_owned())]);
        let mut fact = Fact::new(Kind::HostCall, "t/p")
            .with("wanted", format!("http://evil.test/{VALUE}"))
            .with("anything_new", VALUE)
            .with(
                "names",
                vec!["s3cr3t-ca".to_owned(), "nary-value".to_owned()],
            )
            .with("map", Value::Map(halves))
            .with("status", "ok")
            .payload(
                json!({ "x": { VALUE: ["eulav-yranac-t3rc3s"] } })
                    .to_string()
                    .into_bytes(),
            );
        assert!(told().clean_fact(&mut fact));
        let shown = format!("{:?}", fact.fields);
        assert!(
            !shown.contains("s3cr3t") && !shown.contains("canary"),
            "{shown}"
        );
        assert!(shown.contains("http://evil.test/[redacted]"), "{shown}");
        let payload: Json = serde_json::from_slice(&fact.payload.unwrap()).unwrap();
        assert_eq!(payload, json!({ "x": { "[redacted]": ["[redacted]"] } }));
    }

    #[test]
    fn a_document_stays_one_when_a_secret_is_split_over_its_texts() {
        let revealed = told();
        let mut document = json!({ "a": "it is s3cr3t-ca", "b": [1, "nary-value, yes"], "c": "czNjcjN0LWNhbmFyeS12YWx1ZQ==" });
        revealed.clean_json(&mut document);
        // The last letter also depends on what would follow, so it is in no form: two bits stay.
        assert_eq!(document["c"], "[redacted]Q==");
        assert_eq!(document["b"][0], 1);
        let split = json!(["it is s3cr3t-ca", "nary-value, yes"]);
        let mut payload = split.to_string().into_bytes();
        assert!(clean_payload(&revealed.secrets().unwrap(), &mut payload));
        let left: Json = serde_json::from_slice(&payload).unwrap();
        assert_eq!(left, json!(["it is [redacted]", "[redacted], yes"]));
    }

    #[test]
    fn the_beginning_of_a_secret_that_was_cut_goes_too() {
        let mut text = "sent to http://evil.test/s3cr3t-can…".to_owned();
        told().clean_text(&mut text);
        assert_eq!(text, "sent to …");
    }

    #[test]
    fn a_kind_of_record_is_flagged_once() {
        let revealed = told();
        let fact = || Fact::new(Kind::HostCall, "t/p").with("wanted", VALUE);
        assert!(revealed.clean_fact(&mut fact()));
        assert!(!revealed.clean_fact(&mut fact()));
        assert_eq!(revealed.names(), ["TOKEN"]);
    }

    #[test]
    fn nothing_changes_where_nothing_was_revealed_or_nothing_turns_up() {
        let before = Fact::new(Kind::HostCall, "t/p")
            .with("wanted", VALUE)
            .payload(vec![0xff, b'{']);
        let mut fact = before.clone();
        assert!(!Revealed::default().clean_fact(&mut fact));
        assert_eq!(fact, before);
        let other = Revealed::default();
        other.add("PIN", "123");
        other.add("TOKEN", "something-else-entirely");
        assert!(!other.clean_fact(&mut fact));
        assert_eq!(fact, before);
    }
}
