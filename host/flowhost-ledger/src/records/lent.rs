//! What records say, borrowed from where they stand: by the same declarations, without a copy of a text.
//!
//! Made by [`LentRecord::read`](crate::LentRecord::read), for whoever hears of many records and keeps few.

pub use super::kinds::lent::*;
pub use super::parts::lent::*;
use super::words::Decision;

impl<'a> Record<'a> {
    /// What policy said, if the record is about a right.
    #[must_use]
    pub fn decided(&self) -> Option<&DecisionPart<'a>> {
        self.find(|part| match part {
            Part::DecisionPart(decided) => Some(decided),
            _ => None,
        })
    }

    /// Whether the record is a refusal.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.decided()
            .is_some_and(|it| it.decision == Some(Decision::Deny))
    }

    /// The step that it is about, if it is about one.
    #[must_use]
    pub fn at(&self) -> Option<&StepPart<'a>> {
        self.find(|part| match part {
            Part::StepPart(at) => Some(at),
            _ => None,
        })
    }

    /// The step that it belongs to; empty for none, and for a result that says only which call it is of.
    #[must_use]
    pub fn step(&self) -> &str {
        let step = self.find(|part| match part {
            Part::CallPart(call) => Some(&*call.step),
            Part::BegunPart(call) => Some(&*call.step),
            Part::EndedPart(call) => call.step.as_deref(),
            Part::StepPart(at) => Some(&*at.step),
            Part::PlacePart(place) => place.step.as_deref(),
            _ => None,
        });
        step.unwrap_or("")
    }
}

impl UsedPart<'_> {
    /// The same with the zeros that are not written: what was measured says how much memory there was.
    #[must_use]
    pub fn whole(&self) -> Self {
        let zero = self.memory_bytes.map(|_| 0);
        Self {
            host_calls: self.host_calls.or(zero),
            log_bytes: self.log_bytes.or(zero),
            ..self.clone()
        }
    }
}

impl TryPart<'_> {
    /// As [`super::TryPart::number`].
    #[must_use]
    pub fn number(&self, call: &CallPart<'_>) -> Option<u64> {
        self.request.or_else(|| call.call.as_deref()?.parse().ok())
    }
}
