//! `flowhost plugin add SOURCE --plan PLAN`: shows what a plugin is and wants, and with a yes puts it into
//! a plan.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::plugin::add::{line, profile, to_plan};
use flowhost::plugin::lock::LOCK_FILE;
use flowhost::plugin::trust::signature_file;
use flowhost::sources::DOCUMENT_BYTES_MAX;
use flowhost_author::remote::Place;
use flowhost_flow::Exit;
use flowhost_policy::RIGHTS;
use flowhost_words::shell_word;
use serde_json::json;

use crate::cli::AddArgs;
use crate::commands::plugin_ship::{Component, brought};
use crate::commands::{Context, plugin_remote};

/// What is to be written.
struct Wanted {
    /// Where, and what, in this order.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The profile among them, and whether something in it waits for a person.
    profile: Option<(PathBuf, bool)>,
}

pub(crate) fn perform(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let (read, from) = found(&args.source, context)?;
    let name = args
        .name
        .as_deref()
        .unwrap_or(&read.manifest.name)
        .to_owned();
    flowhost::fresh::check_name(&name)?;
    let wanted = wanted(args, &name, &read, from, context)?;
    if args.yes {
        for (path, bytes) in &wanted.files {
            context
                .ambient
                .create_dir(path.parent().unwrap_or(Path::new(".")))?;
            context.ambient.write(path, bytes)?;
        }
    }
    said(args, &name, &read, &wanted, context);
    Ok(Exit::Ok)
}

/// Where the component is, and what is to be done about it.
enum From {
    /// Here: it is copied to the plan, with its signature.
    Here(Option<String>),
    /// Elsewhere: the plan names the place and the component's digest, and the host has kept it.
    Elsewhere(String),
}

fn found(source: &str, context: &Context) -> Result<(Component, From), Failure> {
    if !Place::is_meant(source) {
        let file = Path::new(source);
        let mut pack = brought(file, context)?;
        let read = Component::of(file, &mut pack, context)?;
        return Ok((read, From::Here(pack.signature)));
    }
    let fetched = plugin_remote::newest(source, context)?;
    let read = Component::read(fetched.component, source)?;
    Ok((read, From::Elsewhere(fetched.exact)))
}

/// What is to be written: component, signature, profile, and the plan last, so that a plan never names what
/// is not there.
fn wanted(
    args: &AddArgs,
    name: &str,
    read: &Component,
    from: From,
    context: &Context,
) -> Result<Wanted, Failure> {
    let folder = args.plan.parent().unwrap_or(Path::new(""));
    let component = folder.join(format!("plugins/{name}.wasm"));
    let proposed = profile(name, &read.manifest);
    let profile_name = if proposed.is_some() { name } else { "deny-all" };
    // What it is, and not what its manifest calls it: a plan is held against that.
    let kind = read.inspection.role;
    let line = match &from {
        From::Here(_) => line(
            name,
            kind,
            &format!("./plugins/{name}.wasm"),
            profile_name,
            None,
        ),
        From::Elsewhere(exact) => {
            let digest = Some(&*read.inspection.digest);
            line(name, kind, exact, profile_name, digest)
        }
    };
    let file = args.plan.display().to_string();
    let text = context.ambient.read_text(&args.plan, DOCUMENT_BYTES_MAX)?;
    let plan = to_plan(&text, &file, name, &line).map_err(|error| {
        Failure::new(Exit::Internal, format!("`{file}` is left as it is")).caused_by(&error)
    })?;
    let mut files = Vec::new();
    if let From::Here(signature) = from {
        files.push((component.clone(), read.bytes.clone()));
        if !read.is_whole() {
            let text = read.text.clone().into_bytes();
            files.push((component.with_extension("toml"), text));
        }
        files.extend(signature.map(|text| (signature_file(&component), text.into_bytes())));
    }
    let policy = folder.join(format!("policies/{name}.toml"));
    let profile = proposed.as_ref().map(|it| (policy.clone(), it.waits));
    files.extend(proposed.map(|it| (policy, it.text.into_bytes())));
    if let Some((path, _)) = files.iter().find(|(path, _)| context.ambient.is_file(path)) {
        let message = format!("`{}` is there already", path.display());
        return Err(Failure::new(Exit::Internal, message)
            .hint("nothing was written; give the plugin another name with --name"));
    }
    files.push((args.plan.clone(), plan.into_bytes()));
    Ok(Wanted { files, profile })
}

fn said(args: &AddArgs, name: &str, read: &Component, wanted: &Wanted, context: &Context) {
    let manifest = &read.manifest;
    let needs: Vec<&str> = RIGHTS
        .iter()
        .filter(|right| right.is_asked_by(manifest))
        .map(|right| right.key)
        .collect();
    let files: Vec<String> = wanted
        .files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    let digest = &*read.inspection.digest;
    if context.output.json {
        let tools: Vec<&str> = manifest
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect();
        context
            .output
            .document(&json!({ "name": name, "digest": digest, "needs": needs,
            "tools": tools, "files": files, "written": args.yes }));
        return;
    }
    let kind = read.inspection.role.as_str();
    let mut text = format!("{name}: {kind} {}\n  {digest}\n", manifest.release);
    let needs = match needs.is_empty() {
        true => "nothing".to_owned(),
        false => needs.join(", "),
    };
    let _infallible = writeln!(text, "  {}\n  asks for {needs}", manifest.description);
    for tool in &manifest.tools {
        let _infallible = writeln!(text, "  tool {}: {}", tool.name, tool.description);
    }
    let what = if args.yes {
        "written"
    } else {
        "would be written"
    };
    for file in &files {
        let _infallible = writeln!(text, "{what}: {file}");
    }
    let next = match args.yes {
        false => "nothing was written; `--yes` writes it".to_owned(),
        true => {
            let plan = shell_word(&args.plan.display().to_string());
            let mut next = format!(
                "next: {}flowhost validate {plan}",
                to_judge(wanted.profile.as_ref())
            );
            if context
                .ambient
                .is_file(&args.plan.with_file_name(LOCK_FILE))
            {
                next.push_str(&format!(" and flowhost plugin update {plan}"));
            }
            next
        }
    };
    let _infallible = writeln!(text, "{next}");
    context.output.result(&neutral(&text));
}

/// What a person does first with the profile that was written, if there is one.
fn to_judge(profile: Option<&(PathBuf, bool)>) -> String {
    let Some((path, waits)) = profile else {
        return String::new();
    };
    let not_yet = match waits {
        true => " (what has a `#` before it is not granted yet)",
        false => "",
    };
    format!("judge {}{not_yet}, then ", path.display())
}
