//! Which right stands behind an import: one list for manifests, preflight and messages.
//!
//! A right is a key of the profile. It is served as our own interface and, for some, as a WASI
//! interface too: one right, two interfaces. WASI interfaces that language runtimes import without
//! using them are soft: without the right they are linked to empty implementations.

use crate::{
    ask::{Ask, Asks},
    grant::{Effective, Grants},
    manifest::Manifest,
};

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Its key in the profile: `messages`.
    pub key: &'static str,
    /// The capability that serves it, which is also its WIT package: `messaging`.
    pub capability: &'static str,
    /// Profile lines that grant a first, small piece of it.
    pub lines: &'static str,
    hard: &'static [&'static str],
    soft: &'static [&'static str],
}

/// All rights that an import can need, in the order of the profile.
pub static RIGHTS: [Right; 13] = [
    Right {
        // How far a call is: words for people, as log lines are, under the same cap.
        hard: &["flowhost:progress/progress"],
        ..Right::ours("log", "log", "log = true")
    },
    Right::ours("config", "config", "config = true"),
    Right::ours("budget", "budget", "budget = true"),
    Right {
        hard: &["wasi:http/outgoing-handler"],
        soft: &["wasi:http/types"],
        ..Right::ours(
            "http",
            "http",
            "[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]",
        )
    },
    Right {
        soft: &["wasi:filesystem/types", "wasi:filesystem/preopens"],
        ..Right::ours(
            "files",
            "files",
            "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"",
        )
    },
    Right {
        hard: &[],
        soft: &["wasi:cli/environment"],
        key: "env",
        capability: "env",
        lines: "[env]\nLANG = \"C.UTF-8\"",
    },
    Right::ours(
        "model",
        "model",
        "[model]\nallow = [\"mock/*\"]\ntokens = 20_000\nusd = 0.50",
    ),
    Right::ours("tools", "tools", "[tools]\ncall = [\"plugin/tool\"]"),
    Right::ours("messages", "messaging", "[messages]\npublish = [\"topic\"]"),
    Right::ours("state", "state", "[state]\nnamespaces = [\"notes\"]"),
    Right {
        soft: &[
            "wasi:clocks/wall-clock",
            "wasi:clocks/monotonic-clock",
            "wasi:clocks/timezone",
        ],
        ..Right::ours("clock", "clock", "[clock]\nwall = \"virtual\"")
    },
    Right {
        soft: &[
            "wasi:random/random",
            "wasi:random/insecure",
            "wasi:random/insecure-seed",
        ],
        ..Right::ours("random", "random", "[random]\nsource = \"seeded\"")
    },
    Right::ours("secrets", "secrets", "[secrets]\nnames = [\"NAME\"]"),
];

impl Right {
    const fn ours(key: &'static str, capability: &'static str, lines: &'static str) -> Self {
        Self {
            key,
            capability,
            lines,
            hard: &[],
            soft: &[],
        }
    }

    /// The right with this profile key.
    #[must_use]
    pub fn of(key: &str) -> Option<&'static Self> {
        RIGHTS.iter().find(|right| right.key == key)
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
            if own || right.hard.contains(&interface) {
                return Some((right, true));
            }
            right.soft.contains(&interface).then_some((right, false))
        })
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
        self.holds(&effective.grants)
    }

    /// Whether `grants` hold any of it.
    pub(crate) fn holds(&self, grants: &Grants) -> bool {
        match self.key {
            "log" => grants.log,
            "config" => grants.config,
            "budget" => grants.budget,
            "http" => !grants.http.is_empty(),
            "files" => !grants.files.is_empty(),
            "env" => !grants.env.is_empty(),
            "model" => !grants.model.allow.is_empty(),
            "tools" => !grants.tools.call.is_empty(),
            "messages" => {
                !grants.messages.publish.is_empty() || !grants.messages.subscribe.is_empty()
            }
            "state" => !grants.state.namespaces.is_empty(),
            "clock" => grants.clock != crate::grant::ClockMode::Denied,
            "random" => grants.random != crate::grant::RandomSource::Denied,
            "secrets" => !grants.secrets.names.is_empty(),
            _ => false,
        }
    }

    /// Whether a manifest asks for any of it.
    #[must_use]
    pub fn is_asked_by(&self, manifest: &Manifest) -> bool {
        self.is_asked_in(&manifest.needs)
    }

    /// Whether a document that takes away leaves it standing, if only by its name.
    pub(crate) fn is_asked_in(&self, needs: &Asks) -> bool {
        fn some<T>(ask: &Ask<T>) -> bool {
            !matches!(ask, Ask::None)
        }
        match self.key {
            "log" => needs.log,
            "config" => needs.config,
            "budget" => needs.budget,
            "http" => some(&needs.http),
            "files" => some(&needs.files),
            "env" => some(&needs.env),
            "model" => some(&needs.model),
            "tools" => some(&needs.tools),
            "messages" => some(&needs.messages),
            "state" => some(&needs.state),
            "clock" => some(&needs.clock),
            "random" => some(&needs.random),
            "secrets" => some(&needs.secrets),
            _ => false,
        }
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
