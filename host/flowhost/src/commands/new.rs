//! `flowhost new NAME`: a plan to begin with.

use std::fmt::Write as _;
use std::path::PathBuf;

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::starter::{self, Starter};
use flowhost_flow::Exit;
use flowhost_words::shell_word;
use serde_json::json;

use crate::cli::{NewArgs, StarterArg};
use crate::commands::Context;

pub(crate) fn perform(args: &NewArgs, context: &Context) -> Result<Exit, Failure> {
    let starter = Starter::from(args.kind);
    let folder = args
        .dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.name));
    let files = match args.dry_run {
        true => {
            let files = starter::files(starter, &args.name)?;
            files.into_iter().map(|(path, _)| path).collect()
        }
        false => {
            let place = context.ambient.resolve(&folder);
            starter::make(&context.ambient, starter, &args.name, &place)?
        }
    };
    if context.output.json {
        context
            .output
            .document(&json!({ "name": args.name, "kind": starter.word(),
            "folder": folder, "files": files, "written": !args.dry_run }));
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for path in &files {
        let _infallible = writeln!(text, "{}", folder.join(path).display());
    }
    if !args.dry_run {
        let folder = shell_word(&folder.display().to_string());
        let _infallible = writeln!(text, "\nnext: cd {folder} && flowhost run plan.yaml");
    }
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

impl From<StarterArg> for Starter {
    fn from(starter: StarterArg) -> Self {
        match starter {
            StarterArg::Workflow => Self::Workflow,
            StarterArg::Agent => Self::Agent,
            StarterArg::Tool => Self::Tool,
        }
    }
}
