//! Holds the tree against the tables of keys and says everything that does not fit.
//!
//! Must not build anything: the conversion that follows reads what fits and leaves the rest at its
//! default, because whatever does not fit has been reported here.

use flowhost_words::{meant, nearest, with_article};
use semver::VersionReq;

use crate::plan::habits;
use crate::plan::keys::{self, BODY_KEYS, NODE_TYPES, Section, Shape, is_name};
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
        let message = expected_but(node, what, &format!("a map with keys such as {keys}"));
        let cure = habits::written_out(section.name, node).unwrap_or_default();
        return problems.add(node.at, message, cure);
    };
    let other_body = other_body(members, section);
    if let Some((key, kind)) = other_body {
        let message = format!("`{}` is of the body of `kind: {kind}`", key.text);
        problems.add(key.at, message, format!("write `kind: {kind}`"));
    }
    let of_a_body =
        |name: &str| other_body.is_some() && BODY_KEYS.iter().any(|(known, _)| *known == name);
    // The last key, if it is one that holds more and nothing stands below it: what follows may have been meant to.
    let mut emptied: Option<&Key> = None;
    for (key, value) in members {
        match section.all().find(|known| known.name == key.text) {
            Some(known) => {
                emptied =
                    (matches!(value.data, Data::Null) && holds_more(&known.shape)).then_some(key);
                walk(value, &known.shape, &key.text, problems);
            }
            None if of_a_body(&key.text) => {}
            None => unknown_key(key, emptied, section, problems),
        }
    }
    for known in section.all().filter(|known| known.required) {
        if node.get(known.name).is_none() && !of_a_body(known.name) {
            let message = format!("{what}: the key `{}` is missing", known.name);
            problems.add(node.at, message, known_by(known));
        }
    }
}

/// What to write for a key that is missing.
fn known_by(known: &keys::Key) -> String {
    let (name, doc) = (known.name, known.doc);
    match &known.shape {
        Shape::Choice([word]) => format!("write `{name}: {word}`"),
        Shape::Choice(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("`{name}: {word}`"))
                .collect();
            format!("write one of {}: {doc}", words.join(", "))
        }
        _ => format!("`{name}`: {doc}"),
    }
}

/// Whether a value of this shape is written below its key.
const fn holds_more(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Section(_) | Shape::ListOf(_) | Shape::MapOf(_) | Shape::Template | Shape::Fixed
    )
}

/// The first key of another kind's body, in a plan that has none of its own: then it is the kind that is wrong.
fn other_body<'a>(
    members: &'a [(Key, Node)],
    section: &Section,
) -> Option<(&'a Key, &'static str)> {
    if !section.all().any(|key| key.name == "flowhost") {
        return None;
    }
    let kind = |key: &Key| BODY_KEYS.iter().find(|(name, _)| *name == key.text);
    let own = |key: &Key| section.all().any(|known| known.name == key.text);
    let bodies = members.iter().map(|(key, _)| key);
    let mut bodies = bodies
        .filter_map(|key| Some((key, kind(key)?.1)))
        .peekable();
    let first = *bodies.peek()?;
    bodies.all(|(key, _)| !own(key)).then_some(first)
}

