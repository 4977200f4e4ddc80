//! What is worth knowing of a project's profiles before it runs, and stops nothing: told once, with the plugins that
//! it is about.

use std::collections::BTreeMap;

use flowhost_run::Project;

/// Notes that several plugins have in common, since they share a profile.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<String, Vec<String>>);

impl Told {
    pub(super) fn add(&mut self, what: String, plugin: &str) {
        self.0.entry(what).or_default().push(plugin.to_owned());
    }

    pub(super) fn append(&mut self, other: Self) {
        for (what, plugins) in other.0 {
            self.0.entry(what).or_default().extend(plugins);
        }
    }

    /// One line each.
    pub(super) fn notes(self) -> Vec<String> {
        let all = self.0.into_iter();
        all.map(|(what, plugins)| match plugins.as_slice() {
            [one] => format!("plugin `{one}`: {what}"),
            many => format!("plugins `{}`: {what}", many.join("`, `")),
        })
        .collect()
    }
}

/// The second keys to what profiles open only with two.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecondKeys {
    /// `--allow-private-network`.
    pub private_network: bool,
    /// `--allow-process`.
    pub process: bool,
}

/// One line for each grant that a second key is missing to: what it opens will be refused.
#[must_use]
pub fn without_key(project: &Project, keys: SecondKeys) -> Vec<String> {
    let mut told = Told::default();
    for (key, member) in &project.members {
        let grants = &member.effective.grants;
        let private = grants.http.iter().any(|rule| rule.private_network);
        if private && !keys.private_network {
            let places = member.profile.grants.http.iter().enumerate();
            let places = places.filter(|(_, rule)| rule.private_network);
            for (index, _) in places {
                let place = member
                    .profile
                    .source(&format!("http[{index}].private_network"));
                let what = format!(
                    "`private_network` ({place}) opens private addresses only together with \
                     `--allow-private-network`: without it, requests to them are refused"
                );
                told.add(what, key);
            }
        }
        if !grants.process.is_empty() && !keys.process {
            // The first: one key opens all of them, so that one line is enough.
            let place = member.profile.source("process[0].command");
            let what = format!(
                "`[[process]]` ({place}) starts programs only together with `--allow-process`: without it, none is \
                 started"
            );
            told.add(what, key);
        }
    }
    told.notes()
}
