//! One list of fuzz targets: a name, a function over bytes, and the words of its format.
//!
//! A target asserts what must hold for every input; "never panics" is the least of it. It must not
//! read anything but its input, so that a finding is reproduced by its bytes alone. The list drives
//! the replay in `tests/replay.rs`, and the folder `corpus/<name>` holds the target's seeds: a target
//! without seeds, or a folder without a target, fails the test.

pub mod mutate;
mod targets;

/// What a target made of an input, when nothing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The parser took it, so the properties of accepted input were checked.
    Accepted,
    /// The parser refused it.
    Refused,
}

impl Outcome {
    const fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// One entry of the list.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and the name of its folder below `corpus/`.
    pub name: &'static str,
    /// Checks one input. Panics when a property does not hold.
    pub run: fn(&[u8]) -> Outcome,
    /// Words of the format, which mutations put in.
    pub words: &'static [&'static str],
}

/// Every target of this build.
///
/// # Examples
///
/// ```
/// let url = flowhost_fuzz::target("url").unwrap();
/// assert_eq!((url.run)(b"https://a.example/"), flowhost_fuzz::Outcome::Accepted);
/// ```
pub const TARGETS: &[Target] = &[
    targets::policy::PROFILE,
    targets::policy::MANIFEST,
    targets::policy::NARROWING,
    targets::policy::CASES,
    targets::url::URL,
    targets::url::RULE,
    targets::flow::PLAN,
    targets::flow::EXPRESSION,
    targets::flow::TEMPLATE,
    targets::flow::AMOUNT,
    targets::ledger::LINE,
    targets::ledger::NOTE,
    targets::ledger::VKEY,
    targets::ledger::HOST_KEY,
    targets::ledger::TRUST,
    targets::ledger::PROOF,
    targets::store::FOLDER,
    targets::store::WITNESS,
    targets::store::BUNDLE,
    targets::bus::ENVELOPE,
    targets::bus::SUBJECT,
    targets::detect::DETECT,
    targets::evidence::EVIDENCE,
    targets::mcp::FRAME,
    targets::mcp::HEADER,
    targets::mcp::EVENTS,
    targets::models::OPENAI,
    targets::models::RESPONSES,
    targets::models::ANTHROPIC,
    targets::oauth::ASKED,
    targets::oauth::DOCUMENTS,
    targets::oauth::ANSWER,
    targets::oauth::TOKEN,
    targets::remote::PLACE,
    targets::remote::ARTIFACT,
    targets::remote::CHALLENGE,
    #[cfg(feature = "engine")]
    targets::engine::INSPECT,
    #[cfg(feature = "engine")]
    targets::engine::JSON,
];

/// The targets that a build without the feature `engine` leaves out.
pub const ENGINE_ONLY: &[&str] = &["inspect", "json"];

/// The target of that name, if this build has it.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
