//! Log lines go to standard error: warnings by default, more with `-v` or `FLOWHOST_LOG`.

use flowhost::telemetry::json_lines::JsonLines;
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
    match format {
        LogFormat::Text => set(tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(context.output.color_err)
            .without_time()
            .finish()),
        LogFormat::Json => set(tracing_subscriber::registry()
            .with(filter)
            .with(JsonLines(std::io::stderr))),
    }
}

/// Set once per process; a second run in the same process keeps the first.
fn set(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _already = tracing::subscriber::set_global_default(subscriber);
}
