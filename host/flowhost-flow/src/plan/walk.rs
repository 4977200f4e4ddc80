//! Holds the tree against the tables of keys and says everything that does not fit.
//!
//! Must not build anything: the conversion that follows reads what fits and leaves the rest at its
//! default, because whatever does not fit has been reported here.

use flowhost_words::nearest;
use semver::VersionReq;

use crate::plan::keys::{BODY_KEYS, NODE_TYPES, Section, Shape, is_name};
use crate::plan::tree::{Data, Key, Node};
use crate::problem::{At, Problems, suggest};
use crate::units::{parse_bytes, parse_duration_ms, parse_micro_usd};

/// Reports everything in `node` that is not of this shape. `what` names the value in messages.
pub(super) fn walk(node: &Node, shape: &Shape, what: &str, problems: &mut Problems) {
    match shape {
        Shape::Section(section) => walk_section(node, section, what, problems),
        Shape::ListOf(inner) => walk_list(node, inner, what, problems),
        Shape::MapOf(inner) => walk_map(node, inner, what, problems),
        Shape::Template => {}
        Shape::Fixed => walk_fixed(node, what, problems),
        Shape::Node => walk_node(node, what, problems),
        _ => walk_scalar(node, shape, what, problems),
    }
}

fn walk_section(node: &Node, section: &Section, what: &str, problems: &mut Problems) {
    let Data::Map(members) = &node.data else {
        let keys = suggest_keys(section);
        return wrong(
            node,
            what,
            &format!("a map with keys such as {keys}"),
            problems,
        );
    };
    for (key, value) in members {
        match section.all().find(|known| known.name == key.text) {
            Some(known) => walk(value, &known.shape, &key.text, problems),
            None => unknown_key(key, section, problems),
        }
    }
    for known in section.all().filter(|known| known.required) {
        if node.get(known.name).is_none() {
            let message = format!("{what}: the key `{}` is missing", known.name);
            problems.add(node.at, message, format!("`{}`: {}", known.name, known.doc));
        }
    }
}

/// A node of a behaviour tree: its `type` says which keys it has.
fn walk_node(node: &Node, what: &str, problems: &mut Problems) {
    let words: Vec<&str> = NODE_TYPES.iter().map(|(word, _)| *word).collect();
    let Some(ty) = node.get("type") else {
        let message = format!("{what}: a node is a map with a `type`");
        let cure = format!("types are `{}`", words.join("`, `"));
        return problems.add(node.at, message, cure);
    };
    let Some(word) = ty.text() else {
        return walk_scalar(ty, &Shape::Text, "type", problems);
    };
    match NODE_TYPES.iter().find(|(known, _)| *known == word) {
        Some((_, section)) => walk_section(node, section, what, problems),
        None => choice(word, &words, ty.at, "type", problems),
    }
}

fn suggest_keys(section: &Section) -> String {
    let names: Vec<_> = section
        .all()
        .take(3)
        .map(|key| format!("`{}`", key.name))
        .collect();
    names.join(", ")
}

fn unknown_key(key: &Key, section: &Section, problems: &mut Problems) {
    let (text, name) = (&key.text, section.name);
    if section.later.contains(&text.as_str()) {
        let message = format!("the key `{text}` of a {name} is not part of this build yet");
        return problems.add(key.at, message, "remove it: nothing would enforce it");
    }
    if matches!(text.as_str(), "on" | "true" | "yes") {
        let message = format!(
            "a {name} has no key `{text}`; YAML 1.1 readers turn `on` into `true`, so no key is \
             called that"
        );
        return problems.add(key.at, message, "use `needs`, `when` or `on_failure`");
    }
    let body = BODY_KEYS.iter().find(|(key, _)| key == text);
    if let Some((_, kind)) = body.filter(|_| section.all().any(|key| key.name == "flowhost")) {
        let message = format!("the key `{text}` belongs to `kind: {kind}`");
        return problems.add(key.at, message, "a plan has one body, that of its kind");
    }
    let known = section.all().map(|key| key.name);
    problems.add(
        key.at,
        format!("unknown key `{text}` in {name}"),
        suggest("key", text, known),
    );
}

fn walk_list(node: &Node, inner: &Shape, what: &str, problems: &mut Problems) {
    let Data::List(nodes) = &node.data else {
        let example = node
            .text()
            .map(|text| format!("write `[{text}]`"))
            .unwrap_or_default();
        let message = format!("{what}: expected a list, found {}", node.kind());
        return problems.add(node.at, message, example);
    };
    for node in nodes {
        walk(node, inner, what, problems);
    }
}

fn walk_map(node: &Node, inner: &Shape, what: &str, problems: &mut Problems) {
    let Data::Map(members) = &node.data else {
        return wrong(node, what, "a map", problems);
    };
    for (key, value) in members {
        name(&key.text, key.at, what, problems);
        walk(value, inner, &key.text, problems);
    }
}

fn walk_fixed(node: &Node, what: &str, problems: &mut Problems) {
    if node.text().is_some_and(|text| text.contains("${{")) {
        let message = format!("{what}: this value is fixed before the run and takes no expression");
        problems.add(node.at, message, "pass what changes by `with:`");
    }
    for node in node.elements() {
        walk_fixed(node, what, problems);
    }
    for (_, node) in node.members() {
        walk_fixed(node, what, problems);
    }
}

