//! Hand-made facts, and the spans and measurements that they must give.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use flowhost_flow::hash::step_id;
use flowhost_ledger::records::Shape;
use flowhost_ledger::trace;
use flowhost_ledger::{Fact, Kind, Value};
use proptest::prelude::*;

use super::*;
use crate::telemetry::span::{Attribute, attempt_span, caller, run_span};

/// Facts are made here by the names of their fields, any of which may be missing.
trait Free {
    fn with(self, name: &str, value: impl Into<Value>) -> Self;
}

impl Free for Fact {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

const RUN: &str = "01JD0000000000000000000000";
const PLAN: &str = "sha256:9f";

/// Facts one after the other, a second apart.
struct Told {
    view: View,
    seconds: u64,
    spans: Vec<Span>,
    measured: Vec<Measurement>,
}

impl Told {
    fn new() -> Self {
        let mut told = Self {
            view: View::new(Identity::new("default", RUN), None),
            seconds: 0,
            spans: Vec::new(),
            measured: Vec::new(),
        };
        let start = host(Kind::RunStart).with("plan", PLAN);
        told.tell(start.with("plan_name", "audit"));
        for (plugin, role) in [
            ("writer", "agent"),
            ("files", "tool"),
            ("scan", "guardrail"),
        ] {
            let load = host(Kind::ComponentLoad).with("plugin", plugin);
            told.tell(load.with("role", role).with("component", "sha256:00"));
        }
        told
    }

    fn tell(&mut self, fact: Fact) {
        self.seconds += 1;
        // A fact that is not what its kind says would pass unseen, and prove nothing.
        fact.read().unwrap();
        let Some(fact) = crate::telemetry::seen::Told::of(fact) else {
            return;
        };
        let seen = fact.seen(self.seconds, at(self.seconds)).unwrap();
        let seen = self.view.complete(seen);
        for given in self.view.take(&seen) {
            match given {
                Given::Span(span) => self.spans.push(*span),
                Given::Measurement(measurement) => self.measured.push(measurement),
            }
        }
    }

    /// A step's first attempt begins.
    fn begin(&mut self, path: &str) -> String {
        let step = step_id(PLAN, path);
        self.tell(of_step(Kind::StepStart, &step, path));
        step
    }

    fn end(&mut self, path: &str, status: &str, class: &str) {
        let step = step_id(PLAN, path);
        let end = of_step(Kind::StepEnd, &step, path).with("status", status);
        let end = end.with("duration_ms", 9_000).with("attempts", 1);
        self.tell(match class {
            "" => end,
            class => end.with("class", class),
        });
    }

    fn finish(&mut self) {
        self.tell(host(Kind::RunEnd).with("status", "ok").with("exit_code", 0));
    }

    #[track_caller]
    fn span(&self, name: &str) -> &Span {
        let names: Vec<&str> = self.spans.iter().map(|span| span.name.as_str()).collect();
        let found = self.spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no `{name}` in {names:?}"))
    }

