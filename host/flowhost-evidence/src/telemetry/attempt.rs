//! What happens within one attempt at a step: calls of tools, agents and models, as spans.
//!
//! A call that names its caller hangs below the caller's own call, so that an agent's tools and
//! models stand below the agent. Names of attributes are those of the OpenTelemetry semantic
//! conventions for generative AI (`gen_ai.*`), where there is one.

use std::time::SystemTime;

use flowhost_ledger::records::{
    CallPart, ModelIntent, ModelResult, Owner, Record, ToolCall, ToolResult, TryPart,
};
use flowhost_ledger::trace;

use super::instruments::{Measurement, Metric};
use super::seen::Seen;
use super::span::{self, Attribute, Link, Span, Status};
use super::view::{Given, seconds};

/// An attempt at work.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// None when its start was not seen, or there is none: a call outside of any step.
    pub(super) span: Option<Span>,
    /// What is at work in it.
    pub(super) calls: Calls,
}

/// The calls that are at work.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    plugin: String,
    what: What,
    span: Span,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Tool {
        tool: String,
        caller: String,
        call: Option<String>,
        agent: bool,
    },
    Model(Model),
}

/// One try of a model call.
#[derive(Debug, PartialEq, Eq)]
struct Model {
    call: String,
    attempt: String,
    provider: String,
    model: String,
    operation: String,
}

impl Calls {
    /// Takes the beginning or the end of a call. `parent` is the attempt.
    pub(super) fn take(
        &mut self,
        seen: &Seen,
        run: &str,
        parent: String,
        agent: bool,
    ) -> Vec<Given> {
        match &seen.record {
            Record::ToolCall(call) => self.tool_call(seen, call, run, parent, agent),
            Record::ModelIntent(intent) => self.model_intent(seen, intent, run, parent),
            Record::ToolResult(result) => return self.tool_result(seen, result),
            Record::ModelResult(result) => return self.model_result(seen, result),
            _ => {}
        }
        Vec::new()
    }

    /// Everything that is at work ends without a result.
    pub(super) fn cut(self, at: SystemTime) -> Vec<Given> {
        let cut = |mut call: Call| {
            call.span.set("error.type", "cut");
            call.span.finish(at, Status::Error("cut".to_owned()));
            call.given("cut")
        };
        self.0.into_iter().flat_map(cut).collect()
    }

    /// Links the call that began last to what made it begin.
    pub(super) fn link(&mut self, link: Link) {
        if let Some(call) = self.0.last_mut() {
            call.span.links.push(link);
        }
    }

    /// The call that `plugin` is at work in, which what it calls hangs below.
    pub(super) fn of_plugin(&self, plugin: &str) -> Option<String> {
        let calls = self.0.iter().rev();
        let mut own = calls.filter(|call| matches!(call.what, What::Tool { .. }));
        own.find(|call| call.plugin == plugin)
            .map(|call| call.span.id.clone())
    }

    fn tool_call(&mut self, seen: &Seen, call: &ToolCall, run: &str, parent: String, agent: bool) {
        let (plugin, tool) = (seen.plugin(), call.tool.as_str());
        let caller = call.caller.as_deref().unwrap_or("");
        let parent = self.of_plugin(caller).unwrap_or(parent);
        let (operation, name) = if agent {
            ("invoke_agent", format!("invoke_agent {plugin}"))
        } else {
            ("execute_tool", format!("execute_tool {plugin}/{tool}"))
        };
        let mut span = Span::begin(span::record_span(run, seen.seq), parent, name, seen.at);
        span.set("gen_ai.operation.name", operation);
        if agent {
            span.set("gen_ai.agent.name", plugin);
            span.set("flowhost.export", tool);
        } else {
            span.set("gen_ai.tool.name", tool);
            span.set("flowhost.plugin", plugin);
        }
        span.set("flowhost.caller", caller);
        span.set("flowhost.component", call.call_of.component.as_str());
        span.set("flowhost.call", call.call_of.call.as_deref().unwrap_or(""));
        span.set("flowhost.record", seen.seq);
        let what = What::Tool {
            tool: tool.to_owned(),
            caller: caller.to_owned(),
            call: call.call_of.call.clone(),
            agent,
        };
        self.0.push(Call {
            plugin: plugin.to_owned(),
            what,
            span,
        });
    }

