//! A guardrail against labels: how often it stopped what is to be stopped, and what is not.

use serde::Serialize;

use crate::analysis::{mean, p95, share};

/// What a person says of an output, or a guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It may pass.
    Allow,
    /// It must not.
    Deny,
}

impl Label {
    /// The label of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Allow, Self::Deny]
            .into_iter()
            .find(|label| label.word() == word)
    }

    /// The word in a file of labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// One output that was judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// What a person says.
    pub label: Label,
    /// What the guardrail said; none where it failed.
    pub verdict: Option<Label>,
    /// Milliseconds of the whole run.
    pub duration_ms: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Prompt and completion.
    pub tokens: u64,
}

/// How a guardrail did. A positive is what it stopped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Outputs.
    pub items: usize,
    /// Stopped, and rightly.
    pub true_positives: usize,
    /// Stopped, and wrongly.
    pub false_positives: usize,
    /// Let through, and rightly.
    pub true_negatives: usize,
    /// Let through, and wrongly.
    pub false_negatives: usize,
    /// Neither: the run failed.
    pub errors: usize,
    /// Of what it stopped, the share that was to be stopped; null when it stopped nothing.
    pub precision: Option<f64>,
    /// Of what was to be stopped and was judged, the share that it stopped; null when nothing was.
    pub recall: Option<f64>,
    /// Milliseconds an output.
    pub latency_mean_ms: Option<f64>,
    /// The 95th percentile of them (nearest rank).
    pub latency_p95_ms: Option<f64>,
    /// US dollars of all outputs.
    pub cost_usd: f64,
    /// Prompt and completion of all outputs.
    pub tokens: u64,
}

/// Counts what was judged.
#[must_use]
pub fn score(judged: &[Judged]) -> Score {
    let count = |label: Label, verdict: Label| {
        let is_it = |it: &&Judged| it.label == label && it.verdict == Some(verdict);
        judged.iter().filter(is_it).count()
    };
    let true_positives = count(Label::Deny, Label::Deny);
    let false_positives = count(Label::Allow, Label::Deny);
    let false_negatives = count(Label::Deny, Label::Allow);
    let latency: Vec<f64> = judged.iter().map(|it| number(it.duration_ms)).collect();
    let micro_usd: u64 = judged.iter().map(|it| it.micro_usd).sum();
    Score {
        items: judged.len(),
        true_positives,
        false_positives,
        true_negatives: count(Label::Allow, Label::Allow),
        false_negatives,
        errors: judged.iter().filter(|it| it.verdict.is_none()).count(),
        precision: share(true_positives, true_positives + false_positives),
        recall: share(true_positives, true_positives + false_negatives),
        latency_mean_ms: mean(&latency),
        latency_p95_ms: p95(&latency),
        cost_usd: flowhost_flow::units::micro_usd_to_usd(micro_usd),
        tokens: judged.iter().map(|it| it.tokens).sum(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a run, far below 2^53"
)]
const fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged() -> impl Strategy<Value = Judged> {
        let label = || prop_oneof![Just(Label::Allow), Just(Label::Deny)];
        (
            label(),
            proptest::option::of(label()),
            0_u64..10_000,
            0_u64..1_000,
        )
            .prop_map(|(label, verdict, duration_ms, micro_usd)| Judged {
                label,
                verdict,
                duration_ms,
                micro_usd,
                tokens: micro_usd,
            })
    }

    proptest! {
        #[test]
        fn every_output_is_counted_once_and_the_order_does_not_matter(
            mut all in proptest::collection::vec(judged(), 0..40),
        ) {
            let before = score(&all);
            let counted = before.true_positives + before.false_positives + before.true_negatives
                + before.false_negatives + before.errors;
            prop_assert_eq!(counted, all.len());
            for share in [before.precision, before.recall].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            all.reverse();
            let after = score(&all);
            prop_assert_eq!(before.true_positives, after.true_positives);
            prop_assert_eq!(before.latency_p95_ms, after.latency_p95_ms);
            prop_assert_eq!(before.tokens, after.tokens);
        }
    }

    #[test]
    fn a_guardrail_that_breaks_has_neither_caught_nor_missed() {
        let broken = Judged {
            label: Label::Deny,
            verdict: None,
            duration_ms: 1,
            micro_usd: 0,
            tokens: 0,
        };
        let score = score(&[broken]);
        assert_eq!(
            (score.errors, score.recall, score.precision),
            (1, None, None)
        );
    }
}
