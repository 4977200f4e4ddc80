//! Takes a step's order from the bus, performs it on its plugin, and sends the result back.
//!
//! The intent is in the ledger, durable, before the guest runs; the result is durable before the
//! answer leaves. A worker knows nothing of plans: an order stands alone.

mod again;
mod agents;
mod answers;
mod inbox;
mod manner;

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowhost_bus::{Bus, Delivery, Envelope, Head};
use flowhost_caps::model::Origin;
use flowhost_engine::{AgentTask, CallReport, CallScope, Fault, Phase, RunScope, neutralise};
use flowhost_flow::plan::Effects;
use flowhost_flow::planner::Part;
use flowhost_flow::{CallResult, Failure, FailureClass};
use flowhost_ledger::records::{ToolCall, ToolResult};
use flowhost_ledger::trace;
use flowhost_words::PluginKind;
use futures::future::{Aborted, abortable};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use crate::base::lines;
use crate::base::tasks;
use crate::calls::channel::Channel;
use crate::calls::desk::{Found, Recall};
use crate::calls::mailbox::Mailboxes;
use crate::calls::order::{Answer, Cancel, Order, Stands};
use crate::meters::detail::{Detail, measured};
use crate::meters::tally::{Origins, Tally, metered};
use crate::plugins::content::Whole;
use crate::plugins::installed::{Installed, invalid};
use crate::plugins::registry::Registry;
use crate::plugins::wiring::Machinery;

use again::{Again, again, stopped};
pub(crate) use answers::{failed, failed_fact, recorded, unplaced, verdict_of};
use answers::{failure_of, finish, left, misgiven, output_of};
use inbox::deliveries;
pub(crate) use inbox::{Calls, Inbox};
use manner::Manner;

/// Performs calls of one run. It knows the bus and its plugins, and nothing of who orders: orders, answers,
/// cancellations and ends of agents all come and go as envelopes. What it records, spends and has to know
/// of workers before it, it asks the desk.
pub(crate) struct Worker {
    pub(crate) scope: RunScope,
    pub(crate) channel: Channel,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) trace: String,
    pub(crate) started_agents: StartedAgents,
    pub(crate) calls: Calls,
    pub(crate) tally: Arc<Tally>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) recall: Arc<dyn Recall>,
    manner: Manner,
}

/// The agents whose `on-start` has run or is running, by key and revision.
pub(crate) type StartedAgents = Mutex<HashMap<(Arc<str>, u64), Arc<OnceCell<()>>>>;

impl Worker {
    /// A worker of a run, with what its run has installed.
    pub(crate) fn new(
        scope: RunScope,
        channel: Channel,
        machinery: &Machinery,
        recall: Arc<dyn Recall>,
    ) -> Arc<Self> {
        Arc::new(Self {
            trace: trace::trace_id(&scope.run),
            scope,
            channel,
            bus: machinery.bus.clone(),
            registry: machinery.plugins.clone(),
            started_agents: Mutex::default(),
            calls: Calls::default(),
            tally: machinery.tally.clone(),
            origins: machinery.origins.clone(),
            recall,
            manner: Manner::new(machinery.crowd.clone()),
        })
    }

    /// Takes orders until the run has ended, or the bus is gone.
    pub(crate) async fn serve(self: Arc<Self>, inbox: Inbox, mut mailboxes: Mailboxes) {
        // Each is waited for once and not anew with each order, of which there are many more than of all others.
        let mut cancels = pin!(deliveries(inbox.cancels));
        let mut ends = pin!(deliveries(inbox.ends));
        let mut settles = pin!(deliveries(inbox.settles));
        let mut orders = pin!(deliveries(inbox.orders));
        loop {
            // Cancellations first: one must not wait behind the orders that it makes needless.
            let inbound = tokio::select! {
                biased;
                cancel = cancels.select_next_some() => cancel.map(Inbound::Cancel),
                end = ends.select_next_some() => end.map(Inbound::End),
                settle = settles.select_next_some() => settle.map(Inbound::Settle),
                order = orders.select_next_some() => order.map(Inbound::Order),
            };
            let worker = self.clone();
            match inbound {
                Ok(Inbound::Order(delivery)) => {
                    let call = async move { worker.take(delivery).await };
                    self.manner.begin(call).await;
                }
                Ok(Inbound::Cancel(delivery)) => {
                    worker.cancel(&delivery.envelope);
                    let _gone = delivery.ack().await;
                }
                Ok(Inbound::Settle(delivery)) => {
                    // Beside the loop: agents that read messages now may still be told to stop.
                    let traffic = mailboxes.traffic();
                    tasks::spawn(async move {
                        let settled = traffic.settle().await;
                        worker.reply(delivery, "run.settled", json!(settled)).await;
                    });
                }
                Ok(Inbound::End(delivery)) => {
                    // Nobody reads on while its agent is told that the run is over.
                    mailboxes.close().await;
                    return worker.finish(delivery).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the bus is gone");
                    return;
                }
            }
        }
    }

