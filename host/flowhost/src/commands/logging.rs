//! Log lines go to standard error: warnings by default, more with `-v` or `FLOWHOST_LOG`.

use tracing_subscriber::EnvFilter;

use crate::commands::Context;

pub(crate) fn start(context: &Context) {
    let default = match context.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = context.ambient.var("FLOWHOST_LOG").unwrap_or(default);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(context.output.color_err)
        .without_time()
        .finish();
    // Set once per process; a second run in the same process keeps the first.
    let _already = tracing::subscriber::set_global_default(subscriber);
}
