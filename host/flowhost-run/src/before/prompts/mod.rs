//! The prompts of agents, looked at before a run: a template that asks for what its step does not give would
//! fail at that step, after everything before it, and one name at a time.
//!
//! Which names there are the plugin's manifest says (`[prompt]`); what is in a step's input, its `with:`. A template
//! that several steps share is held against each. What a run sends is rendered by the plugin, in its
//! sandbox; for whoever looks before it, `shown` writes out what can be.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_flow::Plan;
use flowhost_flow::expr::Given;
use flowhost_flow::plan::{Foresight, Step, Work};
use flowhost_policy::Prompts;
use flowhost_words::nearest;
use minijinja::Environment;
use serde_json::Value;

use crate::base::finding::Finding;
use crate::before::estimate::LLM_AGENT;
use crate::before::kinds::promised;
use crate::given::project::{Member, Project, at_part};

mod asked;
mod shown;
mod words;

pub use shown::{ShownPrompt, StepToAsk};

use asked::{ASKED_MAX, Asked, INPUT, Template, Why, is_plain};

/// Findings about prompts; more say nothing new, and each is looked for in a whole template.
const FINDINGS_MAX: usize = 200;
/// Parts of templates that are looked at for all steps of a project: some tenths of a second. A hundred steps that share a
/// prompt of a thousand parts are less. What is beyond is left to the run.
const PARTS_MAX: usize = 300_000;
/// The parts of a step that decide whom it asks and what the prompt is given; a wrong value of its `with` leaves the names.
const ASKING: [&str; 5] = ["/uses", "/with", "/prompt", "/consensus", "/guardrails"];
/// Names that a message lists.
const LISTED_MAX: usize = 24;

/// What is wrong with the templates of a project.
pub(crate) fn findings(project: &Project) -> Vec<Finding> {
    let mut look = Look {
        project,
        found: Vec::new(),
        parts_left: PARTS_MAX,
    };
    look.plan(&project.plan, "");
    let mut found = look.found;
    if found.len() > FINDINGS_MAX {
        found.truncate(FINDINGS_MAX);
        let more = "more is asked for by prompts that is not there, and is not listed";
        found.push(Finding::new(&project.file, more));
    }
    found
}

struct Look<'p> {
    project: &'p Project,
    found: Vec<Finding>,
    parts_left: usize,
}

/// A step that renders a template, with what it gives.
struct User<'p> {
    step: &'p Step,
    given: Given<'p>,
}

/// What one of a template's steps does not give.
struct Lack<'p> {
    step: &'p Step,
    asked: Asked,
    /// Whether another step gives it, or may.
    elsewhere: bool,
    /// A step that surely does, where there is one.
    giver: Option<&'p Step>,
}

/// What one of a template's steps is asked for in vain.
struct Asks<'u, 'p> {
    user: &'u User<'p>,
    asked: Vec<Asked>,
    paths: BTreeSet<String>,
}

impl Asks<'_, '_> {
    /// What it is asked for beyond those that are looked at is not known.
    fn surely_has(&self, path: &str) -> bool {
        let looked_at = self.user.given != Given::Anything && self.paths.len() < ASKED_MAX;
        looked_at && !self.paths.contains(path)
    }
}

impl<'p> Look<'p> {
    fn plan(&mut self, plan: &'p Plan, prefix: &str) {
        let promised = promised(self.project, plan, prefix);
        let foresight = Foresight::new(plan, &promised);
        let mut of_files: BTreeMap<&str, Vec<User<'p>>> = BTreeMap::new();
        let mut of_agents: BTreeMap<&str, Vec<User<'p>>> = BTreeMap::new();
        for (step, _) in plan.everything() {
            let is_faulty = plan.is_unsure(step, &ASKING);
            let user = || User {
                step,
                given: match is_faulty {
                    true => Given::Anything,
                    false => self.given(prefix, step, &foresight),
                },
            };
            match &step.prompt {
                Some(prompt) => of_files.entry(&prompt.file).or_default().push(user()),
                // Which agent it asks is not known.
                None if is_faulty => {
                    for agent in plan.plugins.keys() {
                        of_agents.entry(agent).or_default().push(user());
                    }
                }
                None => {
                    for agent in agents_of(step) {
                        of_agents.entry(agent).or_default().push(user());
                    }
                }
            }
        }
        for name in plan.plugins.keys() {
            let users = of_agents.remove(name.as_str()).unwrap_or_default();
            let key = format!("{prefix}{name}");
            if let Some(member) = self.project.members.get(&key) {
                self.config(plan, &key, member, &users);
            }
        }
        for (file, users) in of_files {
            self.file(plan, prefix, file, &users);
        }
        for wanted in plan.sub_plans() {
            if let Some(child) = plan.sub_plan(&wanted.reference) {
                let prefix = format!("{prefix}{}::", wanted.reference);
                self.plan(child, &prefix);
            }
        }
    }

