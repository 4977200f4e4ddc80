//! `flowhost plan schema`.

use flowhost_flow::Exit;

use crate::commands::Context;

pub(crate) fn schema(context: &Context) -> Exit {
    context.output.document(&flowhost_flow::plan_schema());
    Exit::Ok
}