    fn tool_result(&mut self, seen: &Seen, result: &ToolResult) -> Vec<Given> {
        let caller = result.caller.as_deref().unwrap_or("");
        let is_it = |open: &Call| match &open.what {
            What::Tool {
                tool,
                caller: by,
                call,
                ..
            } => {
                let named = open.plugin == seen.plugin() && *tool == result.tool && by == caller;
                named && *call == result.call_of.call
            }
            What::Model(_) => false,
        };
        let Some(mut call) = self.remove(is_it) else {
            return Vec::new();
        };
        let (outcome, used) = (result.status.as_str(), &result.used);
        call.span.set_number("flowhost.fuel", used.fuel);
        call.span
            .set_number("flowhost.memory_bytes", used.memory_bytes);
        call.span.set_number("flowhost.host_calls", used.host_calls);
        let status = if outcome == "ok" {
            Status::Ok
        } else {
            call.span
                .set("error.type", result.owner.map_or("", Owner::as_str));
            Status::Error(outcome.to_owned())
        };
        call.span.finish(seen.at, status);
        call.given(outcome)
    }

    fn model_intent(&mut self, seen: &Seen, intent: &ModelIntent, run: &str, parent: String) {
        let parent = self.of_plugin(seen.plugin()).unwrap_or(parent);
        let model = Model::of(intent);
        let id = trace::model_span(run, &model.call, &model.attempt);
        let operation = if model.operation == "embed" {
            "embeddings"
        } else {
            "chat"
        };
        let name = format!("{operation} {}", model.model);
        let mut span = Span::begin(id, parent, name, seen.at);
        span.client = true;
        span.set("gen_ai.operation.name", operation);
        span.set("gen_ai.provider.name", model.provider.as_str());
        // What the attribute was called before; collectors in use know only that.
        span.set("gen_ai.system", model.provider.as_str());
        span.set("gen_ai.request.model", model.model.as_str());
        span.set_number("gen_ai.request.max_tokens", intent.max_tokens);
        span.set("flowhost.plugin", seen.plugin());
        span.set_number("flowhost.model.call", intent.of_try.number(&intent.call_of));
        span.set_number("flowhost.model.try", intent.of_try.r#try);
        span.set("flowhost.model.asked", &intent.of_try.asked);
        span.set("flowhost.estimate", &intent.of_try.estimate);
        span.set(
            "flowhost.call",
            intent.call_of.call.as_deref().unwrap_or(""),
        );
        span.set("flowhost.record", seen.seq);
        self.0.push(Call {
            plugin: seen.plugin().to_owned(),
            what: What::Model(model),
            span,
        });
    }

    fn model_result(&mut self, seen: &Seen, result: &ModelResult) -> Vec<Given> {
        let (request, attempt) = number(&result.of_try, &result.call_of);
        let is_it = |call: &Call| match &call.what {
            What::Model(model) => model.call == request && model.attempt == attempt,
            What::Tool { .. } => false,
        };
        let Some(mut call) = self.remove(is_it) else {
            return Vec::new();
        };
        let ok = result.status == "ok";
        let class = result.class.as_deref().unwrap_or("");
        let outcome = if ok { "ok" } else { class };
        answer(&mut call.span, result);
        if ok {
            call.span.finish(seen.at, Status::Ok);
        } else {
            call.span.set("error.type", outcome);
            call.span.finish(seen.at, Status::Error(outcome.to_owned()));
        }
        let costs = match &call.what {
            What::Model(model) => model.costs(result),
            What::Tool { .. } => Vec::new(),
        };
        let costs = costs.into_iter().map(Given::Measurement);
        call.given(outcome).into_iter().chain(costs).collect()
    }

    fn remove(&mut self, is_it: impl Fn(&Call) -> bool) -> Option<Call> {
        // The first of those that are alike, and the order is kept: a call that begins hangs below the last one of its
        // plugin, which a swap with the end of the list would make another.
        let index = self.0.iter().position(is_it)?;
        Some(self.0.remove(index))
    }
}

/// The number of the model call and of the try, as ids of spans name them.
pub(super) fn number(of_try: &TryPart, call: &CallPart) -> (String, String) {
    let text = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
    (text(of_try.number(call)), text(of_try.r#try))
}

/// What an answer says about itself; never what it answers.
fn answer(span: &mut Span, result: &ModelResult) {
    span.set("gen_ai.response.model", &result.answered_by);
    if let Some(finish) = result.finish.as_ref().filter(|it| !it.is_empty()) {
        let reasons = vec![span::cut(finish).to_owned()];
        span.set("gen_ai.response.finish_reasons", Attribute::Texts(reasons));
    }
    for (attribute, count) in [
        ("gen_ai.usage.input_tokens", result.prompt_tokens),
        ("gen_ai.usage.cache_read.input_tokens", result.cached_tokens),
        ("gen_ai.usage.output_tokens", result.completion_tokens),
        (
            "gen_ai.usage.reasoning.output_tokens",
            result.reasoning_tokens,
        ),
        (
            "flowhost.usage.counted_input_tokens",
            result.counted_prompt_tokens,
        ),
        (
            "flowhost.usage.counted_output_tokens",
            result.counted_completion_tokens,
        ),
        ("flowhost.cost.micro_usd", result.micro_usd),
        ("flowhost.model.first_token_ms", result.first_token_ms),
    ] {
        span.set_number(attribute, count);
    }
    if result.estimated == Some(true) {
        span.set("flowhost.model.usage_estimated", true);
    }
}

impl Call {
    /// The span and what it measures.
    fn given(self, outcome: &str) -> Vec<Given> {
        let lasted = seconds(self.span.start, self.span.end);
        let plugin = self.plugin.as_str();
        let measured = match &self.what {
            What::Tool { agent: true, .. } => Vec::new(),
            What::Tool { tool, .. } => {
                let labels = [plugin, tool.as_str(), outcome];
                vec![
                    Measurement::new(Metric::ToolCalls, labels, 1.0),
                    Measurement::new(Metric::ToolDuration, labels, lasted),
                ]
            }
            What::Model(model) => vec![model.measured(outcome, lasted)],
        };
        measured
            .into_iter()
            .map(Given::Measurement)
            .chain([Given::Span(Box::new(self.span))])
            .collect()
    }
}

impl Model {
    fn of(intent: &ModelIntent) -> Self {
        let of_try = &intent.of_try;
        let tried = of_try.model.as_deref().unwrap_or("");
        let (call, attempt) = number(of_try, &intent.call_of);
        let (provider, model) = tried.split_once('/').unwrap_or(("", tried));
        Self {
            call,
            attempt,
            provider: provider.to_owned(),
            model: model.to_owned(),
            operation: of_try.operation.clone().unwrap_or_default(),
        }
    }

    fn measured(&self, outcome: &str, lasted: f64) -> Measurement {
        let labels = [
            self.provider.as_str(),
            &self.model,
            &self.operation,
            outcome,
        ];
        Measurement::new(Metric::ModelDuration, labels, lasted)
    }

    /// What the provider counted, else what the host did: sums stay right either way.
    fn costs(&self, result: &ModelResult) -> Vec<Measurement> {
        let prompt = result.prompt_tokens.or(result.counted_prompt_tokens);
        let completion = result
            .completion_tokens
            .or(result.counted_completion_tokens);
        let (prompt, completion) = (prompt.unwrap_or(0), completion.unwrap_or(0));
        let cached = result.cached_tokens.unwrap_or(0);
        let reasoning = result.reasoning_tokens.unwrap_or(0);
        // Cached tokens are among those of the prompt and reasoning among those of the completion.
        let kinds = [
            ("input", prompt.saturating_sub(cached)),
            ("cached_input", cached.min(prompt)),
            ("output", completion.saturating_sub(reasoning)),
            ("reasoning", reasoning.min(completion)),
        ];
        let counted = kinds.into_iter().filter(|(_, tokens)| *tokens > 0);
        counted
            .map(|(kind, tokens)| {
                let labels = [self.provider.as_str(), &self.model, kind];
                Measurement::new(Metric::Tokens, labels, tokens as f64)
            })
            .collect()
    }
}
