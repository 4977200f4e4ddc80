//! Calls between plugins: who has which tool, who reads which topic, what is left to spend.
//!
//! A tool runs under its own rights, never under its caller's; what may be called is decided by the
//! caller's grant before anything arrives here. Names stay within one plan: a sub-plan's plugin
//! reaches the sub-plan's plugins and no others.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use flowhost_caps::budget::{BudgetView, Left};
use flowhost_caps::messaging::Mailboxes;
use flowhost_caps::tools::ToolRouter;
use flowhost_engine::{CallScope, Descriptor, Fault, Meter, ToolContent};
use flowhost_ledger::Kind;
use flowhost_policy::{Direction, decide_tool, decide_topic};
use tokio::time::Instant;

use super::registry::{Installed, Registry, invalid};

/// Routes once the plugins are installed; before that there is nobody to call.
#[derive(Default)]
pub(super) struct Router {
    plugins: OnceLock<Arc<Registry>>,
}

impl Router {
    pub(super) fn install(&self, plugins: Arc<Registry>) {
        // Set once per run: an engine is installed by consuming it.
        let _already = self.plugins.set(plugins);
    }

    fn find(&self, caller: &CallScope, plugin: &str) -> Option<Arc<Installed>> {
        self.plugins
            .get()?
            .get(&format!("{}{plugin}", prefix(&caller.plugin)))
            .cloned()
    }

    fn neighbours(&self, caller: &CallScope) -> impl Iterator<Item = &Arc<Installed>> {
        let prefix = prefix(&caller.plugin).to_owned();
        let all = self
            .plugins
            .get()
            .into_iter()
            .flat_map(|plugins| plugins.iter());
        all.filter(move |(key, _)| {
            key.strip_prefix(&prefix)
                .is_some_and(|rest| !rest.contains("::"))
        })
        .map(|(_, plugin)| plugin)
    }
}

/// `a.yaml::` for `a.yaml::name`, empty for a plugin of the plan itself.
fn prefix(key: &str) -> &str {
    key.rfind("::")
        .and_then(|at| key.get(..at + 2))
        .unwrap_or("")
}

#[async_trait]
impl ToolRouter for Router {
    fn list(&self, caller: &CallScope) -> Vec<Descriptor> {
        self.neighbours(caller)
            .flat_map(|plugin| plugin.descriptors())
            .collect()
    }

    async fn call(
        &self,
        caller: &CallScope,
        name: &str,
        input: &str,
    ) -> Result<ToolContent, Fault> {
        // Asked again here, because a router that trusts its caller is one bug away from a hole.
        decide_tool(&caller.effective.grants.tools, name)?;
        let unknown = || invalid(format!("there is no tool `{name}`"));
        let (plugin, tool) = name.split_once('/').ok_or_else(unknown)?;
        let callee = self.find(caller, plugin).ok_or_else(unknown)?;
        let value = serde_json::from_str(input)
            .map_err(|error| invalid(format!("the input of `{name}` is no JSON: {error}")))?;
        callee.check_input(tool, &value)?;
        let scope = delegated(caller, &callee);
        let call = scope
            .fact(Kind::ToolCall)
            .with("tool", tool)
            .with("caller", &*caller.plugin);
        scope
            .record_durable(call.payload(input.as_bytes().to_vec()))
            .await?;
        let report = callee.plugin.call_tool(scope.clone(), tool, input).await;
        let result = scope
            .fact(Kind::ToolResult)
            .with("tool", tool)
            .with("caller", &*caller.plugin)
            .with("fuel", report.used.fuel);
        let result = match &report.result {
            Ok(content) => result
                .with("status", "ok")
                .payload(content.value.clone().into_bytes()),
            Err(fault) => result
                .with("status", "failed")
                .with("owner", fault.owner().as_str())
                .payload(fault.to_string().into_bytes()),
        };
        scope.record_durable(result).await?;
        report.result
    }
}

/// The callee's scope: its own rights, the caller's step and deadline.
fn delegated(caller: &CallScope, callee: &Installed) -> CallScope {
    let own = std::time::Duration::from_millis(callee.plugin.effective().limits.deadline_ms);
    let callers = caller
        .callers
        .iter()
        .cloned()
        .chain([caller.plugin.clone()])
        .collect();
    CallScope {
        run: caller.run.clone(),
        step: caller.step.clone(),
        attempt: caller.attempt,
        plugin: callee.key.clone(),
        digest: callee.plugin.digest(),
        effective: callee.plugin.effective().clone(),
        config: callee.config.clone(),
        traceparent: caller.traceparent.clone(),
        deadline: caller.deadline.min(Instant::now() + own),
        callers,
        meter: Arc::new(Meter::default()),
    }
}

impl Mailboxes for Router {
    fn readers(&self, caller: &CallScope, topic: &str) -> Vec<String> {
        let reads = |plugin: &&Arc<Installed>| {
            let grant = &plugin.plugin.effective().grants.messages;
            decide_topic(grant, Direction::Subscribe, topic).is_ok()
        };
        self.neighbours(caller)
            .filter(reads)
            .map(|plugin| plugin.key.to_string())
            .collect()
    }
}

impl BudgetView for Router {
    /// The plugin's own ceiling: what the step and the run have left was reserved from it before the
    /// call, and lowers the call's limits.
    fn left(&self, caller: &CallScope) -> Left {
        let model = &caller.effective.grants.model;
        Left {
            tokens: model.tokens,
            micro_usd: model.micro_usd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_plans_plugin_stays_in_its_sub_plan() {
        assert_eq!(prefix("a.yaml::b.yaml::name"), "a.yaml::b.yaml::");
        assert_eq!(prefix("name"), "");
    }
}
