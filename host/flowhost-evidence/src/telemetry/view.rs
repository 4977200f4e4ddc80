//! From facts to spans and measurements: a state machine without I/O.
//!
//! Owns what is open: the run, its steps, their attempts, and the calls within an attempt. A fact
//! closes what it ends; an attempt that ends closes what it left open, the run's end the rest. Facts
//! may be missing (the queue drops when it is full), so nothing here relies on a beginning.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use flowhost_flow::hash::step_id;
use flowhost_ledger::Kind;
use flowhost_ledger::trace;

use super::attempt::Attempt;
use super::instruments::{Measurement, Metric};
use super::orders::Orders;
use super::seen::Seen;
use super::span::{self, Link, Named, Span, SpanEvent, Status};

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
    orders: HashMap<String, Orders>,
    given: Vec<Given>,
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
            orders: HashMap::new(),
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

    /// The span that a fact belongs to, for log lines.
    #[must_use]
    pub fn span_of(&self, seen: &Seen) -> String {
        let run = &self.identity.run;
        match (seen.kind, seen.text("step")) {
            (Kind::ModelIntent | Kind::ModelResult, _) if !seen.is_denial() => {
                trace::model_span(run, seen.text("call"), seen.text("try"))
            }
            (_, "") => span::run_span(run),
            (_, step) => trace::step_span(step).to_owned(),
        }
    }

    /// Takes a fact and gives what it completes.
    pub fn take(&mut self, seen: &Seen) -> Vec<Given> {
        if seen.is_denial() {
            self.denied(seen);
        } else {
            self.fact(seen);
        }
        std::mem::take(&mut self.given)
    }

    fn fact(&mut self, seen: &Seen) {
        match seen.kind {
            Kind::RunStart => self.run_start(seen),
            Kind::RunEnd => self.run_end(seen),
            Kind::ComponentLoad => {
                let role = seen.text("role").to_owned();
                self.roles.insert(seen.text("plugin").to_owned(), role);
            }
            Kind::StepStart => self.step_start(seen),
            Kind::StepEnd => self.step_end(seen),
            Kind::AttemptStart => self.attempt_start(seen),
            Kind::AttemptEnd => self.attempt_end(seen),
            Kind::Message => self.message(seen),
            Kind::GuardVerdict => self.verdict(seen),
            Kind::Budget => self.budget(seen),
            Kind::ToolCall | Kind::ToolResult | Kind::ModelIntent | Kind::ModelResult => {
                self.call(seen);
            }
            _ => {}
        }
    }

    fn run_start(&mut self, seen: &Seen) {
        self.identity.plan = seen.text("plan").to_owned();
        let plan_name = seen.text("plan_name").to_owned();
        let id = span::run_span(&self.identity.run);
        let name = format!("run {plan_name}");
        let mut span = Span::begin(id, String::new(), name, seen.at);
        span.set("flowhost.tenant_id", self.identity.tenant.as_str());
        span.set("flowhost.run_id", self.identity.run.as_str());
        span.set("flowhost.plan_id", self.identity.plan.as_str());
        span.set("flowhost.plan_name", plan_name.as_str());
        span.links.extend(self.caller.take());
        self.run = Some(Run { span, plan_name });
    }

    fn run_end(&mut self, seen: &Seen) {
        for (_, attempt) in std::mem::take(&mut self.attempts) {
            self.close(attempt, seen.at);
        }
        for (_, mut step) in std::mem::take(&mut self.steps) {
            step.finish(seen.at, Status::Error("cut".to_owned()));
            self.give(step);
        }
        let Some(Run {
            mut span,
            plan_name,
        }) = self.run.take()
        else {
            return;
        };
        let status = seen.text("status");
        span.set("flowhost.outcome", status);
        span.set_number("flowhost.exit_code", seen.number("exit_code"));
        span.set_number("flowhost.tokens", seen.number("tokens"));
        span.set_number("flowhost.cost.micro_usd", seen.number("micro_usd"));
        span.finish(seen.at, status_of(status, ""));
        self.measure(Measurement::new(
            Metric::PlanDuration,
            [&plan_name, status],
            seconds(span.start, span.end),
        ));
        self.give(span);
    }

    fn step_start(&mut self, seen: &Seen) {
        let path = seen.text("path");
        for above in ancestors(path) {
            self.below.entry(above.to_owned()).or_insert(seen.at);
        }
        let span = self.step(seen, seen.at);
        self.steps.insert(seen.text("step").to_owned(), span);
    }

    fn step(&self, seen: &Seen, start: SystemTime) -> Span {
        let (step, path) = (seen.text("step"), seen.text("path"));
        let parent = match ancestors(path).next() {
            Some(above) => trace::step_span(&step_id(&self.identity.plan, above)).to_owned(),
            None => span::run_span(&self.identity.run),
        };
        let id = trace::step_span(step).to_owned();
        let mut span = Span::begin(id, parent, format!("step {path}"), start);
        span.set("flowhost.step_id", step);
        span.set("flowhost.step_path", path);
        span.set("flowhost.stage", seen.text("stage"));
        span
    }

    fn step_end(&mut self, seen: &Seen) {
        let open = self.steps.remove(seen.text("step"));
        let mut span = open.unwrap_or_else(|| self.step(seen, self.began(seen)));
        self.orders.remove(seen.text("step"));
        self.below.remove(seen.text("path"));
        let status = seen.text("status");
        span.set("flowhost.outcome", status);
        span.set_number("flowhost.attempts", seen.number("attempts"));
        span.set_number("flowhost.fuel", seen.number("fuel"));
        span.set_number("flowhost.tokens", seen.number("tokens"));
        span.set_number("flowhost.cost.micro_usd", seen.number("micro_usd"));
        span.finish(seen.at, status_of(status, ""));
        self.give(span);
    }

    /// When a step without a start of its own (a `foreach`, a sub-plan) began: with what is below
    /// it, else as long ago as its record says.
    fn began(&self, seen: &Seen) -> SystemTime {
        let lasted = Duration::from_millis(seen.number("duration_ms").unwrap_or(0));
        let told = seen.at.checked_sub(lasted).unwrap_or(seen.at);
        let first = self.below.get(seen.text("path")).copied();
        first.unwrap_or(told)
    }

    fn attempt_start(&mut self, seen: &Seen) {
        let (step, attempt) = (seen.text("step"), seen.text("attempt"));
        let id = span::attempt_span(&self.identity.run, step, attempt);
        let parent = trace::step_span(step).to_owned();
        let mut span = Span::begin(id, parent, format!("attempt {attempt}"), seen.at);
        span.set("flowhost.step_id", step);
        span.set_number("flowhost.attempt", seen.number("attempt"));
        self.attempts.entry(key(seen)).or_default().span = Some(span);
    }

    fn attempt_end(&mut self, seen: &Seen) {
        let Some(mut attempt) = self.attempts.remove(&key(seen)) else {
            return;
        };
        if let Some(span) = &mut attempt.span {
            let (status, class) = (seen.text("status"), seen.text("class"));
            span.set("flowhost.outcome", status);
            span.set("error.type", class);
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

    fn call(&mut self, seen: &Seen) {
        let agent = self.role(seen.plugin()) == "agent";
        let key = key(seen);
        let begins = matches!(seen.kind, Kind::ToolCall | Kind::ModelIntent);
        if !begins && !self.attempts.contains_key(&key) {
            return;
        }
        let open = self.attempts.get(&key).and_then(|it| it.span.as_ref());
        let parent = open.map_or_else(|| self.owner(seen), |span| span.id.clone());
        let attempt = self.attempts.entry(key).or_default();
        let given = attempt.calls.take(seen, &self.identity.run, parent, agent);
        self.given.extend(given);
    }

    /// The span that stands for a fact without an attempt.
    fn owner(&self, seen: &Seen) -> String {
        match seen.text("step") {
            "" => span::run_span(&self.identity.run),
            step => trace::step_span(step).to_owned(),
        }
    }

    fn message(&mut self, seen: &Seen) {
        let kind = seen.text("type");
        let counted = Measurement::new(Metric::AgentMessages, [seen.plugin(), kind], 1.0);
        self.measure(counted);
        let step = seen.text("step");
        match kind {
            "step.start" => self
                .orders
                .entry(step.to_owned())
                .or_default()
                .sent(seen.at),
            "step.end" => self.answered(seen, step),
            _ => {}
        }
    }

    fn answered(&mut self, seen: &Seen, step: &str) {
        let orders = self.orders.entry(step.to_owned()).or_default();
        let Some(ordered) = orders.answered() else {
            return;
        };
        let role = match self.role(seen.plugin()) {
            "" => "host",
            role => role,
        };
        let latency = seconds(ordered, seen.at);
        let labels = [seen.plugin(), role];
        let measured = Measurement::new(Metric::WorkerLatency, labels, latency);
        self.measure(measured);
    }

    /// A guardrail's verdict is a span, from the order to check until the verdict; a check's is an
    /// event, because it is computed and not called.
    fn verdict(&mut self, seen: &Seen) {
        if !seen.text("warning").is_empty() {
            return self.warning(seen);
        }
        if !seen.text("check").is_empty() {
            let about = vec![
                ("flowhost.check", seen.text("check").into()),
                ("flowhost.verdict", seen.text("verdict").into()),
            ];
            return self.event(seen, "check", about);
        }
        let guard = self.guardrail(seen, seen.text("verdict") == "deny");
        self.give(guard);
    }

    fn guardrail(&self, seen: &Seen, denied: bool) -> Span {
        let guard = seen.text("guard");
        let step = seen.text("step");
        // One that guards a call between plugins is recorded by itself, without a beginning.
        let asked = self
            .orders
            .get(step)
            .filter(|_| seen.text("tool").is_empty());
        let start = asked.and_then(Orders::last_answered).unwrap_or(seen.at);
        let id = span::record_span(&self.identity.run, seen.seq);
        let parent = self.open_attempt(step).unwrap_or_else(|| self.owner(seen));
        let mut span = Span::begin(id, parent, format!("guardrail {guard}"), start);
        span.set("flowhost.guardrail", guard);
        span.set("flowhost.part", seen.text("part"));
        span.set("flowhost.verdict", seen.text("verdict"));
        span.set("flowhost.tool_id", seen.text("tool"));
        span.set_number("flowhost.findings", seen.number("findings"));
        let stops = denied && seen.text("warned") != "true";
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

    fn budget(&mut self, seen: &Seen) {
        if !seen.text("warning").is_empty() {
            return self.warning(seen);
        }
        if seen.text("event") == "refuse" {
            let about = vec![("flowhost.budget", seen.text("name").into())];
            self.event(seen, "budget.refused", about);
        }
    }

    fn warning(&mut self, seen: &Seen) {
        let about = vec![
            ("flowhost.warning", seen.text("warning").into()),
            ("flowhost.step_path", seen.text("path").into()),
        ];
        self.event(seen, "warning", about);
    }

    fn denied(&mut self, seen: &Seen) {
        let right = right_of(seen);
        let plugin = seen.plugin().to_owned();
        self.measure(Measurement::new(Metric::Denials, [&plugin, &right], 1.0));
        let about = vec![
            ("flowhost.plugin", plugin.as_str().into()),
            ("flowhost.right", right.as_str().into()),
            ("flowhost.rule", seen.text("rule").into()),
            ("flowhost.record", seen.seq.into()),
        ];
        self.event(seen, "denied", about);
        if seen.kind == Kind::GuardVerdict {
            let guard = self.guardrail(seen, true);
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
        let step = seen.text("step");
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

/// A step and its attempt.
fn key(seen: &Seen) -> (String, u64) {
    let attempt = seen.number("attempt").unwrap_or(0);
    (seen.text("step").to_owned(), attempt)
}

fn attempts_of(step: &str) -> RangeInclusive<(String, u64)> {
    (step.to_owned(), 0)..=(step.to_owned(), u64::MAX)
}

/// The right that was missing, or what its rule begins with (`messages.cycle` names none).
fn right_of(seen: &Seen) -> String {
    let rule = seen.text("rule");
    let end = rule.find(['.', '[', '#']).unwrap_or(rule.len());
    match seen.text("right") {
        "" => rule.get(..end).unwrap_or_default().to_owned(),
        right => right.to_owned(),
    }
}

/// Paths of the steps that a step is part of, innermost first: an item's `foreach`, a sub-plan's
/// step, a handler's failed one.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(above(path), |path| above(path))
}

fn above(path: &str) -> Option<&str> {
    let end = match path.strip_suffix(']') {
        Some(_) => path.rfind('[')?,
        None => path.rfind(['/', '!'])?,
    };
    path.get(..end).filter(|above| !above.is_empty())
}

/// A status word, and the class of a failure where there is one.
fn status_of(status: &str, class: &str) -> Status {
    match (status, class) {
        ("ok", _) => Status::Ok,
        ("skipped" | "", _) => Status::Unset,
        (status, "") => Status::Error(status.to_owned()),
        (_, class) => Status::Error(class.to_owned()),
    }
}

pub(super) fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
