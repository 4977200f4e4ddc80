//! Agents, looked at before a run: whether the models that their configuration names can be asked, and whether the
//! agents are there that it names. A misspelt provider would else fail at its step, after everything before it, and a
//! misspelt peer never: its model is told that nobody of this name can be asked.
//!
//! The names are those that agents use in their `config:`, as in an estimate: `model` and `peers`.

use std::collections::BTreeSet;

use flowhost_models::{ErrorClass, Gateway, ModelName, Prompt, Speaker, Turn};
use flowhost_policy::decide_model;
use flowhost_words::PluginKind;
use serde_json::Value;

use crate::base::finding::Finding;
use crate::before::estimate::{ANSWER_TOKENS, Amount, First, LLM_AGENT, Money, one_call_each};
use crate::before::guesses::{Guesses, listed};
use crate::before::preflight::Preflight;
use crate::before::rights::{cured, lacks};
use crate::given::project::{Member, Project, at_part};
use crate::plugins::router::prefix;

/// Whether a gateway is needed to look at the project: making one reads keys and certificates.
#[must_use]
pub fn asks_models(project: &Project) -> bool {
    let mut members = project.members.values();
    members.any(|member| model(member).is_some())
}

pub(crate) fn look(project: &Project, gateway: Option<&Gateway>, found: &mut Preflight) {
    let calls = gateway.map(|gateway| one_call_each(project, gateway));
    let calls = calls.unwrap_or_default();
    let guesses = Guesses::new();
    for (key, member) in &project.members {
        if let Some(wanted) = model(member) {
            found
                .rights
                .extend(not_granted(project, key, member, &wanted));
            if let Some(gateway) = gateway {
                not_reached(project, key, &wanted, gateway, found);
                let call = calls.get(key).copied();
                let poor = not_paid(
                    project,
                    key,
                    member,
                    call.or_else(|| shortest(member, &wanted, gateway)),
                );
                found.others.extend(poor);
            }
        }
        let strangers = strangers(project, key, member, &guesses);
        found.others.extend(strangers);
    }
    found.others.extend(guesses.hidden(project));
}

/// The model that the plugin is configured to ask. A missing right to ask any is told of where it is imported, and
/// what is not written as a model by the schema of the configuration.
fn model(member: &Member) -> Option<ModelName> {
    if member.effective.grants.model.allow.is_empty() {
        return None;
    }
    let config: Value = serde_json::from_str(&member.config).ok()?;
    config.get("model")?.as_str()?.parse().ok()
}

fn not_granted(
    project: &Project,
    key: &str,
    member: &Member,
    model: &ModelName,
) -> Option<Finding> {
    let denied = decide_model(&member.effective.grants.model, &model.to_string()).err()?;
    let profile = &member.profile;
    let message = format!(
        "it is configured to ask the model `{model}`, which profile `{}` does not grant",
        profile.name
    );
    let finding = at_part(project, key, "/config/model", &message);
    Some(match denied.cure {
        Some(lines) => lacks(finding, key, member, lines),
        None => finding,
    })
}

fn not_reached(
    project: &Project,
    key: &str,
    model: &ModelName,
    gateway: &Gateway,
    found: &mut Preflight,
) {
    if let Err(error) = gateway.knows(model) {
        let finding = at_part(project, key, "/config/model", &error.message).cure(error.hint);
        match error.class {
            // Where models may be is the operator's to say, as a right is.
            ErrorClass::Residency => found.rights.push(finding),
            _ => found.others.push(finding),
        }
    }
}

/// The shortest prompt there is.
const SHORTEST: &str = "x";

/// Tokens of an answer at most; none where the configuration says what is no such number.
fn answer_tokens(member: &Member) -> Option<u32> {
    let config: Value = serde_json::from_str(&member.config).ok()?;
    match config.get("max_tokens") {
        None => Some(ANSWER_TOKENS),
        Some(said) => u32::try_from(said.as_u64()?).ok(),
    }
}

