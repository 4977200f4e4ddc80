//! From core module to component, and from component to one with its manifest inside.
//!
//! The manifest is what a person reads before a plugin runs, so it may ask for neither more nor less than
//! the component imports: more would teach people to grant what nobody uses.

use std::borrow::Cow;
use std::collections::BTreeSet;

use flowhost_policy::{Manifest, Problem, Right};
use flowhost_words::PluginKind;
use wasm_encoder::{CustomSection, Encode};
use wit_component::ComponentEncoder;
use wit_parser::decoding::DecodedWasm;

/// The custom section that carries a manifest; the engine's inspection reads the same.
const MANIFEST_SECTION: &str = "flowhost:manifest";

/// Why a core module is not made a component.
#[derive(Debug, thiserror::Error)]
pub enum NotAComponent {
    /// It has no world inside.
    #[error("the module does not say which world it was built for: {0}")]
    NoWorld(String),
    /// It does not keep its world.
    #[error("the module does not fit its world: {0}")]
    Unfit(String),
}

/// Why a component gets no manifest.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The manifest itself is wrong.
    #[error("the manifest is wrong")]
    Manifest(Vec<Problem>),
    /// It is not a component, or one that cannot be read.
    #[error("the component cannot be read: {0}")]
    Component(String),
    /// It imports what nobody serves.
    #[error("it imports `{0}`, which no capability of flowhost serves")]
    Foreign(String),
    /// The manifest and the imports disagree.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// What a manifest asks for and the component does not use, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Lines to write under `[needs]`.
    pub missing: Vec<String>,
    /// Keys of `[needs]` to remove.
    pub unused: Vec<&'static str>,
}

impl std::error::Error for Mismatch {}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            keys.join(", ")
        };
        let missing: Vec<&str> = self.missing.iter().map(|line| key_of(line)).collect();
        match (missing.is_empty(), self.unused.is_empty()) {
            (false, true) => write!(
                f,
                "the component uses {}, which plugin.toml does not ask for",
                quoted(&missing)
            ),
            (true, _) => write!(
                f,
                "plugin.toml asks for {}, which the component never uses",
                quoted(&self.unused)
            ),
            (false, false) => write!(
                f,
                "the component uses {}, which plugin.toml does not ask for, and plugin.toml asks for {}, \
                 which the component never uses",
                quoted(&missing),
                quoted(&self.unused)
            ),
        }
    }
}

impl Mismatch {
    /// What to change in `plugin.toml`.
    #[must_use]
    pub fn cure(&self) -> String {
        let mut cures = Vec::new();
        if !self.missing.is_empty() {
            cures.push(format!("write under [needs]: {}", self.missing.join(", ")));
        }
        if !self.unused.is_empty() {
            cures.push(format!("remove from [needs]: {}", self.unused.join(", ")));
        }
        cures.join("; ")
    }
}

fn key_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

/// Wraps a core module that `wit-bindgen` made.
///
/// # Errors
/// [`NotAComponent`].
pub fn component(core: &[u8]) -> Result<Vec<u8>, NotAComponent> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .map_err(|error| NotAComponent::NoWorld(format!("{error:#}")))?
        .encode()
        .map_err(|error| NotAComponent::Unfit(format!("{error:#}")))
}

/// Checks that the manifest asks for exactly what the component uses, and puts it inside.
///
/// # Errors
/// [`WrapError`].
pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Result<Vec<u8>, WrapError> {
    check_manifest(&component, manifest)?;
    // The id of a custom section, which `encode` leaves to whoever writes the module.
    component.push(0);
    CustomSection {
        name: Cow::Borrowed(MANIFEST_SECTION),
        data: Cow::Borrowed(manifest.as_bytes()),
    }
    .encode(&mut component);
    Ok(component)
}

/// The first manifest of a component that has none: it asks for what the component imports.
///
/// # Errors
/// [`WrapError`], when the component cannot be read or imports what nobody serves.
pub fn first_manifest(name: &str, kind: PluginKind, component: &[u8]) -> Result<String, WrapError> {
    let needs: String = imported(component)?
        .into_iter()
        .map(|key| format!("{}\n", ask(key)))
        .collect();
    let kind = kind.wit_name();
    Ok(format!(
        "version = 1\nname = \"{name}\"\nkind = \"{kind}\"\nrelease = \"0.1.0\"\n\n[needs]\n{needs}"
    ))
}

/// Checks that the manifest asks for exactly what the component uses.
///
/// # Errors
/// [`WrapError`].
pub fn check_manifest(component: &[u8], manifest: &str) -> Result<(), WrapError> {
    let read = Manifest::parse(manifest, "plugin.toml").map_err(WrapError::Manifest)?;
    Ok(agree(&read, &used(&read, imported(component)?))?)
}

