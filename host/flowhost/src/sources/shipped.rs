//! The profiles that are part of this build: they mean the same everywhere, and no other file takes their names. A profile
//! of anybody's is read here, because it may not be one of them under the same name.

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
