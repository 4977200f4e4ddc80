//! `flowhost telemetry`: `validate` says whether evidence files are what their schemas say.

use std::path::{Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost_evidence::stage::{Judged, judge};
use flowhost_flow::Exit;
use serde_json::{Value, json};

use crate::cli::TelemetryCommand;
use crate::commands::{
    Context, telemetry_alerts, telemetry_dashboard, telemetry_numbers, telemetry_trends,
};

/// Largest file that is read: agents' outputs are bounded by their profiles far below this.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most files of a folder, and how deep folders may nest: an evidence root has three levels.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 8;

pub(crate) fn perform(command: &TelemetryCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        TelemetryCommand::Validate { path } => validate(path, context),
        TelemetryCommand::Report(args) => telemetry_numbers::of_groups(args, context),
        TelemetryCommand::Compare(args) => telemetry_numbers::of_profiles(args, context),
        TelemetryCommand::Disagreements(args) => telemetry_numbers::of_disputes(args, context),
        TelemetryCommand::Drift(args) => telemetry_trends::of_sections(args, context),
        TelemetryCommand::Adoption(args) => telemetry_trends::of_weeks(args, context),
        TelemetryCommand::Alerts(args) => telemetry_alerts::perform(args, context),
        TelemetryCommand::Dashboard(args) => telemetry_dashboard::perform(args, context),
    }
}

fn validate(path: &Path, context: &Context) -> Result<Exit, Failure> {
    let mut files = Vec::new();
    collect(&context.ambient, path, 0, &mut files)?;
    let (mut valid, mut invalid, mut foreign) = (0_usize, 0_usize, 0_usize);
    let mut listed = Vec::new();
    let mut text = String::new();
    for file in files {
        let bytes = context.ambient.read(&file, FILE_BYTES_MAX)?;
        let name = file.display().to_string();
        let (word, form, faults) = match judge(&name, &bytes) {
            Judged::Valid(form) => {
                valid += 1;
                ("valid", Some(form.word()), Vec::new())
            }
            Judged::Invalid(form, faults) => {
                invalid += 1;
                ("invalid", Some(form.word()), faults)
            }
            Judged::Foreign => {
                foreign += 1;
                ("foreign", None, Vec::new())
            }
        };
        if word == "invalid" {
            text.push_str(&format!(
                "{name}: not valid as {}\n",
                form.unwrap_or_default()
            ));
            for fault in &faults {
                text.push_str(&format!("  {fault}\n"));
            }
        }
        listed.push(json!({ "path": name, "judged": word, "form": form, "faults": faults }));
    }
    let exit = match invalid {
        0 => Exit::Ok,
        // A file of another tool, which no schema of ours is for, is no fault.
        _ => Exit::Internal,
    };
    if context.output.json {
        let document = json!({
            "valid": valid, "invalid": invalid, "foreign": foreign, "files": Value::from(listed),
        });
        context.output.document(&document);
    } else {
        text.push_str(&format!(
            "{valid} valid, {invalid} not valid, {foreign} of no form that has a schema\n"
        ));
        context.output.result(&neutral(&text));
    }
    Ok(exit)
}

/// The files below a path, in the order of their names; locks, links and what is hidden are not evidence.
pub(super) fn collect(
    ambient: &Ambient,
    path: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    if !ambient.is_dir(path) {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > DEPTH_MAX {
        let message = format!("`{}` nests deeper than {DEPTH_MAX} folders", path.display());
        return Err(Failure::new(Exit::Internal, message));
    }
    let mut names = ambient.list(path)?;
    names.sort_unstable();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let below = path.join(name);
        // Evidence comes with git, and git carries links: one would put in what is not evidence of anything here.
        if ambient.is_link(&below) {
            continue;
        }
        if files.len() >= FILES_MAX {
            let message = format!("there are more than {FILES_MAX} files");
            return Err(Failure::new(Exit::Internal, message).hint("name a folder below it"));
        }
        collect(ambient, &below, depth + 1, files)?;
    }
    Ok(())
}
