//! Calls between plugins: who has which tool, who reads which topic, what is left to spend.
//!
//! A tool runs under its own rights, never under its caller's, and one that acts for its callers under less
//! of them; what may be called is decided by the caller's grant before anything arrives here. Names stay within one plan: a sub-plan's plugin
//! reaches the sub-plan's plugins and no others.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use flowhost_caps::budget::{BudgetView, Left};
use flowhost_caps::messaging::Mailboxes;
use flowhost_caps::model::{HoldId, Origin, Spending};
use flowhost_caps::tools::ToolRouter;
use flowhost_engine::{
    CallScope, Descriptor, Fault, JsonLimits, Meter, Phase, Shortfall, ToolContent, parse_json,
};
use flowhost_flow::planner::Verdict;
use flowhost_ledger::Fact;
use flowhost_ledger::records::{
    Decision, DecisionPart, GuardVerdict, RecordKind as _, ToolCall, ToolResult,
};
use flowhost_policy::{Denied, Direction, decide_tool, decide_topic};
use tokio::time::Instant;

use crate::calls::worker::{failed_fact, verdict_of};
use crate::meters::detail::measured;
use crate::meters::funds::{Funds, Payer};
use crate::meters::tally::{Origins, Tally};
use crate::plugins::content::{content_text, judged};
use crate::plugins::guards::{Guards, Ready};
use crate::plugins::installed::{Installed, invalid};
use crate::plugins::registry::Registry;

/// Routes once the plugins are installed; before that there is nobody to call.
pub(crate) struct Router {
    plugins: OnceLock<Arc<Registry>>,
    guards: OnceLock<Guards>,
    tally: Arc<Tally>,
    origins: Arc<Origins>,
    funds: Arc<dyn Funds>,
}

impl Router {
    pub(crate) fn new(funds: Arc<dyn Funds>) -> Self {
        Self {
            plugins: OnceLock::new(),
            guards: OnceLock::new(),
            tally: Arc::default(),
            origins: Arc::default(),
            funds,
        }
    }

    pub(crate) fn install(&self, plugins: Arc<Registry>, guards: Guards) {
        // Set once per run: an engine is installed by consuming it. Guards first: a plugin that can
        // be called can be called guarded.
        let _already = self.guards.set(guards);
        let _already = self.plugins.set(plugins);
    }

    /// What routed calls use, by step.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// What the plan says of the calls at work.
    pub(crate) fn origins(&self) -> Arc<Origins> {
        self.origins.clone()
    }

    /// The value as the guardrails leave it.
    async fn guarded(
        &self,
        caller: &CallScope,
        phase: Phase,
        tool: &str,
        value: String,
    ) -> Result<String, Fault> {
        let Some(guards) = self.guards.get() else {
            return Err(Fault::Host("the guardrails are not installed".to_owned()));
        };
        let mut value = value;
        for guard in guards.at(prefix(&caller.plugin), phase) {
            value = self.guard(caller, phase, tool, value, guard).await?;
        }
        Ok(value)
    }

    async fn guard(
        &self,
        caller: &CallScope,
        phase: Phase,
        tool: &str,
        value: String,
        guard: &Ready,
    ) -> Result<String, Fault> {
        let missing = || Fault::Host(format!("the plan has no guardrail `{}`", guard.plugin));
        let callee = self.find(caller, &guard.plugin).ok_or_else(missing)?;
        let failed = |message: String| Fault::Guest {
            class: "failed",
            message: format!("the guardrail `{}`: {message}", guard.plugin),
        };
        let waits = |key: &Arc<str>| *key == callee.key;
        if waits(&caller.plugin) || caller.callers.iter().any(waits) {
            return Err(failed("a tool that it calls would wait for it".to_owned()));
        }
        let config = guard.config.as_ref();
        let config = config.map_err(|error| failed(format!("with: {error}")))?;
        let scope = delegated(caller, &callee, caller.effect_key(&guard.plugin, &value));
        let account = self.tally.open(&scope);
        let verdict = callee
            .plugin
            .check(scope.clone(), phase, tool, &value, config)
            .await
            .result?;
        drop(account);
        let verdict = verdict_of(&verdict).map_err(|failure| failed(failure.message))?;
        let denied = denied(guard, tool, &verdict);
        let fact = verdict_fact(&scope, phase, tool, &verdict, denied.as_ref());
        scope.record_durable(fact).await?;
        match (verdict, denied) {
            (_, Some(denied)) => Err(Fault::Denied(denied)),
            (Verdict::Rewrite { subject, .. }, None) => Ok(subject.to_string()),
            _ => Ok(value),
        }
    }

