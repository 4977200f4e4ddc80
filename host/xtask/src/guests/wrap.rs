//! From core module to component, with its manifest inside and its imports checked against it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use flowhost_policy::{Manifest, PluginKind, Right};
use wasm_encoder::{CustomSection, Encode};
use wit_component::ComponentEncoder;
use wit_parser::decoding::DecodedWasm;

/// The custom section that carries a manifest.
const MANIFEST_SECTION: &str = "flowhost:manifest";

/// Wraps a core module that `wit-bindgen` made.
pub(super) fn component(core: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .context("the module does not say which world it was built for")?
        .encode()
        .context("the module does not fit its world")
}

/// Checks that the manifest asks for exactly what the component imports, and puts it inside.
pub(super) fn with_manifest(name: &str, component: Vec<u8>, manifest: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).context("plugin.toml is not UTF-8")?;
    agree(name, &asked(text)?, &used(text, imported(&component)?)?)?;
    let mut bytes = component;
    bytes.push(0);
    CustomSection {
        name: Cow::Borrowed(MANIFEST_SECTION),
        data: Cow::Borrowed(manifest),
    }
    .encode(&mut bytes);
    Ok(bytes)
}

fn agree(name: &str, asked: &BTreeSet<String>, imported: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<&str> = imported.difference(asked).map(String::as_str).collect();
    let unused: Vec<&str> = asked.difference(imported).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("`{name}` imports {missing:?}, which its plugin.toml does not ask for");
    }
    if !unused.is_empty() {
        bail!("`{name}` asks for {unused:?} in its plugin.toml and never uses it: remove it there");
    }
    Ok(())
}

/// The capabilities whose rights a component's imports need: `files`, `http`; `log` for `progress`.
fn imported(component: &[u8]) -> Result<BTreeSet<String>> {
    let decoded = wit_parser::decoding::decode(component).context("the component has no world")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("it is a WIT package and not a component");
    };
    let world = resolve
        .worlds
        .get(world)
        .context("the component has no world")?;
    let mut names = BTreeSet::new();
    for key in world.imports.keys() {
        let full = resolve.name_world_key(key);
        let package = full.split('/').next().unwrap_or_default();
        match package.strip_prefix("flowhost:") {
            Some("types" | "roles") => {}
            Some(capability) => {
                let right = Right::behind(&full).map(|(right, _)| right.capability);
                names.insert(right.unwrap_or(capability).to_owned());
            }
            None => bail!("it imports `{full}`, which no capability of flowhost serves"),
        }
    }
    Ok(names)
}

/// The capabilities that a manifest asks for.
fn asked(manifest: &str) -> Result<BTreeSet<String>> {
    let asked = read(manifest)?.imports();
    Ok(asked.into_iter().map(str::to_owned).collect())
}

/// What the component imports, and what its role uses without an import: an agent hears and hands
/// back messages.
fn used(manifest: &str, mut imported: BTreeSet<String>) -> Result<BTreeSet<String>> {
    let manifest = read(manifest)?;
    if manifest.kind == Some(PluginKind::Agent) && manifest.imports().contains(&"messaging") {
        imported.insert("messaging".to_owned());
    }
    Ok(imported)
}

/// A manifest as the host reads it, so that one which the host would refuse is refused here.
fn read(manifest: &str) -> Result<Manifest> {
    match Manifest::parse(manifest, "plugin.toml") {
        Ok(manifest) => Ok(manifest),
        Err(problems) => {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("{}", said.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn refuses_an_import_that_the_manifest_does_not_ask_for() {
        let error = agree("p", &set(&[]), &set(&["http"])).expect_err("http is not asked for");
        assert!(error.to_string().contains("does not ask for"), "{error}");
    }

    #[test]
    fn refuses_a_request_that_is_never_used() {
        let error = agree("p", &set(&["files"]), &set(&[])).expect_err("files is not used");
        assert!(error.to_string().contains("never uses"), "{error}");
    }

    #[test]
    fn a_text_is_not_a_module() {
        assert!(component(b"hello").is_err());
    }

    #[test]
    fn a_manifest_that_the_host_would_refuse_is_refused_here() {
        assert!(asked("version = 1\nnmae = \"x\"").is_err());
    }

    #[test]
    fn an_agent_hears_messages_without_an_import_and_a_tool_does_not() {
        let manifest = |kind: &str| {
            format!(
                "version = 1\nname = \"x\"\nkind = \"{kind}\"\nrelease = \"0.1.0\"\n\
                 [needs]\nmessages = \"granted\"\n"
            )
        };
        let used = |kind: &str| used(&manifest(kind), set(&[])).expect("a manifest");
        assert_eq!(
            (used("agent"), used("tool")),
            (set(&["messaging"]), set(&[]))
        );
    }

    #[test]
    fn rights_are_read_as_the_host_reads_them() {
        let manifest = "version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\
            [needs]\nlog = true\nmessages = \"granted\"\n";
        assert_eq!(
            asked(manifest).expect("a manifest"),
            set(&["log", "messaging"])
        );
    }
}
