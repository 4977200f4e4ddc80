//! One log line, and the gate that every line of a guest passes: the byte cap, redaction and
//! neutralising, in this order, so that what is dropped costs nothing (DOS-024) and what is shown
//! is harmless (DOS-026, CAP-012).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_engine::{CallScope, neutralise};
use flowhost_ledger::records::{Decision, DecisionPart, HostCall};

use super::redact::{REDACTED, Redactor};
use super::secret::SecretStore;

/// Longest message or value that is shown, in characters; the rest is cut with `…`.
const TEXT_CHARS: usize = 8_192;

/// Fields of a line that are shown; more are dropped.
const FIELDS_MAX: usize = 32;

/// Bytes of earlier lines that are looked at for a secret that was split over two. Longer than
/// most tokens and keys; one that began further back is not found. All of it is scanned again with each line, so
/// more would make logging slow.
const TAIL_BYTES: usize = 512;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every detail.
    Trace,
    /// For the author.
    Debug,
    /// What happens.
    Info,
    /// What should not be.
    Warn,
    /// What went wrong.
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How the line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// `flowhost:log`.
    Log,
    /// Standard output of a language's runtime.
    Stdout,
    /// Standard error of a language's runtime.
    Stderr,
}

/// A line that is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Tenant.
    pub tenant: Arc<str>,
    /// ULID of the run.
    pub run: Arc<str>,
    /// The step.
    pub step: Arc<str>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The plugin's name in the plan.
    pub plugin: Arc<str>,
    /// How it was written.
    pub stream: Stream,
    /// How much it matters.
    pub level: Level,
    /// One line: control and invisible characters are written out.
    pub message: String,
    /// Names and values beside the message, neutralised as well.
    pub fields: Vec<(String, String)>,
}

/// How far a call is, safe to show.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressLine {
    /// Tenant.
    pub tenant: Arc<str>,
    /// ULID of the run.
    pub run: Arc<str>,
    /// The step.
    pub step: Arc<str>,
    /// The plugin's name in the plan.
    pub plugin: Arc<str>,
    /// The call, so that two at work in one step are two.
    pub call: Arc<str>,
    /// How far, in the plugin's unit.
    pub done: f64,
    /// How far it goes, if it knows.
    pub total: Option<f64>,
    /// What it is at; one line.
    pub message: String,
}

/// Takes lines. Must not wait: a sink that cannot keep up drops and says so itself.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one line.
    fn line(&self, line: LogLine);

    /// Takes how far a call is; a sink that nobody watches leaves it.
    fn progress(&self, _progress: ProgressLine) {}
}

/// Keeps the last lines in memory.
pub struct MemoryLog {
    lines: Mutex<std::collections::VecDeque<LogLine>>,
    progress: Mutex<Vec<ProgressLine>>,
    lines_max: usize,
}

