//! Takes a step's order from the bus, performs it on its plugin, and sends the result back.
//!
//! The intent is in the ledger, durable, before the guest runs; the result is durable before the
//! answer leaves. A worker knows nothing of plans: an order stands alone.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowhost_bus::{Bus as _, Delivery, Draft, LocalBus, Subject, Subscription, Ulid};
use flowhost_caps::model::Origin;
use flowhost_engine::{
    AgentTask, CallReport, CallScope, Fault, GuardAction, GuardVerdict, Phase, RunScope, Severity,
    neutralise, trace,
};
use flowhost_flow::planner::{Part, Verdict};
use flowhost_flow::{CallResult, Failure, FailureClass, PluginKind};
use flowhost_ledger::{Kind, LedgerError};
use futures::FutureExt as _;
use futures::future::{AbortHandle, Aborted, abortable};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use super::content::Whole;
use super::journal::Journal;
use super::order::{Answer, Detail, Order};
use super::purse::Purse;
use super::registry::{Installed, Registry, invalid};
use super::tally::{Tally, metered};
use crate::clock::RunClock;
use crate::failure::would_allow;
use crate::telemetry::lines;

/// What all workers of a run share.
pub(super) struct Worker {
    pub(super) scope: RunScope,
    pub(super) bus: LocalBus,
    pub(super) journal: Journal,
    pub(super) registry: Arc<Registry>,
    pub(super) clock: RunClock,
    pub(super) trace: String,
    pub(super) started_agents: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    pub(super) calls: Calls,
    pub(super) tally: Arc<Tally>,
    pub(super) purse: Arc<Purse>,
}

/// The calls at work, so that they can be stopped.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<u64, Slot>>);

#[derive(Default)]
struct Slot {
    cancelled: bool,
    abort: Option<AbortHandle>,
}

impl Calls {
    /// Stops a call, also one that is still on its way.
    pub(super) fn cancel(&self, call: u64) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = calls.entry(call).or_default();
        slot.cancelled = true;
        if let Some(abort) = &slot.abort {
            abort.abort();
        }
    }

    fn begin(&self, call: u64, abort: AbortHandle) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = calls.entry(call).or_default();
        if slot.cancelled {
            abort.abort();
        }
        slot.abort = Some(abort);
    }

    fn end(&self, call: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
    }
}

impl Worker {
    /// Takes orders until the bus is gone.
    pub(super) async fn serve(self: Arc<Self>, mut orders: Box<dyn Subscription>) {
        while let Ok(delivery) = orders.next().await {
            let worker = self.clone();
            tokio::spawn(async move { worker.take(delivery).await }.in_current_span());
        }
    }

    async fn take(self: Arc<Self>, delivery: Delivery) {
        let Ok(order) = Order::deserialize(&delivery.envelope.payload) else {
            tracing::error!(subject = delivery.subject.as_str(), "an order that is none");
            let _gone = delivery.ack().await;
            return;
        };
        self.purse
            .begin(&order.step_id, order.ceilings, origin(&order));
        let context = lines::step_context(&order.step_id, &order.path, &order.plugin, order.kind);
        let performed = self.perform(&order).instrument(context);
        let (result, detail) = performed.await;
        let routed = self.tally.take(&order.step_id);
        let spent = self.purse.end(&order.step_id);
        let answer = Answer::new(&order, result, detail, &routed, spent);
        let sent = self.send(&delivery, &order, answer).await;
        if let Err(message) = sent {
            tracing::error!(%message, path = order.path, "a result could not be sent");
        }
        let _gone = delivery.ack().await;
    }

    async fn perform(&self, order: &Order) -> (CallResult, Detail) {
        let Some(installed) = self.registry.get(&order.plugin).cloned() else {
            let message = format!("there is no plugin `{}`", order.plugin);
            return (
                failed(Failure::new(FailureClass::Internal, message)),
                Detail::default(),
            );
        };
        let left = Duration::from_millis(order.deadline_ms.saturating_sub(self.clock.now().0));
        let own = Duration::from_millis(installed.plugin.effective().limits.deadline_ms);
        let deadline = tokio::time::Instant::now() + left.min(own);
        let scope = installed.scope(&self.scope, order, self.traceparent(order), deadline);
        let meter = scope.meter.clone();
        let call = order.call;
        // On this task and not on one of its own: handing a call over costs more than many calls do.
        let called = AssertUnwindSafe(self.call(&installed, scope, order)).catch_unwind();
        let (called, abort) = abortable(called);
        self.calls.begin(call, abort);
        let done = called.await;
        self.calls.end(call);
        let failure = match done {
            Ok(Ok(done)) => return done,
            Err(Aborted) => Failure::new(FailureClass::Cancelled, "the call was stopped"),
            Ok(Err(_panic)) => Failure::new(
                FailureClass::Internal,
                "the host failed while it made the call",
            )
            .with_hint("this is a bug of the host; please report it"),
        };
        (failed(failure), metered(&meter))
    }

