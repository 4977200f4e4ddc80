//! Tools of components without a manifest: what they say themselves, asked before a run where nothing can come of it,
//! so that a step that names a tool which is not there is refused before the first record.
//!
//! Each is asked without any right that reaches beyond its call: such a right is linked and answers no. If it has one
//! in the run, what it says beforehand counts only where it asked the host for nothing on the way, because then it
//! says the same in the run. It counts for this look at the plan and for nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flowhost_engine::{CallReport, CompileError, Descriptor, Fault, LoadError};
use flowhost_policy::{Effective, Grants, RIGHTS, ToolDescriptor};
use flowhost_words::PluginKind;

use crate::base::finding::Finding;
use crate::before::functions::{ToolNames, check_functions};
use crate::before::{kinds, reads};
use crate::given::project::{Member, Project, at_member};
use crate::plugins::described::checked;
use crate::plugins::installed::unasked;

/// What is known of the tools of components without a manifest.
#[derive(Debug, Clone, Default)]
pub struct Offers {
    /// The tools that they say they have, by plugin.
    pub tools: BTreeMap<String, Vec<ToolDescriptor>>,
    /// Why others say nothing of use, neither now nor in the run, by plugin.
    pub faults: BTreeMap<String, String>,
}

impl Offers {
    /// Keeps what came of the question to a plugin; gives why only the run will know, where that came of it.
    pub fn add(&mut self, plugin: &str, answer: Answer) -> Option<String> {
        match answer {
            Answer::Tools(tools) => {
                self.tools.insert(plugin.to_owned(), tools);
                None
            }
            Answer::Fault(why) => {
                self.faults.insert(plugin.to_owned(), why);
                None
            }
            Answer::Later(why) => Some(why),
        }
    }

    /// Whether nothing is known of anyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.faults.is_empty()
    }
}

/// What came of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// These are its tools, in the run as well.
    Tools(Vec<ToolDescriptor>),
    /// It says nothing of use, and would not in the run: why, and after `hint:` what to do.
    Fault(String),
    /// Only the run will know: why.
    Later(String),
}

/// Fuel for the question, and milliseconds: what a profile gives a call that says nothing of them. A component that
/// is given more in the run, and needs it, is asked there.
const FUEL_MAX: u64 = 2_000_000_000;
const DEADLINE_MS_MAX: u64 = 30_000;

/// A plugin as it is asked beforehand.
#[derive(Debug, Clone)]
pub struct Question {
    /// With less than it has in the run.
    member: Member,
    /// What it has there.
    own: Effective,
}

impl Question {
    /// None for a plugin that need not be asked, because it has a manifest or is no tool, and for one that cannot be:
    /// that has been told of it.
    #[must_use]
    pub fn of(member: &Member) -> Option<Self> {
        if member.decl.kind != PluginKind::Tool || !member.manifest.tools.is_empty() {
            return None;
        }
        let inspection = &member.inspection;
        let is_unserved = inspection.unserved().into_iter().next().is_some();
        if is_unserved || inspection.role != PluginKind::Tool {
            return None;
        }
        let own = member.effective.clone();
        let mut member = member.clone();
        member.effective.grants = within(&own);
        let limits = &mut member.effective.limits;
        limits.fuel = limits.fuel.min(FUEL_MAX);
        limits.deadline_ms = limits.deadline_ms.min(DEADLINE_MS_MAX);
        Some(Self { member, own })
    }

    /// The plugin, with the rights, limits and configuration under which it is asked.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// What follows from how the component answered.
    #[must_use]
    pub fn heard(&self, report: CallReport<Vec<Descriptor>>) -> Answer {
        judged(&self.member.effective, &self.own, report)
    }

    /// What follows from a component that could not be loaded.
    #[must_use]
    pub fn unloaded(error: &LoadError) -> Answer {
        let why = error.to_string();
        match error {
            LoadError::Inspect(_)
            | LoadError::Link(_)
            | LoadError::Compile(CompileError::Refused { .. } | CompileError::Stopped { .. }) => {
                Answer::Fault(why)
            }
            // Missing rights are told of by themselves, and the rest is this machine's.
            _ => Answer::Later(why),
        }
    }
}