/// A node of a behaviour tree: its `type` says which keys it has.
fn walk_node(node: &Node, what: &str, problems: &mut Problems) {
    let words: Vec<&str> = NODE_TYPES.iter().map(|(word, _)| *word).collect();
    let Some(ty) = node.get("type") else {
        let message = format!("{what}: a node is a map with a `type`");
        let mut keys = node.members().iter().map(|(key, _)| key.text.as_str());
        let cure = match keys.find(|key| words.contains(key)) {
            Some(word) => format!("write `type: {word}`, and its other keys beside that"),
            None => format!("types are `{}`", words.join("`, `")),
        };
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

fn unknown_key(key: &Key, emptied: Option<&Key>, section: &Section, problems: &mut Problems) {
    let (text, name) = (&key.text, section.name);
    if section.later.contains(&text.as_str()) {
        let name = with_article(name);
        let message = format!("the key `{text}` of {name} is not part of this build yet");
        return problems.add(key.at, message, "remove it: nothing would enforce it");
    }
    if matches!(text.as_str(), "on" | "true" | "yes") {
        let name = with_article(name);
        let message = format!(
            "{name} has no key `{text}`; YAML 1.1 readers turn `on` into `true`, so no key is \
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
    let cure = problems.cure(|| {
        match (
            habits::key(name, text),
            nearest(text, known.clone()),
            emptied,
        ) {
            (Some(cure), _, _) => cure.to_owned(),
            (None, None, Some(above)) => {
                format!("if it belongs to `{}`, indent it further", above.text)
            }
            _ => suggest("key", text, known),
        }
    });
    problems.add(key.at, format!("unknown key `{text}` in {name}"), cure);
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
    let Shape::Section(section) = inner else {
        for (key, value) in members {
            name(&key.text, key.at, what, problems);
            walk(value, inner, &key.text, problems);
        }
        return;
    };
    // Parts of the last name, where they are indented no further than the name: told once, since the rest follows.
    let mut above: Option<&Key> = None;
    let mut told = false;
    let mut members = members.iter().peekable();
    while let Some((key, value)) = members.next() {
        if is_part(section, &key.text, value) {
            if !told {
                let (text, name) = (&key.text, section.name);
                let message = format!(
                    "`{text}` is a key of {}, and stands where names of {what} do",
                    with_article(name)
                );
                let cure = match above {
                    Some(above) => format!("indent it under `{}`", above.text),
                    None => format!("give the {name} a name, and indent this under it"),
                };
                problems.add(key.at, message, cure);
            }
            told = true;
            continue;
        }
        told = false;
        above = Some(key);
        name(&key.text, key.at, what, problems);
        let next = members
            .peek()
            .filter(|(key, value)| is_part(section, &key.text, value));
        if matches!(value.data, Data::Null) && next.is_some() {
            continue;
        }
        walk(value, inner, &key.text, problems);
    }
}

/// Whether what stands as the name of a step, plugin or input is rather a part of one: it has the name of a part, and
/// nothing in it that a step, plugin or input has.
pub(super) fn is_part(section: &Section, name: &str, node: &Node) -> bool {
    let is_key = |text: &str| section.all().any(|known| known.name == text);
    let members = node.members();
    let empty = matches!(&node.data, Data::Map(members) if members.is_empty());
    is_key(name) && !empty && !members.iter().any(|(key, _)| is_key(&key.text))
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
        let message = expected_but(node, what, &expected(shape));
        problems.add(node.at, message, probably(node, shape).unwrap_or_default());
    }
}

/// What was probably meant by a value that does not fit: a unit is missing or written as elsewhere, or quotes stand
/// where none belong.
fn probably(node: &Node, shape: &Shape) -> Option<String> {
    let written = money(node)?;
    let bare = || match &node.data {
        Data::Text(text) => Some(text.trim()),
        _ => None,
    };
    let unquoted = |text: &str| format!("write it without quotes: `{text}`");
    match shape {
        Shape::Duration => {
            let fits = |it: &String| parse_duration_ms(it).is_ok();
            meant::asked(meant::durations(&written).into_iter().filter(fits))
        }
        Shape::Size { max } => {
            let fits = |it: &String| parse_bytes(it).is_ok_and(|bytes| bytes <= *max);
            meant::asked(meant::sizes(&written).into_iter().filter(fits))
        }
        Shape::Money => {
            let fits = |it: &String| parse_micro_usd(it).is_ok();
            meant::asked(meant::dollars(&written).into_iter().filter(fits))
        }
        Shape::Count { min, max } => {
            // `1e6` and `5.0` are fractions to YAML, and written out they are whole.
            let is_float = matches!(node.data, Data::Float(_));
            let text = if is_float { written.as_str() } else { bare()? };
            let number = text.replace('_', "").parse::<u64>().ok()?;
            let cure = match is_float {
                true => format!("write plain digits: `{number}`"),
                false => unquoted(&number.to_string()),
            };
            (*min..=*max).contains(&number).then_some(cure)
        }
        Shape::Number { min, max } => {
            let text = bare()?;
            let fits = (*min..=*max).contains(&text.parse::<f64>().ok()?);
            fits.then(|| unquoted(text))
        }
        Shape::Bool => {
            let yes = ["true", "yes", "on", "y"];
            let no = ["false", "no", "off", "n"];
            let word = bare()?.to_ascii_lowercase();
            let said = |words: [&str; 4]| words.contains(&word.as_str());
            match (said(yes), said(no)) {
                (true, _) => Some("write `true`".to_owned()),
                (_, true) => Some("write `false`".to_owned()),
                _ => None,
            }
        }
        Shape::Text | Shape::Name if matches!(node.data, Data::Integer(_)) => {
            Some(format!("write it in quotes: `\"{written}\"`"))
        }
        Shape::Require => {
            let count = bare()?.parse::<u32>().ok().filter(|count| *count > 0)?;
            Some(unquoted(&count.to_string()))
        }
        Shape::Sha256 => {
            let plain = bare()?.trim_start_matches("sha256:").to_ascii_lowercase();
            is_sha256(&plain).then(|| format!("write `{plain}`"))
        }
        _ => None,
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
    problems.add(node.at, expected_but(node, what, expected), "");
}

fn expected_but(node: &Node, what: &str, expected: &str) -> String {
    let found = match &node.data {
        Data::Text(text) if text.len() <= 40 => format!("`{text}`"),
        Data::Integer(number) => format!("`{number}`"),
        Data::Float(number) => format!("`{number}`"),
        Data::Bool(value) => format!("`{value}`"),
        _ => node.kind().to_owned(),
    };
    format!("{what}: expected {expected}, found {found}")
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
