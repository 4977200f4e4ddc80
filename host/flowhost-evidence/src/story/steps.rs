//! Steps, their attempts, and how near each came to its limits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::Owner;
use flowhost_ledger::records::lent::{AttemptEnd, Record, RunSettle, StepEnd, StepPart};

use super::head::Stands;
use super::stored::{Held, Shelf, brief, short, text};
use super::{Models, STEPS_MAX, Shown, Stored, Tools};
use crate::runs::{UNFINISHED, WAITING};

/// Attempts of one step that are shown; a plan may ask for a hundred.
const ATTEMPTS_MAX: usize = 20;
/// Calls that one step's bar shows. More cannot be told apart on a bar.
const MARKS_MAX: usize = 40;

/// The steps of a run.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// Those that are listed, in the order in which the ledger has them.
    pub listed: Shown<Step>,
    /// How many ended how. A `foreach` is its items, and not one more than they are.
    pub by_status: BTreeMap<String, u64>,
    /// How many items of each `foreach` ended how, by the path of the step: all of them, listed or not.
    pub items: BTreeMap<String, BTreeMap<String, u64>>,
    /// Paths of all steps, and the place of each among them by its id.
    paths: Vec<String>,
    places: HashMap<String, usize>,
}

/// A step or an item of a `foreach`.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Deterministic id.
    pub id: String,
    /// Path in the plan.
    pub path: String,
    /// Its stage; empty for none.
    pub stage: String,
    /// How it ended; `waiting` where the run waits at it, `unfinished` when no record says.
    pub status: String,
    /// When it started, in microseconds since 1970; none when it never did.
    pub start_us: Option<u64>,
    /// When it ended.
    pub end_us: Option<u64>,
    /// Attempts begun.
    pub attempts_total: u64,
    /// Its attempts, the first twenty.
    pub attempts: Vec<Attempt>,
    /// Milliseconds, as the planner counts them.
    pub duration_ms: u64,
    /// Calls of plugins.
    pub calls: u64,
    /// Fuel units of all its calls.
    pub fuel: u64,
    /// Model tokens.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// What its heaviest call used of each limit, by the limit's key.
    pub peaks: BTreeMap<&'static str, Peak>,
    /// Its calls of tools and models, for the timeline: `(start, end)` and whether of a model.
    pub marks: Vec<(u64, u64, bool)>,
    /// Who took back by hand, behind the end of the run, what this compensation could not; empty for nobody.
    pub settled_by: String,
}

/// One attempt.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// From 1.
    pub number: u64,
    /// When it began.
    pub start_us: u64,
    /// When it ended; none when no record says.
    pub end_us: Option<u64>,
    /// How it ended.
    pub status: String,
    /// The class of its failure; empty for none.
    pub class: String,
    /// Who has to change something; empty when it did not fail, or an older host wrote it.
    pub owner: &'static str,
    /// Why it failed.
    pub message: Stored,
}

/// What one call used of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// What it used.
    pub used: u64,
    /// What it might have used; none when the ledger does not say (an older host wrote it).
    pub allowed: Option<u64>,
}

impl Steps {
    /// The path of the step with this id, or the id itself; empty for no step.
    #[must_use]
    pub fn path(&self, id: &str) -> String {
        let path = self.places.get(id).and_then(|at| self.paths.get(*at));
        path.map_or(id, String::as_str).to_owned()
    }

    /// How many stand in the plan itself: neither an item of a `foreach` nor a step of a plan below it.
    pub(super) fn of_the_plan(&self) -> usize {
        let paths = self.paths.iter();
        paths.filter(|path| !path.contains(['/', '['])).count()
    }

    /// Puts the listed calls on the bars of their steps.
    pub(super) fn mark(&mut self, tools: &Tools, models: &Models) {
        let tools = tools.listed.items.iter();
        let tools = tools.map(|call| (&call.step, call.start_us, call.end_us, false));
        let models = models.listed.items.iter().flat_map(|call| {
            let tries = call.tries.iter();
            tries.map(|it| (&call.step, it.start_us, it.end_us, true))
        });
        let mut marks: HashMap<&String, Vec<(u64, u64, bool)>> = HashMap::new();
        for (step, start, end, model) in tools.chain(models) {
            let mark = (start, end.unwrap_or(start), model);
            marks.entry(step).or_default().push(mark);
        }
        for step in &mut self.listed.items {
            let found = marks.remove(&step.path).unwrap_or_default();
            step.marks = found.into_iter().take(MARKS_MAX).collect();
        }
    }
}

#[derive(Default)]
pub(super) struct StepsOf {
    all: Vec<Building>,
    places: HashMap<String, usize>,
    /// Whether the run has ended.
    over: bool,
}

#[derive(Default)]
struct Building {
    step: Step,
    messages: Vec<Held>,
}

