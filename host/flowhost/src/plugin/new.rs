//! A new project: the same name and kind give the same files, byte for byte, on every machine.

use std::path::{Path, PathBuf};

use flowhost_flow::Exit;
use flowhost_policy::Manifest;
use flowhost_words::PluginKind;

use super::lang::{File, Lang};
use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::fresh;

/// Bytes of one file of an SDK; the largest are generated interfaces.
const SDK_FILE_BYTES_MAX: u64 = 4 << 20;

/// What to make.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The plugin's name.
    pub name: &'a str,
    /// What it is.
    pub kind: PluginKind,
    /// What it is written in.
    pub lang: Lang,
    /// The folder to make; it may be there, if it is empty.
    pub folder: PathBuf,
    /// What a template makes, in the place of what every project has.
    pub templated: Option<Vec<(String, Vec<u8>)>>,
}

/// The files of a new project, in the order of their paths: those of the language and those that all
/// projects have, or those of a template, and a copy of the language's SDK.
///
/// # Errors
/// When the name cannot be used, or this installation has no SDK.
pub fn files(ambient: &Ambient, wanted: &Wanted<'_>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    fresh::check_name(wanted.name)?;
    let mut files = match &wanted.templated {
        Some(files) => files.clone(),
        None => ours(wanted),
    };
    let (name, inside) = wanted.lang.sdk();
    let sdk = sdk_folder(ambient, name)?;
    copy(ambient, &sdk, inside, &mut files)?;
    // By path: two machines list a folder in different orders.
    files.sort();
    Ok(files)
}

fn ours(wanted: &Wanted<'_>) -> Vec<(String, Vec<u8>)> {
    let mut files = wanted.lang.template(wanted.kind, wanted.name);
    files.extend(common(wanted.kind, wanted.name));
    let files = files.into_iter();
    files
        .map(|file| {
            let text = file.text.replace("{{run}}", tried(wanted.kind));
            let text = text.replace("{{test}}", &judged(wanted.kind, wanted.name));
            (file.path, text.into_bytes())
        })
        .collect()
}

/// Writes a new project.
///
/// # Errors
/// As [`files`], and when the folder is not empty or cannot be written.
pub fn make(ambient: &Ambient, wanted: &Wanted<'_>) -> Result<Vec<String>, Failure> {
    let files = files(ambient, wanted)?;
    fresh::write(ambient, &wanted.folder, &files)?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// How a new project's plan is run. An adapter's starts the server of the project.
fn tried(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::McpAdapter => "flowhost run plan.yaml --allow-process",
        PluginKind::Tool | PluginKind::Agent | PluginKind::Guardrail => "flowhost run plan.yaml",
    }
}

/// How the conformance kit tries a new project's component. Nothing says what a guardrail is configured with, so the kit
/// cannot guess what gets an answer.
fn judged(kind: PluginKind, name: &str) -> String {
    let config = match kind {
        PluginKind::Guardrail => " --config '{\"longest\": 10000}'",
        PluginKind::Tool | PluginKind::Agent | PluginKind::McpAdapter => "",
    };
    format!("flowhost plugin test dist/{name}.wasm{config}")
}

