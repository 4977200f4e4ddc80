//! What words in records say: which right a rule is of, which steps a path is part of, whose an actor is, how something
//! ended.

use flowhost_ledger::records::DecisionPart;

use super::span::Status;

/// The right that was missing, or what its rule begins with (`messages.cycle` names none).
pub(super) fn right_of(decided: &DecisionPart) -> String {
    let rule = decided.rule.as_deref().unwrap_or("");
    let end = rule.find(['.', '[', '#']).unwrap_or(rule.len());
    match decided.right.as_deref() {
        None | Some("") => rule.get(..end).unwrap_or_default().to_owned(),
        Some(right) => right.to_owned(),
    }
}

/// Paths of the steps that a step is part of, innermost first: an item's `foreach`, a sub-plan's
/// step, a handler's failed one.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(above(path), |path| above(path))
}

fn above(path: &str) -> Option<&str> {
    let end = match path.strip_suffix(']') {
        Some(_) => path.rfind('[')?,
        None => path.rfind(['/', '!'])?,
    };
    path.get(..end).filter(|above| !above.is_empty())
}

/// A status word, and the class of a failure where there is one.
pub(super) fn status_of(status: &str, class: &str) -> Status {
    match (status, class) {
        ("ok", _) => Status::Ok,
        ("skipped" | "", _) => Status::Unset,
        (status, "") => Status::Error(status.to_owned()),
        (_, class) => Status::Error(class.to_owned()),
    }
}
