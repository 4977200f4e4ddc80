//! What a profile that came with a plan may not give: the operator's own.
//!
//! The attack: a person runs somebody's plan from its folder. A profile in that folder names a secret of
//! the person's environment, reveals it to a component of the folder, and grants that component http. The
//! profile is no word of the operator's; whoever wrote the plan wrote it. So it grants what is the plan's
//! (its folder, the network within the host's rules, models within a budget), and not what is the
//! operator's: secrets, variables of the environment, folders elsewhere.

use crate::{
    grant::{EnvValue, Inject},
    profile::Profile,
    trace::{Layer, Outcome, TraceEntry},
};

/// A profile as far as a stranger's word goes, and what was taken from it.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The profile without what is the operator's. Its rights stay named: a component that imports them
    /// runs, and hears no.
    pub profile: Profile,
    /// What was taken, for `policy explain`.
    pub taken: Vec<TraceEntry>,
}

impl Profile {
    /// Takes away what only the operator gives: secrets and variables of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::Profile;
    ///
    /// let text = "version = 1\nname = \"p\"\n[secrets]\nnames = [\"TOKEN\"]\nreveal = [\"TOKEN\"]\n";
    /// let lent = Profile::parse(text, "policies/p.toml").unwrap().lent();
    /// assert!(lent.profile.grants.secrets.names.is_empty());
    /// assert_eq!(lent.taken[0].value, "TOKEN");
    /// assert_eq!(lent.taken[0].source, "policies/p.toml:4");
    /// ```
    #[must_use]
    pub fn lent(mut self) -> Lent {
        let mut taken = Vec::new();
        let mut take = |profile: &Profile, right: String, value: &str| {
            taken.push(TraceEntry {
                source: profile.source(&right),
                right,
                value: value.to_owned(),
                outcome: Outcome::Removed {
                    by: Layer::Operator,
                    at: "the profile came with the plan".to_owned(),
                },
            });
        };
        let secrets = std::mem::take(&mut self.grants.secrets);
        for (key, names) in [("names", secrets.names), ("reveal", secrets.reveal)] {
            for (index, name) in names.iter().enumerate() {
                take(&self, format!("secrets.{key}[{index}]"), name);
            }
        }
        let mut rules = std::mem::take(&mut self.grants.http);
        for (index, rule) in rules.iter_mut().enumerate() {
            if let Some(inject) = rule.inject.take() {
                let names: Vec<&str> = Inject::secrets(&inject).collect();
                take(&self, format!("http[{index}].inject"), &names.join(", "));
            }
        }
        self.grants.http = rules;
        let env = std::mem::take(&mut self.grants.env);
        let (from, own): (Vec<_>, Vec<_>) = env
            .into_iter()
            .partition(|(_, value)| matches!(value, EnvValue::From(_)));
        for (name, _) in &from {
            take(&self, format!("env.{name}"), name);
        }
        self.grants.env = own.into_iter().collect();
        Lent {
            profile: self,
            taken,
        }
    }

    /// The folders that it grants by an absolute path, which no plan's own folder is: the index of the
    /// table and the path.
    pub fn folders_elsewhere(&self) -> impl Iterator<Item = (usize, &str)> {
        let grants = self.grants.files.iter().enumerate();
        grants
            .map(|(index, grant)| (index, grant.host.as_str()))
            .filter(|(_, host)| host.starts_with('/'))
    }
}
