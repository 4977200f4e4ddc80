//! `flowhost doctor`: what this installation is made of, and whether it will do.

use flowhost::doctor::{Check, Level, examine, worst};
use flowhost::failure::Failure;
use flowhost::firsts;
use flowhost_flow::Exit;
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::commands::tables::plain_rows;
use crate::commands::{Context, readiness};

pub(crate) fn perform(args: &DoctorArgs, context: &mut Context) -> Result<Exit, Failure> {
    if let Some(plan) = &args.plan {
        return readiness::perform(args, plan, context);
    }
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
    Ok(match worst {
        // A warning is no failure: a script that asks whether plans run must not stop for a missing compiler.
        Level::Error => Exit::Internal,
        Level::Ok | Level::Warning => Exit::Ok,
    })
}

/// How something came out, as a person reads it.
pub(super) const fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn table(checks: &[Check]) -> String {
    let mut table = plain_rows();
    for check in checks {
        let hint = match check.hint.as_str() {
            "" => String::new(),
            hint => format!("({hint})"),
        };
        table.add_row([
            word(check.level).to_owned(),
            check.name.clone(),
            format!("{} {hint}", check.found),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}
