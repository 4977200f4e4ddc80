//! What the guardrails around the work of a stage said, and what they used: a prefilter stands before the work, a
//! policy after it.
//!
//! A guardrail has no record of its call. That it answered, and how long it took, stands in the planner's event, which
//! the ledger has directly before the verdict; the models that it asked name the call. Must never count for a guardrail
//! what an agent used.

use std::collections::BTreeMap;

use flowhost_ledger::records::{GuardVerdict, ModelIntent, ModelResult, PlannerEvent};

use super::calls::{Known, Usage};

/// All guardrails of a stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Guards {
    pub(super) before: Phase,
    pub(super) after: Phase,
    /// What models were used for, by the call that asked them: guardrails, once the calls of agents are taken out.
    asked: BTreeMap<String, Asked>,
}

/// Those before the work, or those after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase {
    /// The worst of what they said: `pass`, `rewrite` or `deny`.
    pub(super) status: Option<String>,
    /// The model that was asked first, where one was.
    pub(super) model: Option<String>,
    /// Who spoke, each once.
    names: Vec<String>,
    took_us: Known,
}

/// What one call used of models.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Whose call it was.
    pub(super) by: String,
    pub(super) usage: Usage,
}

/// An answer that has no record of its own, as the planner heard it.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    call: Option<String>,
    took_us: Option<u64>,
}

impl Answered {
    /// What an event says of such an answer; none where it is about something else.
    pub(super) fn of(event: &PlannerEvent) -> Option<Self> {
        event.plugin.as_ref().map(|_| Self {
            call: event.call.map(|call| call.to_string()),
            took_us: event.took_us,
        })
    }
}

impl Guards {
    pub(super) fn intent(&mut self, call: &str, by: &str, intent: &ModelIntent) {
        let asked = self.asked.entry(call.to_owned()).or_default();
        by.clone_into(&mut asked.by);
        asked.usage.asked(intent);
    }

    pub(super) fn result(&mut self, call: &str, result: &ModelResult) {
        if let Some(asked) = self.asked.get_mut(call) {
            asked.usage.answered(result);
        }
    }

    /// What was used under the id of a call that turns out to be an agent's: an agent may ask a model while it starts.
    pub(super) fn release(&mut self, call: &str) -> Option<Usage> {
        self.asked.remove(call).map(|it| it.usage)
    }

    /// A guardrail spoke. `answered` is the planner's last event before that, if it is an answer without a record.
    pub(super) fn spoke(&mut self, said: &GuardVerdict, word: &str, answered: Option<Answered>) {
        // A guardrail between two plugins has no event: its time is a part of its caller's, and so is what it used.
        let answered = answered.filter(|_| said.tool.is_none());
        let call = answered.as_ref().and_then(|it| it.call.as_ref());
        let model = call
            .and_then(|it| self.asked.get(it))
            .and_then(|it| it.usage.model_id.clone());
        let before = said
            .part
            .as_deref()
            .is_some_and(|it| it.starts_with("before"));
        let phase = match before {
            true => &mut self.before,
            false => &mut self.after,
        };
        phase.took_us.add(answered.and_then(|it| it.took_us));
        phase.model = phase.model.take().or(model);
        worse(&mut phase.status, word);
        let name = said.guard.clone().unwrap_or_default();
        if !name.is_empty() && !phase.names.contains(&name) {
            phase.names.push(name);
        }
    }

    /// Milliseconds of all of them; none where nobody spoke, or where one's time is not known.
    pub(super) fn latency_ms(&self) -> Option<u64> {
        let mut all = self.before.took_us;
        all.join(&self.after.took_us);
        // Rounded, and not cut: most take less than a millisecond each.
        all.value().map(|us| us.saturating_add(500) / 1000)
    }

    /// Millionths of a dollar of the models that they asked: 0 where they asked none, and none where nobody spoke or asked.
    pub(super) fn micro_usd(&self) -> Option<u64> {
        let spoke = [&self.before, &self.after]
            .iter()
            .any(|it| it.status.is_some());
        if self.asked.is_empty() {
            return spoke.then_some(0);
        }
        self.asked.values().map(|it| it.usage.micro_usd()).sum()
    }

    /// What each of them used of models, those that failed among them.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Asked> {
        self.asked.values()
    }
}

impl Phase {
    /// Who spoke.
    pub(super) fn note(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| self.names.join(", "))
    }
}

/// Keeps the worst of `pass`, `rewrite` and `deny`.
fn worse(kept: &mut Option<String>, word: &str) {
    let rank = |word: &str| match word {
        "pass" => 0,
        "rewrite" => 1,
        _ => 2,
    };
    if kept
        .as_deref()
        .is_none_or(|before| rank(word) > rank(before))
    {
        *kept = Some(word.to_owned());
    }
}