impl MemoryLog {
    /// Keeps at most `lines_max` lines; the oldest go first.
    #[must_use]
    pub fn new(lines_max: usize) -> Self {
        Self {
            lines: Mutex::default(),
            progress: Mutex::default(),
            lines_max,
        }
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// What was told of progress, oldest first; the first `lines_max` of it.
    #[must_use]
    pub fn progress(&self) -> Vec<ProgressLine> {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl LogSink for MemoryLog {
    fn line(&self, line: LogLine) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= self.lines_max {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn progress(&self, progress: ProgressLine) {
        let mut all = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < self.lines_max {
            all.push(progress);
        }
    }
}

/// What one interface writes through. All gates of a call share its byte cap; each says at its end
/// what it dropped.
pub(crate) struct Gate {
    scope: CallScope,
    sink: Arc<dyn LogSink>,
    interface: &'static str,
    redactor: Option<Redactor>,
    tail: Vec<u8>,
    /// The lines of this call, for its record. Bounded by the call's cap on log bytes, and by a factor for
    /// what a character that is written out takes.
    kept: String,
    kept_lines: u64,
    dropped_lines: u64,
    dropped_bytes: u64,
}

impl Gate {
    pub(crate) fn open(
        scope: &CallScope,
        sink: &Arc<dyn LogSink>,
        secrets: &dyn SecretStore,
        interface: &'static str,
    ) -> Self {
        Self {
            scope: scope.clone(),
            sink: Arc::clone(sink),
            interface,
            redactor: redactor(scope, secrets),
            tail: Vec::new(),
            kept: String::new(),
            kept_lines: 0,
            dropped_lines: 0,
            dropped_bytes: 0,
        }
    }

    /// Writes one line, or drops it over the cap.
    pub(crate) fn write(
        &mut self,
        stream: Stream,
        level: Level,
        message: &str,
        fields: &[(&str, &str)],
    ) {
        let beside: usize = fields
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        // The line's end counts too, so that empty lines are not free.
        let bytes = (message.len() + beside) as u64 + 1;
        if !self.take(bytes) {
            return;
        }
        let message = self.shown(message);
        let shown = fields.iter().take(FIELDS_MAX);
        let fields: Vec<(String, String)> = shown
            .map(|(key, value)| (self.clean(key), self.clean(value)))
            .collect();
        // As it is shown, redacted: what people may not read the evidence does not hold either.
        self.keep(level, &message, &fields);
        let scope = &self.scope;
        self.sink.line(LogLine {
            tenant: Arc::clone(&scope.run.tenant),
            run: Arc::clone(&scope.run.run),
            step: Arc::clone(&scope.step),
            attempt: scope.attempt,
            plugin: Arc::clone(&scope.plugin),
            stream,
            level,
            message,
            fields,
        });
    }

    fn keep(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        self.kept_lines += 1;
        self.kept.push_str(level.as_str());
        self.kept.push(' ');
        self.kept.push_str(message);
        for (key, value) in fields {
            for part in [" ", key, "=", value] {
                self.kept.push_str(part);
            }
        }
        self.kept.push('\n');
    }

    /// What the call wrote is a payload of its own record: it can be read later, and erased.
    fn record_lines(&mut self) {
        if self.kept_lines == 0 {
            return;
        }
        let fact = self.scope.said(HostCall {
            decided: DecisionPart {
                interface: Some(self.interface.to_owned()),
                ..DecisionPart::default()
            },
            lines: Some(self.kept_lines),
            ..HostCall::default()
        });
        let lines = std::mem::take(&mut self.kept).into_bytes();
        // As below: a ledger that takes no more stops the run at its next record.
        let _ = self.scope.run.recorder.append(fact.payload(lines));
    }

    /// Shows how far the call is, or drops it over the cap.
    pub(crate) fn progress(&mut self, done: f64, total: Option<f64>, message: &str) {
        if !self.take(message.len() as u64 + 1) {
            return;
        }
        let message = self.shown(message);
        let scope = &self.scope;
        self.sink.progress(ProgressLine {
            tenant: Arc::clone(&scope.run.tenant),
            run: Arc::clone(&scope.run.run),
            step: Arc::clone(&scope.step),
            plugin: Arc::clone(&scope.plugin),
            call: Arc::clone(&scope.call),
            done,
            total,
            message,
        });
    }

    /// Counts bytes that were dropped before they became a line.
    pub(crate) fn drop_bytes(&mut self, bytes: u64) {
        self.dropped_lines += 1;
        self.dropped_bytes += bytes;
        let dropped = &self.scope.meter.log_dropped;
        dropped.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take(&mut self, bytes: u64) -> bool {
        let used = &self.scope.meter.log_bytes;
        let allowed = self.scope.effective.limits.log_bytes;
        // In one step: two gates of a call share the counter, and neither may be let through by the
        // room that the other took.
        let fits = |now: u64| now.checked_add(bytes).filter(|after| *after <= allowed);
        if used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
        {
            return true;
        }
        self.drop_bytes(bytes);
        false
    }

    /// A message without secrets, the rest of one that began in an earlier line included.
    fn shown(&mut self, message: &str) -> String {
        let Some(redactor) = &self.redactor else {
            return neutralise(message, TEXT_CHARS);
        };
        let joined = [self.tail.as_slice(), message.as_bytes()].concat();
        let hits = |bytes: &[u8]| redactor.redact(bytes).hits;
        // One more in both together than in each alone: it began in the one and ended in the other.
        let split = hits(&joined) > hits(&self.tail) + hits(message.as_bytes());
        // Of the lines as they were written: a redacted tail would hide where a secret had begun.
        self.tail = joined
            .get(joined.len().saturating_sub(TAIL_BYTES)..)
            .unwrap_or_default()
            .to_vec();
        if split {
            return String::from_utf8_lossy(REDACTED).into_owned();
        }
        self.clean(message)
    }

    pub(crate) fn clean(&self, text: &str) -> String {
        match &self.redactor {
            None => neutralise(text, TEXT_CHARS),
            Some(redactor) => {
                let clean = redactor.redact(text.as_bytes()).bytes;
                neutralise(&String::from_utf8_lossy(&clean), TEXT_CHARS)
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.record_lines();
        if self.dropped_lines == 0 {
            return;
        }
        let fact = self.scope.said(HostCall {
            decided: DecisionPart {
                interface: Some(self.interface.to_owned()),
                decision: Some(Decision::Drop),
                rule: Some("limits.log".to_owned()),
                ..DecisionPart::default()
            },
            allowed: Some(self.scope.effective.limits.log_bytes),
            dropped_lines: Some(self.dropped_lines),
            dropped_bytes: Some(self.dropped_bytes),
            ..HostCall::default()
        });
        // A ledger that takes no more stops the run at its next record; there is nobody to tell here.
        let _ = self.scope.run.recorder.append(fact);
    }
}

/// Redacts what this plugin may have been told or may see echoed; none where that is nothing.
fn redactor(scope: &CallScope, secrets: &dyn SecretStore) -> Option<Redactor> {
    let granted = &scope.effective.grants.secrets;
    let names = granted.names.iter().chain(&granted.reveal);
    let values: Vec<_> = names.filter_map(|name| secrets.get(name)).collect();
    if values.is_empty() {
        return None;
    }
    Some(Redactor::new(values.iter().map(|value| value.as_str())))
}
