//! The manifest of a plugin whose tools are described by its code: the author writes what the plugin is
//! and needs, the build adds what its tools take and give, and the two never disagree.

use flowhost_policy::{Effects, Manifest, Problem, ToolAnnotations, ToolDescriptor};
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

/// Why a manifest gets no list of tools.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is wrong, before or after the tools stand in it.
    #[error("the manifest is wrong")]
    Wrong(Vec<Problem>),
    /// It says of a tool what the code does not.
    #[error("plugin.toml says of its tools what the code does not: {0}")]
    Disagrees(String),
}

/// The manifest with these tools in it. One that lists its tools itself must say the same.
///
/// # Errors
/// [`ManifestError`].
pub fn with_tools(manifest: &str, tools: &[ToolDescriptor]) -> Result<String, ManifestError> {
    let read = Manifest::parse(manifest, "plugin.toml").map_err(ManifestError::Wrong)?;
    if !read.tools.is_empty() {
        return agree(&read, tools).map(|()| manifest.to_owned());
    }
    let Ok(mut document) = manifest.parse::<DocumentMut>() else {
        debug_assert!(false, "the manifest has been read as TOML just now");
        return Err(ManifestError::Wrong(Vec::new()));
    };
    let mut list = ArrayOfTables::new();
    tools.iter().for_each(|tool| list.push(table(tool)));
    if !list.is_empty() {
        document.insert("tools", Item::ArrayOfTables(list));
    }
    let text = document.to_string();
    Manifest::parse(&text, "plugin.toml").map_err(ManifestError::Wrong)?;
    Ok(text)
}

fn agree(manifest: &Manifest, tools: &[ToolDescriptor]) -> Result<(), ManifestError> {
    let disagrees = |what: String| Err(ManifestError::Disagrees(what));
    for tool in tools {
        match manifest.tool(&tool.name) {
            None => return disagrees(format!("it does not list `{}`", tool.name)),
            Some(said) if said.hash() != tool.hash() => {
                return disagrees(format!("`{}` differs", tool.name));
            }
            Some(_) => {}
        }
    }
    let known = |name: &str| tools.iter().any(|tool| tool.name == name);
    match manifest.tools.iter().find(|tool| !known(&tool.name)) {
        Some(more) => disagrees(format!(
            "it lists `{}`, which the code does not have",
            more.name
        )),
        None => Ok(()),
    }
}

fn table(tool: &ToolDescriptor) -> Table {
    let mut table = Table::new();
    table.insert("name", value(tool.name.as_str()));
    table.insert("title", value(tool.title.as_str()));
    table.insert("description", value(tool.description.as_str()));
    if tool.effects != Effects::Once {
        table.insert("effects", value(tool.effects.word()));
    }
    // As text: TOML has no `null`, and a schema may.
    table.insert("input", value(tool.input.to_string()));
    if let Some(output) = &tool.output {
        table.insert("output", value(output.to_string()));
    }
    let said = annotations(tool.annotations);
    if !said.is_empty() {
        table.insert("annotations", value(said));
    }
    table
}

fn annotations(said: ToolAnnotations) -> InlineTable {
    let mut table = InlineTable::new();
    for (key, it) in [
        ("read_only", said.read_only),
        ("destructive", said.destructive),
        ("idempotent", said.idempotent),
        ("open_world", said.open_world),
    ] {
        if let Some(it) = it {
            table.insert(key, it.into());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "# mine\nversion = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\n\
                            [needs]\nlog = true\n";

    fn tool(description: &str) -> ToolDescriptor {
        ToolDescriptor {
            name: "count".to_owned(),
            title: "Count".to_owned(),
            description: description.to_owned(),
            input: serde_json::json!({ "type": "object", "default": null }),
            output: Some(serde_json::json!({ "type": "integer" })),
            effects: Effects::None,
            annotations: ToolAnnotations {
                read_only: Some(true),
                ..ToolAnnotations::default()
            },
        }
    }

    #[test]
    fn refuses_a_list_that_the_code_does_not_keep() {
        let text = with_tools(MANIFEST, &[tool("Counts.")]).unwrap();
        let other = with_tools(&text, &[tool("Counts words.")]);
        assert!(
            matches!(other, Err(ManifestError::Disagrees(_))),
            "{other:?}"
        );
        let none = with_tools(&text, &[]);
        assert!(matches!(none, Err(ManifestError::Disagrees(_))), "{none:?}");
    }

    #[test]
    fn refuses_a_description_that_hides_something() {
        let refused = with_tools(MANIFEST, &[tool("Counts.\u{200b}")]);
        assert!(
            matches!(refused, Err(ManifestError::Wrong(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn what_the_code_says_is_what_the_host_reads_and_the_rest_stays_as_written() {
        let text = with_tools(MANIFEST, &[tool("Counts \"words\".\nSlowly.")]).unwrap();
        assert!(text.starts_with(MANIFEST), "{text}");
        let read = Manifest::parse(&text, "plugin.toml").unwrap();
        assert_eq!(read.tools, [tool("Counts \"words\".\nSlowly.")]);
        assert_eq!(with_tools(&text, &read.tools).unwrap(), text);
    }
}
