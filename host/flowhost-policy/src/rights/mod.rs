//! The rights there are: one folder for each, and one list that everything walks.
//!
//! The list makes what a document grants ([`Grants`]), what one asks for ([`Asks`]) and [`RIGHTS`],
//! so that profile, manifest, plan, intersection, canonical form, `policy explain`, `policy suggest`,
//! tables of cases, the manual and the tests all follow from one entry. A folder knows its own part
//! of a document and never another's; what two rights have to do with one another stands in
//! `effective`.
//!
//! A right is served as our own interface and, for some, as a WASI interface too: one right, two
//! interfaces. WASI interfaces that language runtimes import without using them are soft: without
//! the right they are linked to empty implementations.

pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod files;
mod flag;
pub(crate) mod http;
mod ladder;
mod list;
pub(crate) mod log;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod part;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{
    ask::{Ask, Asked},
    canonical::Lines,
    decision::Denied,
    grant::Effective,
    manifest::Manifest,
    narrow::Raised,
    read::{Author, Fields, Reader},
    stranger::Taken,
    suggest::{Amendment, Outcome, Refusal},
    walk::Walk,
};
use clock::ClockMode;
use env::{EnvAsk, EnvValue};
use files::{FileAsk, FileGrant};
use http::{HttpAsk, HttpRule};
use messages::MessagesGrant;
use model::ModelGrant;
use part::Part;
use process::ProcessGrant;
use random::RandomSource;
use secrets::SecretsGrant;
use state::StateGrant;
use tools::ToolsGrant;

/// Makes the types and the list from one line for each right, in the order of a profile.
macro_rules! rights {
    ($($(#[doc = $doc:literal])+ $key:ident: $part:ident, $granted:ty, $asked:ty;)+) => {
        /// The rights of one plugin. `Grants::default()` is deny-all.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Grants {
            $($(#[doc = $doc])+ pub $key: $granted,)+
            /// The rights that were written down, by key, whatever is left of them. One that holds
            /// nothing (`[tools] call = []`) is linked all the same and answers no to everything, so
            /// that a component that imports it without needing it can run.
            pub named: BTreeSet<&'static str>,
        }

        /// What a document says about every right, when it is not the one that grants.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Asks {
            $($(#[doc = $doc])+ pub $key: $asked,)+
        }

        impl Asks {
            /// What a manifest starts from.
            #[must_use]
            pub fn nothing() -> Self {
                Self { $($key: Asked::nothing(),)+ }
            }

            /// What a plan starts from.
            #[must_use]
            pub fn everything() -> Self {
                Self { $($key: Asked::everything(),)+ }
            }
        }

        /// What a caller passes on: its own rights and not one more.
        impl From<&Grants> for Asks {
            fn from(grants: &Grants) -> Self {
                Self { $($key: <$key::$part as Part>::passed_on(&grants.$key),)+ }
            }
        }

        /// The keys of all rights, as they stand in a profile and below `[needs]`.
        pub(crate) const KEYS: [&str; [$(stringify!($key)),+].len()] = [$(stringify!($key)),+];

        /// All rights, in the order of the profile.
        pub static RIGHTS: [Right; KEYS.len()] = [$(Right {
            key: stringify!($key),
            capability: <$key::$part as Part>::CAPABILITY,
            lines: <$key::$part as Part>::LINES,
            keys: <$key::$part as Part>::KEYS,
            questions: <$key::$part as Part>::QUESTIONS,
            may_be_empty: <$key::$part as Part>::MAY_BE_EMPTY,
            hard: <$key::$part as Part>::HARD,
            soft: <$key::$part as Part>::SOFT,
            steps: Steps {
                read: |reader, fields, grants| {
                    grants.$key = <$key::$part as Part>::read(reader, fields);
                },
                ask: |reader, fields, author, asks| {
                    asks.$key = <$key::$part as Part>::ask(reader, fields, author);
                },
                ask_for_all: |asks| asks.$key = Asked::everything(),
                is_asked: |asks| asks.$key.stands(),
                holds: |grants| <$key::$part as Part>::holds(&grants.$key),
                narrow: |walk, grants| {
                    let profile = walk.profile;
                    let granted = &profile.grants.$key;
                    grants.$key = <$key::$part as Part>::narrow(walk, granted, |asks| &asks.$key);
                },
                raises: |raised, asks, grants| {
                    <$key::$part as Part>::raises(raised, &asks.$key, &grants.$key);
                },
                write: |lines, grants| <$key::$part as Part>::write(lines, &grants.$key),
                lend: |grants, taken| <$key::$part as Part>::lend(&mut grants.$key, taken),
                amend: <$key::$part as Part>::amend,
                allows: |grants, plugin, refusal| {
                    <$key::$part as Part>::allows(&grants.$key, plugin, refusal)
                },
            },
        },)+];
    };
}

rights! {
    /// `log = true`: may write log lines and say how far it is, up to `limits.log`.
    log: Log, bool, bool;
    /// `config = true`: may read its own configuration from the plan.
    config: Config, bool, bool;
    /// `budget = true`: may ask what is left.
    budget: Budget, bool, bool;
    /// `[[http]]`: URL prefixes and methods.
    http: Http, Vec<HttpRule>, Ask<Vec<HttpAsk>>;
    /// `[[files]]`: folders of the host at guest paths.
    files: Files, Vec<FileGrant>, Ask<Vec<FileAsk>>;
    /// `[env]`: variables of the environment.
    env: Env, BTreeMap<String, EnvValue>, Ask<Vec<EnvAsk>>;
    /// `[model]`: models by `provider/name`, within amounts.
    model: Model, ModelGrant, Ask<ModelGrant>;
    /// `[tools]`: tools of other plugins.
    tools: Tools, ToolsGrant, Ask<ToolsGrant>;
    /// `[messages]`: topics.
    messages: Messages, MessagesGrant, Ask<MessagesGrant>;
    /// `[state]`: namespaces that outlive a call.
    state: State, StateGrant, Ask<StateGrant>;
    /// `[clock]`: what time it is told.
    clock: Clock, ClockMode, Ask<ClockMode>;
    /// `[random]`: where its random numbers come from.
    random: Random, RandomSource, Ask<RandomSource>;
    /// `[secrets]`: names it may know, and values it may read.
    secrets: Secrets, SecretsGrant, Ask<SecretsGrant>;
    /// `[[process]]`: the native program behind an MCP adapter or a tool; none or one.
    process: Process, Vec<ProcessGrant>, Ask<Vec<ProcessGrant>>;
}

/// One right: what it is called, and what every step does with it.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    /// Its key in the profile: `messages`.
    pub key: &'static str,
    /// The capability that serves it, which is also its WIT package: `messaging`.
    pub capability: &'static str,
    /// Profile lines that grant a first, small piece of it.
    pub lines: &'static str,
    /// The keys of its table in a profile; empty where the right is one word or has free names.
    pub keys: &'static [&'static str],
    /// What a table of cases may ask of it.
    pub questions: &'static [Question],
    /// Whether it can be written down and hold nothing. The others say no by one word (`log = false`,
    /// `wall = "denied"`), which means it.
    pub may_be_empty: bool,
    hard: &'static [&'static str],
    soft: &'static [&'static str],
    pub(crate) steps: Steps,
}

