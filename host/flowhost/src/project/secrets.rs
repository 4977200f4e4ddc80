//! What a run will find of the operator's secrets, said before it starts: names without a value, and what
//! a profile that came with the plan does not get.

use std::collections::BTreeMap;

use flowhost_run::{Finding, Member};

use crate::ambient::Ambient;
use crate::config::{CONFIG_FILE, Config};
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
        let secrets = &member.effective.grants.secrets;
        let mut names: Vec<&String> = secrets.names.iter().chain(&secrets.reveal).collect();
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
