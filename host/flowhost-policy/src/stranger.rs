//! What a profile that came with a plan may not give: the operator's own.
//!
//! The attack: a person runs somebody's plan from its folder. A profile in that folder names a secret of
//! the person's environment, reveals it to a component of the folder, and grants that component http. The
//! profile is no word of the operator's; whoever wrote the plan wrote it. So it grants what is the plan's
//! (its folder, the network within the host's rules, models within a budget), and not what is the
//! operator's: secrets, variables of the environment, folders elsewhere.

use crate::{
    profile::Profile,
    rights::RIGHTS,
    trace::{Layer, Outcome, TraceEntry},
};

/// A profile as far as a stranger's word goes, and what was taken from it.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The profile without what is the operator's. Its rights stay named: a component that imports them
    /// runs, and hears no.
    pub profile: Profile,
    /// What was taken, for `policy explain`.
    pub taken: Vec<TakenOwn>,
}

/// What is the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// A secret.
    Secret,
    /// A variable of the environment.
    Variable,
    /// Secrets that the host puts into requests.
    InjectedSecrets,
    /// A login whose token the host puts into requests.
    InjectedLogin,
    /// Who the host says that it is.
    Identity,
}

/// One thing that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOwn {
    /// What it is.
    pub own: Own,
    /// What it is called; several secrets of one rule are separated by commas.
    pub name: String,
    /// Where it stood.
    pub entry: TraceEntry,
}

/// What is taken from a profile, while it is.
pub(crate) struct Taken<'a> {
    profile: &'a Profile,
    all: Vec<TakenOwn>,
}

impl Taken<'_> {
    /// Notes that `right` is gone, which held what is called `name`.
    pub(crate) fn push(&mut self, own: Own, right: String, name: &str) {
        let value = match own {
            // Beside secrets, which may have the same name.
            Own::InjectedLogin => format!("login {name}"),
            _ => name.to_owned(),
        };
        let entry = TraceEntry {
            source: self.profile.source(&right),
            right,
            value,
            outcome: Outcome::Removed {
                by: Layer::Operator,
                at: "the profile came with the plan".to_owned(),
            },
        };
        self.all.push(TakenOwn {
            own,
            name: name.to_owned(),
            entry,
        });
    }
}

impl Profile {
    /// Takes away what only the operator gives: secrets and variables of the environment.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::{Own, Profile};
    ///
    /// let text = "version = 1\nname = \"p\"\n[secrets]\nnames = [\"TOKEN\"]\nreveal = [\"TOKEN\"]\n";
    /// let lent = Profile::parse(text, "policies/p.toml").unwrap().lent();
    /// assert!(lent.profile.grants.secrets.names.is_empty());
    /// assert_eq!((lent.taken[0].own, lent.taken[0].name.as_str()), (Own::Secret, "TOKEN"));
    /// assert_eq!(lent.taken[0].entry.source, "policies/p.toml:4");
    /// ```
    #[must_use]
    pub fn lent(mut self) -> Lent {
        let mut grants = std::mem::take(&mut self.grants);
        let mut taken = Taken {
            profile: &self,
            all: Vec::new(),
        };
        for right in &RIGHTS {
            (right.steps.lend)(&mut grants, &mut taken);
        }
        let taken = taken.all;
        self.grants = grants;
        Lent {
            profile: self,
            taken,
        }
    }

    /// The folders that it grants by an absolute path, which no plan's own folder is: the index of the
    /// table and the path.
    pub fn folders_elsewhere(&self) -> impl Iterator<Item = (usize, &str)> {
        self.grants
            .files
            .iter()
            .enumerate()
            .map(|(index, grant)| (index, grant.host.as_str()))
            .filter(|(_, host)| host.starts_with('/'))
    }
}