    /// What a tool answered, as the guardrails leave it: value, parts and errors alike.
    async fn guarded_answer(
        &self,
        caller: &CallScope,
        tool: &str,
        answer: Result<ToolContent, Fault>,
    ) -> Result<ToolContent, Fault> {
        let guards = self.guards.get();
        let guarded =
            guards.is_none_or(|it| !it.at(prefix(&caller.plugin), Phase::After).is_empty());
        if !guarded {
            return answer;
        }
        judged(answer, |subject| {
            self.guarded(caller, Phase::After, tool, subject)
        })
        .await
    }

    fn find(&self, caller: &CallScope, plugin: &str) -> Option<Arc<Installed>> {
        let key = format!("{}{plugin}", prefix(&caller.plugin));
        self.plugins.get()?.current(&key)
    }

    fn neighbours(&self, caller: &CallScope) -> Vec<Arc<Installed>> {
        let plugins = self.plugins.get();
        plugins.map_or_else(Vec::new, |it| it.below(prefix(&caller.plugin)))
    }
}

/// `a.yaml::` for `a.yaml::name`, empty for a plugin of the plan itself.
pub(crate) fn prefix(key: &str) -> &str {
    key.rfind("::")
        .and_then(|at| key.get(..at + 2))
        .unwrap_or("")
}

#[async_trait]
impl ToolRouter for Router {
    fn list(&self, caller: &CallScope) -> Vec<Descriptor> {
        let neighbours = self.neighbours(caller);
        let offered = neighbours.iter().flat_map(|plugin| plugin.descriptors());
        offered.collect()
    }

    fn key(&self, caller: &CallScope, plugin: &str) -> String {
        format!("{}{plugin}", prefix(&caller.plugin))
    }

    async fn call(
        &self,
        caller: &CallScope,
        name: &str,
        input: &str,
    ) -> Result<ToolContent, Fault> {
        // Asked again here, because a router that trusts its caller is one bug away from a hole.
        decide_tool(&caller.effective.grants.tools, name)?;
        let unknown = || invalid(format!("the tool `{name}` is unknown"));
        let (plugin, tool) = name.split_once('/').ok_or_else(unknown)?;
        let callee = self.find(caller, plugin).ok_or_else(unknown)?;
        // Nothing of it is done before it is waited for: of a component that is called no more no guardrail is asked.
        let guarded = self.guarded(caller, Phase::Before, name, input.to_owned());
        callee.breaker.check()?;
        let value = parse_json(&guarded.await?, &JsonLimits::default())
            .map_err(|error| invalid(format!("the input of `{name}` is refused: {error}")))?;
        callee.check_input(tool, &value)?;
        // The text of what was checked, and not the text that came.
        let input = value.to_string();
        let scope = delegated(caller, &callee, caller.effect_key(name, &input));
        let call = scope.said(ToolCall {
            tool: tool.to_owned(),
            source: callee.source_of_tools(),
            caller: Some(caller.plugin.to_string()),
            ..ToolCall::default()
        });
        scope
            .record_durable(call.payload(input.as_bytes().to_vec()))
            .await?;
        let account = self.tally.open(&scope);
        let report = callee.call_tool(scope.clone(), tool, &input).await;
        drop(account);
        callee.breaker.hear(&report.result);
        let result = ToolResult {
            tool: tool.to_owned(),
            caller: Some(caller.plugin.to_string()),
            used: measured(&report.used),
            ..ToolResult::default()
        };
        let answered = report
            .result
            .and_then(|content| callee.check_content(tool, content));
        let result = match &answered {
            Ok(content) => scope
                .said(ToolResult {
                    status: "ok".to_owned(),
                    ..result
                })
                .payload(content_text(content)?.into_bytes()),
            Err(fault) => {
                // It is not known to the caller either, whatever it makes of that.
                if scope.is_unanswered() {
                    caller.asks();
                }
                failed_fact(&scope, result, fault)
            }
        };
        scope.record_durable(result).await?;
        self.guarded_answer(caller, name, answered).await
    }
}