    fn values(&self, metric: Metric) -> Vec<(Vec<&str>, f64)> {
        let measured = self.measured.iter().filter(|it| it.metric == metric);
        let pairs = measured.map(|it| (it.labels.iter().map(String::as_str).collect(), it.value));
        pairs.collect()
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn host(kind: Kind) -> Fact {
    Fact::new(kind, "default/host")
}

fn of_step(kind: Kind, step: &str, path: &str) -> Fact {
    host(kind).with("step", step).with("path", path)
}

fn by(plugin: &str, kind: Kind, step: &str) -> Fact {
    Fact::new(kind, format!("default/{plugin}"))
        .with("step", step)
        .with("attempt", 1)
        .with("component", "sha256:00")
        .with("profile", "sha256:11")
}

fn message(actor: &str, kind: &str, step: &str) -> Fact {
    let fact = Fact::new(Kind::Message, actor);
    fact.with("id", "m").with("type", kind).with("step", step)
}

fn intent(step: &str, call: u64, attempt: u64, model: &str) -> Fact {
    by("writer", Kind::ModelIntent, step)
        .with("request", call)
        .with("try", attempt)
        .with("asked", "openai/gpt-x")
        .with("model", model)
        .with("operation", "complete")
        .with("max_tokens", 500)
        .with("reserved_tokens", 1_000)
        .with("reserved_micro_usd", 200)
        .payload(br#"{"turns":[{"content":"the prompt"}]}"#.to_vec())
}

fn result(step: &str, call: u64, attempt: u64, status: &str) -> Fact {
    by("writer", Kind::ModelResult, step)
        .with("request", call)
        .with("try", attempt)
        .with("status", status)
        .payload(b"the answer".to_vec())
}

fn answered(step: &str, call: u64, attempt: u64) -> Fact {
    result(step, call, attempt, "ok")
        .with("answered_by", "gpt-x-2026-01")
        .with("finish", "stop")
        .with("prompt_tokens", 600)
        .with("cached_tokens", 100)
        .with("completion_tokens", 150)
        .with("reasoning_tokens", 50)
        .with("micro_usd", 300)
        .with("first_token_ms", 40)
}

fn attributes(span: &Span) -> BTreeMap<&'static str, Attribute> {
    span.attributes.iter().cloned().collect()
}

#[test]
fn a_denied_model_call_is_counted_and_told_and_is_no_span() {
    let mut told = Told::new();
    let step = told.begin("a");
    let denied = intent(&step, 1, 1, "openai/gpt-x").with("decision", "deny");
    told.tell(denied.with("right", "model").with("rule", "model#none"));
    told.end("a", "failed", "denied");
    told.finish();
    assert!(told.spans.iter().all(|span| !span.client));
    let denials = told.values(Metric::Denials);
    assert_eq!(denials, [(vec!["writer", "model"], 1.0)]);
    let attempt = told.span("attempt 1");
    assert_eq!(attempt.status, Status::Error("denied".to_owned()));
    assert_eq!(attempt.events[0].name, "denied");
}

#[test]
fn a_rule_stands_for_the_right_that_a_denial_does_not_name() {
    let mut told = Told::new();
    let denied = by("writer", Kind::HostCall, "").with("decision", "deny");
    told.tell(denied.with("rule", "messages.cycle"));
    assert_eq!(told.values(Metric::Denials)[0].0, ["writer", "messages"]);
}

#[test]
fn a_run_is_a_tree_whose_ids_are_those_of_its_envelopes() {
    let mut told = Told::new();
    let step = told.begin("a");
    let call = by("files", Kind::ToolCall, &step).with("tool", "read");
    told.tell(call);
    let done = by("files", Kind::ToolResult, &step).with("tool", "read");
    told.tell(done.with("status", "ok").with("fuel", 7));
    told.end("a", "ok", "");
    told.finish();
    let run = told.span("run audit");
    assert_eq!(
        (run.id.as_str(), run.parent.as_str()),
        (run_span(RUN).as_str(), "")
    );
    let of_step = told.span("step a");
    assert_eq!(of_step.id, trace::step_span(&step));
    assert_eq!(of_step.parent, run.id);
    let attempt = told.span("attempt 1");
    assert_eq!(attempt.id, attempt_span(RUN, &step, "1"));
    assert_eq!(attempt.parent, of_step.id);
    let tool = told.span("execute_tool files/read");
    assert_eq!(tool.parent, attempt.id);
    assert_eq!(attributes(tool)["gen_ai.tool.name"], "read".into());
    assert!(told.spans.iter().all(|span| span.status == Status::Ok));
    assert_eq!(
        told.values(Metric::ToolDuration),
        [(vec!["files", "read", "ok"], 1.0)]
    );
    assert_eq!(told.values(Metric::PlanDuration).len(), 1);
}

#[test]
fn a_caller_is_linked_to_the_run_and_changes_no_id() {
    let link = caller("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut told = Told::new();
    told.view = View::new(Identity::new("default", RUN), link.clone());
    told.tell(
        host(Kind::RunStart)
            .with("plan", PLAN)
            .with("plan_name", "audit"),
    );
    told.finish();
    let run = told.span("run audit");
    assert_eq!(run.links, Vec::from_iter(link));
    assert_eq!(
        (run.id.as_str(), run.parent.as_str()),
        (run_span(RUN).as_str(), "")
    );
}

#[test]
fn labels_of_a_run_are_counted_by_name_and_value_and_no_more_of_them_than_there_is_room_for() {
    let mut told = Told::new();
    assert!(
        told.values(Metric::RunLabels).is_empty(),
        "its plan has none"
    );
    let labels = (0..20).map(|n| (format!("k{n:02}"), format!("v{n}")));
    let labels: BTreeMap<String, String> = labels.collect();
    told.view = View::new(Identity::new("default", RUN), None);
    let start = host(Kind::RunStart).with("plan", PLAN);
    told.tell(start.with("plan_name", "audit").with("labels", labels));
    let counted = told.values(Metric::RunLabels);
    assert_eq!(counted.len(), 16, "{counted:?}");
    assert_eq!(counted[0], (vec!["k00", "v0"], 1.0));
    assert_eq!(counted[15], (vec!["k15", "v15"], 1.0));
}

#[test]
fn calls_of_a_servers_tools_are_measured_by_their_own_names_too() {
    let mut told = Told::new();
    let loaded = host(Kind::ComponentLoad).with("plugin", "notes");
    let loaded = loaded.with("component", "sha256:00").with("size", 1_u64);
    told.tell(loaded.with("role", "mcp_adapter"));
    let agreed = host(Kind::McpHandshake).with("plugin", "notes");
    let agreed = agreed.with("server", "peer").with("version", "1");
    told.tell(agreed.with("protocol", "2026-07-28"));
    assert_eq!(told.values(Metric::McpSessions), [(vec!["notes"], 1.0)]);
    let shown = host(Kind::McpToolRegister).with("plugin", "notes");
    told.tell(shown.with("tool", "search").with("hash", "sha256:00"));
    let step = told.begin("a");
    told.tell(by("notes", Kind::ToolCall, &step).with("tool", "search"));
    let failed = by("notes", Kind::ToolResult, &step).with("tool", "search");
    told.tell(failed.with("status", "failed").with("class", "transient"));
    told.end("a", "failed", "transient");
    assert_eq!(
        told.values(Metric::McpHandshakes),
        [(vec!["notes", "2026-07-28"], 1.0)]
    );
    assert_eq!(told.values(Metric::McpTools), [(vec!["notes"], 1.0)]);
    assert_eq!(
        told.values(Metric::McpErrors),
        [(vec!["notes", "transient"], 1.0)]
    );
    assert_eq!(told.values(Metric::McpDuration).len(), 1);
    assert_eq!(
        told.values(Metric::ToolDuration).len(),
        1,
        "it is a tool as others are"
    );
    told.finish();
    let open: f64 = told
        .values(Metric::McpSessions)
        .iter()
        .map(|(_, more)| more)
        .sum();
    assert_eq!(open.abs(), 0.0, "a conversation ends with its run");
}

#[test]
fn what_an_agent_calls_hangs_below_the_agent() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(by("writer", Kind::ToolCall, &step).with("tool", "on-plan"));
    told.tell(intent(&step, 1, 1, "openai/gpt-x"));
    told.tell(answered(&step, 1, 1));
    for kind in [Kind::ToolCall, Kind::ToolResult] {
        let fact = by("files", kind, &step).with("tool", "read");
        told.tell(fact.with("caller", "writer").with("status", "ok"));
    }
    let done = by("writer", Kind::ToolResult, &step).with("tool", "on-plan");
    told.tell(done.with("status", "ok"));
    told.end("a", "ok", "");
    let agent = told.span("invoke_agent writer");
    assert_eq!(agent.parent, told.span("attempt 1").id);
    assert_eq!(told.span("chat gpt-x").parent, agent.id);
    assert_eq!(told.span("execute_tool files/read").parent, agent.id);
    // An agent is no tool.
    assert_eq!(
        told.values(Metric::ToolCalls),
        [(vec!["files", "read", "ok"], 1.0)]
    );
}

#[test]
fn a_model_call_has_the_attributes_of_the_conventions_and_no_content() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(intent(&step, 3, 1, "openai/gpt-x"));
    told.tell(answered(&step, 3, 1));
    told.end("a", "ok", "");
    let span = told.span("chat gpt-x");
    assert_eq!(span.id, trace::model_span(RUN, "3", "1"));
    assert!(span.client && span.status == Status::Ok);
    let attributes = attributes(span);
    let stop = Attribute::Texts(vec!["stop".to_owned()]);
    for (name, value) in [
        ("gen_ai.operation.name", "chat".into()),
        ("gen_ai.provider.name", "openai".into()),
        ("gen_ai.system", "openai".into()),
        ("gen_ai.request.model", "gpt-x".into()),
        ("gen_ai.response.model", "gpt-x-2026-01".into()),
        ("gen_ai.request.max_tokens", 500.into()),
        ("gen_ai.response.finish_reasons", stop),
        ("gen_ai.usage.input_tokens", 600.into()),
        ("gen_ai.usage.output_tokens", 150.into()),
        ("gen_ai.usage.cache_read.input_tokens", 100.into()),
        ("gen_ai.usage.reasoning.output_tokens", 50.into()),
        ("flowhost.cost.micro_usd", 300.into()),
    ] {
        assert_eq!(attributes.get(name), Some(&value), "{name}");
    }
    let all = format!("{:?} {:?}", told.spans, told.measured);
    assert!(
        !all.contains("the prompt") && !all.contains("the answer"),
        "{all}"
    );
}

#[test]
fn tokens_add_up_and_the_variance_is_a_share_of_what_was_likely() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(intent(&step, 1, 1, "openai/gpt-x"));
    told.tell(answered(&step, 1, 1));
    let of = |kind| vec!["openai", "gpt-x", kind];
    assert_eq!(
        told.values(Metric::Tokens),
        [
            (of("input"), 500.0),
            (of("cached_input"), 100.0),
            (of("output"), 100.0),
            (of("reasoning"), 50.0),
        ]
    );
    let variance = Fact::new(Kind::Budget, "default/host").with("event", "variance");
    let variance = variance.with("estimated_tokens", 1_000).with("tokens", 750);
    told.tell(
        variance
            .with("estimated_micro_usd", 200)
            .with("micro_usd", 300),
    );
    assert_eq!(
        told.values(Metric::CostVariance),
        [(vec!["tokens", "under"], 0.25), (vec!["usd", "over"], 0.5),]
    );
}

#[test]
fn every_try_is_a_span_and_a_failed_one_says_its_class() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(intent(&step, 1, 1, "openai/gpt-x"));
    told.tell(result(&step, 1, 1, "error").with("class", "rate_limited"));
    told.tell(intent(&step, 1, 2, "local/small"));
    told.tell(answered(&step, 1, 2));
    told.end("a", "ok", "");
    let first = told.span("chat gpt-x");
    assert_eq!(first.status, Status::Error("rate_limited".to_owned()));
    assert_eq!(attributes(first)["error.type"], "rate_limited".into());
    let second = told.span("chat small");
    assert_ne!(first.id, second.id);
    assert_eq!(
        attributes(second)["flowhost.model.asked"],
        "openai/gpt-x".into()
    );
    let outcomes = told.values(Metric::ModelDuration);
    assert_eq!(
        outcomes[0].0,
        ["openai", "gpt-x", "complete", "rate_limited"]
    );
    assert_eq!(outcomes[1].0, ["local", "small", "complete", "ok"]);
}