    fn traceparent(&self, order: &Order) -> Arc<str> {
        trace::traceparent(&self.trace, trace::step_span(&order.step_id)).into()
    }

    async fn call(
        &self,
        plugin: &Installed,
        scope: CallScope,
        order: &Order,
    ) -> (CallResult, Detail) {
        match (order.part, order.kind) {
            (Part::Before(_) | Part::After(_), _) => self.guard(plugin, scope, order).await,
            (_, PluginKind::Tool) => self.tool(plugin, scope, order).await,
            (_, PluginKind::Agent) => self.agent(plugin, scope, order).await,
            (_, PluginKind::McpAdapter) => self.mcp(plugin, scope, order).await,
            (_, PluginKind::Guardrail) => {
                let fault = invalid(format!(
                    "`{}` is a guardrail and does no work",
                    order.plugin
                ));
                (failed(failure_of(&fault, plugin)), Detail::default())
            }
        }
    }

    async fn guard(
        &self,
        plugin: &Installed,
        scope: CallScope,
        order: &Order,
    ) -> (CallResult, Detail) {
        let phase = match order.part {
            Part::Before(_) => Phase::Before,
            _ => Phase::After,
        };
        let config = if order.config.is_null() {
            json!({})
        } else {
            order.config.clone()
        };
        let (value, config) = (order.input.to_string(), config.to_string());
        let report = plugin
            .plugin
            .check(scope, phase, &order.path, &value, &config)
            .await;
        finish(plugin, report, |verdict| {
            verdict_of(&verdict).map(CallResult::Verdict)
        })
    }

    async fn tool(
        &self,
        plugin: &Installed,
        scope: CallScope,
        order: &Order,
    ) -> (CallResult, Detail) {
        let checked = plugin
            .tool_name(order.function.as_deref())
            .and_then(|name| plugin.check_input(name, &order.input).map(|()| name));
        let name = match checked {
            Ok(name) => name,
            Err(fault) => return (failed(failure_of(&fault, plugin)), Detail::default()),
        };
        let input = order.input.to_string();
        if let Err(fault) = self.intent(&scope, name, &input, order).await {
            return (failed(failure_of(&fault, plugin)), Detail::default());
        }
        let report = plugin.plugin.call_tool(scope.clone(), name, &input).await;
        let report = report.and_then(|content| {
            let content = plugin.check_content(name, content)?;
            Whole::of(&content)
        });
        let report = self.settle(&scope, name, report, Whole::told).await;
        finish(plugin, report, |whole| Ok(CallResult::Output(whole.output)))
    }

    async fn mcp(
        &self,
        plugin: &Installed,
        scope: CallScope,
        order: &Order,
    ) -> (CallResult, Detail) {
        let name = order.function.clone().unwrap_or_default();
        let input = order.input.to_string();
        if let Err(fault) = self.intent(&scope, &name, &input, order).await {
            return (failed(failure_of(&fault, plugin)), Detail::default());
        }
        let config = plugin.config.clone();
        let report = plugin
            .plugin
            .mcp_call_tool(scope.clone(), &config, &name, &input)
            .await;
        let report = report.and_then(|content| Whole::of(&content));
        let report = self.settle(&scope, &name, report, Whole::told).await;
        finish(plugin, report, |whole| Ok(CallResult::Output(whole.output)))
    }

    async fn agent(
        &self,
        plugin: &Installed,
        scope: CallScope,
        order: &Order,
    ) -> (CallResult, Detail) {
        if let Err(fault) = self.start_agent(plugin, &scope).await {
            return (failed(failure_of(&fault, plugin)), Detail::default());
        }
        let input = order.input.to_string();
        if let Err(fault) = self.intent(&scope, "on-plan", &input, order).await {
            return (failed(failure_of(&fault, plugin)), Detail::default());
        }
        let task = AgentTask {
            id: order.path.clone(),
            input,
            prompt: order.prompt.clone().unwrap_or_default(),
            prompt_version: order.prompt_version.clone().unwrap_or_default(),
            schema: order
                .schema
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default(),
        };
        let report = plugin.plugin.agent_on_plan(scope.clone(), &task).await;
        let report = self
            .settle(&scope, "on-plan", report, |output| {
                (&output.content, &output.notes)
            })
            .await;
        finish(plugin, report, |output| output_of(&output.content))
    }