/// What a verdict refuses, if it ends the call.
fn denied(guard: &Ready, tool: &str, verdict: &Verdict) -> Option<Denied> {
    (guard.halts && matches!(verdict, Verdict::Deny { .. })).then(|| Denied {
        right: "guardrail",
        wanted: tool.to_owned(),
        rule: format!("defaults.guardrails[{}]", guard.plugin),
        cure: None,
    })
}

fn verdict_fact(
    scope: &CallScope,
    phase: Phase,
    tool: &str,
    verdict: &Verdict,
    denied: Option<&Denied>,
) -> Fact {
    let (word, findings) = match verdict {
        Verdict::Pass { findings } => ("pass", findings),
        Verdict::Rewrite { findings, .. } => ("rewrite", findings),
        Verdict::Deny { findings, .. } => ("deny", findings),
    };
    let part = match phase {
        Phase::Before => "before",
        Phase::After => "after",
    };
    let warned = word == "deny" && denied.is_none();
    let decided = denied.map(|denied| DecisionPart {
        decision: Some(Decision::Deny),
        right: Some(denied.right.to_owned()),
        // The tool, by the name that the plan gave it: nothing that a guest wrote.
        wanted: Some(denied.wanted.clone()),
        rule: Some(denied.rule.clone()),
        ..DecisionPart::default()
    });
    let record = GuardVerdict {
        place: scope.place(),
        decided: decided.unwrap_or_default(),
        guard: Some(scope.plugin.to_string()),
        tool: Some(tool.to_owned()),
        part: Some(part.to_owned()),
        verdict: Some(word.to_owned()),
        findings: Some(findings.len() as u64),
        warned: Some(warned),
        told_ms: Some(scope.meter.told_ms.load(Relaxed)),
        ..GuardVerdict::default()
    };
    let fact = record.by(scope.actor());
    let told = serde_json::to_vec(findings);
    debug_assert!(told.is_ok(), "findings were read as JSON");
    fact.payload(told.unwrap_or_default())
}

/// The callee's scope: its own rights, the caller's step and deadline, an id below the caller's.
fn delegated(caller: &CallScope, callee: &Installed, key: Arc<str>) -> CallScope {
    let own = std::time::Duration::from_millis(callee.plugin.effective().limits.deadline_ms);
    let callers = caller
        .callers
        .iter()
        .cloned()
        .chain([caller.plugin.clone()])
        .collect();
    let meter = Arc::new(Meter::default());
    CallScope {
        run: callee.counted(&caller.run, &meter),
        call: caller.next_call(),
        root: caller.root.clone(),
        made: Arc::default(),
        key,
        keyed: caller.keyed,
        step: caller.step.clone(),
        attempt: caller.attempt,
        plugin: callee.key.clone(),
        digest: callee.plugin.digest(),
        revision: callee.revision,
        effective: callee.rights_for(caller),
        config: callee.config.clone(),
        traceparent: caller.traceparent.clone(),
        deadline: caller.deadline.min(Instant::now() + own),
        callers,
        meter,
    }
}

impl Mailboxes for Router {
    fn readers(&self, caller: &CallScope, topic: &str) -> Vec<String> {
        // Only agents have a mailbox; a tool's `subscribe` reaches nobody.
        let reads = |plugin: &&Arc<Installed>| {
            let grant = &plugin.plugin.effective().grants.messages;
            plugin.is_agent() && decide_topic(grant, Direction::Subscribe, topic).is_ok()
        };
        let neighbours = self.neighbours(caller);
        let readers = neighbours.iter().filter(reads);
        readers.map(|plugin| plugin.key.to_string()).collect()
    }
}

impl BudgetView for Router {
    fn left(&self, caller: &CallScope) -> Left {
        self.funds.left(&Payer::of(caller))
    }
}

impl Spending for Router {
    fn hold(&self, caller: &CallScope, want: Left) -> Result<HoldId, Shortfall> {
        self.funds.hold(&Payer::of(caller), want)
    }

    fn settle(&self, hold: HoldId, spent: Left) {
        self.funds.settle(hold, spent);
    }

    fn origin(&self, caller: &CallScope) -> Origin {
        self.origins.of(&caller.root)
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
