//! From what a run was refused to the profile lines that it lacked.
//!
//! A suggestion is for a person to judge and never applied by itself: an attack asks for what it
//! needs too. So each table is as narrow as what was asked, wildcards are never made, and what no
//! profile can allow (a blocked address, a text that is no URL) is listed apart with its reason.
//! What comes out is a whole profile that can be read as one: a line goes into the table that is
//! there, because TOML has no table twice.

mod amend;

use std::collections::BTreeSet;

use crate::{
    profile::Profile,
    rights::{Grants, Right},
};

pub(crate) use amend::{Amendment, Outcome, list, literal, push, set, text, text_of};

/// A refusal as a ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal<'a> {
    /// The right: `http`, `files`, `tools.call`, …
    pub right: &'a str,
    /// What was asked for: `GET https://api.example.com/x`.
    pub wanted: &'a str,
    /// The rule that said no.
    pub rule: &'a str,
    /// The cure that was recorded with it; empty when there was none.
    pub cure: &'a str,
}

/// What a profile would need, and what no profile gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestion {
    /// The profile with what it lacked; without a profile, the tables that one would need.
    pub text: String,
    /// Refusals that stay refused, each with its rule.
    pub never: Vec<String>,
    /// Refusals of what the profile grants: something else took it away.
    pub held: Vec<String>,
    /// Options of the command line that are needed as well.
    pub options: BTreeSet<&'static str>,
}

/// Collects refusals into the fewest tables that would allow exactly them, for a profile that is not
/// at hand.
///
/// # Examples
///
/// ```
/// use flowhost_policy::suggest::{Refusal, suggest};
///
/// let refusal = |wanted| Refusal { right: "http", wanted, rule: "http#none", cure: "" };
/// let refused = [refusal("GET https://a.example/x"), refusal("POST https://a.example/x")];
/// assert_eq!(
///     suggest(&refused).text,
///     "[[http]]\nurl = \"https://a.example/x\"\nmethods = [\"GET\", \"POST\"]\n"
/// );
/// ```
#[must_use]
pub fn suggest(refused: &[Refusal<'_>]) -> Suggestion {
    let mut suggestion = Suggestion::default();
    suggestion.take(Amendment::default(), None, "", refused);
    suggestion
}

/// A profile's text with what the plugin lacked under it. Everything else stays as it stands,
/// comments included. `None` when the text is no profile.
///
/// # Examples
///
/// ```
/// use flowhost_policy::suggest::{Refusal, amend};
///
/// let profile = "version = 1\nname = \"p\"\n\n[tools]\ncall = [\"files/read\"]  # mine\n";
/// let refused = [Refusal { right: "tools.call", wanted: "files/list", rule: "tools.call#none", cure: "" }];
/// let amended = amend(profile, "agent", &refused).unwrap();
/// assert!(amended.text.ends_with("[tools]\ncall = [\"files/read\", \"files/list\"]  # mine\n"));
/// ```
#[must_use]
pub fn amend(text: &str, plugin: &str, refused: &[Refusal<'_>]) -> Option<Suggestion> {
    let profile = Profile::parse(text, "").ok()?;
    let amendment = Amendment::of(text)?;
    let mut suggestion = Suggestion::default();
    suggestion.take(amendment, Some(&profile), plugin, refused);
    // Read again: what is suggested is a profile, or nothing is.
    Profile::parse(&suggestion.text, "").ok()?;
    Some(suggestion)
}

impl Suggestion {
    fn take(
        &mut self,
        mut amendment: Amendment,
        profile: Option<&Profile>,
        plugin: &str,
        refused: &[Refusal<'_>],
    ) {
        let mut seen = BTreeSet::new();
        for refusal in refused.iter().filter(|refusal| seen.insert(**refusal)) {
            let shown = format!("{} {} ({})", refusal.right, refusal.wanted, refusal.rule);
            if profile.is_some_and(|profile| holds(&profile.grants, plugin, refusal)) {
                self.held.push(shown);
                continue;
            }
            match amendment.add(refusal) {
                Outcome::Written => {}
                Outcome::Needs(option) => _ = self.options.insert(option),
                Outcome::Never => self.never.push(shown),
            }
        }
        self.never.sort();
        self.text = amendment.text();
    }
}

/// Whether a profile grants what was refused all the same: then the plan's narrowing, the manifest or
/// an older version of the profile said no, and a line more would change nothing.
fn holds(grants: &Grants, plugin: &str, refusal: &Refusal<'_>) -> bool {
    Right::of_path(refusal.right).is_some_and(|right| (right.steps.allows)(grants, plugin, refusal))
}