    fn cancel(&self, envelope: &Envelope) {
        match envelope.read::<Cancel>() {
            Ok(Cancel { call, reason }) => {
                tracing::debug!(call, reason, "stopping a call");
                self.calls.cancel(call);
            }
            Err(error) => tracing::error!(%error, "a cancellation cannot be read"),
        }
    }

    async fn take(self: Arc<Self>, delivery: Delivery) {
        let order = match delivery.envelope.body::<Order>() {
            Ok(order) => order,
            Err(error) => {
                let subject = delivery.subject.as_str();
                tracing::error!(subject, %error, "an order cannot be read");
                let _gone = delivery.ack().await;
                return;
            }
        };
        let call = order.call.to_string();
        self.origins.begin(&call, origin(&order));
        let context = lines::step_context(&order.step_id, &order.path, &order.plugin, order.kind);
        // A first delivery has no past: what other processes ordered does not come here, and what they came to the
        // driver has read. Most orders are delivered once.
        let found = match delivery.attempt {
            0 | 1 => Found::Nothing,
            _ => self.recall.found(order.call),
        };
        let (result, detail) = match again(&order, found) {
            Again::Perform => self.perform(&order).instrument(context).await,
            Again::Answer(result, detail) => (*result, detail),
            Again::Nothing => {
                self.origins.end(&call);
                let _gone = delivery.ack().await;
                return;
            }
        };
        let routed = self.tally.take(&call);
        self.origins.end(&call);
        let mut answer = Answer::new(&order, result, detail, &routed);
        answer.whole = order.whole && answer.stands == Stands::Content;
        let sent = self.send(&delivery, &order, answer).await;
        if let Err(message) = sent {
            tracing::error!(%message, path = order.path, "a result could not be sent");
        }
        let _gone = delivery.ack().await;
    }

    /// Performs an order of a run that is replayed.
    pub(crate) async fn replay(&self, order: &Order) -> CallResult {
        let call = order.call.to_string();
        self.origins.begin(&call, origin(order));
        let (result, _) = self.perform(order).await;
        let _counted_in_the_record = self.tally.take(&call);
        self.origins.end(&call);
        result
    }