#[test]
fn a_call_without_a_result_is_cut_when_its_attempt_ends() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(by("files", Kind::ToolCall, &step).with("tool", "read"));
    told.tell(intent(&step, 1, 1, "openai/gpt-x"));
    told.end("a", "failed", "timeout");
    let tool = told.span("execute_tool files/read");
    assert_eq!(tool.status, Status::Error("cut".to_owned()));
    assert_eq!(tool.end, told.span("attempt 1").end);
    assert_eq!(
        told.values(Metric::ToolCalls)[0].0,
        ["files", "read", "cut"]
    );
    assert_eq!(told.values(Metric::ModelDuration)[0].0[3], "cut");
}

#[test]
fn a_guardrail_lasts_from_the_order_to_its_verdict_and_a_check_is_an_event() {
    let mut told = Told::new();
    let step = told.begin("a");
    let answered = host(Kind::PlannerEvent).with("event", "call_finished");
    let answered = answered.with("time_ms", 1).with("call", 1);
    let answered = answered.with("plugin", "scan").with("took_us", 1_000_000);
    let sent = told.seconds;
    told.tell(answered);
    let verdict = of_step(Kind::GuardVerdict, &step, "a").with("guard", "scan");
    told.tell(verdict.with("verdict", "deny").with("warned", "false"));
    let check = of_step(Kind::GuardVerdict, &step, "a").with("check", "three");
    told.tell(check.with("verdict", "pass"));
    told.end("a", "failed", "guardrail");
    let guard = told.span("guardrail scan");
    assert_eq!((guard.start, guard.end), (at(sent), at(sent + 2)));
    assert_eq!(guard.parent, told.span("attempt 1").id);
    assert_eq!(guard.status, Status::Error("deny".to_owned()));
    assert_eq!(told.span("attempt 1").events[0].name, "check");
    assert_eq!(
        told.values(Metric::WorkerLatency),
        [(vec!["scan", "guardrail"], 1.0)]
    );
    let messages = told.values(Metric::AgentMessages);
    assert_eq!(messages[0].0, ["host", "step.start"]);
    assert_eq!(messages[1].0, ["scan", "step.end"]);
}

