//! What a run asks of a plugin, whatever stands behind it: a prepared component, or in a simulation a
//! stand-in that a hundred thousand seeds can afford.
//!
//! One function for each export of a role. Must know nothing of what is done with the answers.

use std::sync::Arc;

use async_trait::async_trait;
use flowhost_engine::{
    AgentOutcome, AgentOutput, AgentTask, CallReport, CallScope, Descriptor, GuardVerdict,
    McpSession, McpTools, Message, Outgoing, Phase, Plugin, ToolContent,
};
use flowhost_policy::Effective;

/// A plugin under its effective rights. Each call is an instance of its own.
#[async_trait]
pub(crate) trait Guest: Send + Sync {
    /// `sha256:…` of the component.
    fn digest(&self) -> Arc<str>;

    /// The effective rights it was prepared under.
    fn effective(&self) -> &Arc<Effective>;

    async fn check(
        &self,
        scope: CallScope,
        phase: Phase,
        step: &str,
        value: &str,
        config: &str,
    ) -> CallReport<GuardVerdict>;

    async fn describe_tools(&self, scope: CallScope) -> CallReport<Vec<Descriptor>>;

    async fn call_tool(&self, scope: CallScope, name: &str, input: &str)
    -> CallReport<ToolContent>;

    async fn agent_on_start(&self, scope: CallScope, config: &str) -> CallReport<()>;

    async fn agent_on_plan(&self, scope: CallScope, task: &AgentTask) -> CallReport<AgentOutput>;

    async fn agent_on_message(
        &self,
        scope: CallScope,
        message: &Message,
    ) -> CallReport<Vec<Outgoing>>;

    async fn agent_on_finish(&self, scope: CallScope, outcome: &AgentOutcome) -> CallReport<()>;

    async fn mcp_open(&self, scope: CallScope, config: &str) -> CallReport<(McpSession, McpTools)>;

    async fn mcp_list(&self, scope: CallScope, session: &McpSession) -> CallReport<McpTools>;

    async fn mcp_call_tool(
        &self,
        scope: CallScope,
        session: &McpSession,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent>;

    async fn mcp_close(&self, scope: CallScope, session: &McpSession) -> CallReport<()>;
}

#[async_trait]
impl Guest for Plugin {
    fn digest(&self) -> Arc<str> {
        Self::digest(self)
    }

    fn effective(&self) -> &Arc<Effective> {
        Self::effective(self)
    }

    async fn check(
        &self,
        scope: CallScope,
        phase: Phase,
        step: &str,
        value: &str,
        config: &str,
    ) -> CallReport<GuardVerdict> {
        Self::check(self, scope, phase, step, value, config).await
    }

    async fn describe_tools(&self, scope: CallScope) -> CallReport<Vec<Descriptor>> {
        Self::describe_tools(self, scope).await
    }

    async fn call_tool(
        &self,
        scope: CallScope,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent> {
        Self::call_tool(self, scope, name, input).await
    }

    async fn agent_on_start(&self, scope: CallScope, config: &str) -> CallReport<()> {
        Self::agent_on_start(self, scope, config).await
    }

    async fn agent_on_plan(&self, scope: CallScope, task: &AgentTask) -> CallReport<AgentOutput> {
        Self::agent_on_plan(self, scope, task).await
    }

    async fn agent_on_message(
        &self,
        scope: CallScope,
        message: &Message,
    ) -> CallReport<Vec<Outgoing>> {
        Self::agent_on_message(self, scope, message).await
    }

    async fn agent_on_finish(&self, scope: CallScope, outcome: &AgentOutcome) -> CallReport<()> {
        Self::agent_on_finish(self, scope, outcome).await
    }

    async fn mcp_open(&self, scope: CallScope, config: &str) -> CallReport<(McpSession, McpTools)> {
        Self::mcp_open(self, scope, config).await
    }

    async fn mcp_list(&self, scope: CallScope, session: &McpSession) -> CallReport<McpTools> {
        Self::mcp_list(self, scope, session).await
    }

    async fn mcp_call_tool(
        &self,
        scope: CallScope,
        session: &McpSession,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent> {
        Self::mcp_call_tool(self, scope, session, name, input).await
    }

    async fn mcp_close(&self, scope: CallScope, session: &McpSession) -> CallReport<()> {
        Self::mcp_close(self, scope, session).await
    }
}
