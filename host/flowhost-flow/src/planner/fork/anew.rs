//! What a new run does anew of a past: what was taken back, and what needs that and had been done. An effect that must
//! not happen twice is none of it, unless it was taken back.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::exit::StepStatus;
use crate::plan::{Effects, Plan};
use crate::planner::fork::{ForkError, Parent, Prefix, Recording, is_part_of};
use crate::planner::{CallId, CallResult, StepSummary};

/// What stands between the parts of a path.
const BETWEEN: [char; 3] = ['[', '/', '!'];

/// The path, and those of what it is a part of, outermost first.
fn around(path: &str) -> impl Iterator<Item = &str> {
    let outer = path.match_indices(BETWEEN);
    let outer = outer.filter_map(move |(at, _)| path.get(..at));
    outer.chain(std::iter::once(path))
}

/// The step of which this path is an item, or the path itself: the place where a fork begins for all of its items.
fn step_of(path: &str) -> &str {
    match path.rfind('[') {
        Some(at) if path.ends_with(']') => path.get(..at).unwrap_or(path),
        _ => path,
    }
}

/// Whether the end of a step says that it was done: not one that was passed over or stopped, nor what takes back.
pub(super) fn was_done(ended: &StepSummary) -> bool {
    let ran = matches!(ended.status, StepStatus::Ok | StepStatus::Failed);
    ran && !ended.path.contains("!compensate")
}

/// All that is done anew, by path: what was taken back, and of the steps that had been done `before` those that are not
/// done `after`, where what was taken back is kept from the past. A step stands for its parts where none of them stays.
pub(super) fn named(
    taken_back: &[String],
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Vec<String> {
    let lost = before.difference(after).chain(taken_back);
    let lost: BTreeSet<&str> = lost.map(String::as_str).collect();
    let stays = |step: &str| {
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(step), Bound::Unbounded);
        let mut alike = after
            .range::<str, _>(from)
            .take_while(|path| path.starts_with(step));
        alike.any(|path| is_part_of(path, step))
    };
    // What was taken back as a whole was so, also where a part of it that called nothing, such as a gate, is still done.
    let was_back = |step: &str| taken_back.iter().any(|back| back == step);
    let whole = lost.into_iter();
    let whole: BTreeSet<&str> = whole
        .filter(|step| was_back(step) || !stays(step))
        .collect();
    let outermost = whole
        .iter()
        .filter(|step| around(step).all(|outer| outer == **step || !whole.contains(outer)));
    outermost.map(|step| (*step).to_owned()).collect()
}

impl Recording {
    /// That nothing is done anew which must not be done twice and was not taken back: of the calls of the `whole` past
    /// those that are not in what is `kept` of it.
    pub(super) fn once_again(
        &self,
        parent: &Parent<'_>,
        plan: &Plan,
        whole: &Prefix,
        kept: &Prefix,
    ) -> Result<(), ForkError> {
        let kept: BTreeSet<CallId> = kept.calls.values().copied().collect();
        let calls: BTreeSet<CallId> = whole.calls.values().copied().collect();
        let mut steps: Vec<String> = Vec::new();
        // By their numbers, that is in the order in which they were asked for.
        for call in calls.difference(&kept) {
            let Some(tag) = self.calls.get(call) else {
                debug_assert!(false, "a call of the past has a tag");
                continue;
            };
            let step = step_of(&tag.path);
            let is_once =
                self.once.contains(call) || says_once(plan, &tag.path) && !tag.part.is_guard();
            if !is_once || self.was_taken_back(&tag.path) || steps.iter().any(|it| it == step) {
                continue;
            }
            let stands = match parent.ends.get(call).map(|end| &end.result) {
                Some(CallResult::Failed(failure)) => failure.is_in_doubt(),
                Some(CallResult::Output(_)) => true,
                Some(CallResult::Verdict(_)) | None => false,
            };
            if stands {
                steps.push(step.to_owned());
            }
        }
        match steps.is_empty() {
            true => Ok(()),
            false => Err(ForkError::OnceAgain { steps }),
        }
    }

    /// Whether the recorded run took back what has this path, or what it is a part of; what takes back has no effect of
    /// its own that would stand.
    fn was_taken_back(&self, path: &str) -> bool {
        let is_back = |outer: &str| {
            let back = self.back.get(outer);
            back.is_some_and(|back| back.how == Some(StepStatus::Ok))
        };
        path.contains("!compensate") || around(path).any(is_back)
    }
}

/// Whether the new plan says of the step with this path, if it is one of the plan itself, that its effect must not
/// happen twice.
fn says_once(plan: &Plan, path: &str) -> bool {
    let step = plan.step(step_of(path));
    step.is_some_and(|step| step.effects == Effects::Once)
}
