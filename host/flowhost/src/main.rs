//! The `flowhost` executable: reads the command line, takes ambient authority once, and hands both
//! to a command.
//!
//! Owns exit codes of usage and nothing else.

mod allocator;
mod cli;
mod commands;
mod give_back;
mod streams;
mod usage;

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::output::{self, Output};
use flowhost::report::problems::{FailureDocument, Texts, print};
use flowhost_flow::Exit;

use crate::usage::Told;

#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    match hidden_command().as_deref() {
        Some(flowhost_engine::COMPILE_COMMAND) => return flowhost_engine::compile_child_main(),
        Some(flowhost_jail::JAIL_COMMAND) => return flowhost_jail::jail_child_main(),
        Some(flowhost_jail::INMATE_COMMAND) => return flowhost_jail::inmate_main(),
        _ => {}
    }
    let cli = match cli::Cli::typed() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ambient = match Ambient::take() {
        Ok(ambient) => ambient,
        Err(error) => {
            let failure = Failure::from(error).hint("change into a folder that is there");
            return without_a_world(&failure, cli.global.json);
        }
    };
    let output = Output::of(&ambient, cli.global.json);
    // Before anything is written.
    let exit = match ambient.survive_file_size_limit() {
        Ok(()) => commands::perform(cli, ambient, output),
        Err(error) => {
            output.message(&format!("error: signals cannot be handled: {error}\n"));
            Exit::Internal
        }
    };
    give_back::leave_to_the_system();
    ExitCode::from(output::ended(exit).code())
}

/// How to talk before anything is known of the terminal: without colour.
fn plain(json: bool) -> Output {
    Output {
        json,
        ..Output::default()
    }
}

/// Ends a process that has no place to work in, with a word.
fn without_a_world(failure: &Failure, json: bool) -> ExitCode {
    let output = plain(json);
    match json {
        true => output.document(&FailureDocument::from(failure)),
        false => print(&output, failure, &Texts::default()),
    }
    ExitCode::from(failure.exit.code())
}

/// What the host started this process for, if it did: to compile, or to confine another. These are no
/// commands: nobody types them, so neither help nor completion knows them. They come before anything else,
/// because a process that has threads gets no namespace of its own.
fn hidden_command() -> Option<String> {
    std::env::args_os().nth(1)?.into_string().ok()
}

/// Help and version are results. Anything else is a failure, also for a program that wants JSON.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        Output::default().written(error.print());
        return ExitCode::from(output::ended(Exit::Ok).code());
    }
    // The line was not understood, so that nobody knows what belongs to what: whoever wrote it anywhere wants JSON.
    if usage::wants_json(std::env::args_os()) {
        let told = Told::of(&error.render().to_string());
        let mut hints: Vec<String> = elsewhere(error).into_iter().collect();
        hints.extend(told.hints);
        if hints.is_empty() {
            hints.push("see `flowhost --help`".to_owned());
        }
        let failure = hints
            .into_iter()
            .fold(Failure::new(Exit::Usage, told.message), Failure::hint);
        plain(true).document(&FailureDocument::from(&failure));
    } else {
        // Standard error may be closed, and there is no other place to say so.
        let _closed = error.print();
        if let Some(tip) = elsewhere(error) {
            Output::default().message(&format!("\ntip: {tip}\n"));
        }
    }
    ExitCode::from(Exit::Usage.code())
}

/// Where a command is that was typed without the one that it belongs to: `show` for `runs show`.
fn elsewhere(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let command = cli::Cli::command();
    let groups = command.get_subcommands();
    let homes = groups.filter(|group| group.find_subcommand(word).is_some());
    let homes: Vec<String> = homes
        .map(|group| format!("`flowhost {} {word}`", group.get_name()))
        .collect();
    (!homes.is_empty()).then(|| format!("did you mean {}?", homes.join(" or ")))
}
