//! Every metric there is: one list that the Prometheus text, the OTLP metrics, the book's table and
//! the dashboard are held against.

use flowhost_flow::RunStatus;

/// How values are put together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// A sum that only grows.
    Counter,
    /// How many there are: what is measured is one more, or one fewer.
    Gauge,
    /// Counts per bucket; the upper bounds.
    Histogram(&'static [f64]),
}

/// A label and what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values that there are; empty for names that plans choose, which are bounded by number.
    pub values: &'static [&'static str],
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// Its name, with the unit.
    pub name: &'static str,
    /// The unit as OpenTelemetry writes it (UCUM).
    pub unit: &'static str,
    /// What it says.
    pub help: &'static str,
    /// How values are put together.
    pub shape: Shape,
    /// Its labels, in the order of a measurement's values.
    pub labels: &'static [Label],
}

/// From 100 µs to 10 minutes: a warm tool call takes tens of microseconds, a model may take minutes.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0,
];
/// Shares of an estimate, from right on to ten times off.
const RATIOS: &[f64] = &[
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 5.0, 10.0,
];

const fn open(name: &'static str) -> Label {
    Label { name, values: &[] }
}

const fn of(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values }
}

/// Whose run it was; every metric ends with these two, which [`Measurement::of_run`] adds.
const TENANT: Label = open("tenant");
/// The plan's name.
const WORKFLOW: Label = open("workflow");
/// How a call of a plugin ended; `cut` when it was stopped before its result.
const CALL_OUTCOMES: &[&str] = &["ok", "failed", "cut"];
const RUN_OUTCOMES: &[&str] = RunStatus::WORDS;
const MODEL_OUTCOMES: &[&str] = &[
    "ok",
    "transient",
    "rate_limited",
    "auth",
    "quota",
    "invalid",
    "provider",
    "deadline",
    "unreachable",
    "residency",
    "cut",
    "script",
];
const MESSAGES: &[&str] = &["step.start", "step.end", "message", "message.reply"];
const ROLES: &[&str] = &["agent", "tool", "guardrail", "mcp_adapter", "host"];
const TOKENS: &[&str] = &["input", "cached_input", "output", "reasoning"];

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $definition:expr;)*) => {
        /// The name of a metric in the code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric { $($(#[$doc])* $name,)* }

        impl Metric {
            /// All of them, in the order of the book's table.
            pub const ALL: &'static [Metric] = &[$(Metric::$name,)*];

            /// What it is.
            #[must_use]
            pub const fn definition(self) -> Definition {
                match self { $(Metric::$name => const { $definition },)* }
            }
        }
    };
}

