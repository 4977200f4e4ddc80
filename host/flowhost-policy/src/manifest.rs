//! The plugin author's document: what a plugin is and what it asks for.
//!
//! Asking gives nothing. A manifest is written by whoever wrote the plugin and is trusted no more
//! than the plugin; all it can do is to make the effective rights smaller.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_words::PluginKind;
use semver::VersionReq;

use crate::{
    ask::Asked as _,
    problem::{Position, Problem},
    profile,
    read::{
        Author, Reader,
        limits::{self, Named},
    },
    rights::{self, Asks, RIGHTS, Right},
    text,
    tool::{self, ToolDescriptor},
};

/// The kinds by their words in a manifest.
const KIND_WORDS: [(&str, PluginKind); 4] = {
    let [a, b, c, d] = PluginKind::ALL;
    [
        (a.wit_name(), a),
        (b.wit_name(), b),
        (c.wit_name(), c),
        (d.wit_name(), d),
    ]
};

/// A manifest, checked.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Ask, Manifest};
///
/// let text = r#"
/// version = 1
/// name = "files"
/// kind = "tool"
/// release = "0.1.0"
/// description = "Lists and reads files."
///
/// [needs]
/// log = true
/// http = "granted"
/// files = [{ guest = "/docs", access = "read" }]
/// "#;
/// let manifest = Manifest::parse(text, "plugin.toml").unwrap();
/// assert_eq!(manifest.needs.http, Ask::Granted);
/// assert_eq!(manifest.imports(), ["log", "http", "files"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// What it is; `None` when only the component knows.
    pub kind: Option<PluginKind>,
    /// The author's version; a label, never an identity.
    pub release: String,
    /// The hosts that its author means it for, as a range of versions; every one where it says nothing.
    pub hosts: Option<VersionReq>,
    /// One sentence for people.
    pub description: String,
    /// What it asks for.
    pub needs: Asks,
    /// Rights that it imports and can do without, by key: where the profile has none of one, its interface
    /// is linked all the same and answers no.
    pub optional: BTreeSet<&'static str>,
    /// Whether what it does is its caller's: of the tools that its profile names, a call that another plugin
    /// made reaches those that this one may call, too.
    pub acts_for_caller: bool,
    /// Limits that it can live with, by key; higher than the profile's is no error and no use.
    pub limits: BTreeMap<&'static str, u64>,
    /// JSON Schema of its `config:` (of a guardrail: of the `with:` where it is used), if it says.
    pub config: Option<serde_json::Value>,
    /// What its prompts may use, if it renders any.
    pub prompts: Option<Prompts>,
    /// The tools that it has.
    pub tools: Vec<ToolDescriptor>,
    /// The file as the person named it, or what stands in for it.
    pub file: String,
    places: BTreeMap<String, Position>,
}

/// Templates that an agent renders, with Jinja's syntax: the host checks their names before a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// The names that a template may use.
    pub variables: Vec<String>,
    /// Keys of its configuration that are templates as well; a step's `prompt:` always is one.
    pub config: Vec<String>,
}

/// Longest list of names in `[prompt]`: a template with more is a program.
const NAMES_MAX: usize = 64;

const KEYS: [&str; 13] = [
    "version",
    "name",
    "kind",
    "release",
    "hosts",
    "description",
    "needs",
    "optional",
    "acts_for_caller",
    "limits",
    "config",
    "prompt",
    "tools",
];

impl Manifest {
    /// Reads `plugin.toml`.
    ///
    /// # Errors
    ///
    /// Every problem of the document, in its order.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file);
        let read = reader.toml(text).and_then(|node| read(&mut reader, &node));
        let places = reader.finish()?;
        // A reader without problems has read a manifest: what it could not read is a problem.
        let manifest = read.unwrap_or_else(Self::empty);
        Ok(Self {
            file: file.to_owned(),
            places,
            ..manifest
        })
    }

    /// Stands in for a manifest where a component has none: it asks for as much as the profile
    /// grants of every right that one of its imports needs.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::{Ask, Manifest};
    ///
    /// let manifest = Manifest::from_imports("mine", ["flowhost:log/log@0.1.0"]);
    /// assert!(manifest.needs.log);
    /// assert_eq!(manifest.needs.http, Ask::None);
    /// ```
    #[must_use]
    pub fn from_imports<'a>(name: &str, imports: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needs = Asks::nothing();
        for (right, _) in imports.into_iter().filter_map(Right::behind) {
            (right.steps.ask_for_all)(&mut needs);
        }
        Self {
            name: name.to_owned(),
            needs,
            file: format!("the imports of {name}"),
            ..Self::empty()
        }
    }

    /// Whether no manifest was found, and this stands in for one.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        // A manifest that was read says what the plugin is.
        self.kind.is_none()
    }

    fn empty() -> Self {
        Self {
            name: String::new(),
            kind: None,
            release: String::new(),
            hosts: None,
            description: String::new(),
            needs: Asks::nothing(),
            optional: BTreeSet::new(),
            acts_for_caller: false,
            limits: Named::new(),
            config: None,
            prompts: None,
            tools: Vec::new(),
            file: String::new(),
            places: BTreeMap::new(),
        }
    }

    /// The capabilities that it asks for, which are the WIT packages to import.
    #[must_use]
    pub fn imports(&self) -> Vec<&'static str> {
        RIGHTS
            .iter()
            .filter(|right| right.is_asked_by(self))
            .map(|right| right.capability)
            .collect()
    }

    /// The tool with this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&ToolDescriptor> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Where a key stands; nowhere when it is not written.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<Position> {
        self.places.get(path).copied()
    }

    /// `plugin.toml:12` for a key such as `needs.http[0]`, the file alone when it is not written.
    #[must_use]
    pub fn source(&self, path: &str) -> String {
        match self.position(path) {
            Some(at) => format!("{}:{}", self.file, at.line),
            None => self.file.clone(),
        }
    }
}

