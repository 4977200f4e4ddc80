//! Runs one after the other: how the next one begins, what it takes from those before, and what its end leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_flow::plan::Body;
use flowhost_run::{Earlier, Finished, Heard, Project, Run, RunEvent, RunOptions};

use super::{Living, Session};
use crate::dev::{Told, Why};
use crate::failure::Failure;
use crate::kept::Kept;

impl Session<'_> {
    /// Begins a run, at once or when the living one has ended, which is asked to.
    pub(super) fn start(&mut self, project: Project, why: Why) -> Result<(), Failure> {
        self.project = Some(project.clone());
        // Two runs at once would write into the same folders and states: the next one waits for the end of this.
        if let Some(living) = &self.living {
            living.run.cancel("the plan has changed");
            self.next = Some(why);
            return Ok(());
        }
        self.tell_watching(&project);
        let options = RunOptions {
            reuse: self.earlier(why),
            ..self.options.run.clone()
        };
        let run = self.host.start(project.clone(), options)?;
        self.last = Some(run.id().to_owned());
        self.begun(run, &project, why);
        Ok(())
    }

    fn begun(&mut self, run: Run, project: &Project, why: Why) {
        self.newest = Some(run.id().to_owned());
        // The plan keeps them by name; a person wrote them in another order.
        let mut steps = project.plan.steps();
        steps.sort_by_key(|step| (step.at.line, step.at.column));
        let steps: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
        self.face.tell(&Told::RunStarted {
            run: run.id().to_owned(),
            steps,
            why,
        });
        let events = run.events();
        self.living = Some(Living { run, events });
    }

    /// Runs the chosen step alone, as `flowhost run --only` does: what it needs is what the newest run gave.
    pub(super) fn only(&mut self) -> Result<(), Failure> {
        let (project, step) = match self.alone() {
            Ok(found) => found,
            Err(message) => {
                self.face.tell(&Told::Said { message });
                return Ok(());
            }
        };
        let options = RunOptions {
            only: Some(step.clone()),
            ..self.options.run.clone()
        };
        let needs = project.plan.step(&step).map(|step| &step.needs);
        // A step that needs nothing begins a run of its own: a fork would only carry a past that nobody asks for.
        let needs = needs.is_some_and(|needs| !needs.is_empty());
        let begun = project.clone();
        let run = match self.newest.clone().filter(|_| needs) {
            Some(before) => {
                let kept = Kept::new(self.ambient, self.config, self.state, BTreeMap::new());
                self.host
                    .fork(begun, &before, &step, Arc::new(kept), options)?
            }
            None => self.host.start(begun, options)?,
        };
        self.begun(run, &project, Why::Only);
        Ok(())
    }

    /// The project and the step of it that can be run alone now, or why there is none.
    fn alone(&self) -> Result<(Project, String), String> {
        let project = self.project.clone();
        let (Some(project), Some(step)) = (project, self.face.chosen()) else {
            return Err("the plan has problems: a step can be run when they are mended".to_owned());
        };
        if self.living.is_some() {
            return Err("a run goes on: a step is run alone when it has ended".to_owned());
        }
        if !matches!(project.plan.body, Body::Workflow { .. }) {
            return Err(
                "only a workflow has steps that can be run apart from each other".to_owned(),
            );
        }
        match project.plan.step(&step) {
            Some(_) => Ok((project, step)),
            None => Err(format!("the plan has no step `{step}` any more")),
        }
    }

    /// What the last run can give. A person who asks for the same again wants it done.
    fn earlier(&mut self, why: Why) -> Option<Arc<Earlier>> {
        let last = self.last.clone().filter(|_| why != Why::Again)?;
        let kept = Kept::new(self.ambient, self.config, self.state, BTreeMap::new());
        let read = tokio::task::block_in_place(|| self.host.earlier(&last, &kept));
        match read {
            Ok(earlier) => Some(Arc::new(earlier)),
            Err(failure) => {
                let why = failure.causes.join(": ");
                let message = format!("{}, and everything is done: {why}", failure.message);
                self.face.tell(&Told::Said { message });
                None
            }
        }
    }

    fn tell_watching(&mut self, project: &Project) {
        let plugins = project
            .members
            .iter()
            .map(|(key, member)| (key.clone(), member.inspection.digest.to_string()));
        let told = Told::Watching {
            plan: project.file.clone(),
            plugins: plugins.collect(),
            sources: self.sources.iter().map(|it| self.shown(it)).collect(),
        };
        self.face.tell(&told);
    }

    pub(super) async fn heard(&mut self, heard: Option<Heard>) -> Result<(), Failure> {
        match heard {
            Some(Heard::Event(RunEvent::Note(note))) => {
                if let Some(told) = Told::of_note(&note) {
                    self.face.tell(&told);
                }
                Ok(())
            }
            Some(Heard::Missed(missed)) => {
                let message =
                    format!("{missed} events came too fast to be shown; the ledger has them");
                self.face.tell(&Told::Said { message });
                Ok(())
            }
            Some(Heard::Event(RunEvent::Started | RunEvent::Progress(_))) => Ok(()),
            // A handle that closed without its last event is as ended as one that gave it.
            Some(Heard::Event(RunEvent::Ended)) | None => self.ended().await,
        }
    }

    async fn ended(&mut self) -> Result<(), Failure> {
        let Some(living) = self.living.take() else {
            debug_assert!(false, "only a living run has events");
            return Ok(());
        };
        match living.run.outcome().await {
            Ok(finished) => self.finished(&finished),
            Err(failure) => {
                // It left no record, so that nothing can be taken from it.
                self.newest.clone_from(&self.last);
                self.face.tell(&Told::not_begun(living.run.id(), &failure));
                self.refuse(&failure);
            }
        }
        match (self.next.take(), self.project.clone()) {
            (Some(why), Some(project)) => self.start(project, why),
            _ => Ok(()),
        }
    }

    fn finished(&mut self, finished: &Finished) {
        if finished.outcome.end.exit == Exit::Ok {
            crate::firsts::green(self.ambient);
        }
        self.report.clone_from(&finished.evidence.report_html);
        self.face.tell(&Told::finished(finished));
    }
}
