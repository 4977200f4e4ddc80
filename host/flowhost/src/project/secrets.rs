//! What a run will find of the operator's secrets, said before it starts: names without a value, and what
//! a profile that came with the plan does not get.

use std::collections::BTreeMap;

use flowhost_oauth::{Login, Standing};
use flowhost_policy::HttpRule;
use flowhost_policy::egress::{Target, decide_http};
use flowhost_run::{Finding, Member};
use serde_json::Value;

use crate::ambient::Ambient;
use crate::config::{CONFIG_FILE, Config};
use crate::logins::Logins;
use crate::models::{lacks_key, stand_in};
use crate::services;

/// One line for each secret that has no value; a source that is configured and cannot be read is a
/// finding, because the run would end with it.
pub(super) fn look(
    ambient: &Ambient,
    config: &Config,
    members: &BTreeMap<String, Member>,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let own = config
        .own_path
        .as_ref()
        .map_or(CONFIG_FILE.to_owned(), |path| path.display().to_string());
    let mut notes = Vec::new();
    for (key, member) in members {
        notes.extend(no_key(ambient, config, key, member));
        notes.extend(no_login(ambient, config, key, member));
        let secrets = &member.effective.grants.secrets;
        let mut names: Vec<&String> = secrets.names.iter().chain(&secrets.reveal).collect();
        // `reveal` may name what `names` has as well.
        names.sort();
        names.dedup();
        for name in names {
            match services::secret(ambient, config.secrets.get(name), name) {
                Ok(Some(_)) => {}
                Ok(None) => notes.push(format!(
                    "plugin `{key}`: the secret `{name}` has no value; export FLOWHOST_SECRET_{name}, \
                     or name its source under [secrets] of {own}"
                )),
                Err(failure) => {
                    let cause = failure.causes.join(": ");
                    let message = format!("{}: {cause}", failure.message);
                    findings.push(Finding::new(&own, message).cure("mend its source under [secrets]"));
                }
            }
        }
    }
    notes
}

/// The secrets that these plugins use, of models' providers too, and the variables of the environment that have their
/// values; not those that have theirs in a file.
pub(super) fn variables(
    config: &Config,
    members: &BTreeMap<String, Member>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for member in members.values() {
        let secrets = &member.effective.grants.secrets;
        let given = secrets.names.iter().chain(&secrets.reveal);
        for name in given.chain(key_of(config, member)) {
            let variable = match config.secrets.get(name) {
                None => Some(services::variable(name)),
                Some(source) => source.env.clone(),
            };
            all.extend(variable.map(|variable| (name.clone(), variable)));
        }
    }
    all
}

/// The secret by which the provider of the model that a plugin is configured to ask knows the operator.
fn key_of<'a>(config: &'a Config, member: &Member) -> Option<&'a String> {
    if member.effective.grants.model.allow.is_empty() {
        return None;
    }
    let written: Value = serde_json::from_str(&member.config).ok()?;
    let provider = written.get("model")?.as_str()?.split('/').next()?;
    config.models.providers.get(provider)?.key.as_ref()
}

/// The model that a plugin is configured to ask, where neither its key nor a stand-in is there: its step would fail
/// after everything before it. No finding, because a plan is looked at on machines that hold no keys.
fn no_key(ambient: &Ambient, config: &Config, key: &str, member: &Member) -> Option<String> {
    if member.effective.grants.model.allow.is_empty() {
        return None;
    }
    let written: Value = serde_json::from_str(&member.config).ok()?;
    let model = written.get("model")?.as_str()?;
    let why = lacks_key(ambient, config, model)?;
    if stand_in(ambient, config, member, model).is_some() {
        return None;
    }
    Some(format!("plugin `{key}`: {why}"))
}

/// Logins that the plugin's rules take and that give no token now, or none for the rule. No findings, as of keys: a plan
/// is looked at on machines where nobody is logged in.
fn no_login(ambient: &Ambient, config: &Config, key: &str, member: &Member) -> Vec<String> {
    let Some(state) = &config.logins else {
        return Vec::new();
    };
    let logins = Logins::new(ambient, config, state);
    let now_ms = ambient.now_ms();
    let rules = member.effective.grants.http.iter();
    let taken = rules.filter_map(|rule| Some((rule, rule.inject.as_ref()?.login()?)));
    let mut notes: Vec<String> = taken
        .filter_map(|(rule, name)| {
            let why = match logins.read(name) {
                Ok(None) => {
                    format!("nobody is logged in as `{name}`; run `flowhost mcp login {name} URL`")
                }
                Ok(Some(login)) => unfit(&login, rule, now_ms)?,
                Err(failure) => format!("{}: {}", failure.message, failure.causes.join(": ")),
            };
            Some(format!("plugin `{key}`: {why}"))
        })
        .collect();
    // Several rules may take one login; what is wrong with it is the same for each.
    notes.dedup();
    notes
}

fn unfit(login: &Login, rule: &HttpRule, now_ms: u64) -> Option<String> {
    let (name, server) = (&login.name, &login.server);
    if matches!(login.standing(now_ms), Standing::Over | Standing::Ended) {
        return Some(format!(
            "the login `{name}` is over; run `flowhost mcp login {name}`"
        ));
    }
    let method = rule.methods.first()?;
    let target = Target::parse(server, method).ok()?;
    // A rule that covers the server, or a server that covers the rule: either way the token reaches something.
    let meets = decide_http(std::slice::from_ref(rule), &target).is_ok() || login.covers(&rule.url);
    let (url, name) = (&rule.url, &login.name);
    (!meets).then(|| {
        format!("the login `{name}` is for {server}, and its token goes to no address of the rule for {url}")
    })
}
