//! From facts to spans and measurements: a state machine without I/O.
//!
//! Owns what is open: the run, its steps, their attempts, and the calls within an attempt. A fact
//! closes what it ends; an attempt that ends closes what it left open, the run's end the rest. Facts
//! may be missing (the queue drops when it is full), so nothing here relies on a beginning.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use flowhost_flow::hash::step_id;
use flowhost_ledger::records::{
    self, GuardVerdict, PlannerEvent, Record, RunEnd, RunStart, SpentPart, StepEnd, StepPart,
    StepStart,
};
use flowhost_ledger::trace;

use super::attempt::{self, Attempt};
use super::instruments::{Measurement, Metric};
use super::seen::Seen;
use super::span::{self, Link, Named, Span, SpanEvent, Status};
use super::words::{ancestors, right_of, status_of};
use crate::text::plugin_of;

/// Messages of one run whose spans are remembered for those that read them: more than a run's views
/// keep up with, at some 60 bytes each. Those beyond are read without a link.
const PUBLISHED_MAX: usize = 20_000;
/// Labels of one run that are counted: each is a series, and a plan may have more than a collector has room for.
const LABELS_MAX: usize = 16;

/// What a fact gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A span that ended.
    Span(Box<Span>),
    /// A measurement.
    Measurement(Measurement),
}

/// Who a run is, in spans and log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: String,
    /// The run's ULID.
    pub run: String,
    /// The trace that is the run's.
    pub trace: String,
    /// The plan's hash, once it is known.
    pub plan: String,
    /// The plan's name, once it is known.
    pub workflow: String,
}

impl Identity {
    /// A run whose plan is not known yet.
    #[must_use]
    pub fn new(tenant: &str, run: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            run: run.to_owned(),
            trace: trace::trace_id(run),
            plan: String::new(),
            workflow: String::new(),
        }
    }
}

/// The view of one run.
#[derive(Debug)]
pub struct View {
    identity: Identity,
    caller: Option<Link>,
    run: Option<Run>,
    roles: HashMap<String, String>,
    steps: HashMap<String, Span>,
    /// When the first step below a path began, for steps that have no start of their own.
    below: HashMap<String, SystemTime>,
    attempts: BTreeMap<(String, u64), Attempt>,
    /// What calls are that have begun, by their ids: their results do not repeat it.
    calls: HashMap<String, Begun>,
    /// Adapters whose conversation with a server has begun.
    sessions: Vec<String>,
    /// Who answered last, and when it had been asked: a guardrail's verdict follows its answer.
    asked: Option<(String, SystemTime)>,
    /// The spans in which messages left, by the messages' ids.
    published: HashMap<String, String>,
    given: Vec<Given>,
}

#[derive(Debug)]
struct Begun {
    plugin: String,
    step: String,
    attempt: Option<u64>,
}

#[derive(Debug)]
struct Run {
    span: Span,
    plan_name: String,
}

impl View {
    /// A view of a run that has not begun, called from `caller`.
    #[must_use]
    pub fn new(identity: Identity, caller: Option<Link>) -> Self {
        Self {
            identity,
            caller,
            run: None,
            roles: HashMap::new(),
            steps: HashMap::new(),
            below: HashMap::new(),
            attempts: BTreeMap::new(),
            calls: HashMap::new(),
            sessions: Vec::new(),
            asked: None,
            published: HashMap::new(),
            given: Vec::new(),
        }
    }

    /// Who the run is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The role of a plugin: `agent`, `tool`, …; empty before its component is loaded.
    #[must_use]
    pub fn role(&self, plugin: &str) -> &str {
        self.roles.get(plugin).map_or("", String::as_str)
    }

    /// Whether a plugin is an MCP adapter, in the word that records have for its role.
    fn is_server(&self, plugin: &str) -> bool {
        self.role(plugin) == "mcp_adapter"
    }