    async fn perform(&self, order: &Order) -> (CallResult, Detail) {
        let Some(installed) = self.registry.pinned(&order.plugin, order.revision) else {
            let message = format!(
                "revision {} of the plugin `{}` is not one that this run has had",
                order.revision, order.plugin
            );
            return (
                failed(Failure::new(FailureClass::Internal, message)),
                Detail::default(),
            );
        };
        if let Err(failure) = fits(order, &installed) {
            return (failed(failure), Detail::default());
        }
        if let Err(fault) = installed.breaker.check() {
            return (failed(failure_of(&fault, &installed)), Detail::default());
        }
        // Counted from here, because two clocks need not agree: what the order waited for on the bus the planner's own
        // timer has counted.
        let left = Duration::from_millis(order.remaining_ms);
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
            Err(Aborted) => return stopped(order, self.recall.found(call), metered(&meter)),
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
            (_, PluginKind::Tool | PluginKind::McpAdapter) => self.tool(plugin, scope, order).await,
            (_, PluginKind::Agent) => self.agent(plugin, scope, order).await,
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
        // A server is called with an object of arguments: a step that gives none means an empty one.
        let given = match plugin.is_of(PluginKind::McpAdapter) && order.input.is_null() {
            true => Cow::Owned(json!({})),
            false => Cow::Borrowed(&order.input),
        };
        let checked = plugin
            .tool_name(order.function.as_deref())
            .and_then(|name| plugin.check_input(name, &given).map(|()| name));
        let name = match checked {
            Ok(name) => name,
            Err(fault) => return (failed(misgiven(&fault, plugin)), Detail::default()),
        };
        let input = given.to_string();
        if let Err(fault) = self.intent(&scope, plugin, name, &input, order).await {
            return (failed(failure_of(&fault, plugin)), Detail::default());
        }
        let report = plugin.call_tool(scope.clone(), name, &input).await;
        let report = report.and_then(|content| {
            let content = plugin.check_content(name, content)?;
            Whole::of(&content, order.whole)
        });
        let report = self
            .settle(&scope, name, report, |whole| Some(Whole::told(whole)))
            .await;
        let (result, detail) = finish(plugin, report, |whole| Ok(CallResult::Output(whole.output)));
        (left(result, &scope), detail)
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
        if let Err(fault) = self.intent(&scope, plugin, "on-plan", &input, order).await {
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
                Some((&output.content, &output.notes))
            })
            .await;
        let (result, detail) = finish(plugin, report, |output| output_of(&output.content));
        (left(result, &scope), detail)
    }

    /// The intent of an effect, on disk before the effect.
    async fn intent(
        &self,
        scope: &CallScope,
        plugin: &Installed,
        name: &str,
        input: &str,
        order: &Order,
    ) -> Result<(), Fault> {
        let prompt = order.prompt.as_ref();
        let intent = ToolCall {
            tool: name.to_owned(),
            source: plugin.source_of_tools(),
            // It follows from run, step and part; only where something outside hears it is it worth a line.
            key: (order.effects == Effects::Keyed).then(|| order.idempotency_key.clone()),
            part: matches!(order.part, Part::Seat(_)).then(|| order.part.word()),
            prompt_version: prompt.map(|_| order.prompt_version.clone().unwrap_or_default()),
            prompt_sha256: prompt.map(|prompt| hex::encode(Sha256::digest(prompt))),
            ..ToolCall::default()
        };
        let fact = scope.said(intent).payload(input.as_bytes().to_vec());
        scope.record_durable(fact).await.map(drop)
    }

    /// The result of an effect, on disk before anyone is told.
    async fn settle<T>(
        &self,
        scope: &CallScope,
        name: &str,
        report: CallReport<T>,
        told: impl Fn(&T) -> Option<(&String, &[String])>,
    ) -> CallReport<T> {
        let result = ToolResult {
            tool: name.to_owned(),
            used: measured(&report.used),
            ..ToolResult::default()
        };
        let fact = match &report.result {
            Ok(answer) => {
                let told = told(answer);
                let notes = told.map_or_else(Vec::new, |(_, notes)| remarks(notes));
                let fact = scope.said(ToolResult {
                    status: "ok".to_owned(),
                    notes: (!notes.is_empty()).then_some(notes),
                    ..result
                });
                match told {
                    Some((value, _)) => fact.payload(value.as_bytes().to_vec()),
                    None => fact,
                }
            }
            Err(fault) => failed_fact(scope, result, fault),
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
        let subject = self.channel.subject(&["step", &order.step_id, "end"]);
        let subject = subject.map_err(|error| error.to_string())?;
        let id = self.channel.id(order.call, "end");
        let actor = format!("{}/{}", self.scope.tenant, order.plugin);
        let sealed = |answer: &Arc<Answer>| {
            Head::answer(&delivery.envelope, id, &actor, "step.end").carry(answer.clone())
        };
        let answer = Arc::new(answer);
        // A guest can answer what an envelope cannot carry (integers beyond 2^53); that is its fault.
        let envelope = sealed(&answer).or_else(|error| {
            let failure = Failure::new(
                FailureClass::Failed,
                format!("the output cannot travel: {error}"),
            );
            sealed(&Arc::new(Answer {
                result: failed(failure),
                stands: Stands::Nowhere,
                ..Answer::clone(&answer)
            }))
        });
        // The driver takes the result out of it, which it can where nobody else holds it.
        drop(answer);
        let envelope = Arc::new(envelope.map_err(|error| error.to_string())?);
        self.bus
            .publish(&subject, envelope)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// What came.
enum Inbound {
    Order(Delivery),
    Cancel(Delivery),
    Settle(Delivery),
    End(Delivery),
}

/// Whether a plugin is what an order means: the same component under the same rights.
fn fits(order: &Order, installed: &Installed) -> Result<(), Failure> {
    let (component, rights) = (
        installed.plugin.digest(),
        &installed.plugin.effective().hash,
    );
    let differs = match (*component == *order.component, *rights == order.rights) {
        (true, true) => return Ok(()),
        (false, _) => format!("the component {component} for {}", order.component),
        (true, false) => format!("rights {rights} for {}", order.rights),
    };
    let message = format!("this worker has {differs} of the plugin `{}`", order.plugin);
    Err(Failure::new(FailureClass::Internal, message))
}

/// Remarks of an agent that a record holds, and characters of each: they are for the report.
const NOTES_MAX: usize = 16;
const NOTE_CHARS: usize = 256;

fn remarks(notes: &[String]) -> Vec<String> {
    notes
        .iter()
        .take(NOTES_MAX)
        .map(|note| neutralise(note, NOTE_CHARS))
        .collect()
}

/// What the records of model calls say of the step.
fn origin(order: &Order) -> Origin {
    Origin {
        stage: order.stage.clone().unwrap_or_default(),
        prompt_version: order.prompt_version.clone().unwrap_or_default(),
        // The run's, which is added where this is asked for.
        estimate: String::new(),
    }
}
