//! What of a tool is another than it was when somebody accepted it, line by line: a hash says that something is, and
//! whoever is asked whether that is all right has to see what.
//!
//! The texts are a server's. They are shown to people, bounded and with all that cannot be seen written out, and never
//! to a model: a denial that a guest reads names fields alone.

use std::fmt::Write as _;

use flowhost_policy::{Effects, ToolAnnotations, ToolDescriptor, shown};
use serde_json::{Map, Value, json};
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

/// Lines of one field that are shown: what differs more is another tool.
const LINES_MAX: usize = 20;
/// Characters of a line: a description may be one of four thousand.
const LINE_CHARS: usize = 200;
/// Characters in front of the place where two long lines begin to differ.
const LEAD_CHARS: usize = 40;
/// Lines of a field that are compared each with each. A schema may have tens of thousands, and a server chooses them.
const COMPARED_MAX: usize = 2_000;

/// What differs of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, in words.
    pub field: &'static str,
    /// What was (`- `), what is (`+ `), and the line around it (two spaces), printable as they are.
    pub lines: Vec<String>,
}

/// A descriptor as a lock keeps it, without its name.
#[must_use]
pub fn kept(tool: &ToolDescriptor) -> String {
    json!({
        "title": tool.title,
        "description": tool.description,
        "effects": tool.effects.word(),
        "input": tool.input,
        "output": tool.output,
        "annotations": said(&tool.annotations),
    })
    .to_string()
}

/// A kept descriptor; none where it is not what was accepted under `hash`, which alone decides.
#[must_use]
pub fn of_kept(name: &str, text: &str, hash: &str) -> Option<ToolDescriptor> {
    let mut kept: Value = serde_json::from_str(text).ok()?;
    let words = |key: &str| Some(kept.get(key)?.as_str()?.to_owned());
    let says = |key: &str| kept.get("annotations")?.get(key)?.as_bool();
    let word = words("effects")?;
    let all = [
        Effects::None,
        Effects::Idempotent,
        Effects::Keyed,
        Effects::Once,
    ];
    let (title, description) = (words("title")?, words("description")?);
    let annotations = ToolAnnotations {
        read_only: says("read_only"),
        destructive: says("destructive"),
        idempotent: says("idempotent"),
        open_world: says("open_world"),
    };
    let tool = ToolDescriptor {
        name: name.to_owned(),
        title,
        description,
        effects: all.into_iter().find(|it| it.word() == word)?,
        annotations,
        input: kept.get_mut("input")?.take(),
        output: Some(kept.get_mut("output")?.take()).filter(|it| !it.is_null()),
    };
    // The file may have been written by anybody: what was not accepted is not shown as what was.
    (tool.hash() == hash).then_some(tool)
}

/// What differs between a tool as it was and as it is; empty where nothing does.
#[must_use]
pub fn differences(before: &ToolDescriptor, after: &ToolDescriptor) -> Vec<Difference> {
    let all = fields(before).into_iter().zip(fields(after));
    all.filter(|((_, old), (_, new))| old != new)
        .map(|((field, old), (_, new))| Difference {
            field,
            lines: compared(&old, &new),
        })
        .collect()
}

/// The same as a text of lines.
pub(crate) fn told(differences: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { field, lines } in differences {
        let _infallible = writeln!(text, "{field}:");
        for line in lines {
            let _infallible = writeln!(text, "  {line}");
        }
    }
    text
}

/// What a descriptor's hash is over, as people read it.
fn fields(tool: &ToolDescriptor) -> [(&'static str, String); 6] {
    let pretty = |json: &Value| format!("{json:#}");
    let output = tool.output.as_ref().map(pretty);
    [
        ("title", tool.title.clone()),
        ("description", tool.description.clone()),
        ("effects", tool.effects.word().to_owned()),
        ("input schema", pretty(&tool.input)),
        ("output schema", output.unwrap_or_default()),
        ("annotations", pretty(&said(&tool.annotations))),
    ]
}

/// What annotations say, by key.
fn said(annotations: &ToolAnnotations) -> Value {
    let all = [
        ("read_only", annotations.read_only),
        ("destructive", annotations.destructive),
        ("idempotent", annotations.idempotent),
        ("open_world", annotations.open_world),
    ];
    let said = all
        .into_iter()
        .filter_map(|(key, said)| Some((key.to_owned(), Value::from(said?))));
    Value::Object(Map::from_iter(said))
}

fn compared(old: &str, new: &str) -> Vec<String> {
    // Not `lines`, for which a line break at the end is none.
    let old: Vec<&str> = old.split('\n').collect();
    let new: Vec<&str> = new.split('\n').collect();
    let ops = match old.len().max(new.len()) <= COMPARED_MAX {
        true => capture_diff_slices(Algorithm::Myers, &old, &new),
        false => vec![roughly(&old, &new)],
    };
    let mut lines = Vec::new();
    for op in group_diff_ops(ops, 1).into_iter().flatten() {
        let before = old.get(op.old_range()).unwrap_or_default();
        let after = new.get(op.new_range()).unwrap_or_default();
        if op.tag() == DiffTag::Equal {
            lines.extend(before.iter().map(|line| format!("  {}", cut(line, None))));
            continue;
        }
        let pairs = before.iter().enumerate();
        lines.extend(pairs.map(|(at, line)| format!("- {}", cut(line, after.get(at)))));
        let pairs = after.iter().enumerate();
        lines.extend(pairs.map(|(at, line)| format!("+ {}", cut(line, before.get(at)))));
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} lines more"));
    }
    lines
}