/// What a call holds at least, of an agent that no step asks.
fn shortest(member: &Member, model: &ModelName, gateway: &Gateway) -> Option<First> {
    let turns = vec![Turn::new(Speaker::User, SHORTEST)];
    let call = gateway.estimate(&Prompt::new(model.clone(), turns, answer_tokens(member)?));
    let call = call.ok()?; // what stands in the way is told of the model
    let least = Amount {
        tokens: call.tokens(),
        micro_usd: call.micro_usd,
    };
    Some(First {
        least,
        enough: least,
    })
}

/// Rights that do not pay for one call: what it holds until it has ended is more than the plugin may spend in a run.
fn not_paid(project: &Project, key: &str, member: &Member, call: Option<First>) -> Option<Finding> {
    if member.decl.source != LLM_AGENT {
        return None;
    }
    let First { least, enough } = call?;
    let answer = answer_tokens(member)?;
    let may = Amount::granted(&member.effective.grants.model);
    let wide = Amount::granted(&member.profile.grants.model);
    let is_short = |money: &Money| money.of(least) > money.of(may);
    let money = Money::ALL.into_iter().find(is_short)?;
    // Whoever writes the number that is told hears no more of it.
    let (word, wanted) = (money.key(), money.of(enough));
    let message = format!(
        "one model call needs {} (an answer of up to {answer} tokens, and a prompt), and the plugin may spend {} in a \
         run",
        money.told(wanted),
        money.told(money.of(may))
    );
    let value = money.written(wanted);
    let less = "a smaller `max_tokens` in its `config:` needs less";
    let finding = at_part(project, key, "/config/max_tokens", &message);
    Some(match &member.own {
        _ if money.of(wide) >= wanted => finding.cure(format!(
            "narrow `{word}` of its `model` less in the plan; {less}"
        )),
        None => {
            let file = &member.profile.file;
            finding.cure(format!(
                "write `{word} = {value}` or more in [model] of {file}; {less}"
            ))
        }
        Some(_) => {
            let lines = format!("[model]\n{word} = {value}");
            cured(finding, member, &lines, &format!("\n{less}"))
        }
    })
}

/// Peers that are no agents of the plan.
fn strangers(project: &Project, key: &str, member: &Member, guesses: &Guesses) -> Vec<Finding> {
    if member.decl.kind != PluginKind::Agent || !takes(member, "peers") {
        return Vec::new();
    }
    let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
    let peers = config.get("peers").and_then(Value::as_array);
    let peers = peers.into_iter().flatten().filter_map(Value::as_str);
    // A sub-plan's agents speak to those of the same plan.
    let prefix = prefix(key);
    let own = key.strip_prefix(prefix);
    let others: BTreeSet<&str> = project
        .members
        .iter()
        .filter(|(_, it)| it.decl.kind == PluginKind::Agent)
        .filter_map(|(other, _)| other.strip_prefix(prefix))
        .filter(|name| !name.contains("::") && Some(*name) != own)
        .collect();
    let names: Vec<&str> = others.iter().copied().collect();
    let mut told = Vec::new();
    for peer in peers.filter(|peer| !others.contains(peer)) {
        if !guesses.one_more() {
            break; // no more are listed
        }
        if project.is_unresolved(&format!("{prefix}{peer}")) {
            continue; // that has been told
        }
        let message =
            format!("config: `peers` names `{peer}`: only other agents of the plan can be asked");
        let cure = match guesses.nearest(peer, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => {
                "add the agent to `plugins:`, or take it out of `peers`".to_owned()
            }
            None => format!("other agents of the plan: {}", listed(&names)),
        };
        told.push(at_part(project, key, "/config/peers", &message).cure(cure));
    }
    told
}

/// Whether this is a key of the plugin's configuration: another plugin may mean something else by the word.
pub(crate) fn takes(member: &Member, key: &str) -> bool {
    let schema = member.manifest.config.as_ref();
    let properties = schema.and_then(|schema| schema.get("properties"));
    properties.is_some_and(|properties| properties.get(key).is_some())
}
