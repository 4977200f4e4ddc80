//! How far a call is, as MCP wants to hear it: a number that only grows.

use flowhost_caps::log::ProgressLine;
use flowhost_flow::planner::Note;
use flowhost_run::RunEvent;
use serde_json::{Value, json};

use crate::shelf::Kind;

/// Notifications of one call: a plugin that tells more than this is told of no further, and its call
/// goes on.
const TOLD_MAX: u32 = 1_000;

/// Counts what a run's events say into progress.
pub(crate) struct Pace {
    kind: Kind,
    done: f64,
    last: f64,
    told: u32,
}

impl Pace {
    /// Nothing is told yet.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            done: 0.0,
            // Below the first that may be told, which is 0.
            last: -1.0,
            told: 0,
        }
    }

    /// What to tell of an event, if it is a step further: the parameters of a progress notification
    /// without its token.
    pub(crate) fn hear(&mut self, event: &RunEvent) -> Option<Value> {
        match event {
            RunEvent::Note(note) => self.note(note),
            RunEvent::Progress(line) => self.line(line),
            RunEvent::Started | RunEvent::Ended => None,
        }
    }

    fn note(&mut self, note: &Note) -> Option<Value> {
        match note {
            // The tool's own words count what it does; that its only step is over says the answer.
            Note::StepEnded(summary) if self.kind == Kind::Plan => {
                self.done += 1.0;
                let message = format!("{}: {}", summary.path, summary.status.word());
                // Of how many nobody knows: items, retries and ways of a plan show as it goes.
                self.tell(self.done, None, &message)
            }
            _ => None,
        }
    }

    fn line(&mut self, line: &ProgressLine) -> Option<Value> {
        match self.kind {
            Kind::Tool => self.tell(line.done, line.total, &line.message),
            Kind::Plan => {
                let part = line
                    .total
                    .filter(|total| *total > 0.0)
                    // Never a whole one: that is the step's own end, which would else be no step further.
                    .map_or(0.0, |total| (line.done / total).clamp(0.0, 0.99));
                let message = format!("{}: {}", line.plugin, line.message);
                self.tell(self.done + part, None, &message)
            }
        }
    }

    fn tell(&mut self, progress: f64, total: Option<f64>, message: &str) -> Option<Value> {
        if !progress.is_finite() || progress <= self.last || self.told >= TOLD_MAX {
            return None;
        }
        self.last = progress;
        self.told += 1;
        let mut told = json!({ "progress": progress });
        if let Value::Object(told) = &mut told {
            let total = total.filter(|total| total.is_finite() && *total >= progress);
            told.extend(total.map(|total| ("total".to_owned(), Value::from(total))));
            if !message.is_empty() {
                told.insert("message".to_owned(), Value::from(message));
            }
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use flowhost_flow::planner::StepSummary;
    use flowhost_flow::{Amounts, StepStatus};

    use super::*;

    fn line(done: f64, total: Option<f64>) -> RunEvent {
        RunEvent::Progress(ProgressLine {
            tenant: "t".into(),
            run: "r".into(),
            step: "s".into(),
            plugin: "p".into(),
            call: "1".into(),
            done,
            total,
            message: String::new(),
        })
    }

    #[test]
    fn never_goes_back_and_never_says_what_is_no_number() {
        let mut pace = Pace::new(Kind::Tool);
        let told = [1.0, 0.5, 1.0, f64::NAN, f64::INFINITY, 2.0];
        let told = told.map(|done| pace.hear(&line(done, Some(f64::NAN))));
        let told: Vec<f64> = told
            .iter()
            .flatten()
            .filter_map(|it| it["progress"].as_f64())
            .collect();
        assert_eq!(told, [1.0, 2.0]);
    }

    #[test]
    fn of_a_plan_nobody_says_how_much_there_is_to_do() {
        let ended = |path: &str| {
            RunEvent::Note(Note::StepEnded(StepSummary {
                step_id: path.to_owned(),
                path: path.to_owned(),
                stage: None,
                status: StepStatus::Ok,
                attempts: 1,
                duration_ms: 1,
                used: Amounts::default(),
                failure: None,
            }))
        };
        let mut pace = Pace::new(Kind::Plan);
        let told: Vec<Value> = ["a", "b"]
            .into_iter()
            .filter_map(|path| pace.hear(&ended(path)))
            .collect();
        assert_eq!(
            told,
            [
                json!({ "progress": 1.0, "message": "a: ok" }),
                json!({ "progress": 2.0, "message": "b: ok" }),
            ]
        );
    }

    #[test]
    fn falls_silent_before_a_plugin_floods_its_client() {
        let mut pace = Pace::new(Kind::Tool);
        let told = (0..5_000).filter_map(|done| pace.hear(&line(f64::from(done), None)));
        assert_eq!(told.count(), 1_000);
    }
}