fn read(reader: &mut Reader, node: &crate::read::node::Node) -> Option<Manifest> {
    let fields = reader.fields(node, "", &KEYS)?;
    profile::check_version(reader, &fields);
    let name = profile::name(reader, &fields);
    reader.required(&fields, "kind", "\"tool\"");
    let kind = reader.word(&fields, "kind", &KIND_WORDS);
    reader.required(&fields, "release", "\"0.1.0\"");
    let release = plain(reader, &fields, "release");
    let hosts = hosts(reader, &fields);
    let description = plain(reader, &fields, "description");
    let needs = match fields.get("needs") {
        Some(node) => reader
            .fields(node, "needs", &rights::KEYS)
            .map(|inner| Asks::read(reader, &inner, Author::Manifest)),
        None => None,
    };
    let limits = limits::named(reader, &fields);
    let spared: Vec<&str> = Right::spared().collect();
    let optional = reader.texts(&fields, "optional", |key| match spared.contains(&key) {
        true => Ok(key.to_owned()),
        false => Err(format!("it is not one of {}", spared.join(", "))),
    });
    // Back to the names of the list: keys of rights are constants of this crate everywhere.
    let optional = Right::spared().filter(|key| optional.iter().any(|it| it == key));
    let acts_for_caller = reader.bool(&fields, "acts_for_caller").unwrap_or(false);
    // Only where the kind could be read: a misspelt one has been told of, and this would be a
    // second problem of the same.
    if acts_for_caller && kind.is_some_and(|kind| kind != PluginKind::Tool) {
        let message =
            "`acts_for_caller` is for plugins of kind \"tool\": no other is called by a plugin";
        let at = fields
            .get("acts_for_caller")
            .map_or(fields.at, |node| node.at);
        reader.problem(at, message.to_owned(), None);
    }
    let config = tool::checked_schema(reader, &fields, "config");
    let prompts = prompts(reader, &fields);
    let prompt_at = fields.get("prompt").map_or(fields.at, |node| node.at);
    if prompts.is_some() && kind.is_some_and(|kind| kind != PluginKind::Agent) {
        let message = "`prompt` is for plugins of kind \"agent\": a plan gives no other a prompt";
        reader.problem(prompt_at, message.to_owned(), None);
    }
    let tools = reader.tables(&fields, "tools", tool::tool);
    let tools_at = fields.get("tools").map_or(fields.at, |node| node.at);
    tool::check_names(reader, &tools, tools_at);
    if kind.is_some_and(|kind| kind != PluginKind::Tool) && !tools.is_empty() {
        let message = "`tools` is for plugins of kind \"tool\"".to_owned();
        reader.problem(tools_at, message, None);
    }
    let needs = needs.unwrap_or_else(Asks::nothing);
    let speaks = |kind| matches!(kind, PluginKind::McpAdapter | PluginKind::Tool);
    if needs.process.stands() && kind.is_some_and(|kind| !speaks(kind)) {
        let message = "`needs.process` is for plugins of kind \"mcp-adapter\" and \"tool\": no other speaks to a process";
        let at = fields.get("needs").map_or(fields.at, |node| node.at);
        reader.problem(at, message.to_owned(), None);
    }
    Some(Manifest {
        name,
        kind,
        release,
        hosts,
        description,
        needs,
        optional: optional.collect(),
        acts_for_caller,
        limits,
        config,
        prompts,
        tools,
        ..Manifest::empty()
    })
}

fn hosts(reader: &mut Reader, fields: &crate::read::Fields<'_>) -> Option<VersionReq> {
    let text = reader.text(fields, "hosts")?;
    match VersionReq::parse(&text) {
        Ok(range) => Some(range),
        Err(error) => {
            let at = fields.get("hosts").map_or(fields.at, |node| node.at);
            let message = format!("`hosts` is not a range of versions: {error}");
            reader.problem(at, message, Some("hosts = \">=0.1, <0.2\"".to_owned()));
            None
        }
    }
}

fn prompts(reader: &mut Reader, fields: &crate::read::Fields<'_>) -> Option<Prompts> {
    let node = fields.get("prompt")?;
    let inner = reader.fields(node, "prompt", &["variables", "config"])?;
    reader.required(&inner, "variables", "[\"input\"]");
    let mut names = |key| {
        let names = reader.texts(&inner, key, |name| match is_variable(name) {
            true => Ok(name.to_owned()),
            false => Err("a name is letters, digits and `_`, and begins with no digit".to_owned()),
        });
        if names.len() > NAMES_MAX {
            let path = inner.path_of(key);
            let message = format!(
                "`{path}` has {} names, and {NAMES_MAX} are allowed",
                names.len()
            );
            reader.problem(node.at, message, None);
        }
        names
    };
    Some(Prompts {
        variables: names("variables"),
        config: names("config"),
    })
}

fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().next().is_some_and(|c| !c.is_ascii_digit())
        && name.len() <= 64
        && name.chars().all(plain)
}

/// One line that people read.
fn plain(reader: &mut Reader, fields: &crate::read::Fields<'_>, key: &str) -> String {
    let text = reader.text(fields, key).unwrap_or_default();
    if let (Some(hidden), Some(node)) = (text::first_hidden(&text), fields.get(key)) {
        let code = text::code_point(hidden);
        reader.problem(
            node.at,
            format!("`{key}` holds {code}, which a reader cannot see"),
            None,
        );
    }
    text
}
