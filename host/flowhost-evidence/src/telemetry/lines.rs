//! A log line for each fact that a view looks at, with the reserved fields: who, where, what, how.
//!
//! Messages of the bus and what the planner is fed are told at `debug`, everything else at `info`. A line names things and never
//! quotes them; what plugins say is in lines of their own.

use flowhost_ledger::Kind;
use flowhost_ledger::records::Record;

use super::seen::Seen;
use super::span::cut;
use super::view::View;

/// The target of these lines, for filters: `FLOWHOST_LOG=flowhost::fact=debug`.
pub const TARGET: &str = "flowhost::fact";

/// Names that mean the same in every log line, here and wherever the host writes one.
pub const RESERVED: &[&str] = &[
    "trace_id",
    "span_id",
    "message_id",
    "plan_id",
    "run_id",
    "step_id",
    "tenant_id",
    "agent_id",
    "tool_id",
    "event_type",
    "outcome",
    "severity",
];

/// Whether anybody reads them.
#[must_use]
pub fn are_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// Writes the fact's line.
pub fn write(view: &View, seen: &Seen) {
    let identity = view.identity();
    let span = view.span_of(seen);
    let names = Names::of(view, seen);
    let some = |text: &'_ str| (!text.is_empty()).then(|| cut(text).to_owned());
    let kind = seen.kind().as_str();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: TARGET,
                trace_id = identity.trace.as_str(),
                span_id = span.as_str(),
                message_id = some(message_of(&seen.record)),
                plan_id = some(&identity.plan),
                run_id = identity.run.as_str(),
                step_id = some(seen.step()),
                path = some(seen.record.path()),
                tenant_id = identity.tenant.as_str(),
                agent_id = names.agent,
                tool_id = names.tool,
                event_type = kind,
                outcome = some(outcome(&seen.record)),
                record = seen.seq,
                "{}",
                kind
            )
        };
    }
    if matches!(seen.kind(), Kind::Message | Kind::PlannerEvent) {
        line!(debug);
    } else {
        line!(info);
    }
}

/// The message that it is about; empty for none.
fn message_of(record: &Record) -> &str {
    match record {
        Record::Message(message) => &message.id,
        Record::ToolCall(call) => call.id.as_deref().unwrap_or(""),
        Record::ToolResult(result) => result.id.as_deref().unwrap_or(""),
        Record::HostCall(call) => call.id.as_deref().unwrap_or(""),
        _ => "",
    }
}

/// How it went, in the record's own word.
fn outcome(record: &Record) -> &str {
    if let Some(decision) = record.decided().and_then(|it| it.decision) {
        return decision.as_str();
    }
    match record {
        Record::RunEnd(end) => &end.status,
        Record::StepEnd(end) => &end.status,
        Record::AttemptEnd(end) => end.class.as_ref().unwrap_or(&end.status),
        Record::ToolResult(result) => &result.status,
        Record::ModelResult(result) => result.class.as_ref().unwrap_or(&result.status),
        Record::GuardVerdict(said) => said
            .verdict
            .as_ref()
            .or(said.warning.as_ref())
            .map_or("", String::as_str),
        Record::Budget(said) => said
            .warning
            .as_ref()
            .or(said.event.as_ref())
            .map_or("", String::as_str),
        _ => "",
    }
}

struct Names {
    agent: Option<String>,
    tool: Option<String>,
}

impl Names {
    fn of(view: &View, seen: &Seen) -> Self {
        let plugin = seen.plugin();
        match &seen.record {
            Record::ToolCall(call) => {
                Self::of_call(view, plugin, call.caller.as_deref(), &call.tool)
            }
            Record::ToolResult(result) => {
                Self::of_call(view, plugin, result.caller.as_deref(), &result.tool)
            }
            Record::GuardVerdict(said) if said.tool.is_some() => Self {
                agent: Self::agent(view, &[plugin]),
                tool: said.tool.clone(),
            },
            Record::ComponentLoad(load) => Self::loaded(view, &load.plugin),
            _ => Self::loaded(view, plugin),
        }
    }

    fn of_call(view: &View, plugin: &str, caller: Option<&str>, tool: &str) -> Self {
        let is_agent = view.role(plugin) == "agent";
        Self {
            agent: Self::agent(view, &[plugin, caller.unwrap_or("")]),
            tool: (!is_agent).then(|| format!("{plugin}/{tool}")),
        }
    }

    fn loaded(view: &View, plugin: &str) -> Self {
        Self {
            agent: Self::agent(view, &[plugin]),
            tool: (view.role(plugin) == "tool").then(|| plugin.to_owned()),
        }
    }

    fn agent(view: &View, names: &[&str]) -> Option<String> {
        let mut names = names.iter();
        let agent = names.find(|name| view.role(name) == "agent")?;
        Some((*agent).to_owned())
    }
}
