//! Live progress on a terminal: steps done, what is at work, what was used. Silent in a pipe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flowhost_caps::log::ProgressLine;
use flowhost_flow::StepStatus;
use flowhost_flow::planner::{Note, StepSummary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::one_line;
use flowhost_run::{Events, Heard, RunEvent};

/// Paths at work that one line can show. A longer line wraps, and a line that wraps is not drawn over.
const SHOWN_MAX: usize = 3;

/// Shows a run while it runs.
pub struct Progress {
    bar: ProgressBar,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    known: u64,
    done: u64,
    failed: u64,
    fuel: u64,
    fuel_max: u64,
    working: BTreeSet<String>,
    /// Steps of which an item, or a step of the plan that they run, has ended, and whether one of those
    /// failed. Such a step says what its parts have said: it failed of them, and used what they used.
    parts: BTreeMap<String, bool>,
    /// What the plugin that spoke last said of itself.
    said: String,
}

impl Progress {
    /// On standard error. `steps` are known from the plan; `fuel_max` is the plan's budget, 0 for none.
    #[must_use]
    pub fn new(steps: usize, fuel_max: u64) -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let style = ProgressStyle::with_template("{spinner} [{elapsed}] {pos}/{len} steps {msg}");
        // The template is a constant of ours and always parses; were it not to, another bar is no reason to fail a
        // run.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        // Ten times a second, whether or not anything is told: a spinner that stands still looks like a run that
        // does.
        bar.enable_steady_tick(Duration::from_millis(100));
        let state = Seen {
            known: steps as u64,
            fuel_max,
            ..Seen::default()
        };
        Self {
            bar,
            state: Mutex::new(state),
        }
    }

    /// Takes the line away before the report is printed.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Seen {
    fn note(&mut self, note: &Note) {
        match note {
            Note::StepStarted { path, .. } => {
                self.working.insert(path.clone());
            }
            Note::Expanded { items, .. } => self.known = self.known.saturating_add(*items as u64),
            Note::StepEnded(summary) => {
                self.said.clear();
                self.working.remove(&summary.path);
                self.done = self.done.saturating_add(1);
                // Compensations and handlers run beside what was counted from the plan; "12/10" would look like a
                // fault.
                self.known = self.known.max(self.done);
                self.ended(summary);
            }
            _ => {}
        }
    }

    fn ended(&mut self, step: &StepSummary) {
        let parts = self.parts.remove(&step.path);
        let failed = step.status == StepStatus::Failed;
        // Counted once, where it happened.
        if failed && parts != Some(true) {
            self.failed = self.failed.saturating_add(1);
        }
        if parts.is_none() {
            self.fuel = self.fuel.saturating_add(step.used.fuel);
        }
        // `check` of `check[3]`, and of `check/read`.
        if let Some((whole, _)) = step.path.rsplit_once(['[', '/']) {
            *self.parts.entry(whole.to_owned()).or_default() |= failed;
        }
    }

    fn told(&mut self, progress: &ProgressLine) {
        let ProgressLine {
            plugin,
            done,
            total,
            message,
            ..
        } = progress;
        self.said = match total {
            Some(total) => format!("{plugin} {done}/{total} {message}"),
            None => format!("{plugin} {done} {message}"),
        };
    }

    fn line(&self) -> String {
        let mut line = if self.fuel_max > 0 {
            format!("fuel {}/{}", self.fuel, self.fuel_max)
        } else {
            format!("fuel {}", self.fuel)
        };
        if self.failed > 0 {
            line.push_str(&format!(", {} failed", self.failed));
        }
        for path in self.working.iter().take(SHOWN_MAX) {
            line.push_str(&format!(" · {path}"));
        }
        if self.working.len() > SHOWN_MAX {
            line.push_str(&format!(" · +{}", self.working.len() - SHOWN_MAX));
        }
        if !self.said.is_empty() {
            line.push_str(&format!(" · {}", self.said.trim_end()));
        }
        one_line(&line)
    }
}

