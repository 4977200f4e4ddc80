//! `flowhost inspect COMPONENT`: what it is, what it asks for and which tools it has. One that brings no manifest is
//! asked which, in a sandbox that reaches nothing.

use std::fmt::Write as _;

use flowhost::component::{self, Seen};
use flowhost::failure::Failure;
use flowhost::offers;
use flowhost::output::neutral;
use flowhost::sources::Sources;
use flowhost_engine::Inspection;
use flowhost_flow::Exit;
use flowhost_policy::{Manifest, Right, ToolDescriptor};
use flowhost_words::PluginKind;
use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::commands::Context;

pub(crate) fn perform(args: &InspectArgs, context: &mut Context) -> Result<Exit, Failure> {
    let sources = Sources::new(&context.ambient, &context.config, None);
    let Seen {
        path,
        bytes,
        inspection,
        manifest,
    } = component::look(&sources, &args.component, context.ambient.cwd())?;
    let shown = sources.shown(&path);
    let declared = manifest.as_ref().map(|it| it.tools.as_slice());
    // A manifest that lists no tool, as authors leave it to the build, says as little of them as none.
    let silent = inspection.role == PluginKind::Tool && declared.is_none_or(<[_]>::is_empty);
    let asked =
        silent.then(|| offers::of_component(&context.ambient, &context.state, &bytes, &inspection));
    // What it says itself before what its manifest says: it was asked only where that says nothing.
    let tools = match &asked {
        Some(Ok(tools)) => Some(tools.as_slice()),
        Some(Err(_)) => None,
        None => declared,
    };
    if context.output.json {
        context
            .output
            .document(&document(&shown, &inspection, manifest.as_ref(), tools));
    } else {
        let mut text = text_of(&shown, &inspection, manifest.as_ref());
        text.extend(tools.into_iter().flatten().map(tool_text));
        let told = match &asked {
            Some(Ok(tools)) => Some(offers::listed(tools)),
            Some(Err(why)) => Some(format!("its tools are not known: {why}")),
            None => None,
        };
        if manifest.is_none() {
            let said = sources.no_manifest(&path, told.as_deref());
            let _infallible = writeln!(text, "{said}");
        }
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

fn right_of(import: &str) -> (&'static str, bool) {
    Right::behind(import).map_or(("", false), |(right, needed)| (right.key, needed))
}

fn document(
    path: &str,
    inspection: &Inspection,
    manifest: Option<&Manifest>,
    tools: Option<&[ToolDescriptor]>,
) -> Value {
    let imports: Vec<Value> = inspection
        .imports
        .iter()
        .map(|import| {
            let (right, needed) = right_of(&import.name.full);
            let needed = needed && !manifest.is_some_and(|it| it.optional.contains(right));
            let version = import.name.version.as_ref();
            let version = version.map(|it| format!("{}.{}.{}", it.major, it.minor, it.patch));
            json!({ "interface": import.name.full, "version": version, "right": right,
                "needed": needed && !import.types_only(), "items": import.items })
        })
        .collect();
    let manifest = manifest.map(|it| {
        let tools: Vec<Value> = it.tools.iter().map(tool_document).collect();
        let prompts = it.prompts.as_ref();
        let prompt = prompts.map(|it| json!({ "variables": it.variables, "config": it.config }));
        json!({ "name": it.name, "release": it.release, "description": it.description,
            "optional": it.optional, "acts_for_caller": it.acts_for_caller, "config": it.config, "prompt": prompt, "tools": tools })
    });
    json!({
        "path": path, "digest": &*inspection.digest, "size": inspection.size,
        "role": inspection.role.as_str(), "functions": inspection.functions,
        "imports": imports, "exports": inspection.exports, "manifest": manifest,
        "tools": tools.map(|it| it.iter().map(tool_document).collect::<Vec<_>>()),
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
    if inspection.foreign {
        text.push_str("  it takes none of flowhost's roles: its plain functions become tools\n");
    }
    if manifest.is_some_and(|it| it.acts_for_caller) {
        text.push_str("  it acts for its caller: of the tools that its profile names it calls those that its caller may call\n");
    }
    text.push_str("imports\n");
    for import in &inspection.imports {
        let (right, needed) = right_of(&import.name.full);
        let optional = manifest.is_some_and(|it| it.optional.contains(right));
        let note = match (import.types_only(), right, needed) {
            (true, ..) | (_, "", _) => String::new(),
            (_, right, true) if optional => format!("  can do without `{right}`"),
            (_, right, true) => format!("  needs `{right}`"),
            (_, right, false) => format!("  empty without `{right}`"),
        };
        let _infallible = writeln!(text, "  {}{note}", import.name.full);
    }
    text.push_str("exports\n");
    for export in &inspection.exports {
        let _infallible = writeln!(text, "  {export}");
    }
    let Some(manifest) = manifest else {
        return text;
    };
    if let Some(config) = &manifest.config {
        text.push_str("config\n");
        text.push_str(&fields(config));
    }
    if let Some(prompts) = &manifest.prompts {
        let _infallible = writeln!(text, "prompts may use\n  {}", prompts.variables.join(", "));
    }
    text
}

fn tool_text(tool: &ToolDescriptor) -> String {
    let (name, effects, description) = (&tool.name, tool.effects.word(), &tool.description);
    let mut text = format!("tool {name} (effects: {effects})\n  {description}\n");
    let _infallible = write!(text, " takes\n{}", fields(&tool.input));
    if let Some(output) = &tool.output {
        let _infallible = write!(text, " gives\n{}", fields(output));
    }
    text
}

fn tool_document(tool: &ToolDescriptor) -> Value {
    json!({ "name": tool.name, "title": tool.title, "description": tool.description,
        "effects": tool.effects.word(), "hash": tool.hash(), "input": tool.input,
        "output": tool.output })
}

/// The fields of a schema of an object, a line each; any other schema as its JSON.
fn fields(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return format!("  {schema}\n");
    };
    let required = schema.get("required").and_then(Value::as_array);
    let needed = |name: &str| {
        let mut required = required.into_iter().flatten();
        required.any(|it| it.as_str() == Some(name))
    };
    let lines = properties.iter().map(|(name, schema)| {
        let mark = if needed(name) { ", required" } else { "" };
        let about = schema.get("description").and_then(Value::as_str);
        let about = about.map(|it| format!(": {it}")).unwrap_or_default();
        format!("  {name} ({}{mark}){about}\n", kind_of(schema))
    });
    lines.collect()
}

/// What a field holds, in the schema's own words.
fn kind_of(schema: &Value) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        return words.join(" | ");
    }
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "array" => match schema.get("items") {
            Some(items) => format!("array of {}", kind_of(items)),
            None => kind.clone(),
        },
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds.collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    }
}
