//! The prompts of agents, looked at before a run: a template that asks for a name that is not there would
//! fail at its step, after everything before it, and one name at a time.
//!
//! Which names there are the plugin's manifest says (`[prompt]`). Nothing is rendered here: that is the
//! plugin's, in its sandbox.

use std::collections::BTreeSet;

use flowhost_flow::Plan;
use flowhost_flow::plan::{Step, Work};
use flowhost_policy::Prompts;
use flowhost_words::nearest;
use minijinja::Environment;
use serde_json::Value;

use crate::base::finding::Finding;
use crate::given::project::{Member, Project, at_part};

/// What is wrong with the templates of a project.
pub(crate) fn findings(project: &Project) -> Vec<Finding> {
    let mut found = Vec::new();
    in_plan(project, &project.plan, "", &mut found);
    found
}

fn in_plan(project: &Project, plan: &Plan, prefix: &str, found: &mut Vec<Finding>) {
    for name in plan.plugins.keys() {
        let key = format!("{prefix}{name}");
        if let Some(member) = project.members.get(&key) {
            let given = given_to(plan, name);
            found.extend(in_config(project, &key, member, given.as_deref()));
        }
    }
    for step in steps_of(plan) {
        for (message, cure) in in_step(project, plan, prefix, step) {
            let finding = Finding::new(&plan.file, format!("step `{}`: {message}", step.id));
            let at = step.place("/prompt");
            found.push(finding.at(at.line, at.column).cure(cure));
        }
    }
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            in_plan(project, child, &prefix, found);
        }
    }
}

fn steps_of(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.everything().into_iter().map(|(step, _)| step)
}

/// The keys that some step gives to a plugin whose own prompt renders them; none where that is not known: no step
/// calls it, one hands on what is a mapping only then, or a consensus asks it, which adds to what it gets.
fn given_to<'p>(plan: &'p Plan, name: &str) -> Option<Vec<&'p str>> {
    let mut given = BTreeSet::new();
    for step in steps_of(plan) {
        match &step.work {
            Work::Consensus(asked) => {
                let mut all = asked.agents.iter().chain(&asked.arbiter);
                if all.any(|agent| agent == name) {
                    return None;
                }
            }
            Work::Call { plugin, .. } if plugin == name && step.prompt.is_none() => {
                let with = step.with.source().as_object()?;
                given.extend(with.keys().map(String::as_str));
            }
            _ => {}
        }
    }
    (!given.is_empty()).then(|| given.into_iter().collect())
}

fn in_config(
    project: &Project,
    key: &str,
    member: &Member,
    given: Option<&[&str]>,
) -> Vec<Finding> {
    let Some(prompts) = &member.manifest.prompts else {
        return Vec::new();
    };
    let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
    let templates = prompts.config.iter().filter_map(|name| {
        let text = config.get(name)?.as_str()?;
        Some((name, text))
    });
    let faults = templates.flat_map(|(name, text)| {
        let faults = faults(text, prompts, given).into_iter();
        faults.map(move |fault| (name, fault.told(&format!("`{name}` of its `config:`"))))
    });
    let told = faults.map(|(name, (message, cure))| {
        at_part(project, key, &format!("/config/{name}"), &message).cure(cure)
    });
    told.collect()
}

fn in_step(project: &Project, plan: &Plan, prefix: &str, step: &Step) -> Vec<(String, String)> {
    let (Some(prompt), Some(text)) = (&step.prompt, plan.prompt_of(step)) else {
        return Vec::new();
    };
    let with = step.with.source().as_object();
    let keys = with.map(|it| it.keys().map(String::as_str).collect::<Vec<_>>());
    let (agents, given) = match &step.work {
        Work::Call { plugin, .. } => (std::slice::from_ref(plugin), keys),
        // They are given more than the step says: what the others answered.
        Work::Consensus(spec) => (spec.agents.as_slice(), None),
        _ => return Vec::new(),
    };
    let what = format!("the prompt `{}`", prompt.file);
    let mut told = Vec::new();
    for agent in agents {
        let member = project.members.get(&format!("{prefix}{agent}"));
        let prompts = member.and_then(|member| member.manifest.prompts.as_ref());
        let faults = prompts.map(|prompts| faults(text, prompts, given.as_deref()));
        for fault in faults.into_iter().flatten() {
            let fault = fault.told(&what);
            if !told.contains(&fault) {
                told.push(fault);
            }
        }
    }
    told
}

