//! Tool descriptors: what a model is told about a tool.
//!
//! The attack: a description carries instructions that a person reviewing it cannot see, or a tool
//! has a name that looks like another's. So descriptors hold only what can be seen, are bounded and are
//! pinned by hash, whether a manifest gives them, a component that has none, or a server behind one:
//! [`descriptor_faults`] is the one place that says what is wrong with a list of them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    canonical,
    pattern::is_plain_name,
    problem::Position,
    read::{
        Fields, Reader,
        node::{Node, Value, to_json},
    },
    text,
};

/// Longest title in bytes. A title is one line in a list.
const TITLE_BYTES_MAX: usize = 256;
/// Longest description in bytes. Descriptions are part of every prompt of an agent that has the tool: a thousand
/// tokens of it each time.
pub const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;
/// Largest JSON Schema in bytes of its JSON text. Schemas are compiled at the start of a run and sent with every
/// prompt.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of a JSON Schema. Validators walk schemas by recursion, on the stack that the host has.
const SCHEMA_DEPTH_MAX: usize = 32;
/// Tools of one plugin that did not come with a manifest: more than anyone can choose from.
const TOOLS_MAX: usize = 1_024;

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
    /// What its author says of it; no decision goes by it.
    pub annotations: ToolAnnotations,
}

/// What an author says of a tool, for people and models; `None` where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToolAnnotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// What it changes may be lost.
    pub destructive: Option<bool>,
    /// Repeating it with the same input changes nothing more.
    pub idempotent: Option<bool>,
    /// It meets things outside of what the host knows.
    pub open_world: Option<bool>,
}

const ANNOTATION_KEYS: [&str; 4] = ["read_only", "destructive", "idempotent", "open_world"];

impl ToolAnnotations {
    /// What is said, by key.
    fn said(self) -> impl Iterator<Item = (&'static str, bool)> {
        let values = [
            self.read_only,
            self.destructive,
            self.idempotent,
            self.open_world,
        ];
        ANNOTATION_KEYS
            .into_iter()
            .zip(values)
            .filter_map(|(key, value)| Some((key, value?)))
    }
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
        // Only what is said: tools without annotations keep the hash that they were approved under.
        for (key, value) in self.annotations.said() {
            text.push_str(&format!("{key} = {value}\n"));
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
    let known = [
        "name",
        "title",
        "description",
        "input",
        "output",
        "effects",
        "annotations",
    ];
    let fields = reader.fields(node, path, &known)?;
    let name = name(reader, &fields);
    reader.required(&fields, "description", "\"What it does.\"");
    let description = reader.text(&fields, "description");
    let title = reader.text(&fields, "title");
    reader.required(&fields, "input", "{ type = \"object\" }");
    let input = schema(reader, &fields, "input");
    let output = schema(reader, &fields, "output");
    let effects = reader
        .word(&fields, "effects", &EFFECT_WORDS)
        .unwrap_or_default();
    let annotations = annotations(reader, &fields);
    let name = name?;
    let tool = ToolDescriptor {
        title: title.unwrap_or_else(|| name.clone()),
        name,
        description: description?,
        input: input?,
        output,
        effects,
        annotations,
    };
    for fault in tool.faults() {
        let at = fields.get(fault.field).map_or(fields.at, |node| node.at);
        let path = fields.path_of(fault.field);
        reader.problem(at, format!("`{path}` {}", fault.what), fault.cure);
    }
    Some(tool)
}

fn annotations(reader: &mut Reader, fields: &Fields<'_>) -> ToolAnnotations {
    let Some(node) = fields.get("annotations") else {
        return ToolAnnotations::default();
    };
    let path = fields.path_of("annotations");
    let Some(inner) = reader.fields(node, &path, &ANNOTATION_KEYS) else {
        return ToolAnnotations::default(); // already told what is wrong with it
    };
    let mut said = |key| reader.bool(&inner, key);
    ToolAnnotations {
        read_only: said("read_only"),
        destructive: said("destructive"),
        idempotent: said("idempotent"),
        open_world: said("open_world"),
    }
}

/// What is wrong with one field of a descriptor.
struct Fault {
    field: &'static str,
    /// Follows the field's name in a sentence.
    what: String,
    cure: Option<String>,
}

impl Fault {
    fn of(field: &'static str, what: impl Into<String>) -> Self {
        Self {
            field,
            what: what.into(),
            cure: None,
        }
    }
}

impl ToolDescriptor {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !is_plain_name(&self.name) {
            faults.push(Fault::of("name", name_fault(&self.name)));
        }
        faults.extend(text_fault("title", &self.title, TITLE_BYTES_MAX));
        faults.extend(text_fault(
            "description",
            &self.description,
            DESCRIPTION_BYTES_MAX,
        ));
        let input = schema_fault(&self.input);
        faults.extend(input.map(|what| Fault::of("input", format!("is not usable: {what}"))));
        let output = self.output.as_ref().and_then(schema_fault);
        faults.extend(output.map(|what| Fault::of("output", format!("is not usable: {what}"))));
        faults
    }
}

