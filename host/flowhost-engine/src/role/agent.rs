//! The role `agent`: does a step's work, and reads messages. Each call is an instance of its own:
//! what an agent must remember goes into `flowhost:state`.

use wasmtime::Store;

use super::{Invocation, json, length, places};
use crate::bindings::types;
use crate::capability::HostState;
use crate::instance::{CallReport, Plugin};
use crate::scope::CallScope;

bindings! {
    #[expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]
    "flowhost:roles/agent-role"
}

pub use bindings::exports::flowhost::roles::agent::{
    Outcome as AgentOutcome, Outgoing, Output as AgentOutput, Task as AgentTask,
};

struct OnStart(String);
struct OnPlan<'a>(&'a AgentTask);
struct OnMessage<'a>(&'a types::Message);
struct OnFinish<'a>(&'a AgentOutcome);

impl Invocation for OnStart {
    type Role = bindings::AgentRole;
    type Output = ();

    async fn invoke(
        self,
        role: &bindings::AgentRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        role.flowhost_roles_agent()
            .call_on_start(store, context, &self.0)
            .await
    }

    fn size((): &()) -> u64 {
        0
    }

    fn canonical((): ()) -> Result<(), String> {
        Ok(())
    }
}

impl Invocation for OnPlan<'_> {
    type Role = bindings::AgentRole;
    type Output = AgentOutput;

    async fn invoke(
        self,
        role: &bindings::AgentRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<AgentOutput, types::Error>> {
        role.flowhost_roles_agent()
            .call_on_plan(store, context, self.0)
            .await
    }

    fn size(output: &AgentOutput) -> u64 {
        let notes = output
            .notes
            .iter()
            .map(|note| note.len() as u64)
            .sum::<u64>();
        notes.saturating_add(output.content.len() as u64)
    }

    fn held(output: &AgentOutput) -> u64 {
        Self::size(output).saturating_add(places(&output.notes))
    }

    fn canonical(mut output: AgentOutput) -> Result<AgentOutput, String> {
        output.content = json("content", &output.content)?;
        Ok(output)
    }
}

impl Invocation for OnMessage<'_> {
    type Role = bindings::AgentRole;
    type Output = Vec<Outgoing>;

    async fn invoke(
        self,
        role: &bindings::AgentRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Vec<Outgoing>, types::Error>> {
        role.flowhost_roles_agent()
            .call_on_message(store, context, self.0)
            .await
    }

    fn size(output: &Vec<Outgoing>) -> u64 {
        output
            .iter()
            .map(|it| length(&[&it.topic, &it.correlation, &it.payload]))
            .sum()
    }

    fn held(output: &Vec<Outgoing>) -> u64 {
        Self::size(output).saturating_add(places(output))
    }

    fn canonical(mut output: Vec<Outgoing>) -> Result<Vec<Outgoing>, String> {
        for message in &mut output {
            message.payload = json("message", &message.payload)?;
        }
        Ok(output)
    }
}

impl Invocation for OnFinish<'_> {
    type Role = bindings::AgentRole;
    type Output = ();

    async fn invoke(
        self,
        role: &bindings::AgentRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        role.flowhost_roles_agent()
            .call_on_finish(store, context, self.0)
            .await
    }

    fn size((): &()) -> u64 {
        0
    }

    fn canonical((): ()) -> Result<(), String> {
        Ok(())
    }
}

impl Plugin {
    /// Tells an agent that the run begins, with its `config:` as one JSON document.
    pub async fn agent_on_start(&self, scope: CallScope, config: &str) -> CallReport<()> {
        self.run(scope, OnStart(config.to_owned())).await
    }

    /// Hands an agent a step's work.
    pub async fn agent_on_plan(
        &self,
        scope: CallScope,
        task: &AgentTask,
    ) -> CallReport<AgentOutput> {
        self.run(scope, OnPlan(task)).await
    }

    /// Delivers a message; what comes back still needs `messages.publish`.
    pub async fn agent_on_message(
        &self,
        scope: CallScope,
        message: &types::Message,
    ) -> CallReport<Vec<Outgoing>> {
        self.run(scope, OnMessage(message)).await
    }

    /// Tells an agent how the run ended.
    pub async fn agent_on_finish(
        &self,
        scope: CallScope,
        outcome: &AgentOutcome,
    ) -> CallReport<()> {
        self.run(scope, OnFinish(outcome)).await
    }
}
