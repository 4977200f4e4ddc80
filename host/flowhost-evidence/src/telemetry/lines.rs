//! A log line for each fact that a view looks at, with the reserved fields: who, where, what, how.
//!
//! Messages of the bus are told at `debug`, everything else at `info`. A line names things and never
//! quotes them; what plugins say is in lines of their own.

use flowhost_ledger::Kind;

use super::seen::Seen;
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
    let some = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: TARGET,
                trace_id = identity.trace.as_str(),
                span_id = span.as_str(),
                message_id = some(seen.text("id")),
                plan_id = some(&identity.plan),
                run_id = identity.run.as_str(),
                step_id = some(seen.text("step")),
                path = some(seen.text("path")),
                tenant_id = identity.tenant.as_str(),
                agent_id = names.agent,
                tool_id = names.tool,
                event_type = seen.kind.as_str(),
                outcome = some(outcome(seen)),
                record = seen.seq,
                "{}",
                seen.kind.as_str()
            )
        };
    }
    if seen.kind == Kind::Message {
        line!(debug);
    } else {
        line!(info);
    }
}

/// How it went, in the record's own word.
fn outcome(seen: &Seen) -> &str {
    let words = ["decision", "class", "status", "verdict", "warning", "event"];
    let words = words.map(|name| seen.text(name)).into_iter();
    words
        .into_iter()
        .find(|word| !word.is_empty())
        .unwrap_or("")
}

struct Names {
    agent: Option<String>,
    tool: Option<String>,
}

impl Names {
    fn of(view: &View, seen: &Seen) -> Self {
        let plugin = seen.plugin();
        let called = matches!(seen.kind, Kind::ToolCall | Kind::ToolResult);
        let is = |name: &str, role: &str| view.role(name) == role;
        let agent = [plugin, seen.text("caller"), seen.text("plugin")];
        let agent = agent.into_iter().find(|name| is(name, "agent"));
        let tool = match seen.text("tool") {
            "" => {
                let own = [plugin, seen.text("plugin")].into_iter();
                own.filter(|name| is(name, "tool"))
                    .map(ToOwned::to_owned)
                    .next()
            }
            tool if called && !is(plugin, "agent") => Some(format!("{plugin}/{tool}")),
            _ if called => None,
            tool => Some(tool.to_owned()),
        };
        Self {
            agent: agent.map(ToOwned::to_owned),
            tool,
        }
    }
}
