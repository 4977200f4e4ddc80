//! What the screen of `flowhost dev` shows, kept up to date by what is told. Pure: it knows no terminal.

use std::collections::VecDeque;

use super::Told;
use super::told::short;

/// Lines that can be scrolled back to by nobody: only the last are shown.
const LINES_MAX: usize = 200;
/// Items of a `foreach` are counted in the line of their step, not shown by themselves.
const ITEM: char = '[';

/// A step of the run that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: String,
    pub(super) status: &'static str,
    pub(super) attempt: u32,
    pub(super) duration_ms: u64,
    /// Items that have ended, and those of them that failed.
    pub(super) items: (u64, u64),
}

/// A plugin of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plugin {
    pub(super) key: String,
    pub(super) component: String,
    pub(super) revision: u64,
    /// Milliseconds of its last swap.
    pub(super) swap_ms: Option<u64>,
}

/// The build that is at work or was the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Build {
    Working(String),
    Done(String, u64),
    Failed(String),
}

/// Everything on the screen.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) plan: String,
    pub(super) run: String,
    pub(super) status: String,
    pub(super) runs: u64,
    pub(super) micro_usd: u64,
    pub(super) steps: Vec<Step>,
    /// The step that the person has moved to.
    chosen: Option<String>,
    pub(super) plugins: Vec<Plugin>,
    pub(super) build: Option<Build>,
    /// A change waits for a yes.
    pub(super) asks: bool,
    pub(super) lines: VecDeque<(Tone, String)>,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Asks,
}

impl View {
    pub(super) fn tell(&mut self, told: &Told) {
        self.take_in(told);
        let tone = match told {
            // In the table of steps, where it is easier to read than as a line.
            Told::StepStarted { .. } => return,
            Told::StepEnded { failure, .. } if failure.is_empty() => return,
            Told::StepEnded { .. } | Told::BuildFailed { .. } | Told::Refused { .. } => Tone::Bad,
            Told::RunEnded { exit_code, .. } if *exit_code != 0 => Tone::Bad,
            Told::RunEnded { .. } | Told::Swapped { .. } | Told::Built { .. } => Tone::Good,
            Told::Wider { .. } => Tone::Asks,
            _ => Tone::Plain,
        };
        for line in told.line().lines() {
            self.lines.push_back((tone, line.to_owned()));
        }
        let beyond = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..beyond);
    }

    /// What it changes in the tables.
    fn take_in(&mut self, told: &Told) {
        match told {
            Told::Watching { plan, plugins, .. } => {
                self.plan.clone_from(plan);
                self.plugins = plugins
                    .iter()
                    .map(|(key, component)| Plugin {
                        key: key.clone(),
                        component: short(component).to_owned(),
                        // A new run counts from one again, whatever was swapped in the last.
                        revision: 1,
                        swap_ms: None,
                    })
                    .collect();
            }
            Told::RunStarted { run, steps, .. } => {
                self.runs = self.runs.saturating_add(1);
                self.run.clone_from(run);
                "running".clone_into(&mut self.status);
                self.micro_usd = 0;
                // A run that begins has the rights that were asked for, or nobody waits for them any more.
                self.asks = false;
                self.steps = steps.iter().map(|path| Step::new(path)).collect();
            }
            Told::StepStarted { path, attempt } => {
                if let Some(step) = self.step(path) {
                    step.status = "running";
                    step.attempt = step.attempt.max(*attempt);
                }
            }
            Told::StepEnded {
                path,
                status,
                duration_ms,
                micro_usd,
                ..
            } => {
                self.micro_usd = self.micro_usd.saturating_add(*micro_usd);
                let is_item = path.contains(ITEM);
                if let Some(step) = self.step(path) {
                    if is_item {
                        step.items.0 = step.items.0.saturating_add(1);
                        step.items.1 = step.items.1.saturating_add(u64::from(*status == "failed"));
                    } else {
                        (step.status, step.duration_ms) = (status, *duration_ms);
                    }
                }
            }
            Told::RunEnded { status, .. } => self.status.clone_from(status),
            Told::Building { folder } => self.build = Some(Build::Working(folder.clone())),
            Told::Built { folder, took_ms } => {
                self.build = Some(Build::Done(folder.clone(), *took_ms));
            }
            Told::BuildFailed { folder, .. } => self.build = Some(Build::Failed(folder.clone())),
            Told::Swapped {
                plugin,
                revision,
                component,
                took_ms,
            } => {
                if let Some(shown) = self.plugins.iter_mut().find(|it| it.key == *plugin) {
                    short(component).clone_into(&mut shown.component);
                    (shown.revision, shown.swap_ms) = (*revision, Some(*took_ms));
                }
            }
            Told::Wider { .. } => self.asks = true,
            Told::Refused { .. } | Told::Said { .. } | Told::Log { .. } => {}
        }
    }

    /// The question was answered.
    pub(super) fn answered(&mut self) {
        self.asks = false;
    }

    /// The step that `s` runs: where the person has moved to, else the first that did not end well, else the
    /// last.
    pub(super) fn chosen(&self) -> Option<&str> {
        let mut own = self.own();
        let chosen = own.find(|path| self.chosen.as_deref() == Some(*path));
        let bad = |step: &&Step| !matches!(step.status, "" | "running" | "ok" | "skipped");
        let failed = self.steps.iter().filter(bad).map(|step| step.path.as_str());
        let mut failed = failed.filter(|path| is_own(path));
        chosen
            .or_else(|| failed.next())
            .or_else(|| self.own().last())
    }

    /// Moves to the step before or after.
    pub(super) fn choose(&mut self, down: bool) {
        let own: Vec<&str> = self.own().collect();
        let now = self.chosen();
        let at = own.iter().position(|path| Some(*path) == now).unwrap_or(0);
        let next = match down {
            true => at.saturating_add(1),
            false => at.saturating_sub(1),
        };
        if let Some(path) = own.get(next) {
            self.chosen = Some((*path).to_owned());
        }
    }

    /// The plan's own steps, which can be run alone; those of a sub-plan are run by their step.
    fn own(&self) -> impl Iterator<Item = &str> {
        let paths = self.steps.iter().map(|step| step.path.as_str());
        paths.filter(|path| is_own(path))
    }

    /// The line of a path: its own, or that of the step that it is an item of. Steps of sub-plans and of
    /// trees come as they happen.
    fn step(&mut self, path: &str) -> Option<&mut Step> {
        let own = path.split(ITEM).next().unwrap_or(path);
        if !self.steps.iter().any(|step| step.path == own) {
            self.steps.push(Step::new(own));
        }
        self.steps.iter_mut().find(|step| step.path == own)
    }
}

fn is_own(path: &str) -> bool {
    !path.contains('/')
}

impl Step {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            status: "",
            attempt: 0,
            duration_ms: 0,
            items: (0, 0),
        }
    }
}
