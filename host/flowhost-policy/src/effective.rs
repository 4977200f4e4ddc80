//! The intersection: manifest ∩ profile ∩ plan ∩ caller, right by right.
//!
//! It starts from what the profile grants, and every other document takes away, one after the
//! other. The taking away is `walk`'s, and each right's folder says what it does to its own part;
//! here stands what two rights have to do with one another: a secret that a rule of `http` injects.

use std::collections::BTreeSet;

use crate::{
    ask::Ask,
    canonical,
    grant::Effective,
    manifest::Manifest,
    narrow::Narrowing,
    profile::Profile,
    rights::{Asks, Grants, RIGHTS, Right, http::Inject},
    trace::{Layer, Outcome, TraceEntry},
    walk::Walk,
};

/// Intersects what is asked, granted, narrowed and passed on, and says what became of each right.
///
/// A secret that an effective rule injects is named for the plugin too: the operator wrote it into the
/// rule. A plan or a caller whose `secrets` do not hold it takes the injection away, and the request
/// goes without that header.
///
/// `self` in topics becomes the plugin's name in the plan. `caller` is given only when one plugin
/// delegates to another on its own authority; then nothing that the caller lacks is passed on.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Manifest, Narrowing, Profile, effective};
///
/// let text = "version = 1\nname = \"p\"\nlog = true\n[tools]\ncall = [\"fetch\", \"files/*\"]\n";
/// let profile = Profile::parse(text, "policies/p.toml").unwrap();
/// let manifest = Manifest::from_imports("a", ["flowhost:tools/tools@0.1.0"]);
/// let (rights, trace) = effective(&manifest, &profile, &Narrowing::none("a"), None);
/// assert!(!rights.grants.log, "the component does not import it");
/// assert_eq!(rights.grants.tools.call, ["fetch/*", "files/*"]);
/// assert!(trace.iter().any(|entry| entry.right == "log"));
/// ```
#[must_use]
pub fn effective(
    manifest: &Manifest,
    profile: &Profile,
    narrowing: &Narrowing,
    caller: Option<&Effective>,
) -> (Effective, Vec<TraceEntry>) {
    let passed_on = caller.map(|caller| (caller, Asks::from(&caller.grants)));
    let mut walk = Walk::new(manifest, profile, narrowing);
    if let Some((caller, asks)) = &passed_on {
        walk.add_caller(caller, asks);
    }
    let limits = walk.limits(caller);
    let mut grants = walk.grants();
    walk.injected(&mut grants);
    if let Some(caller) = caller {
        // A right that is linked empty is one too: who delegates cannot pass on an interface that
        // it does not import itself.
        grants.named.retain(|key| caller.links(key));
    }
    let hash = canonical::hash(&canonical::rights(&profile.name, &limits, &grants));
    let effective = Effective {
        plugin: narrowing.plugin.clone(),
        profile: profile.name.clone(),
        hash,
        limits,
        grants,
    };
    (effective, walk.trace)
}

impl Walk<'_> {
    fn grants(&mut self) -> Grants {
        let mut grants = Grants::default();
        for right in &RIGHTS {
            (right.steps.narrow)(self, &mut grants);
        }
        grants.named = self.named();
        grants
    }

    /// What the profile names and every other document leaves standing, if only by its name, and what the
    /// plugin says that it can do without.
    fn named(&self) -> BTreeSet<&'static str> {
        let stands = |key: &&&'static str| {
            Right::of(key).is_some_and(|right| {
                let mut sources = self.sources.iter();
                sources.all(|source| (right.steps.is_asked)(source.asks))
            })
        };
        self.profile
            .grants
            .named
            .iter()
            .filter(stands)
            .chain(&self.manifest.optional)
            .copied()
            .collect()
    }

    /// Takes away injections whose secret a plan or a caller does not pass on, and names the rest.
    fn injected(&mut self, grants: &mut Grants) {
        for (index, rule) in grants.http.iter_mut().enumerate() {
            let names: Vec<String> = rule
                .inject
                .iter()
                .flat_map(Inject::secrets)
                .map(str::to_owned)
                .collect();
            let taker = self.sources.iter().find(|source| {
                // The plugin's own documents are not asked: a secret that is injected is none that
                // it has to know of.
                !matches!(source.layer, Layer::Manifest | Layer::Component)
                    && !names.iter().all(|name| passes(source.asks, name))
            });
            let Some(taker) = taker else {
                grants.secrets.names.extend(names);
                continue;
            };
            let (by, at) = (taker.layer, taker.at.clone());
            rule.inject = None;
            let right = format!("http[{index}].inject");
            let source = self.profile.source("http");
            let outcome = Outcome::Removed { by, at };
            self.trace.push(TraceEntry {
                right,
                value: names.join(", "),
                source,
                outcome,
            });
        }
        grants.secrets.names.sort();
        grants.secrets.names.dedup();
    }
}

/// Whether a document leaves the secret `name` to be injected.
fn passes(asks: &Asks, name: &str) -> bool {
    match &asks.secrets {
        Ask::None => false,
        Ask::Granted => true,
        Ask::Only(secrets) => secrets.names.iter().any(|known| known == name),
    }
}
