//! Every key of the plan file in words, made from the tables that the parser obeys: `flowhost plan keys`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::plan::keys::{KINDS, NODE_TYPES, Section, Shape};

/// The reference as Markdown: a table for each part of a plan, in the order in which they are met.
///
/// # Examples
/// ```
/// let reference = flowhost_flow::plan_reference();
/// assert!(reference.contains("| `max_attempts` |"));
/// ```
#[must_use]
pub fn plan_reference() -> String {
    let mut told = Told {
        text: "# Keys of a plan\n\nMade from the tables that the parser obeys. **Bold** keys are required.\n"
            .to_owned(),
        seen: BTreeSet::new(),
        waiting: Vec::new(),
    };
    for (_, section) in &KINDS {
        told.later(section);
    }
    told.all();
    told.text
}

struct Told {
    text: String,
    seen: BTreeSet<&'static str>,
    waiting: Vec<&'static Section>,
}

impl Told {
    fn later(&mut self, section: &'static Section) {
        if self.seen.insert(section.name) {
            self.waiting.push(section);
        }
    }

    fn all(&mut self) {
        let mut next = 0;
        while let Some(section) = self.waiting.get(next).copied() {
            next += 1;
            self.section(section);
        }
    }

    fn section(&mut self, section: &'static Section) {
        let _infallible = write!(
            self.text,
            "\n## {}\n\n| key | value | meaning |\n|---|---|---|\n",
            section.name
        );
        for key in section.all() {
            let name = match key.required {
                true => format!("**`{}`**", key.name),
                false => format!("`{}`", key.name),
            };
            let value = self.value(&key.shape);
            let _infallible = writeln!(self.text, "| {name} | {value} | {} |", cell(key.doc));
        }
    }

    fn value(&mut self, shape: &'static Shape) -> String {
        match shape {
            Shape::Text => "text".to_owned(),
            Shape::Name => "name".to_owned(),
            Shape::Bool => "`true` or `false`".to_owned(),
            Shape::Count { min, max } => format!("{min} to {max}"),
            Shape::Number { min, max } => format!("number, {min} to {max}"),
            Shape::Money => "dollars, such as `0.50`".to_owned(),
            Shape::Size { .. } => "size, such as `64MiB`".to_owned(),
            Shape::Duration => "duration, such as `30s`".to_owned(),
            Shape::Expr => "expression".to_owned(),
            Shape::Template => "any value, with `${{ }}`".to_owned(),
            Shape::Fixed => "any value, without `${{ }}`".to_owned(),
            Shape::Sha256 => "64 hexadecimal digits".to_owned(),
            Shape::Range => "range of versions".to_owned(),
            Shape::Require => "`all`, `any`, a number or `\"90%\"`".to_owned(),
            Shape::Then => "`halt`, `continue` or `goto:STEP`".to_owned(),
            Shape::Schema => "JSON Schema, or a path to one".to_owned(),
            Shape::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Shape::ListOf(inner) => format!("list: {}", self.value(inner)),
            Shape::MapOf(inner) => format!("by name: {}", self.value(inner)),
            Shape::Section(section) => {
                self.later(section);
                format!("[{}](#{})", section.name, section.name.replace(' ', "-"))
            }
            Shape::Node => {
                for (_, section) in &NODE_TYPES {
                    self.later(section);
                }
                "a node, of the `type` that it names".to_owned()
            }
        }
    }
}

/// A text within a table: a bar would end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_key_of_every_section_once() {
        let text = plan_reference();
        let mut sections: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        let all = sections.len();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections.len(), all, "a section stands there once");
        for (_, section) in KINDS.iter().chain(&NODE_TYPES) {
            assert!(
                text.contains(&format!("\n## {}\n", section.name)),
                "{}",
                section.name
            );
            for key in section.all() {
                assert!(text.contains(&format!("`{}`", key.name)), "{}", key.name);
            }
        }
        assert!(
            text.contains("\n## backoff\n"),
            "what is nested stands there too"
        );
    }
}
