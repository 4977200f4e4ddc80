//! `flowhost plan schema`.

use flowhost_flow::Exit;

use crate::cli::PlanCommand;
use crate::commands::Context;

pub(crate) fn perform(command: &PlanCommand, context: &Context) -> Exit {
    match command {
        PlanCommand::Schema => context.output.document(&flowhost_flow::plan_schema()),
    }
    Exit::Ok
}
