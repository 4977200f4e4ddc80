//! Tool descriptors: what a model is told about a tool.
//!
//! The attack: a description carries instructions that a person reviewing it cannot see, or a tool
//! has a name that looks like another's. So descriptors come from the manifest and never from the
//! running guest, hold only what can be seen, and are pinned by hash.

use serde_json::Value as Json;

use crate::{
    canonical,
    problem::Position,
    read::{
        Fields, Reader,
        node::{Node, Value, to_json},
    },
    text,
};

/// Longest title in bytes.
const TITLE_BYTES_MAX: usize = 256;
/// Longest description in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;
/// Largest JSON Schema in bytes of its JSON text.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of a JSON Schema.
const SCHEMA_DEPTH_MAX: usize = 32;

/// What a crash may do to a call of the tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Effects {
    /// Changes nothing; may be repeated.
    None,
    /// Repeating it has the same effect.
    Idempotent,
    /// Repeating it with the same key has the effect once.
    Keyed,
    /// Must not be repeated. What a manifest that says nothing means.
    #[default]
    Once,
}

const EFFECT_WORDS: [(&str, Effects); 4] = [
    ("none", Effects::None),
    ("idempotent", Effects::Idempotent),
    ("keyed", Effects::Keyed),
    ("once", Effects::Once),
];

impl Effects {
    /// The word in the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        EFFECT_WORDS
            .iter()
            .find(|(_, value)| *value == self)
            .map_or("once", |(word, _)| word)
    }
}

/// One `[[tools]]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDescriptor {
    /// Name within the plugin: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Short title for people.
    pub title: String,
    /// What a model reads.
    pub description: String,
    /// JSON Schema of the input.
    pub input: Json,
    /// JSON Schema of the output, if the manifest has one.
    pub output: Option<Json>,
    /// What a crash may do to a call.
    pub effects: Effects,
}

impl ToolDescriptor {
    /// `sha256:` over everything a model or a person was shown: another hash is another tool to
    /// approve.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = String::from("flowhost-tool = 1\n");
        let output = self.output.as_ref().map(sorted_json).unwrap_or_default();
        for (key, value) in [
            ("name", self.name.as_str()),
            ("title", self.title.as_str()),
            ("description", self.description.as_str()),
            ("effects", self.effects.word()),
            ("input", sorted_json(&self.input).as_str()),
            ("output", output.as_str()),
        ] {
            text.push_str(&format!("{key} = {}\n", text::quoted(value)));
        }
        canonical::hash(&text)
    }
}

/// JSON text with sorted keys, whatever order the map keeps.
fn sorted_json(json: &Json) -> String {
    match json {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let items: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Json::from(key.as_str()), sorted_json(value)))
                .collect();
            format!("{{{}}}", items.join(","))
        }
        Json::Array(list) => {
            let items: Vec<String> = list.iter().map(sorted_json).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

/// Reads one `[[tools]]` table.
pub(crate) fn tool(reader: &mut Reader, node: &Node, path: &str) -> Option<ToolDescriptor> {
    let known = ["name", "title", "description", "input", "output", "effects"];
    let fields = reader.fields(node, path, &known)?;
    let name = name(reader, &fields);
    reader.required(&fields, "description", "\"What it does.\"");
    let description = shown(reader, &fields, "description", DESCRIPTION_BYTES_MAX);
    let title = shown(reader, &fields, "title", TITLE_BYTES_MAX);
    reader.required(&fields, "input", "{ type = \"object\" }");
    let input = schema(reader, &fields, "input");
    let output = schema(reader, &fields, "output");
    let effects = reader
        .word(&fields, "effects", &EFFECT_WORDS)
        .unwrap_or_default();
    let name = name?;
    Some(ToolDescriptor {
        title: title.unwrap_or_else(|| name.clone()),
        name,
        description: description?,
        input: input?,
        output,
        effects,
    })
}

fn name(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "name", "\"my_tool\"")?;
    let name = reader.text(fields, "name")?;
    if crate::decide::is_plain_name(&name) {
        return Some(name);
    }
    let message = format!(
        "`{}` is `{}`, and a tool's name is ASCII letters, digits, `-`, `_` and `.`, at most 64",
        fields.path_of("name"),
        text::shown(&name, 64),
    );
    reader.problem(node.at, message, None);
    None
}

