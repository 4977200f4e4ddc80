//! Log lines go to standard error: warnings by default, more with `-v` or `FLOWHOST_LOG`.

use flowhost::telemetry::json_lines::{Lines, json};
use flowhost::telemetry::text_lines::TextForm;
use serde_json::{Map, Value};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::LogFormat;
use crate::commands::Context;

pub(crate) fn start(context: &Context, format: LogFormat) {
    start_on(context, format, std::io::stderr);
}

/// The same with lines that are written by `writer`.
pub(crate) fn start_on<W>(context: &Context, format: LogFormat, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => {
            let form = TextForm::new(context.output.color_err);
            let form = move |fields| form.line(fields);
            start_with(context, Lines::new(writer, form));
        }
        LogFormat::Json => start_with(context, Lines::new(writer, json)),
    }
}

/// The same with lines that go elsewhere.
pub(crate) fn start_with<W, F>(context: &Context, lines: Lines<W, F>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    F: Fn(Map<String, Value>) -> String + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry();
    let filter = context.ambient.var("FLOWHOST_LOG");
    // One that cannot be read is passed over: a word about logs must not stop a run.
    match filter.and_then(|filter| EnvFilter::try_new(filter).ok()) {
        Some(filter) => set(registry.with(filter).with(lines)),
        // A filter looks up each span that is entered and left, and a step has several.
        None => set(registry.with(level(context)).with(lines)),
    }
}

const fn level(context: &Context) -> LevelFilter {
    match context.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Set once per process; a second run in the same process keeps the first.
fn set(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _already = tracing::subscriber::set_global_default(subscriber);
}
