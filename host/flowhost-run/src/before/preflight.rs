//! The preflight: everything that a run would refuse before its first step, and what its steps would be
//! refused for whatever happens before them. `validate`, `--dry-run` and `run` ask the same question.

use std::collections::BTreeSet;
use std::path::Path;

use flowhost_flow::expr::Template;
use flowhost_flow::plan::Guard;
use flowhost_flow::{Compiled, Exit, Misfit, OutputSchema, Plan};
use flowhost_models::Gateway;
use flowhost_words::PluginKind;
use serde_json::{Value, json};

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::state::State;
use crate::before::agents;
use crate::before::functions::{needed, takes};
use crate::before::offers::{self, Offers};
use crate::before::prompts;
use crate::before::reached;
use crate::before::rights;
use crate::given::folders::missing_folders;
use crate::given::project::{Member, Project, at_part};

/// What a preflight found.
#[derive(Debug, Clone, Default)]
pub struct Preflight {
    /// Rights that are missing.
    pub rights: Vec<Finding>,
    /// Everything else.
    pub others: Vec<Finding>,
}

impl Preflight {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rights.is_empty() && self.others.is_empty()
    }

    /// All of it.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        let mut all = self.others;
        all.extend(self.rights);
        all.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        all
    }

    /// How a command refuses `what` for it, and for what was found `before`, when it was read. Exit code 6 where
    /// rights are all that is missing.
    #[must_use]
    pub fn failure(self, what: &str, before: Vec<Finding>) -> Failure {
        let only_rights = before.is_empty() && self.others.is_empty() && !self.rights.is_empty();
        let mut findings = before;
        findings.extend(self.findings());
        // In the order in which a person mends them: what is about the whole, then the plan from its first line on,
        // since what stands below often only follows.
        let plan = findings
            .iter()
            .find(|it| it.line > 0)
            .map(|it| it.file.clone());
        findings.sort_by_cached_key(|it| {
            let elsewhere = plan.as_ref().is_some_and(|plan| *plan != it.file);
            (it.line > 0, elsewhere, it.file.clone(), it.line, it.column)
        });
        let mut failure = Failure::findings(what, findings);
        if only_rights {
            failure.exit = Exit::Denied;
            failure =
                failure.hint("`flowhost policy explain PLAN` shows where each right comes from");
        }
        failure
    }
}

/// Asks. Nothing runs, nothing is compiled, no model is asked and no folder is made. A `gateway` is needed where
/// plugins are configured to ask models ([`agents::asks_models`]); `offers` is what components without a manifest say
/// of their tools, as far as it is known.
///
/// # Errors
/// When the folders that nobody may grant cannot be looked at.
pub fn preflight(
    project: &Project,
    gateway: Option<&Gateway>,
    offers: &Offers,
    home: Option<&Path>,
    state: &State,
) -> Result<Preflight, Failure> {
    let mut others = configurations(project);
    others.extend(prompts::findings(project));
    others.extend(offers::findings(project, offers));
    others.extend(guards(project));
    others.extend(missing_folders(project, home, state)?);
    let mut found = Preflight {
        rights: missing_rights(project),
        others,
    };
    agents::look(project, gateway, &mut found);
    reached::look(project, offers, &mut found);
    // What only follows from what is wrong with the plan's text is told once that is mended.
    let is_sure = |it: &Finding| !project.plan.follows(&it.file, it.place());
    found.rights.retain(is_sure);
    found.others.retain(is_sure);
    // Last of all: from here on one of them refers to another, which may not be left out any more.
    rights::told_once(project, &mut found);
    Ok(found)
}

/// Every right that is missing, and every import that this build does not serve.
fn missing_rights(project: &Project) -> Vec<Finding> {
    rights::missing_rights(project).findings(project)
}

/// Every `config:` against the schema of its plugin's manifest.
fn configurations(project: &Project) -> Vec<Finding> {
    let wrong = |(key, member): (&String, &Member)| {
        if let Some(finding) = unread(project, key, member) {
            return Some(finding);
        }
        let schema = member.manifest.config.as_ref()?;
        if member.decl.kind == PluginKind::Guardrail {
            return None; // its configuration is the `with:` of where it is used
        }
        if member.decl.kind != member.inspection.role {
            return None; // whether it takes one at all depends on the kind, and that has been told
        }
        if let Err(why) = OutputSchema::compile(schema.clone()) {
            let message = format!("the schema of its `config:` cannot be used: {why}");
            let finding = at_part(project, key, "/config", &message);
            return Some(finding.cure("mend the plugin's manifest"));
        }
        let template = &member.decl.config;
        let names = needed(schema);
        if template.source().is_null() && !names.is_empty() {
            let message = format!("`config` is missing: `{}`", names.join("`, `"));
            return Some(at_part(project, key, "/config", &message).cure(takes(schema)));
        }
        let mut misfits = template.misfits(schema);
        // What inputs decide is judged when they are there; what is written out is judged now.
        if misfits.is_empty() && !project.plan.awaits_inputs(template, &project.inputs) {
            let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
            misfits = Template::fixed(config).misfits(schema);
        }
        let part = format!("/config{}", foremost(&misfits)?);
        for misfit in misfits.iter_mut().filter(|it| it.pointer == MODEL) {
            misfit.what = unnamed_provider(member).unwrap_or_else(|| misfit.what.clone());
        }
        let message = format!("config: {}", list(&misfits));
        Some(at_part(project, key, &part, &message).cure(takes(schema)))
    };
    project.members.iter().filter_map(wrong).collect()
}

