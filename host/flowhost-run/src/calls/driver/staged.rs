//! What a driver does when a stage has ended: its evidence is written before anything goes on.

use flowhost_flow::planner::StepSummary;

use super::Driver;

impl Driver {
    /// Writes the evidence of a stage. Without it the stage has not happened: the run ends.
    pub(super) async fn stage_ended(&mut self, step: &StepSummary) {
        // The plan wants no files of its stages.
        let Some(stages) = &mut self.stages else {
            return;
        };
        match stages.ended(&self.journal, step).await {
            // For the person, and no record: a replay writes no files and would not say it again.
            Ok(messages) => {
                let told = messages.into_iter();
                let told = told.map(|message| format!("{}: {message}", step.path));
                self.warnings.extend(told);
            }
            Err(failure) => {
                let why: Vec<&str> = failure.causes.iter().map(String::as_str).collect();
                let message = format!("{}: {}", failure.message, why.join("; "));
                self.broken(&message);
            }
        }
    }
}