    /// `on-start`, once per run and agent; others that come meanwhile wait for it.
    pub(super) async fn start_agent(
        &self,
        plugin: &Installed,
        scope: &CallScope,
    ) -> Result<(), Fault> {
        let cell = {
            let mut agents = self
                .started_agents
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            agents.entry(plugin.key.to_string()).or_default().clone()
        };
        let start = || async {
            // A call of its own, whichever step's or message's came first.
            let scope = CallScope {
                call: scope.run.next_call(),
                key: scope.run.effect_key(&[&plugin.key, "on-start"]),
                ..scope.clone()
            };
            let report = plugin.plugin.agent_on_start(scope, &plugin.config).await;
            report.result
        };
        cell.get_or_try_init(start).await.copied()
    }

    /// The intent of an effect, on disk before the effect.
    async fn intent(
        &self,
        scope: &CallScope,
        name: &str,
        input: &str,
        order: &Order,
    ) -> Result<(), Fault> {
        let fact = scope
            .fact(Kind::ToolCall)
            .with("tool", name)
            .with("key", order.idempotency_key.as_str())
            .payload(input.as_bytes().to_vec());
        let fact = match &order.prompt {
            Some(prompt) => fact
                .with(
                    "prompt_version",
                    order.prompt_version.as_deref().unwrap_or_default(),
                )
                .with("prompt_sha256", hex::encode(Sha256::digest(prompt))),
            None => fact,
        };
        scope.record_durable(fact).await.map(drop)
    }

    /// The result of an effect, on disk before anyone is told.
    async fn settle<T>(
        &self,
        scope: &CallScope,
        name: &str,
        report: CallReport<T>,
        told: impl Fn(&T) -> (&String, &[String]),
    ) -> CallReport<T> {
        let fact = scope
            .fact(Kind::ToolResult)
            .with("tool", name)
            .with("fuel", report.used.fuel)
            .with("memory_bytes", report.used.memory_bytes)
            .with("host_calls", report.used.host_calls)
            .with("output_bytes", report.used.output_bytes)
            .with("log_bytes", report.used.log_bytes)
            .with("duration_ms", report.used.duration_ms);
        let fact = match &report.result {
            Ok(answer) => {
                let (value, notes) = told(answer);
                let fact = match remarks(notes) {
                    notes if notes.is_empty() => fact,
                    notes => fact.with("notes", notes),
                };
                fact.with("status", "ok").payload(value.as_bytes().to_vec())
            }
            Err(fault) => fact
                .with("status", "failed")
                .with("owner", fault.owner().as_str())
                .payload(fault.to_string().into_bytes()),
        };
        match scope.record_durable(fact).await {
            Ok(_) => report,
            Err(fault) => CallReport {
                result: Err(fault),
                used: report.used,
            },
        }
    }