    /// The span that a fact belongs to, for log lines.
    #[must_use]
    pub(crate) fn span_of(&self, seen: &Seen) -> String {
        let run = &self.identity.run;
        let of_try = match &seen.record {
            Record::ModelIntent(intent) if !seen.is_denial() => {
                Some((&intent.of_try, &intent.call_of))
            }
            Record::ModelResult(result) => Some((&result.of_try, &result.call_of)),
            _ => None,
        };
        if let Some((of_try, call)) = of_try {
            let (request, attempt) = attempt::number(of_try, call);
            return trace::model_span(run, &request, &attempt);
        }
        match seen.step() {
            "" => span::run_span(run),
            step => trace::step_span(step).to_owned(),
        }
    }

    /// The fact with what stands in the records before it: a result says of its call only which it is.
    pub fn complete(&mut self, mut seen: Seen) -> Seen {
        match &mut seen.record {
            Record::ToolCall(call) => {
                if let Some(id) = call.call_of.call.clone() {
                    let begun = Begun {
                        plugin: plugin_of(&seen.actor).to_owned(),
                        step: call.call_of.step.clone(),
                        attempt: call.call_of.attempt,
                    };
                    self.calls.insert(id, begun);
                }
            }
            Record::ToolResult(result) => {
                let id = result.call_of.call.clone().unwrap_or_default();
                if let Some(begun) = self.calls.get(&id) {
                    let of = &mut result.call_of;
                    of.step.get_or_insert_with(|| begun.step.clone());
                    of.attempt = of.attempt.or(begun.attempt);
                }
                // An id with a dot is that of a call within another. The plan's own are over only once the planner has heard
                // of them, which asks for them again.
                if id.contains('.') {
                    self.calls.remove(&id);
                }
            }
            Record::PlannerEvent(event) => {
                let id = event.call.map(|call| call.to_string());
                if let Some(begun) = id.and_then(|id| self.calls.get(&id)) {
                    event.plugin.get_or_insert_with(|| begun.plugin.clone());
                }
            }
            _ => {}
        }
        seen
    }

    /// Takes a fact that is [complete](Self::complete) and gives what it completes.
    pub fn take(&mut self, seen: &Seen) -> Vec<Given> {
        if seen.is_denial() {
            self.denied(seen);
        } else {
            self.fact(seen);
        }
        self.server_calls();
        std::mem::take(&mut self.given)
    }

    fn fact(&mut self, seen: &Seen) {
        match &seen.record {
            Record::RunStart(start) => self.run_start(seen, start),
            Record::RunEnd(end) => self.run_end(seen, end),
            Record::ComponentLoad(load) => {
                self.roles.insert(load.plugin.clone(), load.role.clone());
            }
            Record::StepStart(start) => self.step_start(seen, start),
            Record::StepEnd(end) => self.step_end(seen, end),
            Record::AttemptStart(start) => self.attempt_start(seen, &start.at.step, start.attempt),
            Record::AttemptEnd(end) => {
                self.attempt_end(seen, &end.status, end.class.as_deref(), end.owner);
            }
            Record::PlannerEvent(event) => self.answered(seen, event),
            Record::Message(message) => self.message(seen, message),
            Record::McpHandshake(it) => {
                let labels = [it.plugin.as_str(), &it.protocol];
                self.measure(Measurement::new(Metric::McpHandshakes, labels, 1.0));
                self.session(&it.plugin, 1.0);
                self.sessions.push(it.plugin.clone());
            }
            Record::McpToolRegister(it) => {
                self.measure(Measurement::new(Metric::McpTools, [&*it.plugin], 1.0));
            }
            Record::GuardVerdict(said) => self.verdict(seen, said),
            Record::Budget(said) => self.budget(seen, said),
            Record::ToolCall(_)
            | Record::ToolResult(_)
            | Record::ModelIntent(_)
            | Record::ModelResult(_) => self.call(seen),
            _ => {}
        }
    }