fn name_fault(name: &str) -> String {
    format!(
        "is `{}`, and a tool's name is ASCII letters, digits, `-`, `_` and `.`, at most 64",
        text::shown(name, 64),
    )
}

/// A text that people and models read: bounded, and nothing in it that cannot be seen. Line breaks
/// and tabs are allowed.
fn text_fault(field: &'static str, text: &str, max: usize) -> Option<Fault> {
    if text.len() > max {
        return Some(Fault::of(field, format!("is longer than {max} bytes")));
    }
    let hidden = text
        .chars()
        .find(|c| !matches!(c, '\n' | '\t') && text::is_hidden(*c))?;
    let code = text::code_point(hidden);
    Some(Fault {
        cure: Some("remove it".to_owned()),
        ..Fault::of(field, format!("holds {code}, which a reader cannot see"))
    })
}

/// What is wrong with a description that a model reads as that of a tool, though no manifest or server gives it, and what
/// to do about it.
///
/// # Examples
///
/// ```
/// use flowhost_policy::description_fault;
///
/// assert_eq!(description_fault("Reads a file."), None);
/// let (what, cure) = description_fault("Reads\u{202e} a file.").unwrap();
/// assert!(what.contains("U+202E") && cure == "remove it");
/// ```
#[must_use]
pub fn description_fault(text: &str) -> Option<(String, String)> {
    let fault = text_fault("description", text, DESCRIPTION_BYTES_MAX)?;
    let cure = fault.cure.unwrap_or_else(|| "shorten it".to_owned());
    Some((fault.what, cure))
}

/// Everything that is wrong with the tools that a component or a server says it has: the rules of a
/// manifest, without a file to point into. Nobody may see the tools before this is empty.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{ToolDescriptor, descriptor_faults};
///
/// let tool = ToolDescriptor {
///     name: "read".to_owned(),
///     title: "Read".to_owned(),
///     description: "Reads\u{202e} a file.".to_owned(),
///     input: serde_json::json!({ "type": "object" }),
///     output: None,
///     effects: Default::default(),
///     annotations: Default::default(),
/// };
/// let faults = descriptor_faults(&[tool.clone(), tool]);
/// assert!(faults[0].contains("U+202E"));
/// assert!(faults.last().unwrap().contains("the same as"));
/// ```
#[must_use]
pub fn descriptor_faults(tools: &[ToolDescriptor]) -> Vec<String> {
    if tools.len() > TOOLS_MAX {
        return vec![format!(
            "there are {} tools, and {TOOLS_MAX} are allowed",
            tools.len()
        )];
    }
    let mut faults = Vec::new();
    for tool in tools {
        let name = text::shown(&tool.name, 64);
        for fault in tool.faults() {
            faults.push(format!(
                "the tool `{name}`: `{}` {}",
                fault.field, fault.what
            ));
        }
    }
    faults.extend(twins(tools));
    faults
}

fn name(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "name", "\"my_tool\"")?;
    let name = reader.text(fields, "name")?;
    if is_plain_name(&name) {
        return Some(name);
    }
    let message = format!("`{}` {}", fields.path_of("name"), name_fault(&name));
    reader.problem(node.at, message, None);
    None
}

/// A JSON Schema as a TOML table or as a string of JSON.
fn schema(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Json> {
    let node = fields.get(key)?;
    let path = fields.path_of(key);
    let json = match &node.value {
        Value::Table(_) => match to_json(node) {
            Ok(json) => json,
            Err(odd) => {
                let kind = odd.value.kind();
                let message = format!("`{path}` holds {kind} that JSON has no form for");
                reader.problem(odd.at, message, None);
                return None;
            }
        },
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
    Some(json)
}

/// A schema outside of a tool, held to the same rules.
pub(crate) fn checked_schema(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Json> {
    let json = schema(reader, fields, key)?;
    if let Some(fault) = schema_fault(&json) {
        let at = fields.get(key).map_or(fields.at, |node| node.at);
        let path = fields.path_of(key);
        reader.problem(at, format!("`{path}` is not usable: {fault}"), None);
        return None;
    }
    Some(json)
}

fn schema_fault(json: &Json) -> Option<String> {
    // Of its JSON and not of what stands in the file: that is what is sent with every prompt.
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
    // A validator would fetch it, or a later one would: what is checked must be all there is.
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
    for message in twins(tools) {
        reader.problem(at, message, None);
    }
}

/// Tools whose names are the same or look the same.
fn twins(tools: &[ToolDescriptor]) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut twins = Vec::new();
    for tool in tools {
        let Some(twin) = seen.insert(skeleton(&tool.name), &tool.name) else {
            continue;
        };
        let how = if twin == tool.name {
            "the same as"
        } else {
            "easily taken for"
        };
        let (name, twin) = (text::shown(&tool.name, 64), text::shown(twin, 64));
        twins.push(format!("the tool `{name}` is {how} the tool `{twin}`"));
    }
    twins
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
