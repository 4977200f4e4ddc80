//! `flowhost plan schema` and `flowhost plan keys`.

use flowhost_flow::Exit;

use crate::commands::Context;

pub(crate) fn schema(context: &Context) -> Exit {
    context.output.document(&flowhost_flow::plan_schema());
    Exit::Ok
}

pub(crate) fn keys(context: &Context) -> Exit {
    let text = flowhost_flow::plan_reference();
    match context.output.json {
        true => context
            .output
            .document(&serde_json::json!({ "markdown": text })),
        false => context.output.result(&text),
    }
    Exit::Ok
}