impl StepsOf {
    pub(super) fn record(&mut self, record: &LentRecord<'_>, said: &Record<'_>, at_us: u64) {
        // It is about no step. All others are kept, though a page lists few: every other part names its steps by these paths,
        // and a run has at most a million (`limits::RUN_STEPS_MAX`).
        let Some(building) = said.at().and_then(|at| self.of(at)) else {
            return;
        };
        match said {
            Record::StepStart(start) => {
                building.step.start_us = Some(at_us);
                building.step.stage = text(start.stage.as_ref());
                building.attempt(1, at_us);
            }
            Record::StepEnd(end) => {
                building.last_attempt(record, end, at_us);
                building.end(end, at_us);
            }
            Record::AttemptStart(start) => building.attempt(start.attempt, at_us),
            Record::AttemptEnd(end) => building.attempt_end(record, end, at_us),
            _ => {}
        }
    }

    /// The run has ended: a word behind this is about what was not taken back.
    pub(super) fn over(&mut self) {
        self.over = true;
    }

    pub(super) fn settled(&mut self, word: &RunSettle<'_>) {
        let path = brief(&word.path);
        let mut all = self.all.iter_mut();
        if self.over
            && let Some(building) = all.find(|it| it.step.path == path)
        {
            building.step.settled_by = text(word.by.as_ref());
        }
    }

    fn of(&mut self, at: &StepPart<'_>) -> Option<&mut Building> {
        let id = brief(&at.step);
        if let Some(place) = self.places.get(&*id) {
            return self.all.get_mut(*place);
        }
        let id = id.into_owned();
        self.places.insert(id.clone(), self.all.len());
        let step = Step {
            id,
            path: short(&at.path),
            status: UNFINISHED.to_owned(),
            ..Step::default()
        };
        self.all.push(Building {
            step,
            messages: Vec::new(),
        });
        self.all.last_mut()
    }

    pub(super) fn finish(
        mut self,
        shelf: &mut Shelf<'_>,
        mut peaks: HashMap<String, BTreeMap<&'static str, Peak>>,
        stands: Option<&Stands>,
    ) -> Steps {
        let waits = stands.filter(|it| it.status == WAITING);
        for Building { step, .. } in &mut self.all {
            let open = step.status == UNFINISHED;
            if open && waits.is_some_and(|it| it.steps.contains(&step.path)) {
                step.wait();
            }
        }
        let mut counted: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        // A `foreach` makes no attempt by itself: it took as many as the item that took most.
        let mut most: HashMap<String, u64> = HashMap::new();
        for Building { step, .. } in &self.all {
            if let Some(of) = item_of(&step.path) {
                match counted.get_mut(of) {
                    Some(counts) => count(counts, &step.status),
                    None => {
                        let first = BTreeMap::from([(step.status.clone(), 1)]);
                        counted.insert(of.to_owned(), first);
                    }
                }
                match most.get_mut(of) {
                    Some(attempts) => *attempts = step.attempts_total.max(*attempts),
                    None => {
                        most.insert(of.to_owned(), step.attempts_total);
                    }
                }
            }
        }
        for Building { step, .. } in &mut self.all {
            let of_items = most.get(&step.path).copied().unwrap_or_default();
            step.attempts_total = step.attempts_total.max(of_items);
        }
        let mut by_status = BTreeMap::new();
        let told = |step: &Step| {
            counted
                .get(&step.path)
                .is_some_and(|items| says(items, step))
        };
        for step in self.all.iter().map(|it| &it.step).filter(|it| !told(it)) {
            count(&mut by_status, &step.status);
        }
        let total = self.all.len() as u64;
        let paths = self.all.iter().map(|it| it.step.path.clone()).collect();
        let items = pick(self.all).into_iter().map(|building| {
            let Building { mut step, messages } = building;
            for (attempt, held) in step.attempts.iter_mut().zip(&messages) {
                attempt.message = shelf.take(held);
            }
            step.peaks = peaks.remove(&step.id).unwrap_or_default();
            step
        });
        Steps {
            listed: Shown {
                items: items.collect(),
                total,
            },
            by_status,
            items: counted,
            paths,
            places: self.places,
        }
    }
}

impl Step {
    /// It has not ended because it waits for somebody, and nobody is at work on it.
    fn wait(&mut self) {
        self.status = WAITING.to_owned();
        for attempt in &mut self.attempts {
            if attempt.status == UNFINISHED {
                attempt.status = WAITING.to_owned();
            }
        }
    }
}

impl Steps {
    /// How many there are, listed or not; a `foreach` is its items.
    pub fn total(&self) -> u64 {
        self.by_status.values().sum()
    }
}

/// Counts one more of a word. Of thousands of steps hardly any is the first of its word, and only that one copies it.
fn count(counts: &mut BTreeMap<String, u64>, word: &str) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            counts.insert(word.to_owned(), 1);
        }
    }
}

