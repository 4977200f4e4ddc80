//! Rust: a library crate with `flowhost-sdk`, built by plain `cargo build` for a target without any system
//! interface, and wrapped into a component here, so that no other tool is needed.

use std::path::{Path, PathBuf};

use flowhost_author::Ingredient;
use flowhost_flow::Exit;
use flowhost_words::PluginKind;
use serde_json::Value;

use super::{File, Made, program};
use crate::ambient::{Ambient, Shown};
use crate::failure::Failure;
use crate::plugin::project::Project;

/// Without a system interface, so that a component imports what its author calls and nothing else.
const TARGET: &str = "wasm32-unknown-unknown";

const GET_RUST: &str = "install Rust: https://rustup.rs, or your distribution's `cargo` package";

/// The files of a new project.
pub(super) fn template(kind: PluginKind, name: &str) -> Vec<File> {
    let source = match kind {
        PluginKind::Tool => include_str!("../../../templates/rust/tool.rs"),
        PluginKind::Agent => include_str!("../../../templates/rust/agent.rs"),
        PluginKind::Guardrail => include_str!("../../../templates/rust/guardrail.rs"),
        PluginKind::McpAdapter => include_str!("../../../templates/rust/mcp-adapter.rs"),
    };
    let cargo = include_str!("../../../templates/rust/Cargo.toml.in");
    let agents = include_str!("../../../templates/rust/AGENTS.md.in");
    vec![
        File::of("Cargo.toml", cargo, name),
        File::of("src/lib.rs", source, name),
        File::of("AGENTS.md", agents, name),
        File::of(".gitignore", "/target\n/dist\n.flowhost/\n", name),
    ]
}

/// Compiles and wraps.
pub(super) fn make(ambient: &Ambient, project: &Project) -> Result<Made, Failure> {
    let cargo = program(ambient, "cargo", GET_RUST)?;
    has_target(ambient, &project.folder)?;
    let core = compiled(ambient, &cargo, &project.folder)?;
    // What it made is the author's own: only the host's limits, which come next, say what is too large.
    let bytes = ambient.read(&core, u64::from(u32::MAX))?;
    let component = flowhost_author::component(&bytes).map_err(|error| {
        Failure::new(Exit::Internal, "no component can be made of this crate")
            .caused_by(&error)
            .hint("it needs one of `flowhost_sdk::export_tools!`, `#[agent]`, `#[guardrail]`, `#[mcp_adapter]`")
    })?;
    Ok(Made { component })
}

/// The crates that end up in the component, as Cargo resolves them; what only builds or tests need is not
/// among them.
pub(super) fn ingredients(
    ambient: &Ambient,
    project: &Project,
) -> Result<Vec<Ingredient>, Failure> {
    let cargo = program(ambient, "cargo", GET_RUST)?;
    let arguments = [
        "tree",
        "--quiet",
        "--target",
        TARGET,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let listed = ambient.run(&cargo, &arguments, &project.folder, &[], Shown::Nothing)?;
    if !listed.ok {
        let said = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
        let message = "Cargo does not say what this project is made of";
        return Err(Failure::new(Exit::Internal, message).because(said));
    }
    let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
    // The first line is the project itself.
    Ok(lines.lines().skip(1).filter_map(ingredient).collect())
}

/// `serde v1.0.228`, with `(/its/folder)` behind it where it does not come from a registry.
fn ingredient(line: &str) -> Option<Ingredient> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some(Ingredient {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: format!("pkg:cargo/{name}@{version}"),
    })
}

/// Whether the compiler has a standard library for the target; the compiler's own message names neither
/// cause nor cure.
fn has_target(ambient: &Ambient, folder: &Path) -> Result<(), Failure> {
    let rustc = program(ambient, "rustc", GET_RUST)?;
    let arguments = ["--print", "target-libdir", "--target", TARGET];
    let asked = ambient.run(&rustc, &arguments, folder, &[], Shown::Nothing)?;
    let libraries = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if asked.ok && ambient.is_dir(Path::new(&libraries)) {
        return Ok(());
    }
    let message = format!("this Rust cannot compile for {TARGET}");
    let failure =
        Failure::new(Exit::Internal, message).hint(format!("run `rustup target add {TARGET}`"));
    Err(match asked.ok {
        true => failure.because(format!("its standard library is missing in `{libraries}`")),
        false => failure.because(String::from_utf8_lossy(&asked.stderr).trim().to_owned()),
    })
}

/// Runs Cargo, whose own messages the author sees, and finds the one library that it made.
fn compiled(ambient: &Ambient, cargo: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    // Where this machine keeps crates would stand in panic messages, and make another component of the
    // same sources elsewhere; Cargo names the project's own files from its root. Nothing of the project is
    // in these flags, because all that it depends on is built anew when they change. Cargo takes no flags
    // from here if the author sets RUSTFLAGS, who then knows better.
    let home = ambient.var("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(ambient.var("HOME")?).join(".cargo")));
    let remap = |home: PathBuf| format!("--remap-path-prefix={}=/cargo", home.display());
    let flags: Vec<String> = home.map(remap).into_iter().collect();
    // A JSON list of texts is a TOML one as well.
    let flags = serde_json::to_string(&flags).unwrap_or_default();
    let flags = format!("target.{TARGET}.rustflags={flags}");
    let arguments = [
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
        "--config",
        &flags,
    ];
    let built = ambient.run(cargo, &arguments, folder, &[], Shown::Errors)?;
    if !built.ok {
        let message = "the project does not build; the compiler says above what is wrong";
        return Err(Failure::new(Exit::Internal, message));
    }
    artefact(
        &built.stdout,
        &ambient.canonical(&folder.join("Cargo.toml"))?,
    )
}

/// The file of the `cdylib` of the package with this manifest, from Cargo's own report.
fn artefact(report: &[u8], manifest: &Path) -> Result<PathBuf, Failure> {
    let report = String::from_utf8_lossy(report);
    let messages = report
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut found = messages.filter_map(|message: Value| {
        let own = message.get("manifest_path")?.as_str()? == manifest.to_str()?;
        let kinds = message.pointer("/target/kind")?.as_array()?;
        let is_library = kinds.iter().any(|kind| kind == "cdylib");
        let names = message.get("filenames")?.as_array()?;
        let mut names = names.iter().filter_map(Value::as_str);
        let file = names.find(|name| name.ends_with(".wasm"))?;
        (own && is_library).then(|| PathBuf::from(file))
    });
    // The last: what the crate depends on comes before it.
    found.next_back().ok_or_else(|| {
        let message = "Cargo made no WebAssembly library of this project";
        Failure::new(Exit::Internal, message)
            .hint("write `crate-type = [\"cdylib\", \"rlib\"]` under [lib] in Cargo.toml")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_our_library_is_a_failure_with_the_line_that_makes_one() {
        let other = r#"{"reason":"compiler-artifact","manifest_path":"/dep/Cargo.toml","target":{"kind":["cdylib"]},"filenames":["/t/dep.wasm"]}"#;
        let failure = artefact(other.as_bytes(), Path::new("/p/Cargo.toml")).unwrap_err();
        assert!(failure.hints[0].contains("cdylib"), "{failure:?}");
    }

    #[test]
    fn the_library_is_found_among_other_messages() {
        let report = concat!(
            "not json\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","target":{"kind":["cdylib","rlib"]},"filenames":["/t/p.rlib","/t/p.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = artefact(report.as_bytes(), Path::new("/p/Cargo.toml")).unwrap();
        assert_eq!(found, Path::new("/t/p.wasm"));
    }
}