fn agree(manifest: &Manifest, used: &BTreeSet<&'static str>) -> Result<(), Mismatch> {
    let rights = flowhost_policy::RIGHTS.iter();
    let mut mismatch = Mismatch {
        missing: Vec::new(),
        unused: Vec::new(),
    };
    for right in rights {
        match (used.contains(right.key), right.is_asked_by(manifest)) {
            (true, false) => mismatch.missing.push(ask(right.key)),
            (false, true) => mismatch.unused.push(right.key),
            _ => {}
        }
    }
    if mismatch.missing.is_empty() && mismatch.unused.is_empty() {
        Ok(())
    } else {
        Err(mismatch)
    }
}

/// The line of `[needs]` that asks for a right.
fn ask(key: &str) -> String {
    match key {
        "log" | "config" | "budget" => format!("{key} = true"),
        _ => format!("{key} = \"granted\""),
    }
}

/// The rights that a component's imports need: `files`, `http`; `log` for `progress`.
fn imported(component: &[u8]) -> Result<BTreeSet<&'static str>, WrapError> {
    let unreadable = |error: String| WrapError::Component(error);
    let decoded = wit_parser::decoding::decode(component);
    let decoded = decoded.map_err(|error| unreadable(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(unreadable(
            "it is a WIT package and not a component".to_owned(),
        ));
    };
    let Some(world) = resolve.worlds.get(world) else {
        return Err(unreadable("it has no world".to_owned()));
    };
    let mut keys = BTreeSet::new();
    for key in world.imports.keys() {
        let full = resolve.name_world_key(key);
        match Right::behind(&full) {
            Some((right, _)) => {
                keys.insert(right.key);
            }
            None if needs_no_right(&full) => {}
            None => return Err(WrapError::Foreign(full)),
        }
    }
    Ok(keys)
}

/// Interfaces that need no right of the profile: types and roles, and what language runtimes import and the
/// host links empty.
#[must_use]
pub fn needs_no_right(import: &str) -> bool {
    let package = import.split('/').next().unwrap_or_default();
    match package.split_once(':') {
        Some(("flowhost", name)) => matches!(name, "types" | "roles"),
        Some(("wasi", _)) => true,
        _ => false,
    }
}

/// What the component imports, and what its role uses without an import: an agent hears and hands back
/// messages, an adapter's process sees files and variables. A right that only runtimes import (`env`) may be asked for or not.
fn used(manifest: &Manifest, mut imported: BTreeSet<&'static str>) -> BTreeSet<&'static str> {
    let asked = |key| Right::of(key).is_some_and(|right| right.is_asked_by(manifest));
    if manifest.kind == Some(PluginKind::Agent) && asked("messages") {
        imported.insert("messages");
    }
    // What a process that an adapter starts sees of the machine is granted as files and env of the adapter,
    // which reads neither itself; and its server may be at an address, which the host's transport asks under http.
    if imported.contains("process") {
        let lent = ["files", "env", "http"];
        imported.extend(lent.into_iter().filter(|key| asked(key)));
    }
    imported
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(kind: &str, needs: &str) -> Manifest {
        let text = format!(
            "version = 1\nname = \"x\"\nkind = \"{kind}\"\nrelease = \"0.1.0\"\n[needs]\n{needs}"
        );
        Manifest::parse(&text, "plugin.toml").expect("a manifest")
    }

    #[test]
    fn refuses_an_import_that_the_manifest_does_not_ask_for_and_says_the_line() {
        let error = agree(&manifest("tool", ""), &["http", "log"].into()).unwrap_err();
        assert!(error.to_string().contains("does not ask for"), "{error}");
        assert_eq!(
            error.cure(),
            "write under [needs]: log = true, http = \"granted\""
        );
    }

    #[test]
    fn refuses_a_request_that_is_never_used() {
        let asks = manifest("tool", "files = \"granted\"\n");
        let error = agree(&asks, &BTreeSet::new()).unwrap_err();
        assert!(error.to_string().contains("never uses"), "{error}");
        assert_eq!(error.cure(), "remove from [needs]: files");
    }

    #[test]
    fn a_text_is_not_a_module() {
        assert!(component(b"hello").is_err());
    }

    #[test]
    fn a_manifest_that_the_host_would_refuse_is_refused_here() {
        let refused = with_manifest(Vec::new(), "version = 1\nnmae = \"x\"");
        assert!(matches!(refused, Err(WrapError::Manifest(_))));
    }

    #[test]
    fn an_agent_hears_messages_without_an_import_and_a_tool_does_not() {
        let used = |kind: &str| used(&manifest(kind, "messages = \"granted\"\n"), BTreeSet::new());
        assert_eq!((used("agent").len(), used("tool").len()), (1, 0));
    }

    #[test]
    fn what_runtimes_import_needs_no_right_and_what_is_unknown_has_none() {
        assert!(needs_no_right("wasi:cli/stdout@0.2.6"));
        assert!(needs_no_right("flowhost:types/types@0.1.0"));
        assert!(!needs_no_right("flowhost:teleport/teleport@0.1.0"));
        assert!(!needs_no_right("other:thing/it"));
    }
}
