//! `flowhost plugin list|lock|update`: what a plan runs with, and what changed since somebody looked.

use std::fmt::Write as _;

use flowhost::failure::Failure;
use flowhost::output::{counted, neutral};
use flowhost::plugin::lock::{Change, Entry, LOCK_FILE, Lock, file};
use flowhost::project::Project;
use flowhost_flow::Exit;
use serde_json::json;

use crate::cli::PlanArgs;
use crate::commands::Context;
use crate::commands::run::{load, load_newest};

pub(crate) fn list(args: &PlanArgs, context: &mut Context) -> Result<Exit, Failure> {
    let project = load(args, context)?;
    let now = Lock::of(&context.ambient, &context.config, &project)?;
    let locked = Lock::read(&context.ambient, &project)?;
    let changes = locked
        .as_ref()
        .map(|locked| locked.changes(&now))
        .unwrap_or_default();
    if context.output.json {
        context
            .output
            .document(&json!({ "plugins": now.0, "locked": locked.is_some(),
            "changes": changes }));
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for (key, entry) in &now.0 {
        text.push_str(&described(key, entry));
        for change in changes.iter().filter(|change| change.plugin == *key) {
            let _infallible = writeln!(text, "  changed: {}", change.what);
        }
    }
    for change in changes
        .iter()
        .filter(|change| !now.0.contains_key(&change.plugin))
    {
        let _infallible = writeln!(text, "{}: {}", change.plugin, change.what);
    }
    if locked.is_none() {
        let _infallible = writeln!(text, "not locked: the plan has no `{LOCK_FILE}` beside it");
    }
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

fn described(key: &str, entry: &Entry) -> String {
    let Entry {
        source,
        digest,
        kind,
        release,
        needs,
        signer,
        tools,
        vouched,
        files,
        // Of each tool all that a model reads: `mcp inspect` shows it, where it is another now.
        shown: _,
    } = entry;
    // Without a manifest nothing says which release it is.
    let release = match release.as_str() {
        "" => String::new(),
        release => format!(" {release}"),
    };
    let mut text = format!("{key}: {kind}{release}, {source}\n  {digest}\n");
    let needs = match needs.is_empty() {
        true => "nothing".to_owned(),
        false => needs.join(", "),
    };
    let _infallible = writeln!(text, "  needs {needs}");
    if !tools.is_empty() {
        let names: Vec<&str> = tools.keys().map(String::as_str).collect();
        let _infallible = writeln!(text, "  tools {}", names.join(", "));
    }
    if !files.is_empty() {
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        let _infallible = writeln!(text, "  starts {}", names.join(", "));
    }
    if !vouched.is_empty() {
        let _infallible = writeln!(text, "  tools vouched for by {vouched}");
    }
    if !signer.is_empty() {
        let _infallible = writeln!(text, "  vouched for by {signer}");
    }
    text
}

pub(crate) fn lock(args: &PlanArgs, context: &mut Context) -> Result<Exit, Failure> {
    let (project, now) = look(args, context)?;
    let locked = Lock::read(&context.ambient, &project)?;
    let changes = locked
        .as_ref()
        .map(|locked| locked.changes(&now))
        .unwrap_or_default();
    if !changes.is_empty() {
        let count = counted(changes.len(), "thing");
        let message = format!("the plan is locked, and {count} changed since");
        let failure = Failure::new(Exit::Internal, message).hint(format!(
            "see what, and decide, with `flowhost plugin update {}`",
            project.file
        ));
        let said = |failure: Failure, change: &Change| {
            failure.because(format!("plugin `{}` {}", change.plugin, change.what))
        };
        return Err(changes.iter().fold(failure, said));
    }
    write(&project, &now, context)?;
    match context.output.json {
        true => context
            .output
            .document(&json!({ "plugins": now.0, "changes": changes })),
        false => {
            let count = counted(now.0.len(), "plugin");
            let shown = shown(&project, context);
            context
                .output
                .result(&neutral(&format!("{shown}: {count}\n")));
        }
    }
    Ok(Exit::Ok)
}

pub(crate) fn update(args: &PlanArgs, yes: bool, context: &mut Context) -> Result<Exit, Failure> {
    let (project, now) = look(args, context)?;
    let changes = Lock::read(&context.ambient, &project)?
        .unwrap_or_default()
        .changes(&now);
    let writes = yes && !changes.is_empty();
    if writes {
        write(&project, &now, context)?;
    }
    if context.output.json {
        context
            .output
            .document(&json!({ "changes": changes, "written": writes }));
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for change in &changes {
        // Of the same width, so that names stand below each other.
        let mark = if change.graver { "!" } else { " " };
        let _infallible = writeln!(text, "{mark} {} {}", change.plugin, change.what);
    }
    let _infallible = match (changes.is_empty(), yes) {
        (true, _) => writeln!(text, "nothing changed"),
        (false, true) => writeln!(text, "written to {}", shown(&project, context)),
        (false, false) => writeln!(text, "nothing was written; `--yes` locks what is there now"),
    };
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

/// The plan with what its plugins are now: what is looked at before it is locked.
fn look(args: &PlanArgs, context: &mut Context) -> Result<(Project, Lock), Failure> {
    let project = load_newest(args, context)?;
    let now = Lock::of(&context.ambient, &context.config, &project)?;
    Ok((project, now))
}

fn write(project: &Project, now: &Lock, context: &Context) -> Result<(), Failure> {
    Ok(context
        .ambient
        .write(&file(project), now.text().as_bytes())?)
}

fn shown(project: &Project, context: &Context) -> String {
    let path = file(project);
    let path = path.strip_prefix(context.ambient.cwd()).unwrap_or(&path);
    path.display().to_string()
}