#[test]
fn a_delivery_is_linked_to_the_call_in_which_its_message_left() {
    let mut told = Told::new();
    let step = told.begin("a");
    let on_task = || by("writer", Kind::ToolCall, &step).with("tool", "on-task");
    told.tell(on_task());
    let left = message("default/writer", "message", &step).with("attempt", 1);
    told.tell(left);
    told.tell(
        by("files", Kind::ToolCall, "")
            .with("tool", "on-message")
            .with("id", "m"),
    );
    for (plugin, tool, step) in [("files", "on-message", ""), ("writer", "on-task", &step)] {
        let done = by(plugin, Kind::ToolResult, step).with("tool", tool);
        told.tell(done.with("status", "ok"));
    }
    told.end("a", "ok", "");
    told.finish();
    let sender = told.span("invoke_agent writer").id.clone();
    let reader = told.span("execute_tool files/on-message");
    assert_eq!(reader.links.len(), 1);
    assert_eq!(reader.links[0].span_id, sender);
    assert!(told.span("invoke_agent writer").links.is_empty());
}

#[test]
fn items_hang_below_their_step_which_begins_with_the_first_of_them() {
    let mut told = Told::new();
    told.begin("pack/each[0]");
    let first = told.seconds;
    told.end("pack/each[0]", "ok", "");
    for path in ["pack/each", "pack"] {
        let end = of_step(Kind::StepEnd, &step_id(PLAN, path), path);
        told.tell(end.with("status", "ok").with("duration_ms", 1));
    }
    told.finish();
    let (item, each) = (told.span("step pack/each[0]"), told.span("step pack/each"));
    assert_eq!(item.parent, each.id);
    assert_eq!(each.parent, told.span("step pack").id);
    assert_eq!(told.span("step pack").parent, run_span(RUN));
    assert_eq!(
        (each.start, told.span("step pack").start),
        (at(first), at(first))
    );
}