    fn run_start(&mut self, seen: &Seen, start: &RunStart) {
        self.identity.plan = start.plan.clone().unwrap_or_default();
        let plan_name = start.plan_name.clone().unwrap_or_default();
        self.identity.workflow.clone_from(&plan_name);
        let id = span::run_span(&self.identity.run);
        let name = format!("run {}", span::cut(&plan_name));
        let mut span = Span::begin(id, String::new(), name, seen.at);
        span.set("flowhost.tenant_id", self.identity.tenant.as_str());
        span.set("flowhost.run_id", self.identity.run.as_str());
        span.set("flowhost.plan_id", self.identity.plan.as_str());
        span.set("flowhost.plan_name", plan_name.as_str());
        span.links.extend(self.caller.take());
        self.run = Some(Run { span, plan_name });
        // By name, so that it is the same ones for each run of a plan.
        for (name, value) in start.labels.iter().flatten().take(LABELS_MAX) {
            let labels = [name.as_str(), value];
            self.measure(Measurement::new(Metric::RunLabels, labels, 1.0));
        }
    }

    /// A conversation with a server that began, or ended.
    fn session(&mut self, plugin: &str, more: f64) {
        self.measure(Measurement::new(Metric::McpSessions, [plugin], more));
    }

    fn run_end(&mut self, seen: &Seen, end: &RunEnd) {
        self.calls.clear();
        // A conversation lasts for its run.
        for plugin in std::mem::take(&mut self.sessions) {
            self.session(&plugin, -1.0);
        }
        for (_, attempt) in std::mem::take(&mut self.attempts) {
            self.close(attempt, seen.at);
        }
        for (_, mut step) in std::mem::take(&mut self.steps) {
            step.finish(seen.at, Status::Error("cut".to_owned()));
            self.give(step);
        }
        // The queue may have dropped the run's beginning.
        let Some(Run {
            mut span,
            plan_name,
        }) = self.run.take()
        else {
            return;
        };
        let status = end.status.as_str();
        span.set("flowhost.outcome", status);
        span.set_number("flowhost.exit_code", end.exit_code);
        span.set_number("flowhost.tokens", end.spent.tokens);
        span.set_number("flowhost.cost.micro_usd", end.spent.micro_usd);
        span.set("error.type", end.owner.map_or("", records::Owner::as_str));
        span.finish(seen.at, status_of(status, ""));
        self.measure(Measurement::new(
            Metric::PlanDuration,
            [&plan_name, status],
            seconds(span.start, span.end),
        ));
        self.give(span);
    }

    fn step_start(&mut self, seen: &Seen, start: &StepStart) {
        for above in ancestors(&start.at.path) {
            self.below.entry(above.to_owned()).or_insert(seen.at);
        }
        let mut span = self.step(&start.at, seen.at);
        span.set("flowhost.stage", &start.stage);
        self.steps.insert(start.at.step.clone(), span);
        // Only later attempts have a record of their beginning.
        self.attempt_start(seen, &start.at.step, 1);
    }

    fn step(&self, at: &StepPart, start: SystemTime) -> Span {
        let StepPart { step, path } = at;
        let parent = match ancestors(path).next() {
            Some(above) => trace::step_span(&step_id(&self.identity.plan, above)).to_owned(),
            None => span::run_span(&self.identity.run),
        };
        let id = trace::step_span(step).to_owned();
        let name = format!("step {}", span::cut(path));
        let mut span = Span::begin(id, parent, name, start);
        span.set("flowhost.step_id", step.as_str());
        span.set("flowhost.step_path", path.as_str());
        span
    }

    fn step_end(&mut self, seen: &Seen, end: &StepEnd) {
        self.attempt_end(seen, &end.status, end.class.as_deref(), end.owner);
        let open = self.steps.remove(&end.at.step);
        let mut span = open.unwrap_or_else(|| self.step(&end.at, self.began(seen, end)));
        self.below.remove(&end.at.path);
        let status = end.status.as_str();
        let SpentPart {
            fuel,
            tokens,
            micro_usd,
            ..
        } = end.spent;
        span.set("flowhost.outcome", status);
        span.set_number("flowhost.attempts", end.attempts);
        span.set_number("flowhost.fuel", fuel);
        span.set_number("flowhost.tokens", tokens);
        span.set_number("flowhost.cost.micro_usd", micro_usd);
        span.finish(seen.at, status_of(status, ""));
        self.give(span);
    }

