//! The role `guardrail`: passes a value, rewrites it or stops it.

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
    "flowhost:roles/guardrail-role"
}

use bindings::exports::flowhost::roles::guardrail::Subject;
pub use bindings::exports::flowhost::roles::guardrail::{
    Action as GuardAction, Finding, Phase, Severity, Verdict as GuardVerdict,
};

struct Check<'a> {
    subject: &'a Subject,
    config: String,
}

impl Invocation for Check<'_> {
    type Role = bindings::GuardrailRole;
    type Output = GuardVerdict;

    async fn invoke(
        self,
        role: &bindings::GuardrailRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<GuardVerdict, types::Error>> {
        let guardrail = role.flowhost_roles_guardrail();
        guardrail
            .call_check(store, context, self.subject, &self.config)
            .await
    }

    fn size(output: &GuardVerdict) -> u64 {
        output
            .findings
            .iter()
            .map(|it| length(&[&it.code, &it.message, &it.pointer]))
            .sum::<u64>()
            .saturating_add(output.value.len() as u64)
    }

    fn held(output: &GuardVerdict) -> u64 {
        Self::size(output).saturating_add(places(&output.findings))
    }

    /// A verdict that says one thing and carries another cannot be followed.
    fn canonical(mut output: GuardVerdict) -> Result<GuardVerdict, String> {
        match output.action {
            GuardAction::Rewrite => output.value = json("rewritten value", &output.value)?,
            GuardAction::Pass | GuardAction::Deny if output.value.is_empty() => {}
            GuardAction::Pass | GuardAction::Deny => {
                return Err("its verdict carries a value without the action `rewrite`".to_owned());
            }
        }
        Ok(output)
    }
}

impl Plugin {
    /// Asks a guardrail about the JSON document `value`, before or after `step`. `config` is its
    /// rendered `with:`.
    pub async fn check(
        &self,
        scope: CallScope,
        phase: Phase,
        step: &str,
        value: &str,
        config: &str,
    ) -> CallReport<GuardVerdict> {
        let subject = Subject {
            phase,
            step: step.to_owned(),
            value: value.to_owned(),
        };
        self.run(
            scope,
            Check {
                subject: &subject,
                config: config.to_owned(),
            },
        )
        .await
    }
}
