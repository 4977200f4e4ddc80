//! The answer to "may it?", the same shape for every right, so that the ledger, the guest and the
//! person at the terminal are told the same thing.

/// A refusal, with the rule that decided and the profile line that would change it.
///
/// `wanted` never holds a secret: it is what the guest asked for in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The right that was missing, as a profile key: `http`, `files`, `tools.call`, …
    pub right: &'static str,
    /// What was asked for, canonical: `GET https://api.example.com/x`.
    pub wanted: String,
    /// The rule that said no: `http#none`, `http[0].methods`, `egress.loopback`, …
    pub rule: String,
    /// The profile line that would allow it, where one line can.
    pub cure: Option<String>,
}

/// A permission, naming the rule that gave it: `http[0]`, `files[1]`, `tools.call[0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed<'a, T: ?Sized> {
    /// The index of the rule in its list; 0 for rights that are a single value.
    pub index: usize,
    /// The rule itself.
    pub grant: &'a T,
}

/// Every decision function returns this.
pub type Verdict<'a, T> = Result<Allowed<'a, T>, Denied>;
