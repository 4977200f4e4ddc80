//! From what a guest answered, or how it failed, to the planner's words: what decides retry and exit
//! code.

use flowhost_engine::{
    BUILD_ANEW, CallReport, CallScope, Fault, GuardAction, GuardVerdict, Severity,
};
use flowhost_flow::planner::Verdict;
use flowhost_flow::{CallResult, Failure, FailureClass, Owner};
use flowhost_ledger::Fact;
use flowhost_ledger::records::ToolResult;
use serde_json::{Value, json};

use crate::base::failure::{ask_otherwise, would_allow};
use crate::meters::detail::Detail;
use crate::plugins::installed::Installed;

pub(super) fn finish<T>(
    plugin: &Installed,
    report: CallReport<T>,
    read: impl FnOnce(T) -> Result<CallResult, Failure>,
) -> (CallResult, Detail) {
    plugin.breaker.hear(&report.result);
    let detail = Detail::from(report.used);
    let result = match report.result {
        Ok(answer) => read(answer).unwrap_or_else(failed),
        Err(fault) => failed(failure_of(&fault, plugin)),
    };
    (result, detail)
}

pub(crate) fn failed(failure: Failure) -> CallResult {
    CallResult::Failed(failure)
}

/// What a call came to that had asked something outside to do something.
pub(super) fn left(result: CallResult, scope: &CallScope) -> CallResult {
    match result {
        CallResult::Failed(failure) if is_in_doubt(scope, failure.class) => {
            CallResult::Failed(failure.left_in_doubt())
        }
        result => result,
    }
}

/// Whether a call failed so while something that it had asked had not answered. Of one that the host ended that is known
/// without it, and a replay takes its end from the record, in which nothing is asked.
fn is_in_doubt(scope: &CallScope, class: FailureClass) -> bool {
    use FailureClass::{Cancelled, Internal, Timeout};
    scope.is_unanswered() && !matches!(class, Cancelled | Internal | Timeout)
}

pub(super) fn output_of(text: &str) -> Result<CallResult, Failure> {
    serde_json::from_str(text)
        .map(CallResult::Output)
        .map_err(|error| {
            Failure::new(
                FailureClass::Failed,
                format!("the output is not valid JSON: {error}"),
            )
        })
}

pub(crate) fn verdict_of(verdict: &GuardVerdict) -> Result<Verdict, Failure> {
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
                    format!("the rewritten value is not valid JSON: {error}"),
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
pub(super) fn failure_of(fault: &Fault, plugin: &Installed) -> Failure {
    let failure = unplaced(fault);
    match fault {
        Fault::Limit { name, allowed, .. } => failure.with_hint(plugin.cure_of(name, *allowed)),
        Fault::Budget(short) => failure.with_hint(plugin.cure_of_budget(short)),
        _ => failure,
    }
}

/// What the host refused before the component ran: the component has answered nothing, and what it was to be given is
/// the plan's.
pub(super) fn misgiven(fault: &Fault, plugin: &Installed) -> Failure {
    let failure = failure_of(fault, plugin).owned_by(Owner::Plan);
    match fault {
        Fault::Guest { message, .. } => Failure {
            message: message.clone(),
            ..failure
        },
        _ => failure,
    }
}

/// The record of a call that failed; what it used, and whose it was, stands in `result`.
pub(crate) fn failed_fact(scope: &CallScope, result: ToolResult, fault: &Fault) -> Fact {
    let failed = ToolResult {
        status: "failed".to_owned(),
        owner: Some(fault.owner()),
        class: Some(unplaced(fault).class.word().to_owned()),
        in_doubt: is_in_doubt(scope, unplaced(fault).class).then_some(true),
        ..result
    };
    scope.said(failed).payload(fault.to_string().into_bytes())
}

/// Without where a limit can be raised.
pub(crate) fn unplaced(fault: &Fault) -> Failure {
    let class = match fault {
        Fault::Limit {
            name: "deadline", ..
        } => FailureClass::Timeout,
        Fault::Budget(_) => FailureClass::Budget,
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
        Fault::Guest { .. } | Fault::Trap { .. } | Fault::Unfit { .. } | Fault::Folder { .. } => {
            FailureClass::Failed
        }
        Fault::Cancelled => FailureClass::Cancelled,
        // Whatever a newer engine adds is the host's until somebody says otherwise.
        _ => FailureClass::Internal,
    };
    let failure = Failure::new(class, fault.to_string());
    let failure = match fault {
        // Whoever stopped the call was not its guest.
        Fault::Cancelled => failure,
        _ => failure.owned_by(blamed(fault.owner())),
    };
    match fault {
        Fault::Denied(denied) => match &denied.cure {
            Some(cure) => failure.with_hint(format!("{}\n{cure}", would_allow(&denied.rule, cure))),
            None => match ask_otherwise(&denied.rule) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            },
        },
        Fault::Unfit { .. } => failure.with_hint(BUILD_ANEW),
        Fault::Folder { hint, .. } => failure.with_hint(hint.as_str()),
        _ => failure,
    }
}

/// The owner of a fault, as the planner has it.
const fn blamed(owner: flowhost_ledger::records::Owner) -> Owner {
    use flowhost_ledger::records::Owner as Recorded;
    match owner {
        Recorded::Guest => Owner::Guest,
        Recorded::Policy => Owner::Policy,
        Recorded::Limit => Owner::Limit,
        Recorded::Host => Owner::Host,
        Recorded::Plan => Owner::Plan,
    }
}

/// The owner of a failure, as records have it.
pub(crate) const fn recorded(owner: Owner) -> flowhost_ledger::records::Owner {
    use flowhost_ledger::records::Owner as Recorded;
    match owner {
        Owner::Guest => Recorded::Guest,
        Owner::Policy => Recorded::Policy,
        Owner::Limit => Recorded::Limit,
        Owner::Host => Recorded::Host,
        Owner::Plan => Recorded::Plan,
    }
}

#[cfg(test)]
mod tests {
    use flowhost_engine::{Amount, Shortfall, Whose};
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
    }

    #[test]
    fn a_failure_has_the_owner_of_its_fault_and_an_owner_one_word_everywhere() {
        let host = unplaced(&Fault::Host("no disk".to_owned()));
        assert_eq!(host.owner, Owner::Host);
        let spent = unplaced(&Fault::Budget(Shortfall {
            amount: Amount::Usd,
            whose: Whose::Plan,
            spent: 1,
            held: 0,
            asked: 1,
            allowed: 1,
        }));
        assert_eq!(
            (spent.class, spent.owner),
            (FailureClass::Budget, Owner::Limit)
        );
        for owner in Owner::ALL {
            assert_eq!(recorded(*owner).as_str(), owner.word());
            assert_eq!(blamed(recorded(*owner)), *owner);
        }
    }

    #[test]
    fn an_answer_that_is_no_json_is_the_plugins_failure() {
        assert_eq!(output_of("{").unwrap_err().class, FailureClass::Failed);
    }
}