/// What follows from an answer that was given under the rights `asked`, for a plugin that has its `own` in the run.
fn judged(asked: &Effective, own: &Effective, report: CallReport<Vec<Descriptor>>) -> Answer {
    if is_poorer(asked, own) && report.used.host_calls > 0 {
        let why =
            "it asks the host for something before it says them, and reaches nothing until then";
        return Answer::Later(why.to_owned());
    }
    match report.result {
        Ok(described) => match checked(&described) {
            Ok(tools) => Answer::Tools(tools),
            Err(why) => Answer::Fault(why),
        },
        Err(fault) if is_sure(asked, own, &fault) => Answer::Fault(unasked(&fault)),
        Err(fault) => Answer::Later(fault.to_string()),
    }
}

/// Whether it reaches less than in the run.
fn is_poorer(asked: &Effective, own: &Effective) -> bool {
    let asked = Grants {
        named: own.grants.named.clone(),
        ..asked.grants.clone()
    };
    asked != own.grants
}

/// Whether the question ends in this way in the run as well.
fn is_sure(asked: &Effective, own: &Effective, fault: &Fault) -> bool {
    let (asked, own) = (&asked.limits, &own.limits);
    match fault {
        Fault::Limit { name, .. } => match *name {
            "fuel" => asked.fuel == own.fuel,
            "deadline" => asked.deadline_ms == own.deadline_ms,
            _ => true,
        },
        Fault::Denied(_) | Fault::Trap { .. } | Fault::Unfit { .. } | Fault::Guest { .. } => true,
        // What the host cannot do says nothing of the component.
        _ => false,
    }
}

/// Of these rights those that only tell a guest something of the run that it works in, or let it speak to the person.
/// The others are linked as before, and hold nothing.
fn within(own: &Effective) -> Grants {
    let grants = &own.grants;
    let linked = RIGHTS.iter().filter(|right| right.is_linked(own));
    Grants {
        log: grants.log,
        config: grants.config,
        budget: grants.budget,
        clock: grants.clock,
        random: grants.random,
        named: linked.map(|right| right.key).collect(),
        ..Grants::default()
    }
}

/// The project with these tools in the place of manifests, to be looked at.
pub(crate) fn filled<'p>(project: &'p Project, offers: &Offers) -> Cow<'p, Project> {
    if offers.tools.is_empty() {
        return Cow::Borrowed(project);
    }
    let mut project = project.clone();
    for (key, tools) in &offers.tools {
        if let Some(member) = project.members.get_mut(key) {
            member.manifest.tools.clone_from(tools);
        }
    }
    Cow::Owned(project)
}

/// Components that do not say which tools they have; and what steps ask of those tools, and of those of servers that
/// a person has accepted, that they do not have, do not take and do not give.
pub(crate) fn findings(project: &Project, offers: &Offers) -> Vec<Finding> {
    // A server that shows other tools than a person has accepted is not used.
    let accepted = project.pins.iter();
    let accepted = accepted.map(|(key, tools)| (key.clone(), tools.keys().cloned().collect()));
    let mut names: ToolNames = accepted.collect();
    for (key, tools) in &offers.tools {
        let of_plugin = tools.iter().map(|tool| tool.name.clone());
        names.insert(key.clone(), of_plugin.collect());
    }
    let faults = offers.faults.iter();
    let mut found: Vec<Finding> = faults
        .map(|(key, why)| at_member(project, key, why))
        .collect();
    check_functions(&project.plan, &names, &mut found);
    let filled = filled(project, offers);
    found.extend(kinds::findings(&filled));
    found.extend(reads::findings(&filled));
    found
}

#[cfg(test)]
mod tests {
    use flowhost_engine::{Annotations, Effects, Used};
    use flowhost_policy::ToolsGrant;

    use super::*;

    fn report(
        result: Result<Vec<Descriptor>, Fault>,
        host_calls: u64,
    ) -> CallReport<Vec<Descriptor>> {
        let used = Used {
            host_calls,
            ..Used::default()
        };
        CallReport { result, used }
    }