    /// When a step without a start of its own (a `foreach`, a sub-plan) began: with what is below
    /// it, else as long ago as its record says.
    fn began(&self, seen: &Seen, end: &StepEnd) -> SystemTime {
        let lasted = Duration::from_millis(end.duration_ms.unwrap_or(0));
        let told = seen.at.checked_sub(lasted).unwrap_or(seen.at);
        let first = self.below.get(&end.at.path).copied();
        first.unwrap_or(told)
    }

    fn attempt_start(&mut self, seen: &Seen, step: &str, attempt: u64) {
        let number = attempt.to_string();
        let id = span::attempt_span(&self.identity.run, step, &number);
        let parent = trace::step_span(step).to_owned();
        let mut span = Span::begin(id, parent, format!("attempt {number}"), seen.at);
        span.set("flowhost.step_id", step);
        span.set("flowhost.attempt", attempt);
        self.attempts.entry(key(seen)).or_default().span = Some(span);
    }

    /// An attempt ends, by itself or with its step; one that has ended before is over.
    fn attempt_end(
        &mut self,
        seen: &Seen,
        status: &str,
        class: Option<&str>,
        owner: Option<records::Owner>,
    ) {
        // The queue may have dropped its beginning, too.
        let Some(mut attempt) = self.attempts.remove(&key(seen)) else {
            return;
        };
        if let Some(span) = &mut attempt.span {
            let class = class.unwrap_or("");
            span.set("flowhost.outcome", status);
            span.set("error.type", class);
            span.set("flowhost.owner", owner.map_or("", records::Owner::as_str));
            span.status = status_of(status, class);
        }
        self.close(attempt, seen.at);
    }

    /// Ends an attempt with everything that it left open.
    fn close(&mut self, attempt: Attempt, at: SystemTime) {
        let Attempt { span, calls } = attempt;
        self.given.extend(calls.cut(at));
        if let Some(mut span) = span {
            let status = match std::mem::take(&mut span.status) {
                Status::Unset => Status::Error("cut".to_owned()),
                status => status,
            };
            span.finish(at, status);
            self.give(span);
        }
    }

    /// Measures calls of MCP servers' tools a second time, by their own names: they are tools as others are, and
    /// somebody else's program too.
    fn server_calls(&mut self) {
        let is_server = |plugin: &String| self.is_server(plugin);
        let of_server = |given: &Given| match given {
            Given::Measurement(it) if it.metric == Metric::ToolDuration => {
                let plugin = it.labels.first()?;
                is_server(plugin).then(|| Measurement {
                    metric: Metric::McpDuration,
                    ..it.clone()
                })
            }
            _ => None,
        };
        let measured: Vec<_> = self.given.iter().filter_map(of_server).collect();
        self.given
            .extend(measured.into_iter().map(Given::Measurement));
    }

    fn call(&mut self, seen: &Seen) {
        if let Record::ToolResult(result) = &seen.record
            && result.status != "ok"
            && self.is_server(seen.plugin())
        {
            let class = result.class.as_deref().unwrap_or("unknown");
            let labels = [seen.plugin(), class];
            self.measure(Measurement::new(Metric::McpErrors, labels, 1.0));
        }
        let agent = self.role(seen.plugin()) == "agent";
        let key = key(seen);
        if let Record::ToolCall(call) = &seen.record
            && call
                .call_of
                .call
                .as_ref()
                .is_some_and(|id| !id.contains('.'))
        {
            // The plan's own call: an order for it has reached whoever performs it.
            self.envelope("host", "step.start");
        }
        let begins = matches!(seen.record, Record::ToolCall(_) | Record::ModelIntent(_));
        // The attempt has ended and has cut its calls, or the queue has dropped their beginnings: a result alone would leave
        // an attempt behind that nothing ends.
        if !begins && !self.attempts.contains_key(&key) {
            return;
        }
        let open = self.attempts.get(&key).and_then(|it| it.span.as_ref());
        let parent = open.map_or_else(|| self.owner(seen), |span| span.id.clone());
        let link = self.publisher(seen);
        let attempt = self.attempts.entry(key).or_default();
        let given = attempt.calls.take(seen, &self.identity.run, parent, agent);
        if let Some(link) = link {
            attempt.calls.link(link);
        }
        self.given.extend(given);
    }