#[test]
fn a_step_that_was_skipped_is_a_span_without_length_and_without_blame() {
    let mut told = Told::new();
    let end = of_step(Kind::StepEnd, &step_id(PLAN, "a"), "a");
    told.tell(end.with("status", "skipped").with("duration_ms", 0));
    let skipped = told.span("step a");
    assert_eq!(
        (skipped.start, &skipped.status),
        (skipped.end, &Status::Unset)
    );
}

#[test]
fn the_ends_of_paths_are_taken_off_one_by_one() {
    let above = |path| ancestors(path).collect::<Vec<_>>();
    assert_eq!(above("a"), Vec::<&str>::new());
    assert_eq!(above("p/each[3]"), ["p/each", "p"]);
    assert_eq!(above("a!report"), ["a"]);
}

#[test]
fn a_result_is_of_the_step_that_its_call_named_and_its_answer_of_the_plugin() {
    let mut told = Told::new();
    let step = told.begin("a");
    told.tell(
        by("files", Kind::ToolCall, &step)
            .with("tool", "read")
            .with("call", "7"),
    );
    let result = Fact::new(Kind::ToolResult, "default/files").with("tool", "read");
    told.tell(result.with("call", "7").with("status", "ok"));
    let heard = host(Kind::PlannerEvent).with("event", "call_finished");
    told.tell(
        heard
            .with("time_ms", 1)
            .with("call", 7)
            .with("took_us", 2_500),
    );
    told.end("a", "ok", "");
    let tool = told.span("execute_tool files/read");
    assert_eq!(tool.status, Status::Ok);
    assert_eq!(tool.parent, told.span("attempt 1").id);
    assert_eq!(
        told.values(Metric::WorkerLatency),
        [(vec!["files", "tool"], 0.0025)]
    );
    assert_eq!(told.values(Metric::AgentMessages).len(), 2);
}

