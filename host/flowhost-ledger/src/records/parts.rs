//! Groups of fields that several kinds of record share, each declared once.

use super::field::{Field, FieldDoc, FieldError};
use super::words::Decision;
use crate::fields::Fields;
use crate::lent::LentFields;

parts! {
    /// Which call of which plugin: in every record that a plugin's call leaves.
    CallPart {
        /// Id of the step that the call works for.
        step: String,
        /// The attempt at the step, from 1.
        attempt: Option<u64>,
        /// The call's id within the run: `12`, and `12.1` for the first call that it made; what the host
        /// does by itself begins with `0`.
        call: Option<String>,
        /// SHA-256 of the component, `sha256:…`.
        component: String,
        /// The plugin's revision: 1 for what the run began with, one more for each swap.
        revision: Option<u64>,
        /// Hash of the effective profile, `sha256:…`.
        profile: String,
    }
    /// Which call of which plugin began. What the profile of its revision is stands in `policy.load`, or
    /// where the plugin was swapped.
    BegunPart {
        /// Id of the step that the call works for.
        step: String,
        /// The attempt at the step, from 1.
        attempt: Option<u64>,
        /// The call's id within the run: `12`, and `12.1` for the first call that it made; what the host
        /// does by itself begins with `0`.
        call: Option<String>,
        /// SHA-256 of the component, `sha256:…`.
        component: String,
        /// The plugin's revision: 1 for what the run began with, one more for each swap.
        revision: Option<u64>,
        /// Hash of the effective profile, `sha256:…`; only older hosts repeated it here.
        profile: Option<String>,
    }
    /// Which call ended: the rest stands in its `tool.call`.
    EndedPart {
        /// The call's id within the run, as its `tool.call` has it.
        call: Option<String>,
        /// The plugin's revision: 1 for what the run began with, one more for each swap.
        revision: Option<u64>,
        /// Id of the step that the call works for; only older hosts repeated it here.
        step: Option<String>,
        /// The attempt at the step; only older hosts repeated it here.
        attempt: Option<u64>,
        /// SHA-256 of the component; only older hosts repeated it here.
        component: Option<String>,
        /// Hash of the effective profile; only older hosts repeated it here.
        profile: Option<String>,
    }
    /// Which step.
    StepPart {
        /// Id of the step.
        step: String,
        /// Its path in the plan.
        path: String,
    }
    /// Where something happened that belongs to a call, to a step, or to neither.
    PlacePart {
        /// Id of the step.
        step: Option<String>,
        /// The step's path in the plan.
        path: Option<String>,
        /// The attempt at the step, from 1.
        attempt: Option<u64>,
        /// The call's id within the run.
        call: Option<String>,
        /// SHA-256 of the plugin's component, `sha256:…`.
        component: Option<String>,
        /// The plugin's revision: 1 for what the run began with, one more for each swap.
        revision: Option<u64>,
        /// Hash of the effective profile, `sha256:…`.
        profile: Option<String>,
    }
    /// What was decided about a right. What was asked for stands in the payload, and what would
    /// grant it.
    DecisionPart {
        /// The interface that was used.
        interface: Option<String>,
        /// What was decided.
        decision: Option<Decision>,
        /// The rule of the profile that decided.
        rule: Option<String>,
        /// The right that is missing.
        right: Option<String>,
        /// The profile lines that would grant it; only older hosts wrote them into the line.
        cure: Option<String>,
        /// What was asked for; only older hosts wrote it into the line.
        wanted: Option<String>,
    }
    /// What one call used of its limits.
    UsedPart {
        /// Fuel units.
        fuel: Option<u64>,
        /// Peak bytes of memories and tables.
        memory_bytes: Option<u64>,
        /// Guest-to-host calls; none where it is missing beside `memory_bytes`.
        host_calls: Option<u64>,
        /// Bytes handed back.
        output_bytes: Option<u64>,
        /// Bytes of log lines taken; none where it is missing beside `memory_bytes`.
        log_bytes: Option<u64>,
        /// Bytes of records and payloads that it made the host write.
        evidence_bytes: Option<u64>,
        /// Milliseconds.
        duration_ms: Option<u64>,
        /// Milliseconds that the guest was told it had.
        told_ms: Option<u64>,
    }
    /// What a step or a run used of its budget.
    SpentPart {
        /// Calls of plugins.
        calls: Option<u64>,
        /// Fuel units of all calls.
        fuel: Option<u64>,
        /// Model tokens; none where it is missing.
        tokens: Option<u64>,
        /// Millionths of a US dollar; none where it is missing.
        micro_usd: Option<u64>,
    }
    /// One try of a model call.
    TryPart {
        /// The number of the model call within the run; older hosts wrote it as `call`.
        request: Option<u64>,
        /// The try, from 1.
        r#try: Option<u64>,
        /// The model that was asked for.
        asked: Option<String>,
        /// The model that was tried.
        model: Option<String>,
        /// `complete` or `embed`.
        operation: Option<String>,
        /// Id of the estimate that the run was started with.
        estimate: Option<String>,
    }
}
