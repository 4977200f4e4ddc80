//! Redacts a JSON value: texts, keys, and numbers that are payment cards.

use std::borrow::Cow;
use std::collections::HashMap;

use jsonptr::Token;
use serde_json::{Map, Value};

use crate::{Counts, Detector, Found, Kind};

impl Detector {
    /// Redacts every text and key of a value in place, and counts what was found. A number that is a
    /// payment card becomes a text. Where two keys become the same the later one gets a number, so
    /// that no entry is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_detect::{Detector, Kind};
    ///
    /// let mut value = serde_json::json!({ "to": ["ann@example.org"] });
    /// let counts = Detector::all().redact_json(&mut value);
    /// assert_eq!(value, serde_json::json!({ "to": ["[redacted:email]"] }));
    /// assert_eq!(counts.of(Kind::Email), 1);
    /// ```
    pub fn redact_json(&self, value: &mut Value) -> Counts {
        let mut counts = Counts::default();
        self.redact_json_with(value, &mut |_, found| counts.add(found));
        counts
    }

    /// As [`Detector::redact_json`], and shows each place with the RFC 6901 pointer of its text. Of a
    /// key the pointer is that of its object, because a pointer to it would repeat what it held.
    pub fn redact_json_with(&self, value: &mut Value, see: &mut dyn FnMut(&str, &Found)) {
        redact_with(&|text| self.find(text), value, see);
    }
}

/// As [`Detector::redact_json_with`], by whatever finds places in a text.
pub(crate) fn redact_with(
    find: &dyn Fn(&str) -> Vec<Found>,
    value: &mut Value,
    see: &mut dyn FnMut(&str, &Found),
) {
    let mut walk = Walk {
        find,
        pointer: String::new(),
        see,
    };
    walk.value(value);
}

struct Walk<'a> {
    find: &'a dyn Fn(&str) -> Vec<Found>,
    pointer: String,
    see: &'a mut dyn FnMut(&str, &Found),
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(clean) = self.text(text, &Kind::ALL) {
                    *text = clean;
                }
            }
            Value::Number(number) => {
                if let Some(clean) = self.text(&number.to_string(), &[Kind::Card]) {
                    *value = Value::String(clean);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    self.below(&place.to_string(), item);
                }
            }
            Value::Object(entries) => self.object(entries),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, entries: &mut Map<String, Value>) {
        // Keys first, in one go: a map cannot be renamed while it is walked through.
        let keys: Vec<Option<String>> = entries
            .keys()
            .map(|key| self.text(key, &Kind::ALL))
            .collect();
        if keys.iter().any(Option::is_some) {
            *entries = renamed(std::mem::take(entries), keys);
        }
        // Under the new names, so that a pointer never repeats what a key held.
        for (key, item) in entries.iter_mut() {
            self.below(Token::new(key).encoded(), item);
        }
    }

    fn below(&mut self, name: &str, item: &mut Value) {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(name);
        self.value(item);
        self.pointer.truncate(length);
    }

    /// The text without what was found; none if that was nothing.
    fn text(&mut self, text: &str, kinds: &[Kind]) -> Option<String> {
        let mut found = (self.find)(text);
        found.retain(|found| kinds.contains(&found.kind));
        for found in &found {
            (self.see)(&self.pointer, found);
        }
        match crate::without(text, &found) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        }
    }
}

/// The entries under their new names. Names that nothing was found in keep theirs.
fn renamed(entries: Map<String, Value>, keys: Vec<Option<String>>) -> Map<String, Value> {
    let mut clean = Map::new();
    let mut changed = Vec::new();
    for ((key, item), new) in entries.into_iter().zip(keys) {
        match new {
            Some(new) => changed.push((new, item)),
            None => {
                clean.insert(key, item);
            }
        }
    }
    let mut last: HashMap<String, u64> = HashMap::new();
    for (name, item) in changed {
        let number = last.entry(name.clone()).or_default();
        let free = free_name(&clean, &name, number);
        clean.insert(free, item);
    }
    clean
}

/// The name, or the first of `name#2`, `name#3` … that nobody has. Counting goes on where it stopped.
fn free_name(taken: &Map<String, Value>, name: &str, number: &mut u64) -> String {
    loop {
        *number += 1;
        let candidate = match *number {
            1 => name.to_owned(),
            more => format!("{name}#{more}"),
        };
        if !taken.contains_key(&candidate) {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Detector, Kind};

    #[test]
    fn what_nothing_was_found_in_stays_as_it_is() {
        let mut value = json!({ "a": [1, null, true, "text"], "n": 1_700_000_000_000_u64 });
        let before = value.clone();
        assert_eq!(Detector::all().redact_json(&mut value).total(), 0);
        assert_eq!(value, before);
    }

    #[test]
    fn texts_keys_and_card_numbers_are_redacted_and_counted() {
        let mut value = json!({
            "to": ["ann@example.org"], "bob@example.org": { "deep": "+49 30 901820" },
            "n": 4_111_111_111_111_111_u64,
        });
        let counts = Detector::all().redact_json(&mut value);
        let wanted = json!({
            "to": ["[redacted:email]"], "[redacted:email]": { "deep": "[redacted:phone]" },
            "n": "[redacted:card]",
        });
        assert_eq!(value, wanted);
        let all: Vec<u64> = counts.iter().map(|(_, count)| count).collect();
        assert_eq!(all, [0, 1, 2, 1]);
    }

    #[test]
    fn keys_that_become_the_same_keep_their_entries() {
        let mut value = json!({ "a@b.example": 1, "c@d.example": 2, "[redacted:email]": 3 });
        Detector::all().redact_json(&mut value);
        let wanted = json!({
            "[redacted:email]": 3, "[redacted:email]#2": 1, "[redacted:email]#3": 2,
        });
        assert_eq!(value, wanted);
    }

    #[test]
    fn a_pointer_never_repeats_what_was_found() {
        let mut value = json!({ "x": { "ann@example.org": "bob@example.org" } });
        let mut pointers = Vec::new();
        let see = &mut |pointer: &str, _: &crate::Found| pointers.push(pointer.to_owned());
        Detector::new(&[Kind::Email]).redact_json_with(&mut value, see);
        assert_eq!(pointers, ["/x", "/x/[redacted:email]"]);
    }
}
