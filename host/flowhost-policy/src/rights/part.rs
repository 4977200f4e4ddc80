//! What a right's folder says: the one trait that the list is made from.
//!
//! Every item is about the right's own part of a document. What most rights do alike stands in
//! `flag` (a yes or no), `ladder` (a step on a ladder) and `list` (a list of texts).

use crate::{
    ask::Asked,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::{Asks, Question},
    stranger::Taken,
    suggest::{Amendment, Outcome, Refusal},
    walk::Walk,
};

/// One right's part of every document and of every step.
pub(crate) trait Part {
    /// What a profile grants of it; the default grants nothing.
    type Granted: Clone + Default + PartialEq;
    /// What a document that only takes away says of it.
    type Asked: Asked;

    /// The capability that serves it, which is also its WIT package.
    const CAPABILITY: &'static str;
    /// Profile lines that grant a first, small piece of it.
    const LINES: &'static str;
    /// The keys of its table in a profile.
    const KEYS: &'static [&'static str] = &[];
    /// What a table of cases may ask of it.
    const QUESTIONS: &'static [Question] = &[];
    /// Whether it can be written down and hold nothing.
    const MAY_BE_EMPTY: bool = true;
    /// Interfaces beside its own package that a component cannot run without.
    const HARD: &'static [&'static str] = &[];
    /// Interfaces that are linked empty without the right.
    const SOFT: &'static [&'static str] = &[];

    /// Reads a profile.
    fn read(reader: &mut Reader, fields: &Fields<'_>) -> Self::Granted;

    /// Reads a manifest's `[needs]` or a plan's narrowing.
    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Self::Asked;

    /// What a caller that holds `granted` passes on.
    fn passed_on(granted: &Self::Granted) -> Self::Asked;

    /// Whether `granted` is more than nothing.
    fn holds(granted: &Self::Granted) -> bool;

    /// What is left of `granted` after every document has taken its part.
    fn narrow(
        walk: &mut Walk<'_>,
        granted: &Self::Granted,
        pick: fn(&Asks) -> &Self::Asked,
    ) -> Self::Granted;

    /// Reports what `asked` would raise over `granted`. A yes or no cannot: a plan that says yes to
    /// what the profile does not grant changes nothing.
    fn raises(_raised: &mut Raised<'_>, _asked: &Self::Asked, _granted: &Self::Granted) {}

    /// Writes the canonical lines.
    fn write(lines: &mut Lines, granted: &Self::Granted);

    /// Takes away what only the operator gives. Most rights have nothing of that kind.
    fn lend(_granted: &mut Self::Granted, _taken: &mut Taken<'_>) {}

    /// Writes into a profile's text what `refusal` lacked. A right that is never refused in a call
    /// (its interface is linked or it is not) has nothing to write.
    fn amend(_amendment: &mut Amendment, _refusal: &Refusal<'_>) -> Outcome {
        Outcome::Never
    }

    /// Whether `granted` allows what was refused to `plugin`.
    fn allows(_granted: &Self::Granted, _plugin: &str, _refusal: &Refusal<'_>) -> bool {
        false
    }
}