    /// What a template is given as its input.
    fn given(&self, prefix: &str, step: &'p Step, foresight: &Foresight<'_>) -> Given<'p> {
        // Those that are shipped take words out; another one may hand on another input.
        let keeps = |plugin: &String| {
            let member = self.project.members.get(&format!("{prefix}{plugin}"));
            member.is_some_and(|member| member.decl.source.starts_with("builtin:"))
        };
        // With another one's hand in it, whatever would be said of the input might be wrong.
        if !step.before.iter().all(|guard| keeps(&guard.plugin)) {
            return Given::Anything;
        }
        let given = foresight.given(&step.with);
        match &step.work {
            Work::Consensus(_) => beside_others(given),
            _ => given,
        }
    }

    /// The templates of a plugin's own configuration.
    fn config(&mut self, plan: &Plan, key: &str, member: &'p Member, users: &[User<'p>]) {
        let Some(prompts) = &member.manifest.prompts else {
            return; // it renders none
        };
        if self.found.len() > FINDINGS_MAX {
            return; // no more are listed
        }
        let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
        let readers: Vec<&User<'p>> = users.iter().collect();
        for name in &prompts.config {
            let Some(text) = config.get(name).and_then(Value::as_str) else {
                continue; // it is not written, or its kind is wrong and has been told
            };
            let place = format!("`{name}` of its `config:`");
            let part = format!("/config/{name}");
            let at_config = |fault: Fault| {
                let (message, cure) = fault.told(&place);
                at_part(self.project, key, &part, &message).cure(cure)
            };
            let names = names(text);
            let mut faults = faults(text, &names, &[prompts]);
            if is_shipped(member) {
                faults.extend(unknown_words(text, &names));
            }
            let faults: Vec<Finding> = faults.into_iter().map(at_config).collect();
            self.found.extend(faults);
            let mut told = BTreeSet::new();
            for lack in self.lacks(text, &[prompts], &readers) {
                if lack.elsewhere {
                    let of_agent = format!("`{name}` of the `config:` of `{key}`");
                    self.at_step(plan, lack, &of_agent, "/with");
                } else if told.insert(lack.asked.path.clone()) {
                    let (message, cure) = lack.fault().told(&place);
                    let finding = at_part(self.project, key, &part, &message);
                    self.found.push(finding.cure(cure));
                }
            }
        }
    }

    /// A file that steps have for their prompt.
    fn file(&mut self, plan: &'p Plan, prefix: &str, file: &str, users: &[User<'p>]) {
        if self.found.len() > FINDINGS_MAX {
            return; // no more are listed
        }
        let Some(text) = users.first().and_then(|user| plan.prompt_of(user.step)) else {
            return; // that it could not be read has been told
        };
        let place = format!("the prompt `{file}`");
        let project = self.project;
        // Of those whose manifest says what a prompt knows.
        let prompts_of = |step: &Step| -> Vec<&'p Prompts> {
            let agents = agents_of(step).iter();
            let members =
                agents.filter_map(|agent| project.members.get(&format!("{prefix}{agent}")));
            let prompts = members.filter_map(|member| member.manifest.prompts.as_ref());
            prompts.collect()
        };
        let names = names(text);
        let unknown = unknown_words(text, &names);
        let has_shipped = |step: &Step| {
            let mut agents = agents_of(step).iter();
            agents.any(|agent| {
                let member = project.members.get(&format!("{prefix}{agent}"));
                member.is_some_and(is_shipped)
            })
        };
        let (mut readers, mut all) = (Vec::new(), Vec::new());
        for user in users {
            let prompts = prompts_of(user.step);
            readers.extend((!prompts.is_empty()).then_some(user));
            let unknown = unknown.iter().filter(|_| has_shipped(user.step));
            let faults = faults(text, &names, &prompts).into_iter();
            for fault in faults.chain(unknown.cloned()) {
                let told = fault.told(&place);
                self.found
                    .push(step_finding(plan, user.step, told, "/prompt"));
            }
            all.extend(prompts);
            if self.found.len() > FINDINGS_MAX {
                return; // no more are listed
            }
        }
        for lack in self.lacks(text, &all, &readers) {
            self.at_step(plan, lack, &place, "/prompt");
        }
    }

    fn at_step(&mut self, plan: &Plan, lack: Lack<'_>, place: &str, part: &str) {
        let step = lack.step;
        let told = lack.fault().told(place);
        self.found.push(step_finding(plan, step, told, part));
    }

    /// What of a template's input its steps do not give. In a branch that may be left out it counts where none of them
    /// gives it: else the branch is there for another.
    fn lacks(&mut self, text: &str, prompts: &[&Prompts], users: &[&User<'p>]) -> Vec<Lack<'p>> {
        let knows = |prompts: &&Prompts| prompts.variables.iter().any(|name| name == INPUT);
        let mut lacks = Vec::new();
        if !prompts.iter().any(knows) || self.found.len() > FINDINGS_MAX {
            return lacks;
        }
        let template = Template::read(text);
        let mut of_users = Vec::new();
        let mut lacking: BTreeMap<String, usize> = BTreeMap::new();
        for user in users {
            let asked = template.asked(&user.given, &mut self.parts_left);
            for it in &asked {
                *lacking.entry(it.path.clone()).or_default() += 1;
            }
            let paths = asked.iter().map(|it| it.path.clone()).collect();
            of_users.push(Asks { user, asked, paths });
        }
        let mut givers: BTreeMap<String, &'p Step> = BTreeMap::new();
        for path in lacking.keys() {
            if let Some(asks) = of_users.iter().find(|it| it.surely_has(path)) {
                givers.insert(path.clone(), asks.user.step);
            }
        }
        for Asks { user, asked, .. } in of_users {
            for it in asked {
                if lacks.len() > FINDINGS_MAX {
                    return lacks;
                }
                let elsewhere = lacking.get(&it.path) != Some(&users.len());
                if it.is_sure || !elsewhere {
                    lacks.push(Lack {
                        step: user.step,
                        giver: givers.get(&it.path).copied(),
                        asked: it,
                        elsewhere,
                    });
                }
            }
        }
        lacks
    }
}

/// The agents that a step asks.
fn agents_of(step: &Step) -> &[String] {
    match &step.work {
        Work::Call { plugin, .. } => std::slice::from_ref(plugin),
        Work::Consensus(spec) => &spec.agents,
        _ => &[],
    }
}

/// The input of an agent that answers together with others: the step's, a map, and what the host says of them.
fn beside_others(given: Given<'_>) -> Given<'_> {
    let mut members = match given {
        Given::Value(Value::Null) => BTreeMap::new(),
        Given::Value(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| (name.as_str(), Given::Value(value)))
            .collect(),
        Given::Object(members) => members,
        _ => return Given::Anything,
    };
    members.insert("consensus", Given::Anything);
    Given::Object(members)
}

fn step_finding(
    plan: &Plan,
    step: &Step,
    (message, cure): (String, String),
    part: &str,
) -> Finding {
    let at = step.place(part);
    let finding = Finding::new(&plan.file, format!("step `{}`: {message}", step.id));
    finding.at(at.line, at.column).cure(cure)
}

impl Lack<'_> {
    fn fault(self) -> Fault {
        let Asked {
            path, line, why, ..
        } = self.asked;
        let (what, cure) = match why {
            Why::Lacks(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let why = match (self.giver, self.elsewhere) {
                    (Some(giver), _) => {
                        format!("which this step does not give; `{}` does", giver.id)
                    }
                    (None, true) => "which this step does not give".to_owned(),
                    (None, false) => "which is not there".to_owned(),
                };
                let what = format!("it asks for `{path}`, {why}");
                (what, meant(&path, "with this `with:` it", &names))
            }
            Why::Is(around, told) => {
                let what = format!("it asks for `{path}`, and `{around}` is {told}");
                (
                    what,
                    "ask for the whole, or give it with its parts".to_owned(),
                )
            }
            Why::Short(around, len) => {
                let what = format!("it asks for `{path}`, and `{around}` has {len} elements");
                (what, "places are counted from 0".to_owned())
            }
        };
        Fault { line, what, cure }
    }
}

/// One thing that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The names that a template asks for, or why it cannot be read.
type Names = Result<BTreeSet<String>, Fault>;

/// Why a template can be read by no agent, or what it asks for that one of these does not know.
fn faults(text: &str, names: &Names, prompts: &[&Prompts]) -> Vec<Fault> {
    let names = match names {
        _ if prompts.is_empty() => return Vec::new(),
        Ok(names) => names,
        Err(fault) => return vec![fault.clone()],
    };
    let mut found = Vec::new();
    for name in names {
        if found.len() > FINDINGS_MAX {
            break; // no more are listed, and each is looked for in the whole text
        }
        let unknown = |prompts: &&&Prompts| !prompts.variables.contains(name);
        if let Some(prompts) = prompts.iter().find(unknown) {
            let known: Vec<&str> = prompts.variables.iter().map(String::as_str).collect();
            found.push(Fault {
                line: line_of(text, name),
                what: format!("it asks for `{name}`, which is not there"),
                cure: meant(name, "a prompt", &known),
            });
        }
    }
    found
}

/// The agent of which it is known what its templates know; another one may add filters of its own.
fn is_shipped(member: &Member) -> bool {
    member.decl.source == LLM_AGENT
}

/// Filters and tests of a template that the shipped agent does not know.
fn unknown_words(text: &str, names: &Names) -> Vec<Fault> {
    // One that cannot be read has been told, and one that is too intricate is left to the run.
    if names.is_err() || !is_plain(text) {
        return Vec::new();
    }
    let unknown = words::unknown(text).into_iter();
    let fault = |word: words::Word| {
        let kind = word.kind.word();
        Fault {
            line: word.line,
            what: format!("it asks for the {kind} `{}`, which is not there", word.name),
            cure: meant(
                &word.name,
                &format!("of {kind}s a prompt"),
                word.kind.known(),
            ),
        }
    };
    unknown.map(fault).collect()
}

/// What was probably meant, and what there is.
fn meant(name: &str, who: &str, known: &[&str]) -> String {
    let meant = nearest(name, known.iter().copied())
        .map(|known| format!("did you mean `{known}`? "))
        .unwrap_or_default();
    let listed = match known.get(..LISTED_MAX).unwrap_or(known) {
        [] => "nothing".to_owned(),
        some => format!("`{}`", some.join("`, `")),
    };
    format!("{meant}{who} knows {listed}")
}

/// The first line with the name in it: the template engine says where a template breaks, and not where
/// a name stands.
fn line_of(text: &str, name: &str) -> usize {
    let place = text.lines().position(|line| line.contains(name));
    place.map_or(1, |place| place + 1)
}

/// Every name that a template asks for. One that is too intricate is left to the run.
fn names(text: &str) -> Names {
    if !is_plain(text) {
        return Ok(BTreeSet::new());
    }
    let environment = Environment::new();
    let parsed = environment.template_from_str(text);
    let parsed = parsed.map_err(|error| Fault {
        line: error.line().unwrap_or(1),
        what: error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned),
        cure: "a prompt is a template with Jinja's syntax; `{% raw %}…{% endraw %}` keeps braces as they are".to_owned(),
    })?;
    Ok(parsed.undeclared_variables(false).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let prompts = Prompts {
            variables: vec!["input".to_owned(), "role".to_owned()],
            config: Vec::new(),
        };
        let faults = faults(text, &names(text), &[&prompts]).into_iter();
        faults
            .map(|it| format!("{}: {} ({})", it.line, it.what, it.cure))
            .collect()
    }

    #[test]
    fn names_what_is_not_there_with_its_line_and_what_was_meant() {
        let told = told("You are {{ role }}.\nRead {{ inputs.path }} and {{ inputs.x }}.\n");
        assert_eq!(
            told,
            [
                "2: it asks for `inputs`, which is not there (did you mean `input`? a prompt knows `input`, `role`)"
            ]
        );
    }

    #[test]
    fn a_template_that_cannot_be_read_is_one_fault_with_its_line() {
        let told = told("one\n{{ input");
        assert!(told.len() == 1 && told[0].starts_with("2: "), "{told:?}");
    }

    #[test]
    fn of_a_template_that_asks_for_thousands_of_names_as_many_are_looked_for_as_are_listed() {
        let names = (0..5_000).map(|number| format!("{{{{ n{number} }}}}\n"));
        let names: Vec<String> = names.collect();
        assert_eq!(told(&names.concat()).len(), FINDINGS_MAX + 1);
    }

    #[test]
    fn a_template_that_would_end_the_host_is_not_read() {
        let deep = format!("{{{{ nobody{} }}}}", " ~ 1".repeat(200_000));
        assert!(told(&deep).is_empty());
        assert_eq!(told("{{ nobody }}").len(), 1);
    }

    #[test]
    fn agents_that_answer_together_are_given_what_the_others_said() {
        let with = serde_json::json!({ "text": "x" });
        for given in [Given::Value(&with), Given::Value(&Value::Null)] {
            let Given::Object(members) = beside_others(given) else {
                panic!("a map");
            };
            assert_eq!(members["consensus"], Given::Anything);
        }
        assert_eq!(beside_others(Given::Text), Given::Anything);
    }
}
