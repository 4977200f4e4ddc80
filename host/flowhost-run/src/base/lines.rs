//! The fields that every log line has which the host writes while it works on a run: whose it is.
//!
//! Their names mean the same in every line of the host (docs/telemetry.md lists them).

use flowhost_ledger::trace;
use flowhost_words::PluginKind;

/// The fields of the lines that the host writes while a run is driven.
pub(crate) fn run_context(tenant: &str, run: &str, plan: &str) -> tracing::Span {
    let trace_id = trace::trace_id(run);
    tracing::error_span!(
        "run",
        trace_id,
        tenant_id = tenant,
        run_id = run,
        plan_id = plan
    )
}

/// The fields of the lines that are written while a plugin works on a step.
pub(crate) fn step_context(
    step: &str,
    path: &str,
    plugin: &str,
    kind: PluginKind,
) -> tracing::Span {
    let (agent, tool) = match kind {
        PluginKind::Agent => (Some(plugin), None),
        PluginKind::Tool => (None, Some(plugin)),
        PluginKind::Guardrail | PluginKind::McpAdapter => (None, None),
    };
    tracing::error_span!(
        "step",
        span_id = trace::step_span(step),
        step_id = step,
        path,
        agent_id = agent,
        tool_id = tool
    )
}

/// The fields of the lines that are written while an agent reads a message.
pub(crate) fn message_context(message: &str, step: &str, agent: &str) -> tracing::Span {
    tracing::error_span!(
        "message",
        span_id = trace::step_span(step),
        message_id = message,
        step_id = step,
        agent_id = agent
    )
}
