//! A stranger's plugin in one's own plan: what it is and wants is shown, and nothing is written before
//! somebody said yes. The profile that is written grants nothing that reaches anywhere: what the plugin asks
//! for stands in it as comments, for a person to judge.

use flowhost_flow::Plan;
use flowhost_policy::{Manifest, RIGHTS, Right};
use flowhost_words::PluginKind;

/// Rights that reach nothing outside of the run: they are granted at once.
const HARMLESS: [&str; 3] = ["log", "config", "budget"];

/// Why a plan does not get another plugin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddError {
    /// It has one of the name.
    #[error("the plan has a plugin `{0}` already")]
    Taken(String),
    /// Its list of plugins is not written one under the other, so that no line can be put into it.
    #[error(
        "the plan's `plugins:` is not a list with one plugin a line; add this line to it: `{0}`"
    )]
    Inline(String),
    /// It is not a plan, before or after.
    #[error("the plan would not be one any more: {0}")]
    Broken(String),
}

/// The line that names a plugin in a plan; one that comes from elsewhere with the digest of its component.
#[must_use]
pub fn line(
    name: &str,
    kind: PluginKind,
    source: &str,
    profile: &str,
    digest: Option<&str>,
) -> String {
    let pinned = digest.map(|it| {
        let digits = it.trim_start_matches("sha256:");
        format!(", sha256: \"{digits}\"")
    });
    // In quotes: a place has `:`, and may have what YAML reads as its own.
    let source = match digest {
        Some(_) => format!("\"{source}\""),
        None => source.to_owned(),
    };
    let pinned = pinned.unwrap_or_default();
    format!("{name}: {{ kind: {kind}, source: {source}, profile: {profile}{pinned} }}")
}

/// The plan with one more plugin, as the first of its list; everything else stays as it is written.
///
/// # Errors
/// [`AddError`].
pub fn to_plan(text: &str, file: &str, name: &str, line: &str) -> Result<String, AddError> {
    let (plan, before) = Plan::survey(text, file);
    let Some(plan) = plan else {
        let first = before.first().map(ToString::to_string).unwrap_or_default();
        return Err(AddError::Broken(first));
    };
    if plan.plugins.contains_key(name) {
        return Err(AddError::Taken(name.to_owned()));
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines.iter().position(|it| it.starts_with("plugins:"));
    match at {
        Some(at) => {
            let rest = lines
                .get(at)
                .map_or("", |it| it.trim_start_matches("plugins:"))
                .split('#')
                .next()
                .unwrap_or_default()
                .trim();
            if !rest.is_empty() {
                return Err(AddError::Inline(line.to_owned()));
            }
            let indent = lines
                .get(at + 1)
                .map_or(2, |next| next.len() - next.trim_start().len());
            lines.insert(at + 1, format!("{}{line}", " ".repeat(indent.max(1))));
        }
        None => lines.extend(["plugins:".to_owned(), format!("  {line}")]),
    }
    let text = format!("{}\n", lines.join("\n"));
    let (plan, after) = Plan::survey(&text, file);
    let there = plan.is_some_and(|plan| plan.plugins.contains_key(name));
    match there && after.len() <= before.len() {
        true => Ok(text),
        false => {
            let first = after.first().map(ToString::to_string).unwrap_or_default();
            Err(AddError::Broken(first))
        }
    }
}

/// A profile that is to be judged.
#[derive(Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Its text.
    pub text: String,
    /// Whether something that the plugin asks for stands in it as comments, because only a person can make it small enough.
    pub waits: bool,
}

/// A profile for a plugin with this manifest; `None` where it needs nothing, and `deny-all` does.
#[must_use]
pub fn profile(name: &str, manifest: &Manifest) -> Option<Proposed> {
    let asked = RIGHTS.iter().filter(|right| right.is_asked_by(manifest));
    let (harmless, reaching): (Vec<&Right>, Vec<&Right>) =
        asked.partition(|right| HARMLESS.contains(&right.key));
    if harmless.is_empty() && reaching.is_empty() {
        return None;
    }
    let mut text = format!(
        "# What `{name}` may have. It asks for more than is granted here where lines are commented out: judge\n\
         # each, make it as small as it can be, and remove the `#`.\n\
         version = 1\nname = \"{name}\"\ndescription = \"For the plugin {name}.\"\n"
    );
    for right in harmless {
        text.push_str(&format!("\n{}", right.lines));
    }
    text.push('\n');
    let waits = !reaching.is_empty();
    for right in reaching {
        text.push('\n');
        for line in right.lines.lines() {
            text.push_str(&format!("# {line}\n"));
        }
    }
    Some(Proposed { text, waits })
}

#[cfg(test)]
mod tests {
    use flowhost_policy::Profile;

    use super::*;

    const PLAN: &str = "flowhost: v1 # ours\nkind: workflow\nname: p\nplugins: # all of them\n    \
        a: { kind: tool, source: ./a.wasm, profile: deny-all }\nsteps:\n  s: { uses: a/run }\n";

    fn with(plan: &str) -> Result<String, AddError> {
        let line = line(
            "b",
            PluginKind::Guardrail,
            "./plugins/b.wasm",
            "deny-all",
            None,
        );
        to_plan(plan, "plan.yaml", "b", &line)
    }

    #[test]
    fn refuses_a_name_that_is_taken_and_a_list_on_one_line() {
        assert_eq!(
            with(&PLAN.replace("a: {", "b: {")),
            Err(AddError::Taken("b".to_owned()))
        );
        let inline = PLAN.replace(
            "plugins: # all of them\n    a: { kind: tool, source: ./a.wasm, profile: deny-all }",
            "plugins: { a: { kind: tool, source: ./a.wasm, profile: deny-all } }",
        );
        assert!(
            matches!(with(&inline), Err(AddError::Inline(_))),
            "{:?}",
            with(&inline)
        );
    }

    #[test]
    fn everything_else_stays_as_it_is_written() {
        let plan = with(PLAN).unwrap();
        let added = "    b: { kind: guardrail, source: ./plugins/b.wasm, profile: deny-all }\n";
        assert_eq!(plan.replace(added, ""), PLAN);
        assert!(plan.contains(added), "{plan}");
    }

    #[test]
    fn a_profile_grants_nothing_that_reaches_anywhere_and_names_what_is_asked_for() {
        let text = "version = 1\nname = \"b\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\
                    [needs]\nlog = true\nhttp = \"granted\"\n";
        let manifest = Manifest::parse(text, "plugin.toml").unwrap();
        let Proposed { text, waits } = profile("b", &manifest).unwrap();
        assert!(waits);
        let profile = Profile::parse(&text, "policies/b.toml").unwrap();
        assert!(profile.grants.log);
        assert!(profile.grants.http.is_empty());
        assert!(text.contains("# [[http]]"), "{text}");
    }

    #[test]
    fn a_profile_of_harmless_rights_alone_has_nothing_that_waits_to_be_judged() {
        let text = "version = 1\nname = \"b\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n[needs]\nlog = true\n";
        let manifest = Manifest::parse(text, "plugin.toml").unwrap();
        let proposed = profile("b", &manifest).unwrap();
        assert!(!proposed.waits, "{}", proposed.text);
    }
}
