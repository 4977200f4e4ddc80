//! The `flowhost` executable: reads the command line, takes ambient authority once, and hands both
//! to a command.
//!
//! Owns exit codes of usage and nothing else.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use flowhost::ambient::Ambient;
use flowhost::output::Output;
use flowhost_flow::Exit;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if matches!(cli.command, cli::Command::Compile) {
        return flowhost_engine::compile_child_main();
    }
    let ambient = match Ambient::take() {
        Ok(ambient) => ambient,
        Err(_) => return ExitCode::from(Exit::Internal.code()),
    };
    let output = Output::of(&ambient, cli.global.json);
    ExitCode::from(commands::perform(cli, ambient, output).code())
}

fn usage(error: &clap::Error) -> ExitCode {
    let _closed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Exit::Usage.code()),
    }
}
