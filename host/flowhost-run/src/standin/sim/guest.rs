//! Stand-ins for components: they do something to the world that is counted, take their time, ask a model
//! and fail, all of it as the seed says. How a call ends follows from its step and attempt alone, so that
//! a call that is made again ends as it would have.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_engine::{
    AgentOutcome, AgentOutput, AgentTask, CallReport, CallScope, Descriptor, Fault, GuardAction,
    GuardVerdict, McpSession, McpTools, Message, Outgoing, Phase, ToolContent, Used, content_of,
};
use flowhost_ledger::records::{ModelIntent, ModelResult, RecordKind as _};
use flowhost_policy::{Effective, MessagesGrant};
use serde_json::{Value, json};

use super::random::Mood;
use super::world::{Effect, World};
use crate::calls::desk::{Funds, Payer};
use crate::plugins::guest::Guest;

/// What one question to the model costs at most.
const QUESTION: Left = Left {
    tokens: 20,
    micro_usd: 0,
};

pub(super) struct StandIn {
    world: Arc<World>,
    funds: Arc<dyn Funds>,
    digest: Arc<str>,
    effective: Arc<Effective>,
}

impl StandIn {
    pub(super) fn new(
        key: &str,
        (messages, queue): (MessagesGrant, u64),
        world: Arc<World>,
        funds: Arc<dyn Funds>,
    ) -> Self {
        let mut effective = Effective {
            plugin: key.to_owned(),
            profile: "p".to_owned(),
            hash: "sha256:rights".to_owned(),
            ..Effective::default()
        };
        effective.grants.messages = messages;
        effective.limits.queue = queue;
        effective.grants.model.tokens = u64::MAX;
        effective.grants.model.micro_usd = u64::MAX;
        Self {
            world,
            funds,
            digest: "sha256:component".into(),
            effective: Arc::new(effective),
        }
    }

    /// The work of a call, until its deadline.
    async fn within<T>(
        &self,
        scope: &CallScope,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> CallReport<T> {
        let late = |_| Fault::Limit {
            name: "deadline",
            used: 1,
            allowed: 1,
        };
        let done = tokio::time::timeout_at(scope.deadline, work).await;
        CallReport {
            result: done.map_err(late).and_then(|done| done),
            used: Used::default(),
        }
    }

    async fn tool(&self, scope: &CallScope) -> Result<ToolContent, Fault> {
        let world = &self.world;
        world.pause().await;
        let attempt = scope.attempt.to_string();
        let fate = world.fate(&["tool", &scope.step, &scope.key, &attempt]);
        for _ in 0..fate % 3 {
            self.ask(scope).await?;
        }
        world.pause().await;
        let call = scope.call.parse().unwrap();
        let effect = Effect {
            call,
            key: scope.key.to_string(),
        };
        {
            let mut seen = world.seen();
            if seen.over.contains(&call) {
                seen.late.push(call);
            }
            seen.effects.push(effect);
        }
        world.pause().await;
        let class = match (world.mood, fate) {
            (Mood::Calm, 0..25) if scope.attempt == 1 => "transient",
            (Mood::Wild, 0..12) => "transient",
            (Mood::Wild, 12..17) => "failed",
            (Mood::Wild, 17..20) => "invalid",
            (Mood::Wild, 20..22) => {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                "failed"
            }
            _ if world.seen().gives_parts => {
                let content = super::session::content(world, &scope.step);
                return content_of(content).map_err(Fault::Host);
            }
            _ => {
                let value = output(&scope.step).to_string();
                let parts = Vec::new();
                return Ok(ToolContent { value, parts });
            }
        };
        let message = "it went wrong".to_owned();
        Err(Fault::Guest { class, message })
    }

    /// Asks a model, as the capability does: held, recorded, asked, recorded, settled.
    async fn ask(&self, scope: &CallScope) -> Result<(), Fault> {
        let world = &self.world;
        let hold = self.funds.hold(&Payer::of(scope), QUESTION);
        let hold = hold.map_err(Fault::Budget)?;
        let intent = ModelIntent {
            call_of: scope.part(),
            reserved_tokens: Some(QUESTION.tokens),
            reserved_micro_usd: Some(0),
            ..ModelIntent::default()
        };
        let mut held = Held {
            funds: &*self.funds,
            hold: Some(hold),
        };
        let seq = scope.record_durable(intent.by(scope.actor())).await?;
        world.pause().await;
        let tokens = 1 + world.below(QUESTION.tokens);
        world.seen().charged += tokens;
        world.pause().await;
        let result = ModelResult {
            call_of: scope.part(),
            intent: Some(seq),
            completion_tokens: Some(tokens),
            micro_usd: Some(0),
            status: "ok".to_owned(),
            ..ModelResult::default()
        };
        let recorded = scope.record_durable(result.by(scope.actor())).await;
        held.settle(Left {
            tokens,
            micro_usd: 0,
        });
        recorded.map(drop)
    }
}

/// A question that was asked: whoever is stopped before the answer is booked pays all that was held.
struct Held<'a> {
    funds: &'a dyn Funds,
    hold: Option<HoldId>,
}