metrics! {
    /// Messages that passed.
    AgentMessages = Definition {
        name: "agent_messages_total",
        unit: "{message}",
        help: "Envelopes and topic messages, by sender and type.",
        shape: Shape::Counter,
        labels: &[open("sender"), of("type", MESSAGES), TENANT, WORKFLOW],
    };
    /// Calls of tools that ended.
    ToolCalls = Definition {
        name: "tool_calls_total",
        unit: "{call}",
        help: "Tool calls that ended, by plugin, tool and outcome.",
        shape: Shape::Counter,
        labels: &[open("plugin"), open("tool"), of("outcome", CALL_OUTCOMES), TENANT, WORKFLOW],
    };
    /// How long they took.
    ToolDuration = Definition {
        name: "tool_execution_duration_seconds",
        unit: "s",
        help: "From the record of a tool call to the record of its result.",
        shape: Shape::Histogram(SECONDS),
        labels: &[open("plugin"), open("tool"), of("outcome", CALL_OUTCOMES), TENANT, WORKFLOW],
    };
    /// How long the plan took.
    PlanDuration = Definition {
        name: "planner_plan_duration_seconds",
        unit: "s",
        help: "From a run's first record to its last, by plan and outcome.",
        shape: Shape::Histogram(SECONDS),
        labels: &[open("plan"), of("outcome", RUN_OUTCOMES), TENANT, WORKFLOW],
    };
    /// What plans call their runs.
    RunLabels = Definition {
        name: "run_labels_total",
        unit: "{run}",
        help: "Runs that began, by each label of their plan: its name and its value.",
        shape: Shape::Counter,
        labels: &[open("label"), open("value"), TENANT, WORKFLOW],
    };
    /// How long a worker took.
    WorkerLatency = Definition {
        name: "worker_execution_latency_seconds",
        unit: "s",
        help: "From the planner's order for a call to the worker's answer.",
        shape: Shape::Histogram(SECONDS),
        labels: &[open("plugin"), of("role", ROLES), TENANT, WORKFLOW],
    };
    /// Tokens that models counted.
    Tokens = Definition {
        name: "cost_observation_tokens_total",
        unit: "{token}",
        help: "Tokens of model calls; the types add up to all of them.",
        shape: Shape::Counter,
        labels: &[open("provider"), open("model"), of("type", TOKENS), TENANT, WORKFLOW],
    };
    /// How far off estimates were.
    CostVariance = Definition {
        name: "cost_estimate_variance_ratio",
        unit: "1",
        help: "|actual - likely| / likely of the estimate that a run was started with.",
        shape: Shape::Histogram(RATIOS),
        labels: &[
            of("currency", &["tokens", "usd"]),
            of("direction", &["under", "exact", "over"]), TENANT, WORKFLOW],
    };
    /// Refusals.
    Denials = Definition {
        name: "sandbox_denials_total",
        unit: "{denial}",
        help: "What policy refused, by plugin and right.",
        shape: Shape::Counter,
        labels: &[open("plugin"), open("right"), TENANT, WORKFLOW],
    };
    /// Conversations with MCP servers.
    McpHandshakes = Definition {
        name: "mcp_handshakes_total",
        unit: "{handshake}",
        help: "MCP servers that an adapter agreed with, by plugin and revision of the protocol.",
        shape: Shape::Counter,
        labels: &[open("plugin"), open("protocol"), TENANT, WORKFLOW],
    };
    /// Conversations with MCP servers that have not ended.
    McpSessions = Definition {
        name: "mcp_active_sessions",
        unit: "{session}",
        help: "Conversations with MCP servers in runs that are at work, by plugin.",
        shape: Shape::Gauge,
        labels: &[open("plugin"), TENANT, WORKFLOW],
    };
    /// Tools of MCP servers.
    McpTools = Definition {
        name: "mcp_tools_registered_total",
        unit: "{tool}",
        help: "Tools as MCP servers showed them first, by plugin.",
        shape: Shape::Counter,
        labels: &[open("plugin"), TENANT, WORKFLOW],
    };
    /// How long MCP servers took.
    McpDuration = Definition {
        name: "mcp_call_duration_seconds",
        unit: "s",
        help: "From the record of a call of an MCP server's tool to the record of its result.",
        shape: Shape::Histogram(SECONDS),
        labels: &[open("plugin"), open("tool"), of("outcome", CALL_OUTCOMES), TENANT, WORKFLOW],
    };
    /// Calls of MCP servers that went wrong.
    McpErrors = Definition {
        name: "mcp_errors_total",
        unit: "{error}",
        help: "Calls of MCP servers' tools that failed, by plugin and class of the failure.",
        shape: Shape::Counter,
        labels: &[open("plugin"), open("class"), TENANT, WORKFLOW],
    };
    /// How long models took.
    ModelDuration = Definition {
        name: "model_request_duration_seconds",
        unit: "s",
        help: "One try of a model call, by the model tried and how it ended.",
        shape: Shape::Histogram(SECONDS),
        labels: &[
            open("provider"),
            open("model"),
            of("operation", &["complete", "embed"]),
            of("outcome", MODEL_OUTCOMES), TENANT, WORKFLOW],
    };
}

/// One measurement, before its labels are bounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub metric: Metric,
    /// One value for each label of the definition, in its order.
    pub labels: Vec<String>,
    /// What to add or to observe.
    pub value: f64,
}

impl Measurement {
    /// A measurement.
    #[must_use]
    pub fn new<const N: usize>(metric: Metric, labels: [&str; N], value: f64) -> Self {
        Self {
            metric,
            labels: labels.iter().map(ToString::to_string).collect(),
            value,
        }
    }

    /// The same, of a run of this tenant and this plan.
    #[must_use]
    pub fn of_run(mut self, tenant: &str, workflow: &str) -> Self {
        self.labels.extend([tenant.to_owned(), workflow.to_owned()]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_unit_and_nothing_is_named_twice() {
        let mut names: Vec<&str> = Vec::new();
        for metric in Metric::ALL {
            let Definition {
                name, unit, shape, ..
            } = metric.definition();
            let ending = match (shape, unit) {
                (Shape::Counter, _) => "_total",
                (Shape::Gauge, _) => "_sessions",
                (Shape::Histogram(_), "s") => "_seconds",
                (Shape::Histogram(_), _) => "_ratio",
            };
            assert!(name.ends_with(ending), "{name} {unit}");
            assert!(!names.contains(&name), "{name}");
            names.push(name);
        }
    }

    #[test]
    fn every_metric_ends_with_what_its_run_adds() {
        for metric in Metric::ALL {
            let labels = metric.definition().labels;
            assert!(labels.ends_with(&[TENANT, WORKFLOW]), "{metric:?}");
        }
    }

    #[test]
    fn buckets_rise() {
        for bounds in [SECONDS, RATIOS] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn words_are_those_of_the_planner() {
        use flowhost_flow::Exit;
        for exit in Exit::ALL {
            let word = serde_json::to_value(exit.status()).unwrap();
            assert!(RUN_OUTCOMES.contains(&word.as_str().unwrap()), "{word}");
        }
    }
}