impl Progress {
    /// Shows what is heard until the run is over. A reader that was too slow shows what comes next:
    /// the counts are right again with the next step that ends.
    pub async fn follow(&self, mut events: Events) {
        while let Some(heard) = events.next().await {
            match heard {
                Heard::Event(RunEvent::Note(note)) => self.note(&note),
                Heard::Event(RunEvent::Ended) => return,
                Heard::Event(RunEvent::Progress(progress)) => self.progress(&progress),
                Heard::Event(RunEvent::Started) | Heard::Missed(_) => {}
            }
        }
    }

    fn note(&self, note: &Note) {
        // In a pipe. Nothing is counted either: nobody will see it.
        if self.bar.is_hidden() {
            return;
        }
        let mut seen = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        seen.note(note);
        self.bar.set_length(seen.known);
        self.bar.set_position(seen.done);
        self.bar.set_message(seen.line());
    }

    fn progress(&self, progress: &ProgressLine) {
        if self.bar.is_hidden() {
            return;
        }
        let mut seen = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        seen.told(progress);
        self.bar.set_message(seen.line());
    }
}

#[cfg(test)]
mod tests {
    use flowhost_flow::Amounts;

    use super::*;

    #[test]
    fn shows_used_and_limit_and_what_is_at_work() {
        let mut seen = Seen {
            known: 2,
            fuel: 5,
            fuel_max: 10,
            ..Seen::default()
        };
        for path in ["a", "b", "c", "d\x1b[2J"] {
            let path = path.to_owned();
            let step_id = String::new();
            seen.note(&Note::StepStarted {
                step_id,
                path,
                stage: None,
                attempt: 1,
            });
        }
        assert_eq!(seen.line(), "fuel 5/10 · a · b · c · +1");
    }

    #[test]
    fn shows_what_a_plugin_says_of_its_progress_until_a_step_ends() {
        let mut seen = Seen::default();
        let mut told = ProgressLine {
            tenant: "t".into(),
            run: "r".into(),
            step: "s".into(),
            plugin: "markdown".into(),
            call: "1".into(),
            done: 3.0,
            total: Some(40.0),
            message: "links".to_owned(),
        };
        seen.told(&told);
        assert_eq!(seen.line(), "fuel 0 · markdown 3/40 links");
        (told.total, told.message) = (None, String::new());
        seen.told(&told);
        assert_eq!(seen.line(), "fuel 0 · markdown 3");
    }

    #[test]
    fn items_that_failed_are_counted_and_the_steps_above_them_are_not_one_more() {
        let mut seen = Seen {
            known: 3,
            ..Seen::default()
        };
        let mut ended = |path: &str, status, fuel| {
            let used = Amounts {
                fuel,
                ..Amounts::default()
            };
            seen.note(&Note::StepEnded(StepSummary {
                step_id: String::new(),
                path: path.to_owned(),
                stage: None,
                status,
                attempts: 1,
                duration_ms: 1,
                used,
                failure: None,
            }));
            seen.line()
        };
        let (ok, failed) = (StepStatus::Ok, StepStatus::Failed);
        assert_eq!(ended("check[0]", ok, 1), "fuel 1");
        assert_eq!(ended("check[1]/read", failed, 2), "fuel 3, 1 failed");
        assert_eq!(ended("check[1]", failed, 2), "fuel 3, 1 failed");
        assert_eq!(ended("check[2]", failed, 4), "fuel 7, 2 failed");
        assert_eq!(ended("check", failed, 7), "fuel 7, 2 failed");
        // All its items are well; what they hand over together is too large.
        assert_eq!(ended("join[0]", ok, 1), "fuel 8, 2 failed");
        assert_eq!(ended("join", failed, 1), "fuel 8, 3 failed");
        assert_eq!(ended("alone", failed, 1), "fuel 9, 4 failed");
    }
}
