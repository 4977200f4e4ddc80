//! The build script of a plugin: its manifest is the one place that says which tools it has, so the
//! component's own list is written from it and the two cannot disagree.
//!
//! It reads only `[[tools]]`; the host checks the rest of the manifest. It never touches anything but
//! Cargo's output directory.
//!
//! # Examples
//!
//! A plugin's whole `build.rs`:
//!
//! ```no_run
//! fn main() -> Result<(), flowhost_sdk_build::Error> {
//!     flowhost_sdk_build::generate()
//! }
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads its manifest and writes to the output directory that Cargo names"
)]

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why no list was written. Cargo shows it as the failure of the build script.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not started by Cargo.
    #[error("the variable `{0}` is not set: this runs as a build script only")]
    NotCargo(&'static str),
    /// A file could not be read or written.
    #[error("cannot reach {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not what it should be.
    #[error("plugin.toml is not a manifest")]
    Manifest(#[from] toml::de::Error),
    /// A schema has no JSON form.
    #[error("a schema in plugin.toml has no JSON form")]
    Schema(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    title: String,
    description: String,
    input: Schema,
    #[serde(default)]
    output: Option<Schema>,
    effects: String,
    #[serde(default)]
    annotations: Annotations,
}

/// What the author says of the tool; the host refuses other keys.
#[derive(Deserialize, Default)]
struct Annotations {
    read_only: Option<bool>,
    destructive: Option<bool>,
    idempotent: Option<bool>,
    open_world: Option<bool>,
}

/// A JSON Schema: as a TOML table, or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Schema {
    Text(String),
    Table(serde_json::Value),
}

impl Schema {
    fn json(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Table(table) => Ok(table.clone()),
        }
        .map(|schema: serde_json::Value| schema.to_string())
    }
}

/// Reads `plugin.toml` beside `Cargo.toml` and writes `tools.rs` to Cargo's output directory, where
/// `flowhost_sdk::export_tool!` finds it.
///
/// # Errors
/// When the manifest is missing or wrong.
pub fn generate() -> Result<(), Error> {
    let folder = variable("CARGO_MANIFEST_DIR")?;
    let out = variable("OUT_DIR")?;
    let manifest = Path::new(&folder).join("plugin.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|source| Error::Io {
        path: manifest,
        source,
    })?;
    let list = tools(&text)?;
    let target = Path::new(&out).join("tools.rs");
    std::fs::write(&target, list).map_err(|source| Error::Io {
        path: target,
        source,
    })?;
    announce("rerun-if-changed=plugin.toml");
    announce("rerun-if-changed=build.rs");
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to Cargo"
)]
fn announce(line: &str) {
    println!("cargo::{line}");
}

fn variable(name: &'static str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| Error::NotCargo(name))
}

/// The Rust expression that lists a manifest's tools.
///
/// # Errors
/// When the text is not a manifest.
pub fn tools(manifest: &str) -> Result<String, Error> {
    let manifest: Manifest = toml::from_str(manifest)?;
    let mut list = String::from("&[\n");
    for tool in &manifest.tools {
        list.push_str(&spec(tool)?);
    }
    list.push_str("]\n");
    Ok(list)
}

fn spec(tool: &Tool) -> Result<String, Error> {
    let input = tool.input.json()?;
    let output = tool
        .output
        .as_ref()
        .map_or_else(|| Ok(String::new()), Schema::json)?;
    let title = if tool.title.is_empty() {
        &tool.name
    } else {
        &tool.title
    };
    Ok(format!(
        "    ::flowhost_sdk::ToolSpec {{ name: {:?}, title: {title:?}, description: {:?}, \
         input_schema: {input:?}, output_schema: {output:?}, \
         effects: ::flowhost_sdk::Effects::{}, annotations: ::flowhost_sdk::Annotations {{ \
         read_only: {:?}, destructive: {:?}, idempotent: {:?}, open_world: {:?} }} }},\n",
        tool.name,
        tool.description,
        capitalised(&tool.effects),
        tool.annotations.read_only,
        tool.annotations.destructive,
        tool.annotations.idempotent,
        tool.annotations.open_world,
    ))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_tool_without_effects() {
        let manifest = "[[tools]]\nname = 'a'\ndescription = 'b'\ninput = {}";
        assert!(matches!(tools(manifest), Err(Error::Manifest(_))));
    }

    #[test]
    fn refuses_a_schema_that_is_not_json() {
        let manifest = "[[tools]]\nname='a'\ndescription='b'\ninput='{'\neffects='none'";
        assert!(matches!(tools(manifest), Err(Error::Schema(_))));
    }

    #[test]
    fn writes_one_spec_per_tool_with_its_schema_as_json() {
        let manifest =
            "[[tools]]\nname='a'\ndescription='b'\neffects='none'\n[tools.input]\ntype='object'";
        let list = tools(manifest).expect("a manifest");
        assert!(
            list.contains(r#"input_schema: "{\"type\":\"object\"}""#),
            "{list}"
        );
        assert!(list.contains("Effects::None"), "{list}");
        assert!(list.contains("read_only: None"), "{list}");
        let said = manifest.replace(
            "[tools.input]",
            "annotations = { read_only = true }\n[tools.input]",
        );
        let list = tools(&said).expect("a manifest");
        assert!(list.contains("read_only: Some(true)"), "{list}");
    }
}