fn walk_scalar(node: &Node, shape: &Shape, what: &str, problems: &mut Problems) {
    let fits = match (shape, &node.data) {
        (Shape::Text | Shape::Expr, Data::Text(text)) => !text.trim().is_empty(),
        (Shape::Expr | Shape::Bool, Data::Bool(_)) | (Shape::Schema, Data::Map(_)) => true,
        (Shape::Schema, Data::Text(text)) => !text.is_empty(),
        (Shape::Name, Data::Text(text)) => return name(text, node.at, what, problems),
        (Shape::Count { min, max }, Data::Integer(number)) => {
            u64::try_from(*number).is_ok_and(|number| (*min..=*max).contains(&number))
        }
        (Shape::Number { min, max }, _) => number(node).is_some_and(|n| (*min..=*max).contains(&n)),
        (Shape::Money, _) => money(node).is_some_and(|text| parse_micro_usd(&text).is_ok()),
        (Shape::Size { max }, Data::Text(text)) => {
            parse_bytes(text).is_ok_and(|bytes| (1..=*max).contains(&bytes))
        }
        (Shape::Duration, Data::Text(text)) => parse_duration_ms(text).is_ok(),
        (Shape::Sha256, Data::Text(text)) => is_sha256(text),
        (Shape::Range, Data::Text(text)) => VersionReq::parse(text).is_ok(),
        (Shape::Require, _) => require(node).is_some(),
        (Shape::Then, Data::Text(text)) => {
            matches!(text.as_str(), "halt" | "continue")
                || text.strip_prefix("goto:").is_some_and(is_name)
        }
        (Shape::Choice(words), Data::Text(text)) => {
            return choice(text, words, node.at, what, problems);
        }
        _ => false,
    };
    if !fits {
        wrong(node, what, &expected(shape), problems);
    }
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Name => "a name".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Count { min, max } => format!("a whole number from {min} to {max}"),
        Shape::Number { min, max } => format!("a number from {min} to {max}"),
        Shape::Money => "dollars with at most six decimals, such as `3.00`".to_owned(),
        Shape::Size { max } => format!("a size such as `64MiB`, at most {}GiB", max >> 30),
        Shape::Duration => "a duration such as `100ms`, `30s`, `10m` or `2h`".to_owned(),
        Shape::Expr => "a CEL expression in quotes".to_owned(),
        Shape::Sha256 => "a SHA-256 in 64 lower-case hex digits".to_owned(),
        Shape::Range => "a range of versions in quotes: \"^1.2\", \">=1.2, <3\"".to_owned(),
        Shape::Require => "`all`, `any`, a number or a share such as `\"90%\"`".to_owned(),
        Shape::Then => "`halt`, `continue` or `goto:<step>`".to_owned(),
        Shape::Schema => "the path of a JSON Schema, or the schema itself".to_owned(),
        Shape::Choice(words) => format!("one of `{}`", words.join("`, `")),
        Shape::ListOf(_) => "a list".to_owned(),
        Shape::MapOf(_) | Shape::Section(_) | Shape::Node => "a map".to_owned(),
        Shape::Template | Shape::Fixed => "a value".to_owned(),
    }
}

fn wrong(node: &Node, what: &str, expected: &str, problems: &mut Problems) {
    let found = match &node.data {
        Data::Text(text) if text.len() <= 40 => format!("`{text}`"),
        Data::Integer(number) => format!("`{number}`"),
        Data::Float(number) => format!("`{number}`"),
        Data::Bool(value) => format!("`{value}`"),
        _ => node.kind().to_owned(),
    };
    problems.add(
        node.at,
        format!("{what}: expected {expected}, found {found}"),
        "",
    );
}

fn name(text: &str, at: At, what: &str, problems: &mut Problems) {
    if !is_name(text) {
        let shown: String = text.chars().take(40).collect();
        let cure = "a letter or `_` first, then letters, digits, `_` or `-`, at most 64";
        problems.add(at, format!("{what}: `{shown}` is not a name"), cure);
    }
}

fn choice(text: &str, words: &[&str], at: At, what: &str, problems: &mut Problems) {
    if !words.contains(&text) {
        let cure = nearest(text, words.iter().copied())
            .map(|word| format!("did you mean `{word}`?"))
            .unwrap_or_default();
        let message = format!(
            "{what}: expected one of `{}`, found `{text}`",
            words.join("`, `")
        );
        problems.add(at, message, cure);
    }
}

/// The node as a number, if it is one.
pub(super) fn number(node: &Node) -> Option<f64> {
    match node.data {
        #[expect(clippy::cast_precision_loss, reason = "integers are within 2^53")]
        Data::Integer(number) => Some(number as f64),
        Data::Float(number) => Some(number),
        _ => None,
    }
}

/// The node's amount of money as text, if it could be one.
pub(super) fn money(node: &Node) -> Option<String> {
    match &node.data {
        Data::Integer(number) => Some(number.to_string()),
        Data::Float(number) => Some(number.to_string()),
        Data::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// What a barrier requires, if the node says it.
pub(super) fn require(node: &Node) -> Option<crate::plan::Require> {
    use crate::plan::Require;
    match &node.data {
        Data::Integer(number) => u32::try_from(*number)
            .ok()
            .filter(|count| *count > 0)
            .map(Require::Count),
        Data::Text(text) => match text.as_str() {
            "all" => Some(Require::All),
            "any" => Some(Require::Any),
            _ => {
                let percent: u8 = text.strip_suffix('%')?.parse().ok()?;
                (1..=100)
                    .contains(&percent)
                    .then_some(Require::Percent(percent))
            }
        },
        _ => None,
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