/// A text that people and models read: bounded, and nothing in it that cannot be seen. Line breaks
/// and tabs are allowed.
fn shown(reader: &mut Reader, fields: &Fields<'_>, key: &str, max: usize) -> Option<String> {
    let node = fields.get(key)?;
    let text = reader.text(fields, key)?;
    let path = fields.path_of(key);
    if text.len() > max {
        reader.problem(
            node.at,
            format!("`{path}` is longer than {max} bytes"),
            None,
        );
    }
    let hidden = text
        .chars()
        .find(|c| !matches!(c, '\n' | '\t') && text::is_hidden(*c));
    if let Some(hidden) = hidden {
        let code = text::code_point(hidden);
        let message = format!("`{path}` holds {code}, which a reader cannot see");
        reader.problem(node.at, message, Some("remove it".to_owned()));
    }
    Some(text)
}

/// A JSON Schema as a TOML table or as a string of JSON.
fn schema(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Json> {
    let node = fields.get(key)?;
    let path = fields.path_of(key);
    let json = match &node.value {
        Value::Table(_) => to_json(node),
        Value::Text(text) => match serde_json::from_str(text) {
            Ok(json) => json,
            Err(error) => {
                reader.problem(node.at, format!("`{path}` is not JSON: {error}"), None);
                return None;
            }
        },
        _ => {
            reader.mismatch(node, &path, "a table or a string of JSON");
            return None;
        }
    };
    if let Some(fault) = schema_fault(&json) {
        reader.problem(node.at, format!("`{path}`: {fault}"), None);
    }
    Some(json)
}

fn schema_fault(json: &Json) -> Option<String> {
    if json.to_string().len() > SCHEMA_BYTES_MAX {
        return Some("the schema is larger than 64 KiB".to_owned());
    }
    if !json.is_object() {
        return Some("a schema is an object".to_owned());
    }
    walk(json, 0)
}

fn walk(json: &Json, depth: usize) -> Option<String> {
    if depth > SCHEMA_DEPTH_MAX {
        return Some(format!(
            "the schema is nested deeper than {SCHEMA_DEPTH_MAX}"
        ));
    }
    match json {
        Json::Array(items) => items.iter().find_map(|item| walk(item, depth + 1)),
        Json::Object(map) => map
            .iter()
            .find_map(|(key, value)| fault_here(key, value).or_else(|| walk(value, depth + 1))),
        Json::String(text) => fault_in_text(text),
        _ => None,
    }
}

fn fault_here(key: &str, value: &Json) -> Option<String> {
    let reference = matches!(key, "$ref" | "$dynamicRef" | "$recursiveRef");
    let remote = value.as_str().is_some_and(|text| !text.starts_with('#'));
    if reference && remote {
        return Some(format!("`{key}` points outside of the schema"));
    }
    fault_in_text(key)
}

fn fault_in_text(text: &str) -> Option<String> {
    let hidden = text
        .chars()
        .find(|c| !matches!(c, '\n' | '\t') && text::is_hidden(*c))?;
    Some(format!(
        "it holds {}, which a reader cannot see",
        text::code_point(hidden)
    ))
}

/// Reports tools whose names are the same or look the same.
pub(crate) fn check_names(reader: &mut Reader, tools: &[ToolDescriptor], at: Position) {
    for (index, tool) in tools.iter().enumerate() {
        let twin = tools
            .iter()
            .take(index)
            .find(|other| skeleton(&other.name) == skeleton(&tool.name));
        let Some(twin) = twin else { continue };
        let how = if twin.name == tool.name {
            "the same as"
        } else {
            "easily taken for"
        };
        let message = format!("the tool `{}` is {how} the tool `{}`", tool.name, twin.name);
        reader.problem(at, message, None);
    }
}

/// What a hurried reader sees: case, separators and look-alike letters folded. Names are ASCII, so
/// look-alikes of other scripts cannot occur.
fn skeleton(name: &str) -> String {
    let folded: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| match c {
            '_' | '.' => '-',
            '0' => 'o',
            '1' | 'i' => 'l',
            '5' => 's',
            c => c,
        })
        .collect();
    folded.replace("rn", "m").replace("vv", "w")
}
