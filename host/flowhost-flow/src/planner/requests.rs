//! The body of a workflow that is open to requests: nothing of it begins by itself. Whoever holds the run asks for one of
//! its steps, any number of times, with another input each time.
//!
//! Owns which requests are at work and when the run is over; how a step does its work is the unit's. A request is to
//! its step what an item is to a `foreach` whose list comes one by one: `say[3]` is the fourth request of the run.
//! One that fails or is withdrawn ends nothing but itself. Must never hold what a request came to: it is
//! replied and forgotten, so that a run of ten thousand of them is no larger than one of ten.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::Amounts;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::expr::Template;
use crate::plan::{Step, Work};
use crate::planner::arena::{Arena, Slot, slot};
use crate::planner::scope::{Ctx, skipped};
use crate::planner::unit::{Ended, Role, Seat, Start, Stop, UnitId};
use crate::planner::{Action, Note, RequestId, StepSummary, Time};

#[cfg(test)]
mod tests;

slot! {
    /// Names a step that can be asked for.
    OfferIx
}

/// A step that can be asked for, and what was asked of it.
#[derive(Debug)]
struct Offer {
    step: Arc<Step>,
    /// When the first request of it came.
    since: Option<Time>,
    attempts: u32,
    used: Amounts,
}

/// A workflow that is open to requests.
#[derive(Debug)]
pub(super) struct Requests {
    offers: Arena<OfferIx, Offer>,
    places: BTreeMap<String, OfferIx>,
    /// Those at work.
    at_work: BTreeMap<UnitId, RequestId>,
    closed: bool,
    over: bool,
}

impl Requests {
    pub(super) fn new(steps: &[Arc<Step>]) -> Self {
        let offers = steps.iter().map(|step| Offer {
            step: Arc::clone(step),
            since: None,
            attempts: 0,
            used: Amounts::default(),
        });
        let offers: Arena<OfferIx, Offer> = offers.collect();
        let places = offers.iter().map(|(at, it)| (it.step.id.clone(), at));
        Self {
            places: places.collect(),
            offers,
            at_work: BTreeMap::new(),
            closed: false,
            over: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Somebody asks for a step.
    pub(super) fn requested(
        &mut self,
        ctx: &mut Ctx<'_>,
        request: RequestId,
        step: &str,
        input: Value,
    ) {
        let path = ctx.scope.path(&request.path_of(step));
        let at = match self.taken(ctx, step) {
            Ok(at) => at,
            Err(failure) => {
                let result = Err(failure);
                return ctx.core.act(Action::Reply {
                    request,
                    path,
                    result,
                });
            }
        };
        let offer = &mut self.offers[at];
        offer.since.get_or_insert(ctx.core.now);
        let spec = Arc::new(Step {
            with: Template::fixed(input),
            ..Step::clone(&offer.step)
        });
        let account = ctx.core.account(ctx.scope.account.id, spec.budget.as_ref());
        let unit = ctx.start(Start {
            seat: Seat {
                scope: ctx.scope.id,
                slot: at.place(),
                role: Role::Item(request.index()),
            },
            spec,
            path,
            account,
            names: Vec::new(),
        });
        self.at_work.insert(unit, request);
    }

    /// The step that is asked for, if it can be.
    fn taken(&self, ctx: &Ctx<'_>, step: &str) -> Result<OfferIx, Failure> {
        if self.closed || ctx.scope.is_stopping() {
            let message = "the run takes no more requests";
            return Err(Failure::new(FailureClass::Cancelled, message));
        }
        let Some(at) = self.places.get(step).copied() else {
            let message = format!("the run has no step `{step}` that can be asked for");
            return Err(Failure::new(FailureClass::Invalid, message));
        };
        match alone(&self.offers[at].step) {
            true => Ok(at),
            false => {
                let message = format!("the step `{step}` does more than call one plugin");
                Err(Failure::new(FailureClass::Invalid, message).with_hint(
                    "only a step that calls a plugin, and waits for no other, can be asked for",
                ))
            }
        }
    }

    /// The work of a request is over.
    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, ended: Ended) {
        ctx.core.close_account(ended.account, &ended.path);
        ended.note(ctx.core);
        ctx.scope.used.add(&ended.used);
        let offer = &mut self.offers[OfferIx::of(ended.seat.slot)];
        offer.used.add(&ended.used);
        offer.attempts = offer.attempts.max(ended.attempts);
        match self.at_work.remove(&ended.unit) {
            Some(request) => ctx.core.act(Action::Reply {
                request,
                path: ended.path,
                result: ended.result,
            }),
            None => debug_assert!(false, "each unit of this body works for a request"),
        }
        self.end_if_done(ctx);
    }

    /// Whoever asked wants it no more. One that is not at work has been replied to already.
    pub(super) fn withdrawn(&self, ctx: &mut Ctx<'_>, request: RequestId) {
        let mut at_work = self.at_work.iter();
        if let Some((unit, _)) = at_work.find(|(_, it)| **it == request) {
            ctx.stop(*unit, Stop::Cancelled);
        }
    }

    /// Nobody asks for anything any more. What is at work comes to its end, or is stopped.
    pub(super) fn closed(&mut self, ctx: &mut Ctx<'_>, stops: bool) {
        self.closed = true;
        if stops {
            ctx.stop_all();
        }
        self.end_if_done(ctx);
    }

    /// Ends the run early: what is at work is stopped. The first reason stays.
    pub(super) fn halt(&mut self, ctx: &mut Ctx<'_>, failure: Failure) {
        if ctx.scope.failure.is_some() {
            return;
        }
        ctx.scope.failure = Some(failure);
        self.closed(ctx, true);
    }

    /// Says of each step how often it was asked for, once nothing more can come of it.
    fn end_if_done(&mut self, ctx: &mut Ctx<'_>) {
        if !self.closed || !self.at_work.is_empty() || self.over {
            return;
        }
        self.over = true;
        for (_, offer) in self.offers.iter() {
            let (id, stage) = (&offer.step.id, offer.step.stage.clone());
            let Some(since) = offer.since else {
                skipped(ctx, id, stage);
                continue;
            };
            let path = ctx.scope.path(id);
            ctx.core.note(Note::StepEnded(StepSummary {
                step_id: ctx.core.step_id(&path),
                path,
                stage,
                status: StepStatus::Ok,
                attempts: offer.attempts,
                duration_ms: ctx.core.now.since(since),
                used: offer.used,
                failure: None,
            }));
        }
    }
}

/// Whether a step is a call of a plugin and nothing more: what a request gives it is its input, and what it gives is
/// the reply.
fn alone(step: &Step) -> bool {
    let waits = !step.needs.is_empty() || step.when.is_some();
    let guarded = !step.before.is_empty() || !step.after.is_empty();
    let handled = step.on_failure.run.is_some() || step.compensate.is_some();
    matches!(step.work, Work::Call { .. })
        && step.foreach.is_none()
        && !waits
        && !guarded
        && !handled
}