/// One thing that is wrong with a template.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    what: String,
    cure: String,
}

impl Fault {
    fn told(self, place: &str) -> (String, String) {
        let Self { line, what, cure } = self;
        (format!("{place}, line {line}: {what}"), cure)
    }
}

/// The name by which a template knows a step's `with:`.
const INPUT: &str = "input";

/// `given` are the keys of the step's `with:`, where it is a mapping.
fn faults(text: &str, prompts: &Prompts, given: Option<&[&str]>) -> Vec<Fault> {
    let names = match names(text) {
        Ok(names) => names,
        Err(fault) => return vec![fault],
    };
    let known: Vec<&str> = prompts.variables.iter().map(String::as_str).collect();
    let mut roots = BTreeSet::new();
    let mut faults = Vec::new();
    for name in &names {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        if !known.contains(&root) {
            if roots.insert(root) {
                faults.push(unknown(text, root, "a prompt", &known));
            }
            continue;
        }
        if let (INPUT, Some(key), Some(given)) = (root, parts.next(), given)
            && !given.contains(&key)
        {
            let whole = format!("{INPUT}.{key}");
            let given: Vec<String> = given.iter().map(|key| format!("{INPUT}.{key}")).collect();
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            if roots.insert(key) {
                faults.push(unknown(text, &whole, "with this `with:` it", &given));
            }
        }
    }
    faults
}

fn unknown(text: &str, name: &str, who: &str, known: &[&str]) -> Fault {
    let meant = nearest(name, known.iter().copied())
        .map(|known| format!("did you mean `{known}`? "))
        .unwrap_or_default();
    let listed = match known {
        [] => "nothing".to_owned(),
        some => format!("`{}`", some.join("`, `")),
    };
    Fault {
        line: line_of(text, name),
        what: format!("it asks for `{name}`, which is not there"),
        cure: format!("{meant}{who} knows {listed}"),
    }
}

/// The first line with the name in it: the template engine says where a template breaks, and not where
/// a name stands.
fn line_of(text: &str, name: &str) -> usize {
    let place = text.lines().position(|line| line.contains(name));
    place.map_or(1, |place| place + 1)
}

/// Every name that a template asks for, with what follows it between dots.
fn names(text: &str) -> Result<BTreeSet<String>, Fault> {
    let environment = Environment::new();
    let parsed = environment.template_from_str(text);
    let parsed = parsed.map_err(|error| Fault {
        line: error.line().unwrap_or(1),
        what: error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned),
        cure: "a prompt is a template with Jinja's syntax; `{% raw %}…{% endraw %}` keeps braces as they are".to_owned(),
    })?;
    Ok(parsed.undeclared_variables(true).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, given: Option<&[&str]>) -> Vec<String> {
        let prompts = Prompts {
            variables: vec!["input".to_owned(), "role".to_owned()],
            config: Vec::new(),
        };
        let faults = faults(text, &prompts, given).into_iter();
        faults
            .map(|it| format!("{}: {} ({})", it.line, it.what, it.cure))
            .collect()
    }

    #[test]
    fn names_what_is_not_there_with_its_line_and_what_was_meant() {
        let told = told(
            "You are {{ role }}.\nRead {{ inputs.path }} and {{ inputs.x }}.\n",
            None,
        );
        assert_eq!(
            told,
            [
                "2: it asks for `inputs`, which is not there (did you mean `input`? a prompt knows `input`, `role`)"
            ]
        );
    }

    #[test]
    fn holds_the_inputs_keys_against_the_steps_with() {
        let text = "{{ input.pth }}\n{% for line in input.lines %}{{ line.n }}{% endfor %}";
        let found = told(text, Some(&["path", "lines"]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("1: it asks for `input.pth`"),
            "{found:?}"
        );
        assert!(told(text, None).is_empty());
    }

    #[test]
    fn a_template_that_cannot_be_read_is_one_fault_with_its_line() {
        let told = told("one\n{{ input", None);
        assert!(told.len() == 1 && told[0].starts_with("2: "), "{told:?}");
    }
}
