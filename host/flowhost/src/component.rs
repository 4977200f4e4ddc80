//! A component that a person names, looked at without a plan and without compiling it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_author::first_manifest;
use flowhost_engine::{Inspected, Inspection};
use flowhost_flow::{Exit, OutputSchema};
use flowhost_policy::{Manifest, Position, Right};
use flowhost_words::PluginKind;

use crate::ambient::Unusable;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::remote::Pin;
use crate::sources::{Sources, as_document_name, program_name};

/// What can be seen of it.
#[derive(Debug)]
pub struct Seen {
    /// Its file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// What it is.
    pub inspection: Inspected,
    /// What it says of itself, if it has a manifest.
    pub manifest: Option<Manifest>,
}

/// Looks at `source`: a path relative to `dir`, `builtin:NAME`, `process:NAME`, or a place that the operator lists,
/// with what is there now.
///
/// # Errors
/// When there is none, it is no component, or its manifest is wrong.
pub fn look(sources: &Sources<'_>, source: &str, dir: &Path) -> Result<Seen, Failure> {
    let (path, component) = sources
        .looked_at(source, dir, Pin::Newest)
        .map_err(|found| of(&found))?;
    let shown = sources.shown(&path);
    let inspection = component.map_err(|error| match error {
        Unusable::Refused(error) => {
            Failure::new(Exit::Internal, format!("`{shown}` is refused")).caused_by(&error)
        }
        unread @ Unusable::Unread(_) => of(&sources.of_no_use_as_typed(&path, unread)),
    })?;
    let found = sources.described(source, dir, &path, inspection.manifest.as_deref());
    let manifest = found
        .map_err(|found| of(&found))?
        .map(|(file, text)| Manifest::parse(&text, &file))
        .transpose();
    let manifest = manifest.map_err(|problems| {
        let findings = problems.into_iter().map(Into::into).collect();
        Failure::findings(&format!("the manifest of `{shown}`"), findings)
    })?;
    let manifest = manifest.map(|it| spared(it, source, &inspection));
    // All of them at once, and none hides another: they are of different keys.
    let faults: Vec<Finding> = manifest
        .iter()
        .flat_map(|it| {
            not_so(it, inspection.role)
                .into_iter()
                .chain(undeclared(it, source))
                .chain(no_schemas(it))
        })
        .collect();
    if !faults.is_empty() {
        return Err(Failure::findings(
            &format!("the manifest of `{shown}`"),
            faults,
        ));
    }
    Ok(Seen {
        path,
        bytes: inspection.bytes().clone(),
        inspection,
        manifest,
    })
}

/// Why a component without a manifest is refused where somebody vouches for it or hands it on, with one that it could
/// have.
#[must_use]
pub fn without_manifest(
    sources: &Sources<'_>,
    path: &Path,
    bytes: &[u8],
    inspection: &Inspection,
) -> Failure {
    let refused = Failure::new(
        Exit::Internal,
        format!("`{}` is refused", sources.shown(path)),
    );
    let refused = refused.because(
        "it has no manifest inside, and none stands beside it: nothing says what it asks for",
    );
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match first_manifest(&as_document_name(&stem), inspection.role, bytes) {
        Ok(text) => {
            let beside = sources.shown(&path.with_extension("toml"));
            refused.hint(format!(
                "write this to `{beside}`, which asks for what it imports:\n{}",
                text.trim_end()
            ))
        }
        Err(error) => refused.caused_by(&error),
    }
}

/// A manifest that says of the component what it is not: what it asks for was then written for another one.
pub(crate) fn not_so(manifest: &Manifest, role: PluginKind) -> Option<Finding> {
    let said = manifest.kind.filter(|said| *said != role)?;
    let at = manifest.position("kind").unwrap_or(Position::START);
    let (said, role) = (said.wit_name(), role.wit_name());
    let message = format!("`kind` is \"{said}\", and the component is a plugin of kind \"{role}\"");
    let finding = Finding::new(&manifest.file, message).at(at.line, at.column);
    Some(finding.cure(format!(
        "write `kind = \"{role}\"`, or take the component that this manifest is of"
    )))
}

/// The manifest of what `source` names. That of a program knows nothing of the component before it, which can do without the
/// right to tell how far the program is: it is not asked of an author whose program says nothing of it.
pub(crate) fn spared(mut manifest: Manifest, source: &str, inspection: &Inspection) -> Manifest {
    let mut imports = inspection.imports.iter();
    let tells = imports.any(|import| import.name.package == "flowhost:progress");
    if program_name(source).is_some() && tells {
        manifest.optional.insert("log");
    }
    manifest
}

/// What the manifest of a program lacks. A program is never asked for its tools, and one that its manifest does not ask for
/// would look like one that the profile does not grant.
pub(crate) fn undeclared(manifest: &Manifest, source: &str) -> Option<Finding> {
    program_name(source)?;
    let asked = Right::of("process").is_some_and(|right| right.is_asked_by(manifest));
    let (message, cure) = match (asked, manifest.tools.is_empty()) {
        (false, _) => (
            "it does not ask for its program",
            "write `process = \"granted\"` under [needs]",
        ),
        (true, true) => (
            "it names no tool, and a program offers what its manifest says",
            "add a [[tools]] with `name`, `description`, `effects` and `input`",
        ),
        (true, false) => return None,
    };
    // What is missing has no line: the file's first shows which file.
    Some(Finding::new(&manifest.file, message).at(1, 1).cure(cure))
}

/// Schemas of its tools that nothing could be held against.
fn no_schemas(manifest: &Manifest) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, tool) in manifest.tools.iter().enumerate() {
        let own = [
            ("input", Some(&tool.input)),
            ("output", tool.output.as_ref()),
        ];
        for (key, schema) in own {
            let Some(Err(why)) = schema.map(|it| OutputSchema::compile(it.clone())) else {
                continue;
            };
            let at = manifest.position(&format!("tools[{index}].{key}"));
            let at = at.unwrap_or(Position::START);
            let message = format!("`{key}` of the tool `{}`: {why}", tool.name);
            found.push(Finding::new(&manifest.file, message).at(at.line, at.column));
        }
    }
    found
}

fn of(finding: &Finding) -> Failure {
    Failure::new(Exit::Internal, finding.to_string()).hint(finding.hint.clone())
}
