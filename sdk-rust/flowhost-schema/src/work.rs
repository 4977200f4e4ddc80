//! What a check would cost, counted roughly and before it begins: parts of the schema times parts of the
//! value, and each pattern times each letter that it could be held against.
//!
//! An upper bound of honest pairs with room to spare, not a measure: references that multiply are stopped
//! by fuel.

use serde_json::Value;

/// Most units of one check. A unit is a look at one part of a value by one part of a schema, some tens of
/// nanoseconds: an honest check of a thousand rules over a value of a hundred kilobytes has two million.
const UNITS_MAX: u64 = 50_000_000;
/// Letters that a pattern reads in the time of one unit.
const LETTERS_PER_UNIT: u64 = 16;

/// What of a schema makes a check long.
pub(crate) struct Work {
    parts: u64,
    patterns: u64,
}

#[derive(Default)]
struct Size {
    parts: u64,
    letters: u64,
    patterns: u64,
}

impl Work {
    pub(crate) fn of(schema: &Value) -> Self {
        let mut size = Size::default();
        measure(schema, &mut size);
        Self {
            parts: size.parts,
            patterns: size.patterns,
        }
    }

    /// Why a value is not checked, if it is not.
    pub(crate) fn refusal(&self, value: &Value) -> Option<String> {
        let mut size = Size::default();
        measure(value, &mut size);
        // A value's part meets the parts of the schema for its place. Without following references the
        // whole is the only bound, and a small share of it the honest one.
        let looks = size.parts.saturating_mul(self.parts) / 8;
        let reads = size.letters.saturating_mul(self.patterns) / LETTERS_PER_UNIT;
        let units = looks.saturating_add(reads);
        (units > UNITS_MAX).then(|| {
            format!(
                "the check would take too much work: a schema of {} parts and {} patterns against a value \
                 of {} parts and {} bytes; check a smaller value or split the schema",
                self.parts, self.patterns, size.parts, size.letters
            )
        })
    }
}

fn measure(value: &Value, size: &mut Size) {
    size.parts = size.parts.saturating_add(1);
    match value {
        Value::String(text) => size.letters = size.letters.saturating_add(text.len() as u64),
        Value::Array(items) => items.iter().for_each(|item| measure(item, size)),
        Value::Object(entries) => {
            for (name, item) in entries {
                size.letters = size.letters.saturating_add(name.len() as u64);
                size.patterns += match (name.as_str(), item) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(patterns)) => patterns.len() as u64,
                    _ => 0,
                };
                measure(item, size);
            }
        }
        _ => {}
    }
}