#[test]
fn an_attempt_that_failed_before_its_step_ended_ends_once() {
    let mut told = Told::new();
    let step = told.begin("a");
    let failed = of_step(Kind::AttemptEnd, &step, "a").with("attempt", 1);
    told.tell(failed.with("status", "failed").with("class", "transient"));
    told.end("a", "cancelled", "cancelled");
    let attempts = told.spans.iter().filter(|span| span.name == "attempt 1");
    let statuses: Vec<_> = attempts.map(|span| &span.status).collect();
    assert_eq!(statuses, [&Status::Error("transient".to_owned())]);
}

/// Any fact of a small world: what its kind has to say is there, the rest now and then.
fn any_fact() -> impl Strategy<Value = Fact> {
    let kinds = proptest::sample::select(Kind::ALL);
    let words = ["", "ok", "a", "b", "deny", "step.start", "step.end"];
    let picks = proptest::collection::vec(0..words.len(), 64);
    let actor = proptest::sample::select(vec!["default/host", "default/a", "", "b"]);
    (kinds, picks, actor).prop_map(move |((kind, _, _), picks, actor)| {
        let mut fact = Fact::new(kind, actor);
        for (field, pick) in kind.fields().iter().zip(picks) {
            if !field.required && pick % 2 == 0 {
                continue;
            }
            let value = match field.shape {
                Shape::Text => Value::from(words[pick]),
                Shape::Number => Value::from(pick as u64 % 3),
                Shape::Flag => Value::from((pick % 3 == 0).to_string()),
                Shape::Word(words) => Value::from(words[pick % words.len()]),
                Shape::List | Shape::Numbers => Value::List(Vec::new()),
                Shape::Map => Value::Map(Default::default()),
            };
            fact.fields.insert(field.name.to_owned(), value);
        }
        fact
    })
}

proptest! {
    #[test]
    fn no_order_of_facts_makes_a_span_that_ends_before_it_begins_or_stays_open(
        facts in proptest::collection::vec(any_fact(), 0..60)
    ) {
        let mut told = Told::new();
        for fact in facts {
            told.tell(fact);
        }
        told.finish();
        for span in &told.spans {
            prop_assert!(span.start <= span.end, "{span:?}");
            prop_assert_eq!(span.id.len(), 16);
        }
        prop_assert!(told.view.attempts.is_empty() && told.view.steps.is_empty());
    }
}
