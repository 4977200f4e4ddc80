//! What an author signs of a plugin: which component, what it asks for, what it says of its tools.
//!
//! The digest covers all of it, because the manifest is inside. The rest is there so that whoever reads the
//! signature sees what was vouched for; a verifier makes the statement anew from the component and takes no
//! other.

use flowhost_policy::{Manifest, RIGHTS};
use flowhost_words::PluginKind;
use serde_json::json;

/// The type of the statement, which is part of what is signed.
pub const STATEMENT_TYPE: &str = "application/vnd.flowhost.plugin.v1+json";

/// The statement about a component with this digest and manifest: one line of JSON with sorted keys.
#[must_use]
pub fn statement(digest: &str, manifest: &Manifest) -> String {
    let needs: Vec<&str> = RIGHTS
        .iter()
        .filter(|right| right.is_asked_by(manifest))
        .map(|right| right.key)
        .collect();
    let tools = manifest.tools.iter();
    let tools: serde_json::Map<String, serde_json::Value> = tools
        .map(|tool| (tool.name.clone(), tool.hash().into()))
        .collect();
    json!({
        "component": digest,
        "kind": manifest.kind.map(PluginKind::wit_name),
        "name": manifest.name,
        "needs": needs,
        "release": manifest.release,
        "tools": tools,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(more: &str) -> String {
        let text =
            format!("version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n{more}");
        statement("sha256:0", &Manifest::parse(&text, "plugin.toml").unwrap())
    }

    #[test]
    fn another_right_or_descriptor_is_another_statement() {
        let tool = |text: &str| {
            format!("[[tools]]\nname = \"a\"\ndescription = \"{text}\"\ninput = {{}}\n")
        };
        assert_ne!(of(""), of("[needs]\nlog = true\n"));
        assert_ne!(of(&tool("b")), of(&tool("c")));
        assert_eq!(of(&tool("b")), of(&tool("b")));
    }

    #[test]
    fn it_says_what_a_reader_judges_by() {
        let said = of("[needs]\nlog = true\nhttp = \"granted\"\n");
        assert_eq!(
            said,
            r#"{"component":"sha256:0","kind":"tool","name":"x","needs":["log","http"],"release":"0.1.0","tools":{}}"#
        );
    }
}
