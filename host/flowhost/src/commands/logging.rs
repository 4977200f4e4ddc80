//! Log lines go to standard error: warnings by default, more with `-v` or `FLOWHOST_LOG`.

use flowhost::telemetry::json_lines::{Lines, json};
use flowhost::telemetry::text_lines::TextForm;
use serde_json::{Map, Value};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::LogFormat;
use crate::commands::Context;

pub(crate) fn start(context: &Context, format: LogFormat) {
    match format {
        LogFormat::Text => {
            let form = TextForm::new(context.output.color_err);
            let form = move |fields| form.line(fields);
            start_with(context, Lines::new(std::io::stderr, form));
        }
        LogFormat::Json => start_with(context, Lines::new(std::io::stderr, json)),
    }
}

/// The same with lines that go elsewhere.
pub(crate) fn start_with<W, F>(context: &Context, lines: Lines<W, F>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    F: Fn(Map<String, Value>) -> String + Send + Sync + 'static,
{
    set(tracing_subscriber::registry()
        .with(filter(context))
        .with(lines));
}

fn filter(context: &Context) -> EnvFilter {
    let default = match context.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = context.ambient.var("FLOWHOST_LOG").unwrap_or(default);
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default))
}

/// Set once per process; a second run in the same process keeps the first.
fn set(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _already = tracing::subscriber::set_global_default(subscriber);
}
