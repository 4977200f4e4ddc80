//! What a step has when it says nothing, and how the parts that steps and defaults share are read.

use crate::exit::FailureClass;
use crate::plan::parse::{template, text};
use crate::plan::tree::Node;
use crate::plan::walk::number;
use crate::plan::{Guard, OnFail, Redact};
use crate::problem::Problems;
use crate::retry::{Backoff, RetryPolicy};
use crate::units::parse_duration_ms;

/// Time for one attempt of a step, in milliseconds: long enough for a model, short enough to notice.
const STEP_TIMEOUT_MS: u64 = 600_000;
/// Time for a whole run, in milliseconds: an hour, six times the longest attempt of a step; a run that is
/// forgotten must end by itself.
pub(super) const RUN_TIMEOUT_MS: u64 = 3_600_000;

/// What steps share.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) timeout_ms: u64,
    pub(super) retry: RetryPolicy,
    pub(super) before: Vec<Guard>,
    pub(super) after: Vec<Guard>,
    pub(super) redact: Option<Redact>,
    pub(super) unsealed: bool,
    /// `defaults.consensus` as written: a step reads from it what it does not say itself.
    pub(super) consensus: Option<Node>,
}

impl Defaults {
    pub(super) fn read(node: Option<&Node>, problems: &mut Problems) -> Self {
        let guardrails = node.and_then(|node| node.get("guardrails"));
        let list = |key| guardrails.and_then(|guardrails| guardrails.get(key));
        Self {
            timeout_ms: duration(node, "timeout").unwrap_or(STEP_TIMEOUT_MS),
            retry: retry(
                node.and_then(|node| node.get("retry")),
                &RetryPolicy::default(),
            ),
            before: guards(list("before"), problems),
            after: guards(list("after"), problems),
            redact: node.and_then(|node| node.get("redact")).map(redact),
            unsealed: node.and_then(|node| node.get("sealed")?.text()) == Some("none"),
            consensus: node.and_then(|node| node.get("consensus")).cloned(),
        }
    }
}

fn redact(node: &Node) -> Redact {
    let says = |word| node.elements().iter().any(|it| it.text() == Some(word));
    Redact {
        model: says("model"),
        payloads: says("payloads"),
    }
}

/// The duration under `key`, if there is a valid one.
pub(super) fn duration(node: Option<&Node>, key: &str) -> Option<u64> {
    parse_duration_ms(node?.get(key)?.text()?).ok()
}

/// A retry policy; what it does not say comes from `base`.
pub(super) fn retry(node: Option<&Node>, base: &RetryPolicy) -> RetryPolicy {
    let Some(node) = node else {
        return base.clone();
    };
    let attempts = node
        .get("max_attempts")
        .and_then(|node| node.json().as_u64());
    let retry_on = node.get("retry_on").map(|node| {
        let mut classes: Vec<FailureClass> = FailureClass::ALL
            .iter()
            .copied()
            .filter(|class| {
                class.may_retry()
                    && node
                        .elements()
                        .iter()
                        .any(|word| word.text() == Some(class.word()))
            })
            .collect();
        // `RetryPolicy::next` searches by halves.
        classes.sort_unstable();
        classes
    });
    RetryPolicy {
        max_attempts: attempts
            .and_then(|attempts| u32::try_from(attempts).ok())
            .unwrap_or(base.max_attempts),
        backoff: backoff(node.get("backoff"), &base.backoff),
        retry_on: retry_on.unwrap_or_else(|| base.retry_on.clone()),
    }
}

fn backoff(node: Option<&Node>, base: &Backoff) -> Backoff {
    let share = |key| {
        node.and_then(|node| node.get(key))
            .and_then(number)
            .map(thousandths)
    };
    Backoff {
        initial_ms: duration(node, "initial").unwrap_or(base.initial_ms),
        factor_milli: share("factor").unwrap_or(base.factor_milli),
        max_ms: duration(node, "max").unwrap_or(base.max_ms),
        jitter_milli: share("jitter").unwrap_or(base.jitter_milli),
    }
}

/// A small positive number in thousandths, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the walker has checked that the number is between 0 and 100"
)]
pub(super) fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}

/// A list of guardrails.
pub(super) fn guards(node: Option<&Node>, problems: &mut Problems) -> Vec<Guard> {
    let nodes = node.map(Node::elements).unwrap_or_default();
    nodes.iter().map(|node| guard(node, problems)).collect()
}

fn guard(node: &Node, problems: &mut Problems) -> Guard {
    Guard {
        plugin: text(node, "uses"),
        with: template(node.get("with"), problems),
        on_fail: on_fail(node),
        at: node.get("uses").map_or(node.at, |node| node.at),
    }
}

/// `on_fail`, `halt` when left out.
pub(super) fn on_fail(node: &Node) -> OnFail {
    match node.get("on_fail").and_then(Node::text) {
        Some("warn") => OnFail::Warn,
        _ => OnFail::Halt,
    }
}