/// Whether the items of a step say how it ended: it only joins them, unless it failed of something that is no
/// item's fault (what they handed over together was too large).
fn says(items: &BTreeMap<String, u64>, step: &Step) -> bool {
    is_well(&step.status) || items.keys().any(|word| !is_well(word))
}

/// Whether nothing has to be looked into.
fn is_well(status: &str) -> bool {
    matches!(status, "ok" | "skipped")
}

/// The step whose item this is: `check` of `check[3]`, and of nothing that the item runs.
fn item_of(path: &str) -> Option<&str> {
    let (of, rest) = path.split_once('[')?;
    (!rest.contains('/')).then_some(of)
}

impl Building {
    /// An attempt begins; older hosts said so of the first one twice.
    fn attempt(&mut self, number: u64, at_us: u64) {
        if number <= self.step.attempts_total {
            return;
        }
        self.step.attempts_total = number;
        if self.step.attempts.len() < ATTEMPTS_MAX {
            // Most steps have one.
            self.step.attempts.reserve_exact(1);
            self.messages.reserve_exact(1);
            self.step.attempts.push(Attempt {
                number,
                start_us: at_us,
                status: UNFINISHED.to_owned(),
                ..Attempt::default()
            });
            self.messages.push(Held::default());
        }
    }

    fn attempt_end(&mut self, record: &LentRecord<'_>, end: &AttemptEnd<'_>, at_us: u64) {
        let mut all = self.step.attempts.iter_mut().zip(&mut self.messages);
        if let Some((attempt, message)) = all.find(|(attempt, _)| attempt.number == end.attempt) {
            attempt.end_us = Some(at_us);
            attempt.status = short(&end.status);
            attempt.class = text(end.class.as_ref());
            attempt.owner = end.owner.map_or("", Owner::as_str);
            *message = Held::of(record);
        }
    }

    /// A step's last attempt ends with it, unless it had ended before: the step was stopped while it waited
    /// for another one, or an older host wrote a record of its own.
    fn last_attempt(&mut self, record: &LentRecord<'_>, end: &StepEnd<'_>, at_us: u64) {
        let mut all = self.step.attempts.iter_mut().zip(&mut self.messages);
        let last =
            |attempt: &Attempt| Some(attempt.number) == end.attempts && attempt.end_us.is_none();
        if let Some((attempt, message)) = all.find(|(attempt, _)| last(attempt)) {
            attempt.end_us = Some(at_us);
            attempt.status = short(&end.status);
            attempt.class = text(end.class.as_ref());
            attempt.owner = end.owner.map_or("", Owner::as_str);
            *message = Held::of(record);
        }
    }

    fn end(&mut self, end: &StepEnd<'_>, at_us: u64) {
        let step = &mut self.step;
        step.end_us = Some(at_us);
        step.status = short(&end.status);
        step.duration_ms = end.duration_ms.unwrap_or(0);
        step.calls = end.spent.calls.unwrap_or(0);
        step.fuel = end.spent.fuel.unwrap_or(0);
        step.tokens = end.spent.tokens.unwrap_or(0);
        step.micro_usd = end.spent.micro_usd.unwrap_or(0);
    }
}

/// As many as are listed, in the ledger's order: steps of their own before items, and those that did not end well before
/// the others. Half of the room is enough for steps that are well: a plan whose 400 items failed is still told with the
/// step before them, and one of 400 steps with the items that failed.
fn pick(all: Vec<Building>) -> Vec<Building> {
    let well = |step: &Step| is_well(&step.status);
    let is_item = |step: &Step| step.path.contains('[');
    let classes: [(bool, bool, usize); 4] = [
        (false, false, STEPS_MAX),
        (false, true, STEPS_MAX / 2),
        (true, false, STEPS_MAX),
        (true, true, STEPS_MAX),
    ];
    let mut room = STEPS_MAX;
    let mut kept = BTreeSet::new();
    let mut keep = |items: bool, are_well: bool, most: usize| {
        let of_class = |step: &Step| is_item(step) == items && well(step) == are_well;
        let places = all.iter().enumerate().filter(|(_, it)| of_class(&it.step));
        let places = places.map(|(place, _)| place);
        let new: Vec<usize> = places
            .filter(|place| !kept.contains(place))
            .take(most.min(room))
            .collect();
        room -= new.len();
        kept.extend(new);
    };
    for (items, are_well, most) in classes {
        keep(items, are_well, most);
    }
    // What is left of the room goes to steps beyond their half.
    keep(false, true, STEPS_MAX);
    let all = all.into_iter().enumerate();
    all.filter(|(place, _)| kept.contains(place))
        .map(|(_, building)| building)
        .collect()
}
