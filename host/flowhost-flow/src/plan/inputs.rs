//! Inputs: from the command line's text to typed values, with every problem at once.

use std::collections::BTreeMap;

use flowhost_words::nearest;
use serde_json::{Map, Value};

use crate::expr::{Sure, kind_of};
use crate::json_text::parse_json_text;
use crate::plan::tree::Node;
use crate::plan::{InputDecl, InputType, Plan, VARIANT};
use crate::problem::{At, Problem, Problems};

/// Characters of what was typed that a message quotes. What was typed may be a whole document, and the message is
/// one line.
const SHOWN_CHARS_MAX: usize = 64;

/// A file or directory that an input names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInput {
    /// The input's name.
    pub name: String,
    /// Relative to the plan when it comes from the plan.
    pub path: String,
    /// True for `dir`.
    pub is_dir: bool,
    /// The SHA-256 that the content must have.
    pub sha256: Option<String>,
}

impl InputType {
    /// Every type, in the order of the table of keys.
    const ALL: [Self; 7] = [
        Self::String,
        Self::Number,
        Self::Bool,
        Self::List,
        Self::Object,
        Self::File,
        Self::Dir,
    ];

    /// The type of this word.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.word() == word)
    }

    /// The word in the plan.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Object => "object",
            Self::File => "file",
            Self::Dir => "dir",
        }
    }

    /// The word with its article: `an object`.
    #[must_use]
    pub const fn one(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a bool",
            Self::List => "a list",
            Self::Object => "an object",
            Self::File => "a file",
            Self::Dir => "a dir",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String | Self::File | Self::Dir => value.is_string(),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// Whether a value of it is found by a path.
    #[must_use]
    pub const fn is_path(self) -> bool {
        matches!(self, Self::File | Self::Dir)
    }
}

impl InputDecl {
    /// Reads the text of `--input name=text` as this input's type. For `file` and `dir` it is the path;
    /// for `number`, `bool`, `list` and `object` it is JSON.
    ///
    /// # Errors
    /// A message that says which type was expected.
    pub fn parse_text(&self, text: &str) -> Result<Value, String> {
        if matches!(self.ty, InputType::String) || self.ty.is_path() {
            return Ok(Value::from(text));
        }
        let (name, one) = (&self.name, self.ty.one());
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        let refused = |why: &str| format!("input `{name}` is {one}, and `{shown}` is not{why}");
        match parse_json_text(text) {
            Ok(value) if self.ty.fits(&value) => Ok(value),
            Ok(_) => Err(refused("")),
            // Of what is JSON to a reader that is less strict, the reason is worth a word.
            Err(error) if serde_json::from_str::<Value>(text).is_ok() => {
                let why = error.to_string();
                // What was typed is one line, and stands in the message.
                let why = why.split(" at line ").next().unwrap_or_default();
                Err(refused(&format!(": {why}")))
            }
            Err(_) => Err(refused("")),
        }
    }

    /// What to type for this input: `--input n=3`.
    #[must_use]
    pub fn example(&self) -> String {
        let value = match self.ty {
            InputType::String => "TEXT",
            InputType::Number => "3",
            InputType::Bool => "true",
            InputType::List => "'[\"one\", \"two\"]'",
            InputType::Object => "'{\"key\": \"value\"}'",
            InputType::File | InputType::Dir => "PATH",
        };
        format!("--input {}={value}", self.name)
    }

    /// What is wrong with what a plan's step gives for it, as far as that is sure before the step runs, and what to
    /// write instead.
    pub(super) fn misfit(&self, given: &Sure<'_>) -> Option<(String, String)> {
        let one = self.ty.one();
        let Sure::Value(value) = given else {
            let what = match given {
                Sure::Text if !matches!(self.ty, InputType::String) && !self.ty.is_path() => "text",
                Sure::List if self.ty != InputType::List => "a list",
                Sure::Object if self.ty != InputType::Object => "an object",
                _ => return None,
            };
            return Some((format!("is {one}, and {what} is given"), String::new()));
        };
        if !self.ty.fits(value) {
            let what = format!("is {one}, and {} is given", kind_of(value));
            return Some((what, self.written_right(value).unwrap_or_default()));
        }
        if self.allowed.is_empty() || self.allowed.contains(value) {
            return None;
        }
        let allowed: Vec<_> = self.allowed.iter().map(Value::to_string).collect();
        let what = format!("must be one of {}", allowed.join(", "));
        let cure = self.near(value);
        let cure = cure.map(|near| format!("did you mean `{near}`?"));
        Some((what, cure.unwrap_or_default()))
    }

    /// The word of `enum` that a wrong one probably means.
    fn near(&self, value: &Value) -> Option<&str> {
        let words = self.allowed.iter().filter_map(Value::as_str);
        nearest(value.as_str()?, words)
    }

    /// What to do about a value that is of the right type and none of `enum`: whoever has a word of their own learns where
    /// the plan lists those that it takes.
    fn other_word(&self, value: &Value, file: &str) -> Option<String> {
        if !self.ty.fits(value) {
            return None;
        }
        let (name, line) = (&self.name, self.at.line);
        let place = match name.as_str() {
            VARIANT => format!("`variants:` of `{file}`"),
            _ => format!("`enum` of `inputs.{name}` (`{file}`, line {line})"),
        };
        Some(match self.near(value) {
            Some(near) => format!("did you mean `{near}`? The words stand in {place}"),
            None => format!("the words stand in {place}; one of your own is added there"),
        })
    }

