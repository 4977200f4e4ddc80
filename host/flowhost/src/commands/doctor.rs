//! `flowhost doctor`: what this installation is made of, and whether it will do.

use flowhost::doctor::{Check, Level, examine, worst};
use flowhost::firsts;
use flowhost_flow::Exit;
use serde_json::json;

use crate::commands::Context;
use crate::commands::tables::plain_rows;

pub(crate) fn perform(context: &Context) -> Exit {
    let checks = examine(&context.ambient, &context.config, &context.state);
    let worst = worst(&checks);
    if context.output.json {
        context
            .output
            .document(&json!({ "status": worst, "checks": checks,
            "dx_ttfd_seconds": firsts::seconds(&context.ambient) }));
    } else {
        context.output.result(&table(&checks));
    }
    if worst == Level::Error {
        Exit::Internal
    } else {
        Exit::Ok
    }
}

fn table(checks: &[Check]) -> String {
    let mut table = plain_rows();
    for check in checks {
        let word = match check.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let hint = match check.hint.as_str() {
            "" => String::new(),
            hint => format!("({hint})"),
        };
        table.add_row([
            word.to_owned(),
            check.name.clone(),
            format!("{} {hint}", check.found),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}