    fn described(name: &str) -> Vec<Descriptor> {
        vec![Descriptor {
            name: name.to_owned(),
            title: String::new(),
            description: "Does something.".to_owned(),
            input_schema: String::new(),
            output_schema: String::new(),
            effects: Effects::None,
            annotations: Annotations {
                read_only: None,
                destructive: None,
                idempotent: None,
                open_world: None,
            },
        }]
    }

    fn trap() -> Fault {
        let message = "unreachable".to_owned();
        Fault::Trap { message }
    }

    /// A plugin that may call tools in the run.
    fn caller() -> Effective {
        let mut own = Effective::default();
        own.grants.tools = ToolsGrant {
            call: vec!["files/*".to_owned()],
        };
        own.grants.log = true;
        own
    }

    fn asked(own: &Effective) -> Effective {
        Effective {
            grants: within(own),
            ..own.clone()
        }
    }

    #[test]
    fn is_asked_with_nothing_that_reaches_beyond_the_call_and_everything_linked() {
        let own = caller();
        let asked = asked(&own);
        assert!(asked.grants.tools.call.is_empty());
        assert!(asked.grants.log);
        assert!(asked.grants.named.contains("tools"));
        assert!(!asked.grants.named.contains("http"));
        assert!(is_poorer(&asked, &own));
        let silent = Effective::default();
        let under = Effective {
            grants: within(&silent),
            ..silent.clone()
        };
        assert!(!is_poorer(&under, &silent));
    }

    #[test]
    fn what_depends_on_rights_that_it_has_later_is_left_to_the_run() {
        let own = caller();
        let asked = asked(&own);
        for result in [Ok(described("read")), Err(trap())] {
            let answer = judged(&asked, &own, report(result, 1));
            assert!(matches!(answer, Answer::Later(_)), "{answer:?}");
        }
        let answer = judged(&asked, &own, report(Ok(described("read")), 0));
        assert!(matches!(answer, Answer::Tools(tools) if tools[0].name == "read"));
        let answer = judged(&asked, &own, report(Err(trap()), 0));
        assert!(matches!(answer, Answer::Fault(_)), "{answer:?}");
    }

    #[test]
    fn a_component_of_an_earlier_contract_is_told_as_such() {
        let own = Effective::default();
        let why = "expected record of 7 fields, found 6 fields".to_owned();
        let answer = judged(&own, &own, report(Err(Fault::Unfit { why }), 0));
        let Answer::Fault(told) = answer else {
            panic!("{answer:?}");
        };
        assert!(
            told.starts_with("it was built against an earlier contract"),
            "{told}"
        );
        assert!(told.contains("\n\nhint: build it anew"), "{told}");
    }

    #[test]
    fn a_limit_that_is_higher_in_the_run_is_no_fault() {
        let limit = |name| Fault::Limit {
            name,
            used: 2,
            allowed: 1,
        };
        let own = Effective::default();
        let mut asked = own.clone();
        for name in ["fuel", "deadline", "memory"] {
            let answer = judged(&asked, &own, report(Err(limit(name)), 0));
            assert!(matches!(answer, Answer::Fault(_)), "{name}: {answer:?}");
        }
        asked.limits.fuel -= 1;
        asked.limits.deadline_ms -= 1;
        for (name, sure) in [("fuel", false), ("deadline", false), ("memory", true)] {
            let answer = judged(&asked, &own, report(Err(limit(name)), 0));
            assert_eq!(matches!(answer, Answer::Fault(_)), sure, "{name}");
        }
        let host = Fault::Host("no memory".to_owned());
        let answer = judged(&own, &own, report(Err(host), 0));
        assert!(matches!(answer, Answer::Later(_)), "{answer:?}");
    }

    #[test]
    fn a_name_that_nobody_may_show_is_a_fault() {
        let answer = judged(
            &Effective::default(),
            &Effective::default(),
            report(Ok(described("re\u{202e}ad")), 0),
        );
        assert!(matches!(answer, Answer::Fault(_)), "{answer:?}");
    }
}