/// Where an agent's model stands in its configuration.
const MODEL: &str = "/model";

/// A model that is written without its provider, which a schema can only tell by its pattern.
fn unnamed_provider(member: &Member) -> Option<String> {
    let config: Value = serde_json::from_str(&member.config).ok()?;
    let name = config.pointer(MODEL)?.as_str()?;
    let bare = !name.is_empty() && !name.contains('/');
    bare.then(|| format!("`{name}` names no provider; a model is written `provider/name`"))
}

/// Where a person has to look first: a member that is wrong says more than the whole in which another is missing.
pub(crate) fn foremost(misfits: &[Misfit]) -> Option<String> {
    let places = misfits.iter().map(Misfit::place);
    // From the last: of several that are as deep `max_by_key` gives the last, and the first is to be told.
    places.rev().max_by_key(|place| place.matches('/').count())
}

pub(crate) fn list(misfits: &[Misfit]) -> String {
    let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// A `config:` that its plugin never reads: a guardrail, say, that was told to deny there would go on rewriting.
/// Agents and adapters are handed theirs; every other plugin asks for it by an import.
fn unread(project: &Project, key: &str, member: &Member) -> Option<Finding> {
    let handed = matches!(member.decl.kind, PluginKind::Agent | PluginKind::McpAdapter);
    let written = member.decl.config.source();
    let empty = written.is_null() || written.as_object().is_some_and(|it| it.is_empty());
    let mut imports = member.inspection.imports.iter();
    let asks = imports.any(|import| import.name.package == "flowhost:config");
    if handed || empty || asks {
        return None;
    }
    let message = "config: this plugin reads none, and what stands here would change nothing";
    let cure = match member.decl.kind {
        PluginKind::Guardrail => format!(
            "a guardrail takes it where it is used:\n`guardrails: {{ before: [{{ uses: {}, with: {written} }}] }}`",
            member.decl.name
        ),
        _ => "give it to the plugin by `with:` of a step, or leave it out".to_owned(),
    };
    Some(at_part(project, key, "/config", message).cure(cure))
}

/// Every guardrail's `with` against the schema of its manifest.
fn guards(project: &Project) -> Vec<Finding> {
    let mut found = Vec::new();
    guards_of(
        project,
        &project.plan,
        "",
        (&Compiled::default(), &mut found),
    );
    found
}

/// `schemas` has those that were compiled: a guardrail may be on a thousand steps, and has one.
fn guards_of<'p>(
    project: &'p Project,
    plan: &'p Plan,
    prefix: &str,
    (schemas, found): (&Compiled<'p>, &mut Vec<Finding>),
) {
    let steps = plan.everything().into_iter().map(|(step, _)| step);
    let of_steps = steps.flat_map(|step| step.before.iter().chain(&step.after));
    let of_plan = plan.guardrails.before.iter().chain(&plan.guardrails.after);
    // A plan's own guardrails are on each of its steps as well.
    let mut seen = BTreeSet::new();
    for guard in of_plan.chain(of_steps).filter(|it| seen.insert(it.at)) {
        let member = project.members.get(&format!("{prefix}{}", guard.plugin));
        let schema = member.and_then(|member| member.manifest.config.as_ref());
        found.extend(schema.and_then(|schema| guard_problem(plan, guard, schema, schemas)));
    }
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            guards_of(project, child, &prefix, (schemas, found));
        }
    }
}

fn guard_problem<'p>(
    plan: &Plan,
    guard: &Guard,
    schema: &'p Value,
    schemas: &Compiled<'p>,
) -> Option<Finding> {
    let misfits = match guard.with.constant() {
        // Nothing written is an empty configuration to the guardrail.
        Some(Value::Null) => Template::fixed(json!({})).misfits_among(schema, schemas),
        _ => guard.with.misfits_among(schema, schemas),
    };
    if misfits.is_empty() {
        return None;
    }
    let message = format!(
        "guardrail `{}` does not take this `with`: {}",
        guard.plugin,
        list(&misfits)
    );
    let finding = Finding::new(&plan.file, message).at(guard.at.line, guard.at.column);
    Some(finding.cure(takes(schema)))
}
