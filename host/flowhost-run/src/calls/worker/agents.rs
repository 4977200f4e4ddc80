//! The life of an agent around its calls: `on-start` before the first, `on-finish` after the last.

use std::sync::{Arc, PoisonError};

use flowhost_bus::{Delivery, Head, Ulid};
use flowhost_engine::{AgentOutcome, CallScope, Fault};
use flowhost_ledger::records::ToolCall;
use serde_json::{Value, json};

use super::Worker;
use crate::calls::desk::ON_START;
use crate::calls::order::Ending;
use crate::plugins::installed::Installed;

const ON_FINISH: &str = "on-finish";

impl Worker {
    /// `on-start`, once per agent and revision; others that come meanwhile wait for it.
    pub(crate) async fn start_agent(
        &self,
        plugin: &Installed,
        scope: &CallScope,
    ) -> Result<(), Fault> {
        if let Some(memory) = &scope.run.memory {
            // In a replay the record says under which call it ran; the others have nothing to wait for.
            let would_be = format!("{}.1", scope.call);
            let next = memory.next(&would_be, "");
            let starts = next.is_some_and(|fact| {
                let tool = fact.fields.get("tool");
                tool.and_then(flowhost_ledger::Value::as_text) == Some(ON_START)
            });
            if !starts {
                return Ok(());
            }
        }
        let cell = {
            let mut agents = self
                .started_agents
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let started = (plugin.key.clone(), plugin.revision);
            agents.entry(started).or_default().clone()
        };
        let start = || async {
            if self.has_started(plugin) {
                return Ok(());
            }
            // A call of its own, whichever step's or message's came first.
            let scope = CallScope {
                call: scope.next_call(),
                key: scope.run.effect_key(&[&plugin.key, ON_START]),
                made: Arc::default(),
                ..scope.clone()
            };
            scope.record_durable(scope.said(calls(ON_START))).await?;
            let started = plugin
                .plugin
                .agent_on_start(scope.clone(), &plugin.config)
                .await;
            let report = self.settle(&scope, ON_START, started, |()| None).await;
            report.result
        };
        cell.get_or_try_init(start).await.copied()
    }

    /// `on-finish` of every agent that was started, in its current revision; its errors change nothing.
    pub(super) async fn finish(&self, delivery: Delivery) {
        match delivery.envelope.read() {
            Ok(Ending { status, reason }) => {
                let outcome = AgentOutcome { status, reason };
                for agent in self.started() {
                    let scope = agent.own_scope(&self.scope);
                    self.finish_agent(&agent, scope, &outcome).await;
                }
            }
            Err(error) => tracing::error!(%error, "the end of a run cannot be read"),
        }
        self.reply(delivery, "run.finished", Value::Null).await;
    }

    /// Answers a request of the driver's.
    pub(super) async fn reply(&self, delivery: Delivery, kind: &str, payload: Value) {
        let id = Ulid::from_parts(self.scope.started_ms, u128::from(delivery.envelope.id) ^ 1);
        let actor = format!("{}/host", self.scope.tenant);
        match Head::answer(&delivery.envelope, id, &actor, kind).seal(payload) {
            Ok(envelope) => {
                let _nobody_waits_any_more = delivery.answer(Arc::new(envelope)).await;
            }
            Err(error) => tracing::error!(%error, kind, "the driver cannot be answered"),
        }
    }

    /// Whether this revision's `on-start` went well before, in whichever worker.
    fn has_started(&self, plugin: &Installed) -> bool {
        let started = self.recall.started();
        let this = (plugin.key.to_string(), plugin.revision);
        started.contains(&this)
    }

    /// The agents that were started, in the revision that is current, if that one was.
    fn started(&self) -> Vec<Arc<Installed>> {
        let current = self
            .recall
            .started()
            .into_iter()
            .filter_map(|(key, revision)| {
                let current = self.registry.current(&key)?;
                (current.revision == revision).then_some(current)
            });
        let finished = self.recall.finished();
        let is_told = |agent: &Arc<Installed>| finished.iter().any(|key| **key == *agent.key);
        current.filter(|agent| !is_told(agent)).collect()
    }

    pub(crate) async fn finish_agent(
        &self,
        agent: &Installed,
        scope: CallScope,
        outcome: &AgentOutcome,
    ) {
        let told = json!({ "status": outcome.status, "reason": outcome.reason });
        let intent = scope.said(calls(ON_FINISH));
        let intent = intent.payload(told.to_string().into_bytes());
        let finished = async {
            scope.record_durable(intent).await?;
            let finished = agent.plugin.agent_on_finish(scope.clone(), outcome).await;
            let report = self.settle(&scope, ON_FINISH, finished, |()| None).await;
            report.result
        };
        if let Err(fault) = finished.await {
            tracing::warn!(plugin = %agent.key, %fault, "on-finish failed");
        }
    }
}

/// That a function of the role is about to be called.
fn calls(function: &str) -> ToolCall {
    ToolCall {
        tool: function.to_owned(),
        ..ToolCall::default()
    }
}
