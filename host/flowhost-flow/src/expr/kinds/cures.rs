//! What to write instead of an expression whose kinds do not go together: the words of its cures, and nothing that decides
//! whether one is wrong.

use super::Kinds;

/// How one kind becomes the other, where a function does it.
pub(super) fn conversion(a: Kinds, b: Kinds) -> &'static str {
    let between = |one: Kinds, other: Kinds| {
        let pair =
            |a: Kinds, b: Kinds| a.within(one.or(Kinds::NULL)) && b.within(other.or(Kinds::NULL));
        pair(a, b) || pair(b, a)
    };
    if between(Kinds::TEXT, Kinds::NUMBER) {
        "`string(…)` makes text of a number, and `double(…)` a number of text"
    } else if between(Kinds::TEXT, Kinds::BOOL) {
        "true and false are written without quotes"
    } else {
        ""
    }
}

/// What makes a condition of a value that is none.
pub(crate) fn as_condition(kinds: Kinds) -> &'static str {
    let is = |kind: Kinds| kinds.within(kind.or(Kinds::NULL));
    if is(Kinds::TEXT) {
        "compare it, as in `… != ''`"
    } else if is(Kinds::NUMBER) {
        "compare it, as in `… > 0`"
    } else if is(Kinds::LIST.or(Kinds::OBJECT)) {
        "`size(…) > 0` asks whether it holds anything"
    } else if is(Kinds::OPTIONAL) {
        "`….hasValue()` asks whether it is there, and `….orValue(false)` says what holds if not"
    } else {
        ""
    }
}

/// How a part is had of what has no members.
pub(super) fn of_part(kinds: Kinds, name: &str) -> &'static str {
    let sized = kinds.meets(Kinds::TEXT.or(Kinds::LIST));
    match name {
        "length" | "size" | "count" | "len" if sized => "write `size(…)`",
        _ if kinds.within(Kinds::LIST.or(Kinds::NULL)) => {
            "name an element, as in `…[0]`, or take the member of each: `….map(it, it.NAME)`"
        }
        _ => "",
    }
}