    async fn send(&self, delivery: &Delivery, order: &Order, answer: Answer) -> Result<(), String> {
        let run = &self.scope;
        let subject = Subject::of(&run.tenant, &run.run, &["step", &order.step_id, "end"])
            .map_err(|error| error.to_string())?;
        let id = envelope_id(run, order.call, "end");
        let actor = format!("{}/{}", run.tenant, order.plugin);
        let draft = |answer: &Answer| {
            let payload = serde_json::to_value(answer).unwrap_or(Value::Null);
            Draft::answer(&delivery.envelope, id, &actor, "step.end", payload).seal()
        };
        // A guest can answer what an envelope cannot carry (integers beyond 2^53); that is its fault.
        let envelope = draft(&answer).or_else(|error| {
            let failure = Failure::new(
                FailureClass::Failed,
                format!("the output cannot travel: {error}"),
            );
            draft(&Answer {
                result: failed(failure),
                ..answer.clone()
            })
        });
        let envelope = Arc::new(envelope.map_err(|error| error.to_string())?);
        let recorded = self.journal.message(subject.as_str(), &envelope);
        recorded
            .map_err(|error: LedgerError| error.to_string())
            .or_else(|message| {
                // The driver learns of a broken ledger by itself; the answer must still reach it.
                tracing::error!(%message, "the ledger takes no more");
                Ok::<u64, String>(0)
            })?;
        self.bus
            .publish(&subject, envelope)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// An envelope's id: the run's start and 80 bits of run, call and direction, so that whoever sends
/// the same again sends the same id.
pub(super) fn envelope_id(run: &RunScope, call: u64, direction: &str) -> Ulid {
    let mut hash = Sha256::new();
    for part in [
        run.run.as_bytes(),
        b"/",
        &call.to_be_bytes(),
        b"/",
        direction.as_bytes(),
    ] {
        hash.update(part);
    }
    let bits = hash
        .finalize()
        .iter()
        .take(10)
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Ulid::from_parts(run.started_ms, bits)
}

/// Remarks of an agent that a record holds, and characters of each: they are for the report.
const NOTES_MAX: usize = 16;
const NOTE_CHARS: usize = 256;

fn remarks(notes: &[String]) -> Vec<String> {
    let shown = notes.iter().take(NOTES_MAX);
    shown.map(|note| neutralise(note, NOTE_CHARS)).collect()
}

/// What the records of model calls say of the step.
fn origin(order: &Order) -> Origin {
    Origin {
        stage: order.stage.clone().unwrap_or_default(),
        prompt_version: order.prompt_version.clone().unwrap_or_default(),
    }
}

fn finish<T>(
    plugin: &Installed,
    report: CallReport<T>,
    read: impl FnOnce(T) -> Result<CallResult, Failure>,
) -> (CallResult, Detail) {
    let detail = Detail::from(report.used);
    let result = match report.result {
        Ok(answer) => read(answer).unwrap_or_else(failed),
        Err(fault) => failed(failure_of(&fault, plugin)),
    };
    (result, detail)
}

fn failed(failure: Failure) -> CallResult {
    CallResult::Failed(failure)
}

fn output_of(text: &str) -> Result<CallResult, Failure> {
    serde_json::from_str(text)
        .map(CallResult::Output)
        .map_err(|error| {
            Failure::new(
                FailureClass::Failed,
                format!("the output is no JSON: {error}"),
            )
        })
}

pub(super) fn verdict_of(verdict: &GuardVerdict) -> Result<Verdict, Failure> {
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            json!({ "severity": severity, "code": finding.code, "message": finding.message,
                "pointer": finding.pointer })
        })
        .collect();
    Ok(match verdict.action {
        GuardAction::Pass => Verdict::Pass { findings },
        GuardAction::Rewrite => {
            let subject = serde_json::from_str(&verdict.value).map_err(|error| {
                Failure::new(
                    FailureClass::Failed,
                    format!("the rewritten value is no JSON: {error}"),
                )
            })?;
            Verdict::Rewrite { subject, findings }
        }
        GuardAction::Deny => {
            let reasons: Vec<&str> = verdict
                .findings
                .iter()
                .map(|it| it.message.as_str())
                .collect();
            Verdict::Deny {
                reason: reasons.join("; "),
                findings,
            }
        }
    })
}

/// A fault in the planner's words: what decides retry and exit code.
fn failure_of(fault: &Fault, plugin: &Installed) -> Failure {
    let failure = unplaced(fault);
    match fault {
        Fault::Limit { name, allowed, .. } => failure.with_hint(plugin.cure_of(name, *allowed)),
        _ => failure,
    }
}

/// Without where a limit can be raised.
fn unplaced(fault: &Fault) -> Failure {
    let class = match fault {
        Fault::Limit {
            name: "deadline", ..
        } => FailureClass::Timeout,
        Fault::Limit {
            name: "tokens" | "usd",
            ..
        } => FailureClass::Budget,
        Fault::Limit { .. } => FailureClass::Limit,
        Fault::Denied(_) => FailureClass::Denied,
        Fault::Guest {
            class: "invalid", ..
        } => FailureClass::Invalid,
        Fault::Guest {
            class: "transient", ..
        } => FailureClass::Transient,
        Fault::Guest {
            class: "conflict", ..
        } => FailureClass::Conflict,
        Fault::Guest { .. } | Fault::Trap { .. } => FailureClass::Failed,
        Fault::Cancelled => FailureClass::Cancelled,
        // Whatever a newer engine adds is the host's until somebody says otherwise.
        _ => FailureClass::Internal,
    };
    let failure = Failure::new(class, fault.to_string());
    match fault {
        Fault::Denied(denied) => match &denied.cure {
            Some(cure) => failure.with_hint(format!("{}\n{cure}", would_allow(cure))),
            None => failure,
        },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use flowhost_policy::Denied;

    use super::*;

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let denied = Denied {
            right: "files",
            wanted: "read /x".to_owned(),
            rule: "files#none".to_owned(),
            cure: Some("[[files]]".to_owned()),
        };
        let failure = unplaced(&Fault::Denied(denied));
        assert_eq!(failure.class, FailureClass::Denied);
        assert!(failure.hint.contains("[[files]]"));
    }

    #[test]
    fn a_deadline_is_a_timeout_and_other_limits_are_limits() {
        let limit = |name| {
            unplaced(&Fault::Limit {
                name,
                used: 2,
                allowed: 1,
            })
            .class
        };
        assert_eq!(limit("deadline"), FailureClass::Timeout);
        assert_eq!(limit("memory"), FailureClass::Limit);
        assert_eq!(limit("tokens"), FailureClass::Budget);
    }

    #[test]
    fn an_answer_that_is_no_json_is_the_plugins_failure() {
        assert_eq!(output_of("{").unwrap_err().class, FailureClass::Failed);
    }
}
