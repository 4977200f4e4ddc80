//! `flowhost inspect COMPONENT`: what it is and asks for. Nothing is compiled.

use std::fmt::Write as _;

use flowhost::component::{self, Seen};
use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::sources::Sources;
use flowhost_engine::Inspection;
use flowhost_flow::Exit;
use flowhost_policy::{Manifest, Right};
use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::commands::Context;

pub(crate) fn perform(args: &InspectArgs, context: &mut Context) -> Result<Exit, Failure> {
    let sources = Sources::new(&context.ambient, &context.config, None);
    let Seen {
        path,
        inspection,
        manifest,
        ..
    } = component::look(&sources, &args.component, context.ambient.cwd())?;
    let shown = sources.shown(&path);
    if context.output.json {
        context
            .output
            .document(&document(&shown, &inspection, manifest.as_ref()));
    } else {
        let mut text = text_of(&shown, &inspection, manifest.as_ref());
        if manifest.is_none() {
            let _infallible = writeln!(text, "{}", sources.no_manifest(&path));
        }
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

fn right_of(import: &str) -> (&'static str, bool) {
    Right::behind(import).map_or(("", false), |(right, needed)| (right.key, needed))
}

fn document(path: &str, inspection: &Inspection, manifest: Option<&Manifest>) -> Value {
    let imports: Vec<Value> = inspection
        .imports
        .iter()
        .map(|import| {
            let (right, needed) = right_of(&import.name.full);
            let version = import.name.version.as_ref();
            let version = version.map(|it| format!("{}.{}.{}", it.major, it.minor, it.patch));
            json!({ "interface": import.name.full, "version": version, "right": right,
                "needed": needed && !import.types_only(), "items": import.items })
        })
        .collect();
    let manifest = manifest.map(|it| {
        let tools: Vec<&str> = it.tools.iter().map(|tool| tool.name.as_str()).collect();
        json!({ "name": it.name, "release": it.release, "description": it.description,
            "tools": tools })
    });
    json!({
        "path": path, "digest": &*inspection.digest, "size": inspection.size,
        "role": inspection.role.as_str(), "functions": inspection.functions,
        "imports": imports, "exports": inspection.exports, "manifest": manifest,
    })
}

fn text_of(path: &str, inspection: &Inspection, manifest: Option<&Manifest>) -> String {
    let Inspection {
        digest,
        size,
        role,
        functions,
        ..
    } = inspection;
    let mut text = format!("{path}\n  {role}, {size} bytes, {functions} functions\n  {digest}\n");
    if let Some(manifest) = manifest {
        let Manifest {
            name,
            release,
            description,
            ..
        } = manifest;
        let _infallible = writeln!(text, "  {name} {release}: {description}");
    }
    text.push_str("imports\n");
    for import in &inspection.imports {
        let (right, needed) = right_of(&import.name.full);
        let note = match (import.types_only(), right, needed) {
            (true, ..) | (_, "", _) => String::new(),
            (_, right, true) => format!("  needs `{right}`"),
            (_, right, false) => format!("  empty without `{right}`"),
        };
        let _infallible = writeln!(text, "  {}{note}", import.name.full);
    }
    text.push_str("exports\n");
    for export in &inspection.exports {
        let _infallible = writeln!(text, "  {export}");
    }
    for tool in manifest.map(|it| it.tools.as_slice()).unwrap_or_default() {
        let _infallible = writeln!(text, "tool {}: {}", tool.name, tool.description);
    }
    text
}