fn alike((one, other): &(&&str, &&str)) -> bool {
    one == other
}

/// All that lies between what two texts begin and end with alike.
fn roughly(old: &[&str], new: &[&str]) -> DiffOp {
    let front = old.iter().zip(new).take_while(alike).count();
    let room = old.len().min(new.len()) - front;
    let backwards = old.iter().rev().zip(new.iter().rev());
    let back = backwards.take(room).take_while(alike).count();
    DiffOp::Replace {
        old_index: front,
        old_len: old.len() - front - back,
        new_index: front,
        new_len: new.len() - front - back,
    }
}

/// A line, bounded and printable: of a long one the part in which it begins to differ from the other.
fn cut(line: &str, other: Option<&&str>) -> String {
    let alike = other.map_or(0, |other| {
        let pairs = line.chars().zip(other.chars());
        pairs.take_while(|(one, other)| one == other).count()
    });
    let skipped = match line.chars().nth(LINE_CHARS) {
        Some(_) => alike.saturating_sub(LEAD_CHARS),
        None => 0,
    };
    let rest: String = line.chars().skip(skipped).collect();
    let lead = if skipped > 0 { "…" } else { "" };
    format!("{lead}{}", shown(&rest, LINE_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(description: &str, input: Value) -> ToolDescriptor {
        ToolDescriptor {
            name: "read".to_owned(),
            title: "Read".to_owned(),
            description: description.to_owned(),
            input,
            output: None,
            effects: Effects::Once,
            annotations: ToolAnnotations {
                read_only: Some(true),
                ..ToolAnnotations::default()
            },
        }
    }

    #[test]
    fn what_is_kept_is_read_again_and_counts_for_what_was_accepted_alone() {
        let mut first = tool("Reads.", json!({ "type": "object" }));
        for output in [None, Some(json!({ "type": "object" }))] {
            first.output = output;
            let text = kept(&first);
            assert_eq!(of_kept("read", &text, &first.hash()).unwrap(), first);
            let edited = text.replace("Reads.", "Sends.");
            assert_eq!(of_kept("read", &edited, &first.hash()), None);
            assert_eq!(of_kept("read", "{}", &first.hash()), None);
        }
    }

    #[test]
    fn each_field_that_differs_is_shown_with_what_was_and_what_is() {
        let of = |kind: &str| json!({ "type": "object", "properties": { "a": { "type": kind }, "z": {} } });
        let before = tool("Reads.\nA file.", of("string"));
        let after = tool("Reads, and sends it home.\nA file.", of("number"));
        let found = differences(&before, &after);
        let fields: Vec<&str> = found.iter().map(|it| it.field).collect();
        assert_eq!(fields, ["description", "input schema"]);
        assert_eq!(
            found[0].lines,
            ["- Reads.", "+ Reads, and sends it home.", "  A file."]
        );
        let lines: Vec<&str> = found[1].lines.iter().map(|line| line.trim_end()).collect();
        let changed = [
            "-       \"type\": \"string\"",
            "+       \"type\": \"number\"",
        ];
        assert!(lines.windows(2).any(|pair| pair == changed), "{lines:?}");
        assert!(differences(&before, &before).is_empty());
        assert!(told(&found).starts_with("description:\n  - Reads.\n  + "));
    }

    #[test]
    fn what_a_server_writes_is_bounded_printable_and_shown_where_it_differs() {
        let long = "x".repeat(3_000);
        let (before, after) = (format!("{long}. Reads."), format!("{long}. Sends.\u{202e}"));
        let found = differences(&tool(&before, json!({})), &tool(&after, json!({})));
        let lines = &found[0].lines;
        assert!(
            lines[0].starts_with("- …x") && lines[0].ends_with(". Reads."),
            "{lines:?}"
        );
        assert!(lines[1].ends_with(". Sends.\\u{202e}"), "{lines:?}");

        let many = |last: u32| json!({ "enum": (0..last).collect::<Vec<u32>>() });
        for last in [100, 30_000] {
            let found = differences(&tool("", many(1)), &tool("", many(last)));
            assert_eq!(found[0].lines.len(), LINES_MAX + 1, "{last}");
            assert!(found[0].lines[LINES_MAX].ends_with("lines more"));
        }
        // A line break at the end is a difference too.
        assert!(
            !differences(&tool("a", json!({})), &tool("a\n", json!({})))[0]
                .lines
                .is_empty()
        );
    }
}