    /// The value as the input's type is written, where only the quotes are wrong, or a word of another YAML.
    fn written_right(&self, value: &Value) -> Option<String> {
        match (self.ty, value) {
            (InputType::String, Value::Number(_) | Value::Bool(_)) => {
                Some(format!("write it in quotes: `\"{value}\"`"))
            }
            (InputType::Bool, Value::String(text)) if matches!(text.as_str(), "yes" | "on") => {
                Some("write `true`".to_owned())
            }
            (InputType::Bool, Value::String(text)) if matches!(text.as_str(), "no" | "off") => {
                Some("write `false`".to_owned())
            }
            (InputType::Number | InputType::Bool, Value::String(text)) => {
                let plain = parse_json_text(text).ok()?;
                self.ty
                    .fits(&plain)
                    .then(|| format!("write it without quotes: `{text}`"))
            }
            (InputType::List, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                Some(format!("write a list of one: `[{value}]`"))
            }
            _ => None,
        }
    }

    pub(super) fn problem_with(&self, value: &Value) -> Option<String> {
        let name = &self.name;
        if !self.ty.fits(value) {
            let (one, given) = (self.ty.one(), kind_of(value));
            return Some(format!("input `{name}` is {one}, and {given} was given"));
        }
        if !self.allowed.is_empty() && !self.allowed.contains(value) {
            let allowed: Vec<_> = self.allowed.iter().map(Value::to_string).collect();
            return Some(format!(
                "input `{name}` must be one of {}",
                allowed.join(", ")
            ));
        }
        None
    }
}

/// What within one declaration does not go together.
pub(super) fn check_decl(input: &InputDecl, node: &Node, problems: &mut Problems) {
    let place = |key: &str| node.get(key).map_or(node.at, |node| node.at);
    let (name, one) = (&input.name, input.ty.one());
    if input.ty.is_path() {
        for key in ["default", "enum"] {
            if node.get(key).is_some() {
                let message = format!("input `{name}`: `{key}` has no meaning for {one}");
                problems.add(place(key), message, "use `path`");
            }
        }
    } else if input.path.is_some() {
        let message = format!("input `{name}`: `path` has no meaning for {one}");
        problems.add(place("path"), message, "use `default`");
    }
    if input.sha256.is_some() && input.ty != InputType::File {
        let message = format!("input `{name}`: `sha256` has no meaning for {one}");
        problems.add(place("sha256"), message, "only a file's content has a hash");
    }
    for value in &input.allowed {
        if !input.ty.fits(value) {
            let message = format!("input `{name}`: `enum` lists a value that is not {one}");
            let cure = "take it out, or give the input another `type`";
            problems.add(place("enum"), message, cure);
        }
    }
    if let Some(message) = input
        .default
        .as_ref()
        .and_then(|value| input.problem_with(value))
        && !input.ty.is_path()
    {
        let cure = input.default.as_ref();
        let cure = cure.and_then(|value| input.written_right(value));
        let message = format!("{message} as its default");
        problems.add(place("default"), message, cure.unwrap_or_default());
    }
}

impl Plan {
    /// The files and directories that inputs name, after `given` overrides (`file` and `dir`: paths).
    #[must_use]
    pub fn file_inputs(&self, given: &BTreeMap<String, Value>) -> Vec<FileInput> {
        let inputs = self.inputs.values().filter(|input| input.ty.is_path());
        inputs
            .filter_map(|input| {
                let named = |values: &BTreeMap<String, Value>| {
                    let path = values.get(&input.name).and_then(Value::as_str);
                    path.map(str::to_owned)
                };
                let varied = || self.varied(given).and_then(named);
                let path = named(given).or_else(varied).or_else(|| input.path.clone());
                Some(FileInput {
                    name: input.name.clone(),
                    path: path?,
                    is_dir: input.ty == InputType::Dir,
                    sha256: input.sha256.clone(),
                })
            })
            .collect()
    }

    /// Checks the given values and fills in defaults. For `file` the value is the file's text, which
    /// the caller has read and whose hash it has checked ([`Plan::file_inputs`]); for `dir` it is the
    /// path, and the declared one is filled in when none is given.
    ///
    /// # Errors
    /// Every input that is missing, unknown or of another type.
    pub fn bind_inputs(
        &self,
        given: &BTreeMap<String, Value>,
    ) -> Result<Map<String, Value>, Vec<Problem>> {
        let mut problems = Problems::new(&self.file);
        for name in given.keys().filter(|name| !self.inputs.contains_key(*name)) {
            let known = || self.inputs.keys().map(String::as_str).collect();
            let cure = problems.suggest("input", name, known);
            problems.add(
                At::default(),
                format!("the plan has no input `{name}`"),
                cure,
            );
        }
        let mut bound = Map::new();
        let varied = self.varied(given);
        for input in self.inputs.values() {
            // Of a path that a variant names, the caller has read the text and given it.
            let of_variant = varied.filter(|_| !input.ty.is_path());
            let of_variant = || of_variant?.get(&input.name).cloned();
            let value = given.get(&input.name).cloned().or_else(of_variant);
            match value.or_else(|| fallback(input)) {
                None => {
                    let message = format!("input `{}` is required and not given", input.name);
                    problems.add(input.at, message, format!("--input {}=…", input.name));
                }
                Some(value) => match input.problem_with(&value) {
                    Some(message) => {
                        let cure = input.other_word(&value, &self.file);
                        problems.add(input.at, message, cure.unwrap_or_default());
                    }
                    None => {
                        bound.insert(input.name.clone(), value);
                    }
                },
            }
        }
        if problems.is_empty() {
            Ok(bound)
        } else {
            Err(problems.into_sorted())
        }
    }
}

fn fallback(input: &InputDecl) -> Option<Value> {
    match input.ty {
        InputType::Dir => input.path.clone().map(Value::from),
        // Its value is the text, which the caller reads and gives; the path would pass for it.
        InputType::File => None,
        _ => input.default.clone(),
    }
}
