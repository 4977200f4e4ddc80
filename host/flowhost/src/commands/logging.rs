//! Log lines go to standard error: warnings by default, more with `-v` or `FLOWHOST_LOG`.

use flowhost::telemetry::json_lines::{Lines, json};
use flowhost::telemetry::text_lines::TextForm;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::LogFormat;
use crate::commands::Context;

pub(crate) fn start(context: &Context, format: LogFormat) {
    let default = match context.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = context.ambient.var("FLOWHOST_LOG").unwrap_or(default);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let form = TextForm::new(context.output.color_err);
            let form = move |fields| form.line(fields);
            set(registry.with(Lines::new(std::io::stderr, form)));
        }
        LogFormat::Json => set(registry.with(Lines::new(std::io::stderr, json))),
    }
}

/// Set once per process; a second run in the same process keeps the first.
fn set(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _already = tracing::subscriber::set_global_default(subscriber);
}