impl Held<'_> {
    fn settle(&mut self, spent: Left) {
        if let Some(hold) = self.hold.take() {
            self.funds.settle(hold, spent);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.settle(QUESTION);
    }
}

/// What a step hands on.
pub(super) fn output(step: &str) -> Value {
    json!({ "of": step })
}

#[async_trait]
impl Guest for StandIn {
    fn digest(&self) -> Arc<str> {
        self.digest.clone()
    }

    fn effective(&self) -> &Arc<Effective> {
        &self.effective
    }

    async fn check(
        &self,
        scope: CallScope,
        _: Phase,
        step: &str,
        _: &str,
        _: &str,
    ) -> CallReport<GuardVerdict> {
        let verdict = async {
            self.world.pause().await;
            let fate = self.world.fate(&["guard", step, &scope.step]);
            let (action, value) = match fate {
                0..10 => (GuardAction::Deny, String::new()),
                10..20 => (GuardAction::Rewrite, r#"{"n":1}"#.to_owned()),
                _ => (GuardAction::Pass, String::new()),
            };
            let findings = Vec::new();
            Ok(GuardVerdict {
                action,
                findings,
                value,
            })
        };
        self.within(&scope, verdict).await
    }

    async fn describe_tools(&self, _: CallScope) -> CallReport<Vec<Descriptor>> {
        CallReport::refused(nobody())
    }

    async fn call_tool(&self, scope: CallScope, _: &str, _: &str) -> CallReport<ToolContent> {
        let dies = self.world.mood == Mood::Wild && self.world.below(40) == 0;
        if dies && self.world.below(2) == 0 {
            self.world.dies(scope.call.parse().unwrap()).await;
        }
        let report = self.within(&scope, self.tool(&scope)).await;
        if dies {
            // It did all of it, and nobody hears of that.
            self.world.dies(scope.call.parse().unwrap()).await;
        }
        report
    }

    async fn agent_on_start(&self, scope: CallScope, _: &str) -> CallReport<()> {
        let start = async {
            self.world.pause().await;
            Ok(())
        };
        self.within(&scope, start).await
    }

    async fn agent_on_plan(&self, scope: CallScope, task: &AgentTask) -> CallReport<AgentOutput> {
        // Long enough for the others to talk meanwhile.
        let work = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(AgentOutput {
                content: output(&task.id).to_string(),
                notes: Vec::new(),
            })
        };
        self.within(&scope, work).await
    }

    async fn agent_on_message(
        &self,
        scope: CallScope,
        message: &Message,
    ) -> CallReport<Vec<Outgoing>> {
        let read = async {
            self.world.pause().await;
            let outgoing = super::agents::answer(&self.world, &scope.plugin, message);
            self.world.pause().await;
            Ok(outgoing)
        };
        self.within(&scope, read).await
    }

    async fn agent_on_finish(&self, scope: CallScope, _: &AgentOutcome) -> CallReport<()> {
        // One agent after the other is told: a pause of each would be longer than anybody waits.
        self.within(&scope, std::future::ready(Ok(()))).await
    }

    async fn mcp_open(&self, _: CallScope, _: &str) -> CallReport<(McpSession, McpTools)> {
        CallReport::refused(nobody())
    }

    async fn mcp_list(&self, _: CallScope, _: &McpSession) -> CallReport<McpTools> {
        CallReport::refused(nobody())
    }

    async fn mcp_call_tool(
        &self,
        _: CallScope,
        _: &McpSession,
        _: &str,
        _: &str,
    ) -> CallReport<ToolContent> {
        CallReport::refused(nobody())
    }

    async fn mcp_close(&self, _: CallScope, _: &McpSession) -> CallReport<()> {
        CallReport::refused(nobody())
    }
}

fn nobody() -> Fault {
    Fault::Host("no simulated plan asks for this".to_owned())
}