/// What each step does with the right's own part of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Reads it from a profile.
    pub(crate) read: fn(&mut Reader, &Fields<'_>, &mut Grants),
    /// Reads it from a manifest or a plan.
    pub(crate) ask: fn(&mut Reader, &Fields<'_>, Author, &mut Asks),
    /// Asks for as much of it as is granted.
    pub(crate) ask_for_all: fn(&mut Asks),
    /// Whether a document that takes away leaves it standing, if only by its name.
    pub(crate) is_asked: fn(&Asks) -> bool,
    /// Whether anything of it is granted.
    pub(crate) holds: fn(&Grants) -> bool,
    /// Takes away what the other documents do not have, with its lines of the trace.
    pub(crate) narrow: fn(&mut Walk<'_>, &mut Grants),
    /// Reports what a plan would raise.
    pub(crate) raises: fn(&mut Raised<'_>, &Asks, &Grants),
    /// Writes its canonical lines.
    pub(crate) write: fn(&mut Lines, &Grants),
    /// Takes away what a profile that came with the plan may not give.
    pub(crate) lend: fn(&mut Grants, &mut Taken<'_>),
    /// Writes into a profile's text what a refusal lacked.
    pub(crate) amend: fn(&mut Amendment, &Refusal<'_>) -> Outcome,
    /// Whether it allows what was refused.
    pub(crate) allows: fn(&Grants, &str, &Refusal<'_>) -> bool,
}

/// One question of a table of cases: `tool = "files/read"`.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Its key in a case.
    pub key: &'static str,
    /// A text that it can be asked about, as an example.
    pub example: &'static str,
    /// Whether a case may say to which `addresses` a name resolves.
    pub takes_addresses: bool,
    /// What is wrong with a text, if it cannot be asked about, and the cure.
    pub(crate) fault: fn(&str) -> Option<(&'static str, &'static str)>,
    /// The rule that allows it, or the denial.
    pub(crate) decide: fn(&Grants, &str, &[IpAddr]) -> Result<String, Denied>,
}

impl Question {
    /// A question about a text that any decision takes as it is.
    pub(crate) const fn new(
        key: &'static str,
        example: &'static str,
        decide: fn(&Grants, &str, &[IpAddr]) -> Result<String, Denied>,
    ) -> Self {
        Self {
            key,
            example,
            takes_addresses: false,
            fault: |_| None,
            decide,
        }
    }
}

/// A question is its key, as a right is.
impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Question {}

/// A right is its key: two with the same key would be one.
impl PartialEq for Right {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Right {}

impl Right {
    /// The right with this profile key.
    #[must_use]
    pub fn of(key: &str) -> Option<&'static Self> {
        RIGHTS.iter().find(|right| right.key == key)
    }

    /// The right that a path such as `tools.call` or `http[0].inject` is a part of.
    #[must_use]
    pub fn of_path(path: &str) -> Option<&'static Self> {
        Self::of(path.split(['.', '[']).next().unwrap_or(path))
    }

    /// The right behind an import such as `flowhost:http/client@0.1.0`, and whether a component
    /// cannot run without it.
    #[must_use]
    pub fn behind(import: &str) -> Option<(&'static Self, bool)> {
        let interface = import.split('@').next().unwrap_or(import);
        RIGHTS.iter().find_map(|right| {
            let own = interface
                .strip_prefix("flowhost:")
                .and_then(|rest| rest.split('/').next())
                .is_some_and(|package| package == right.capability);
            // An interface of ours is always hard: no language runtime imports one that its program
            // does not use.
            if own || right.hard.contains(&interface) {
                return Some((right, true));
            }
            right.soft.contains(&interface).then_some((right, false))
        })
    }

    /// The keys of the rights that can be written down and hold nothing.
    pub(crate) fn lists() -> impl Iterator<Item = &'static str> {
        RIGHTS
            .iter()
            .filter(|right| right.may_be_empty)
            .map(|right| right.key)
    }

    /// The keys of the rights that a plugin may say it can do without: those that can hold nothing, and `log`,
    /// without which it is silent.
    pub(crate) fn spared() -> impl Iterator<Item = &'static str> {
        let silent = |right: &&Self| right.may_be_empty || right.key == "log";
        RIGHTS.iter().filter(silent).map(|right| right.key)
    }

    /// Whether its interfaces are linked: something of it is granted, or it was written down and holds
    /// nothing, which answers no.
    #[must_use]
    pub fn is_linked(&self, effective: &Effective) -> bool {
        self.is_in(effective) || effective.grants.named.contains(self.key)
    }

    /// Whether effective rights hold any of it.
    #[must_use]
    pub fn is_in(&self, effective: &Effective) -> bool {
        (self.steps.holds)(&effective.grants)
    }

    /// Whether a manifest asks for any of it.
    #[must_use]
    pub fn is_asked_by(&self, manifest: &Manifest) -> bool {
        (self.steps.is_asked)(&manifest.needs)
    }
}

impl Grants {
    /// Reads every grant table of a profile. A key that no part of the host enforces is in no folder
    /// here, so it is an unknown key. What is missing grants nothing.
    pub(crate) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Self {
        let mut grants = Self::default();
        for right in &RIGHTS {
            (right.steps.read)(reader, fields, &mut grants);
        }
        // Of the others the word says by itself whether they hold something.
        grants.named = Right::lists()
            .filter(|key| fields.get(key).is_some())
            .collect();
        grants
    }
}

impl Asks {
    /// Reads every right of `[needs]` or of a plan's narrowing.
    pub(crate) fn read(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Self {
        let mut asks = Self::nothing();
        for right in &RIGHTS {
            (right.steps.ask)(reader, fields, author, &mut asks);
        }
        asks
    }
}

/// An import that a component cannot run without and that its effective rights do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRight {
    /// The import as the component names it.
    pub import: String,
    /// The right's key in the profile.
    pub right: &'static str,
    /// The profile lines that would grant it.
    pub lines: &'static str,
}

/// The imports that `effective` does not cover. Imports that stand behind no right are not judged
/// here.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Effective, missing_rights};
///
/// let imports = ["flowhost:http/client@0.1.0", "wasi:clocks/wall-clock@0.2.0"];
/// let missing = missing_rights(imports, &Effective::default());
/// assert_eq!(missing.len(), 1);
/// assert_eq!(missing[0].right, "http");
/// ```
pub fn missing_rights<'a>(
    imports: impl IntoIterator<Item = &'a str>,
    effective: &Effective,
) -> Vec<MissingRight> {
    imports
        .into_iter()
        .filter_map(|import| match Right::behind(import) {
            Some((right, true)) if !right.is_linked(effective) => Some(MissingRight {
                import: import.to_owned(),
                right: right.key,
                lines: right.lines,
            }),
            _ => None,
        })
        .collect()
}