/// What every project has, whatever it is written in.
fn common(kind: PluginKind, name: &str) -> Vec<File> {
    let manifest = match kind {
        PluginKind::Tool => include_str!("../../templates/common/tool.toml.in"),
        PluginKind::Agent => include_str!("../../templates/common/agent.toml.in"),
        PluginKind::Guardrail => include_str!("../../templates/common/guardrail.toml.in"),
        PluginKind::McpAdapter => include_str!("../../templates/common/mcp-adapter.toml.in"),
    };
    let profile = match kind {
        PluginKind::Agent | PluginKind::McpAdapter => {
            "`policies/{{name}}-profile.toml` is a profile that grants it."
        }
        PluginKind::Tool | PluginKind::Guardrail => {
            "Nothing yet: the profile `deny-all` is enough for it."
        }
    };
    let readme = include_str!("../../templates/common/README.md.in");
    let readme = readme
        .replace("{{profile}}", profile)
        .replace("{{run}}", tried(kind));
    let mut files = vec![
        File::of("plugin.toml", manifest, name),
        File::of("README.md", &readme, name),
    ];
    let plan = match kind {
        PluginKind::Tool => include_str!("../../templates/common/tool.yaml.in"),
        PluginKind::Agent => include_str!("../../templates/common/agent.yaml.in"),
        PluginKind::Guardrail => include_str!("../../templates/common/guardrail.yaml.in"),
        PluginKind::McpAdapter => include_str!("../../templates/common/mcp-adapter.yaml.in"),
    };
    files.push(File::of("plan.yaml", plan, name));
    let profile = match kind {
        PluginKind::Agent => include_str!("../../templates/common/agent-profile.toml.in"),
        PluginKind::McpAdapter => {
            let server = include_str!("../../templates/common/server.sh.in");
            files.push(File::of("server/server.sh", server, name));
            include_str!("../../templates/common/mcp-adapter-profile.toml.in")
        }
        // They run under `deny-all`.
        PluginKind::Tool | PluginKind::Guardrail => return files,
    };
    let path = format!("policies/{name}-profile.toml");
    files.push(File::of(&path, profile, name));
    files
}

/// The folder of a language's SDK: in `FLOWHOST_SDK`, else in `sdk/` beside the executable or up to two
/// folders above it, as shipped plugins are found.
fn sdk_folder(ambient: &Ambient, name: &str) -> Result<PathBuf, Failure> {
    let named = ambient
        .var("FLOWHOST_SDK")
        .map(|it| ambient.resolve(Path::new(it)));
    let above = ambient
        .exe()
        .into_iter()
        // Of a release beside it, of a build two folders up.
        .flat_map(|exe| exe.ancestors().skip(1).take(3))
        .map(|folder| folder.join("sdk"));
    let folders: Vec<PathBuf> = named.into_iter().chain(above).collect();
    let found = folders.iter().map(|folder| folder.join(name));
    found
        .clone()
        .find(|folder| ambient.is_dir(folder))
        .ok_or_else(|| {
            let searched: Vec<String> = found.map(|it| format!("`{}`", it.display())).collect();
            let message = format!("this installation has no SDK for {name}");
            Failure::new(Exit::Internal, message)
                .because(format!("it is not in {}", searched.join(", ")))
                .hint(
                    "unpack the whole release archive, or name its `sdk` folder in FLOWHOST_SDK; in a checkout \
                     `cargo xtask build-guests --all` packs it into `target/sdk`",
                )
        })
}

/// Every file below `from`, as below `to` in the project.
fn copy(
    ambient: &Ambient,
    from: &Path,
    to: &str,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    for name in ambient.list(from)? {
        let (path, inside) = (from.join(&name), format!("{to}/{name}"));
        if ambient.is_dir(&path) {
            copy(ambient, &path, &inside, files)?;
        } else {
            files.push((inside, ambient.read(&path, SDK_FILE_BYTES_MAX)?));
        }
    }
    Ok(())
}

/// The manifest of a new project, read: what the templates say is what the host takes.
///
/// # Errors
/// Never for a template of this build; a test reads them all.
pub fn manifest(kind: PluginKind, name: &str) -> Result<Manifest, Failure> {
    let files = common(kind, name);
    let text = files
        .iter()
        .find(|file| file.path == "plugin.toml")
        .map_or("", |file| file.text.as_str());
    Manifest::parse(text, "plugin.toml").map_err(|problems| {
        let findings = problems.into_iter().map(Into::into).collect();
        Failure::findings("the template's manifest", findings)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_every_template_is_one_that_the_host_takes() {
        for kind in PluginKind::ALL {
            let manifest = manifest(kind, "word-count").unwrap();
            assert_eq!(manifest.kind, Some(kind));
            assert_eq!(manifest.name, "word-count");
        }
    }
}