    /// The span in which the message left that this call delivers.
    fn publisher(&self, seen: &Seen) -> Option<Link> {
        let Record::ToolCall(call) = &seen.record else {
            return None;
        };
        let span_id = self.published.get(call.id.as_ref()?)?;
        Some(Link {
            trace_id: self.identity.trace.clone(),
            span_id: span_id.clone(),
            // It leads to a span of the run's own trace, as this one is.
            sampled: true,
        })
    }

    /// A message left: in the call of its sender, where one is at work.
    fn publish(&mut self, seen: &Seen, id: &str) {
        if self.published.len() >= PUBLISHED_MAX {
            return;
        }
        let attempt = self.attempts.get(&key(seen));
        let call = attempt.and_then(|it| it.calls.of_plugin(seen.plugin()));
        let span = call.unwrap_or_else(|| self.owner(seen));
        self.published.insert(id.to_owned(), span);
    }

    /// The span that stands for a fact without an attempt.
    fn owner(&self, seen: &Seen) -> String {
        match seen.step() {
            "" => span::run_span(&self.identity.run),
            step => trace::step_span(step).to_owned(),
        }
    }

    fn message(&mut self, seen: &Seen, message: &records::Message) {
        self.envelope(seen.plugin(), &message.r#type);
        self.publish(seen, &message.id);
    }

    fn envelope(&mut self, sender: &str, kind: &str) {
        self.measure(Measurement::new(Metric::AgentMessages, [sender, kind], 1.0));
    }

    /// The planner is told that a call has ended: an order went out for it, and an answer came back.
    fn answered(&mut self, seen: &Seen, event: &PlannerEvent) {
        // Another process sent the order, nobody did, or the queue has dropped who was asked.
        let (Some(took_us), Some(plugin)) = (event.took_us, event.plugin.as_deref()) else {
            return;
        };
        let took = Duration::from_micros(took_us);
        let id = event.call.map(|call| call.to_string()).unwrap_or_default();
        if self.calls.remove(&id).is_none() {
            // Nothing said of the order before: a guardrail's call has no record of its own.
            self.envelope("host", "step.start");
        }
        self.envelope(plugin, "step.end");
        let role = match self.role(plugin) {
            "" => "host",
            role => role,
        };
        let labels = [plugin, role];
        let latency = Measurement::new(Metric::WorkerLatency, labels, took.as_secs_f64());
        self.measure(latency);
        let asked = seen.at.checked_sub(took).unwrap_or(seen.at);
        self.asked = Some((plugin.to_owned(), asked));
    }

    /// A guardrail's verdict is a span, from the order to check until the verdict; a check's is an
    /// event, because it is computed and not called.
    fn verdict(&mut self, seen: &Seen, said: &GuardVerdict) {
        if let Some(warning) = &said.warning {
            return self.warning(seen, warning);
        }
        if said.check.is_some() {
            let about = vec![
                ("flowhost.check", (&said.check).into()),
                ("flowhost.verdict", (&said.verdict).into()),
            ];
            return self.event(seen, "check", about);
        }
        let denied = said.verdict.as_deref() == Some("deny");
        let guard = self.guardrail(seen, said, denied);
        self.give(guard);
    }

    fn guardrail(&self, seen: &Seen, said: &GuardVerdict, denied: bool) -> Span {
        let guard = said.guard.as_deref().unwrap_or("");
        let step = seen.step();
        // One that guards a call between plugins is recorded by itself, without a beginning.
        let asked = self.asked.as_ref().filter(|_| said.tool.is_none());
        let start = asked
            .filter(|(plugin, _)| plugin == guard)
            .map_or(seen.at, |(_, at)| (*at).min(seen.at));
        let id = span::record_span(&self.identity.run, seen.seq);
        let parent = self.open_attempt(step).unwrap_or_else(|| self.owner(seen));
        let mut span = Span::begin(id, parent, format!("guardrail {guard}"), start);
        span.set("flowhost.guardrail", guard);
        span.set("flowhost.part", &said.part);
        span.set("flowhost.verdict", &said.verdict);
        span.set("flowhost.tool_id", &said.tool);
        span.set_number("flowhost.findings", said.findings);
        let stops = denied && said.warned != Some(true);
        let status = if stops {
            Status::Error("deny".to_owned())
        } else {
            Status::Ok
        };
        span.finish(seen.at, status);
        span
    }

    /// The attempt of a step that is at work.
    fn open_attempt(&self, step: &str) -> Option<String> {
        let mut of_step = self.attempts.range(attempts_of(step));
        let (_, attempt) = of_step.next_back()?;
        Some(attempt.span.as_ref()?.id.clone())
    }

    fn budget(&mut self, seen: &Seen, said: &records::Budget) {
        if let Some(warning) = &said.warning {
            return self.warning(seen, warning);
        }
        match said.event.as_deref() {
            Some("refuse") => {
                let about = vec![("flowhost.budget", (&said.name).into())];
                self.event(seen, "budget.refused", about);
            }
            Some("variance") => {
                let tokens = ("tokens", said.estimated_tokens, said.tokens);
                let usd = ("usd", said.estimated_micro_usd, said.micro_usd);
                for (currency, likely, spent) in [tokens, usd] {
                    let off = likely.zip(spent).and_then(|it| variance(currency, it));
                    off.into_iter().for_each(|it| self.measure(it));
                }
            }
            _ => {}
        }
    }

    fn warning(&mut self, seen: &Seen, warning: &str) {
        let about = vec![
            ("flowhost.warning", warning.into()),
            ("flowhost.step_path", seen.record.path().into()),
        ];
        self.event(seen, "warning", about);
    }

    fn denied(&mut self, seen: &Seen) {
        let decided = seen.record.decided().cloned().unwrap_or_default();
        let right = right_of(&decided);
        let plugin = seen.plugin().to_owned();
        self.measure(Measurement::new(Metric::Denials, [&plugin, &right], 1.0));
        let about = vec![
            ("flowhost.plugin", plugin.as_str().into()),
            ("flowhost.right", right.as_str().into()),
            ("flowhost.rule", (&decided.rule).into()),
            ("flowhost.record", seen.seq.into()),
        ];
        self.event(seen, "denied", about);
        if let Record::GuardVerdict(said) = &seen.record {
            let guard = self.guardrail(seen, said, true);
            self.give(guard);
        }
    }

    /// Adds an event to the attempt that it belongs to, else to the step, else to the run.
    fn event(&mut self, seen: &Seen, name: &'static str, attributes: Vec<Named>) {
        let event = SpanEvent {
            name,
            at: seen.at,
            attributes,
        };
        let step = seen.step();
        let mut of_step = self.attempts.range_mut(attempts_of(step));
        let attempt = of_step
            .next_back()
            .and_then(|(_, attempt)| attempt.span.as_mut());
        let span = attempt
            .or_else(|| self.steps.get_mut(step))
            .or(self.run.as_mut().map(|run| &mut run.span));
        if let Some(span) = span {
            span.event(event);
        }
    }

    fn give(&mut self, span: Span) {
        self.given.push(Given::Span(Box::new(span)));
    }

    fn measure(&mut self, measurement: Measurement) {
        self.given.push(Given::Measurement(measurement));
    }
}

/// How far off an estimate was; nothing where nothing was expected.
fn variance(currency: &str, (likely, spent): (u64, u64)) -> Option<Measurement> {
    let direction = match spent.cmp(&likely) {
        std::cmp::Ordering::Less => "under",
        std::cmp::Ordering::Equal => "exact",
        std::cmp::Ordering::Greater => "over",
    };
    let ratio = spent.abs_diff(likely) as f64 / likely as f64;
    let measured = || Measurement::new(Metric::CostVariance, [currency, direction], ratio);
    (likely > 0).then(measured)
}

/// A step and its attempt.
fn key(seen: &Seen) -> (String, u64) {
    (seen.step().to_owned(), seen.attempt())
}

fn attempts_of(step: &str) -> RangeInclusive<(String, u64)> {
    (step.to_owned(), 0)..=(step.to_owned(), u64::MAX)
}

pub(super) fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
