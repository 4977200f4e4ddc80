//! `flowhost:tools`.

use std::sync::Arc;

use flowhost_engine::{CallScope, EARLIER_CONTRACT, Fault, HostState, bindings::types};
use flowhost_engine::{canonical_json, neutralise};
use flowhost_ledger::records::{Asked, Decision, DecisionPart, HostCall};
use flowhost_policy::decide_tool;
use wasmtime::component::Linker;

use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, kill, settle};
use crate::tools::{CHAIN_MAX, ToolRouter, ToolsState};

bindings!("import flowhost:tools/tools@0.1.0;", "../../wit/tools/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::tools::tools as wit;

pub(super) const INTERFACE: &str = "flowhost:tools/tools@0.1.0";

/// Longest name that a record holds, in characters. A refused name may be anything, and what a guest says at will
/// must not swell the ledger.
const NAME_CHARS: usize = 256;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    async fn list(&mut self) -> wasmtime::Result<Vec<types::Descriptor>> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<ToolsState>();
        let grant = &parts.scope.effective.grants.tools;
        let mut tools = parts.state.router.list(parts.scope);
        // Silently, and no refusals: a guest that lists has asked for none of them.
        tools.retain(|tool| decide_tool(grant, &tool.name).is_ok());
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        parts
            .scope
            .record_allow::<HostCall>(INTERFACE, "tools.call", "list")
            .map_err(kill)?;
        Ok(tools)
    }

    async fn call(
        &mut self,
        name: String,
        input: String,
    ) -> wasmtime::Result<Result<types::Content, types::Error>> {
        let scope = self.scope().clone();
        scope.charge_host_call().map_err(kill)?;
        let router = Arc::clone(&self.parts::<ToolsState>().state.router);
        settle(call(&*router, &scope, &name, &input).await)
    }
}

async fn call(
    router: &dyn ToolRouter,
    scope: &CallScope,
    name: &str,
    input: &str,
) -> Result<types::Content, Refusal> {
    let rule = match decide_tool(&scope.effective.grants.tools, name) {
        Ok(allowed) => format!("tools.call[{}]", allowed.index),
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, NAME_CHARS);
            scope.record_deny::<HostCall>(INTERFACE, &denied)?;
            return Err(types::Error::from(&denied).into());
        }
    };
    // A grant of all tools of a plugin covers its bare name too, which is no tool.
    if name.split('/').count() != 2 {
        let text = format!("`{name}` is not a tool: write `plugin/tool`");
        return Err(types::Error::Invalid(text).into());
    }
    open_chain(router, scope, name)?;
    // What the router checks is what it hands on: from here there is one text that says one thing.
    let input = canonical_json(input).map_err(|error| types::Error::Invalid(error.to_string()))?;
    scope.record_allow::<HostCall>(INTERFACE, &rule, name)?;
    router
        .call(scope, name, &input)
        .await
        .map_err(|fault| as_caller_reads(scope, name, fault))
}

/// Refuses a call that one of its own callers would have to answer, and a chain without end.
fn open_chain(router: &dyn ToolRouter, scope: &CallScope, name: &str) -> Result<(), Refusal> {
    let plugin = router.key(scope, name.split('/').next().unwrap_or(name));
    let waits = scope.callers.iter().chain([&scope.plugin]);
    if waits.into_iter().any(|waiting| **waiting == *plugin) {
        let message =
            format!("calling `{name}` would close a cycle: `{plugin}` waits for this call");
        let fact = scope.said(HostCall {
            decided: DecisionPart {
                interface: Some(INTERFACE.to_owned()),
                decision: Some(Decision::Deny),
                rule: Some("tools.cycle".to_owned()),
                ..DecisionPart::default()
            },
            ..HostCall::default()
        });
        let fact = fact.payload(Asked::for_what(name).to_payload());
        scope.run.recorder.append(fact).map_err(Fault::from)?;
        return Err(types::Error::Failed(message).into());
    }
    let depth = scope.callers.len() + 1;
    if depth > CHAIN_MAX {
        return Err(scope
            .refuse_limit("chain", depth as u64, CHAIN_MAX as u64)
            .into());
    }
    Ok(())
}

/// A tool's end is the caller's error; the host's own end is everybody's.
fn as_caller_reads(scope: &CallScope, name: &str, fault: Fault) -> Refusal {
    match fault {
        Fault::Limit {
            name,
            used,
            allowed,
        } => scope.refuse_limit(name, used, allowed).into(),
        Fault::Budget(short) => scope.refuse_budget(short).into(),
        Fault::Guest { class, message } => match class {
            "invalid" => types::Error::Invalid(message).into(),
            "transient" => types::Error::Transient(message).into(),
            "conflict" => types::Error::Conflict(message).into(),
            _ => types::Error::Failed(message).into(),
        },
        // The caller may call the tool; what the tool may not do is not the caller's refusal.
        Fault::Denied(denied) => {
            types::Error::Failed(format!("`{name}` was denied `{}`", denied.right)).into()
        }
        // Without the trap's text, which is the tool's own inside.
        Fault::Trap { .. } => types::Error::Failed(format!("`{name}` trapped")).into(),
        Fault::Unfit { .. } => types::Error::Failed(format!("`{name}` {EARLIER_CONTRACT}")).into(),
        other => Refusal::Fault(other),
    }
}
