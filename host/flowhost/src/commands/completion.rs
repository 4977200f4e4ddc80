//! `flowhost completion SHELL`, made from the same types that parse the command line.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use flowhost_flow::Exit;

use crate::cli::Cli;
use crate::commands::Context;

pub(crate) fn perform(shell: Shell, context: &Context) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "flowhost", &mut script);
    context.output.result(&String::from_utf8_lossy(&script));
    Exit::Ok
}
