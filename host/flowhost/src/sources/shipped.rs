//! The profiles that are part of this build: they mean the same everywhere, and no other file takes their names. A profile
//! of anybody's is read here, because it may not be one of them under the same name. Of the plugins that come along the names
//! are known, so that one which was not built is told from one that never was.

use std::path::Path;

use flowhost_policy::Profile;

use crate::finding::Finding;

/// The profiles that are part of this build, deny-all first.
pub const SHIPPED: &[(&str, &str)] = &[
    (
        "deny-all",
        include_str!("../../../../policies/deny-all.toml"),
    ),
    (
        "guardrail-pure",
        include_str!("../../../../policies/guardrail-pure.toml"),
    ),
    (
        "tool-pure",
        include_str!("../../../../policies/tool-pure.toml"),
    ),
    (
        "tool-readonly",
        include_str!("../../../../policies/tool-readonly.toml"),
    ),
    (
        "tool-workspace",
        include_str!("../../../../policies/tool-workspace.toml"),
    ),
    (
        "networked-tool",
        include_str!("../../../../policies/networked-tool.toml"),
    ),
    (
        "agent-model",
        include_str!("../../../../policies/agent-model.toml"),
    ),
    (
        "agent-any-model",
        include_str!("../../../../policies/agent-any-model.toml"),
    ),
    (
        "mcp-local",
        include_str!("../../../../policies/mcp-local.toml"),
    ),
];

/// The plugins that ship with this version. By name and not by what lies in a folder: one that is missing is to be found.
pub const PLUGINS: [&str; 13] = [
    "books-sample",
    "code",
    "files",
    "http-fetch",
    "http-send",
    "keyword-scan",
    "llm-agent",
    "markdown",
    "mcp-client",
    "process-tool",
    "redact",
    "reminder-sync-stub",
    "schema-check",
];

/// Those of them that are no Rust: `cargo xtask demo` does not build them.
const PLUGINS_BY_NPM: &[&str] = &["code"];

/// How a plugin of this project comes to be there; nothing for another one.
pub(super) fn how_it_is_built(plugin: &str) -> Option<String> {
    let with = if PLUGINS_BY_NPM.contains(&plugin) {
        ", with npm of Node 20 or later"
    } else {
        ""
    };
    PLUGINS.contains(&plugin).then(|| {
        format!(
            "it is part of flowhost and was not built: `cargo xtask build-guests` builds it{with}; or name the folder \
             that it is in by FLOWHOST_PLUGINS"
        )
    })
}

/// Whether a plan that names this profile means a shipped one.
#[must_use]
pub fn is_shipped(wanted: &str) -> bool {
    SHIPPED.iter().any(|(name, _)| *name == wanted)
}

/// A plugin's or a file's name as a profile or manifest may have it: small letters, digits, `-` and `_`, with room
/// for a number.
#[must_use]
pub fn as_document_name(name: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' => c,
        _ => '-',
    };
    let name: String = name.chars().take(NAME_MAX).map(plain).collect();
    match name.as_str() {
        "" | "self" => "mine".to_owned(), // `self` means the plugin itself
        _ => name,
    }
}

/// Characters of a name that [`as_document_name`] keeps: four less than a profile's name may have.
const NAME_MAX: usize = 60;

/// What helps where a name is [`taken`].
pub(super) const TAKEN_CURE: &str = "give the file, and the profile in it, another name";

/// Whether this text has the name of a shipped profile and is not a copy of it.
pub(super) fn is_another(name: &str, text: &str) -> bool {
    // By all of the text: a copy with one more comment is already something that this build does not vouch for.
    let mut shipped = SHIPPED.iter();
    shipped.any(|(shipped, own)| *shipped == name && *own != text)
}

/// What is wrong with a profile, or a file, that [`is_another`].
pub(super) fn taken(name: &str) -> String {
    format!("`{name}` is the name of a shipped profile, and this is another")
}

/// Reads a profile, and refuses one under another name than its file's, or under a shipped one: a record
/// or a report that says `deny-all` means the profile that this build brings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_profile(text: &str, file: &str) -> Result<Profile, Vec<Finding>> {
    let profile = Profile::parse(text, file);
    let profile = profile.map_err(|problems| -> Vec<Finding> {
        problems.into_iter().map(Finding::from).collect()
    })?;
    let name = profile.name.as_str();
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    let refused = |message: String, cure: String| {
        let at = profile.position("name");
        let (line, column) = at.map_or((0, 0), |at| (at.line, at.column));
        Err(vec![
            Finding::new(file, message).at(line, column).cure(cure),
        ])
    };
    // Before the name of the file: a person who copied `deny-all.toml` under another name is to hear why that name is
    // not to be had.
    if is_another(name, text) {
        return refused(taken(name), TAKEN_CURE.to_owned());
    }
    if stem != Some(name) {
        let stem = stem.unwrap_or_default();
        let message = format!("a profile has the name of its file, and this is not `{name}`");
        return refused(
            message,
            format!("write `name = \"{stem}\"`, or call the file `{name}.toml`"),
        );
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ambient::Ambient;

    #[test]
    fn every_plugin_of_the_repository_is_known_by_its_name_and_by_what_builds_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let ambient = Ambient::with(BTreeMap::new(), folder.clone(), None);
        let has = |name: &str, file: &str| ambient.is_file(&folder.join(name).join(file));
        let mut there = ambient.list(&folder).unwrap();
        there.retain(|name| has(name, "plugin.toml"));
        assert_eq!(there, PLUGINS);
        there.retain(|name| has(name, "package.json"));
        assert_eq!(there, PLUGINS_BY_NPM);
    }
}
