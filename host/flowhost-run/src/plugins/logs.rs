//! Log lines of plugins become log lines of the host, under the plugin's name.

use std::sync::Arc;

use flowhost_caps::log::{Level, LogLine, LogSink, ProgressLine};

use crate::host::handle::Run;
use crate::kept::revealed::Revealed;

/// Hands lines on.
pub(crate) struct Logs {
    /// Whether keys and personal data are taken out.
    pub(crate) redacts: bool,
    /// Whoever follows the run hears how far its calls are.
    pub(crate) run: Run,
    /// What other plugins of the run were told; a plugin's own secrets never get here.
    pub(crate) revealed: Arc<Revealed>,
}

impl LogSink for Logs {
    fn line(&self, line: LogLine) {
        let LogLine {
            plugin,
            step,
            level,
            message,
            fields,
            ..
        } = line;
        let fields: String = fields
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let mut text = format!("{message}{fields}");
        self.revealed.clean_text(&mut text);
        if self.redacts {
            text = flowhost_detect::redact(&text).into_owned();
        }
        match level {
            Level::Trace => tracing::trace!(target: "plugin", %plugin, %step, "{text}"),
            Level::Debug => tracing::debug!(target: "plugin", %plugin, %step, "{text}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, %step, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, %step, "{text}"),
            Level::Error => tracing::error!(target: "plugin", %plugin, %step, "{text}"),
        }
    }

    fn progress(&self, mut progress: ProgressLine) {
        self.revealed.clean_text(&mut progress.message);
        if self.redacts {
            progress.message = flowhost_detect::redact(&progress.message).into_owned();
        }
        self.run.progress(progress);
    }
}
