//! Which agents of a conflict contradict each other.
//!
//! A point is compared for all agents at once, and its conflict has the positions of all of them: also of two that share
//! enough, where a third shares nothing with either. Whoever looks for the model that does not fit must not be shown those
//! two. The measure stands in the words of the issue, as the host writes them (`flowhost-flow`, `consensus/compare.rs`):
//! it is applied again to each pair of positions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::disagree::plain;
use super::read::Dispute;

/// What a position is where an answer has nothing at the place.
const NOTHING: &str = "nothing";
/// What a position that was too long ends with.
const CUT: char = '…';

/// Pairs of agents that contradict each other, in the order of their names.
pub(super) fn parted(dispute: &Dispute) -> Vec<(&str, &str)> {
    let measured = pairs(dispute, |one, other| apart(dispute, one, other));
    match measured.is_empty() {
        // Positions are cut, so that a measure may find nothing in them: that somebody disagreed is on record.
        true => pairs(dispute, differ),
        false => measured,
    }
}

fn pairs(dispute: &Dispute, apart: impl Fn(&str, &str) -> bool) -> Vec<(&str, &str)> {
    let said = || dispute.positions.iter();
    let pairs = said().enumerate().flat_map(|(at, one)| {
        let others = said().skip(at + 1);
        others.map(move |other| (one, other))
    });
    pairs
        .filter(|((_, one), (_, other))| apart(one.as_str(), other.as_str()))
        .map(|((agent, _), (other, _))| (agent.as_str(), other.as_str()))
        .collect()
}

fn differ(one: &str, other: &str) -> bool {
    plain(one) != plain(other)
}

/// Whether two positions lie further apart than the point allows; of what the host did not compare, whether they differ.
fn apart(dispute: &Dispute, one: &str, other: &str) -> bool {
    let issue = dispute.issue.as_str();
    if dispute.found_by != "host" || !issue.starts_with('/') {
        return differ(one, other);
    }
    if issue.ends_with("some answers have nothing there") {
        return (one == NOTHING) != (other == NOTHING);
    }
    if issue.contains(" (set): ") {
        return match (entries_of_json(one), entries_of_json(other)) {
            (Some(one), Some(other)) => one != other,
            _ => differ(one, other),
        };
    }
    let wanted = between(issue, "at least ", " is wanted").and_then(milli);
    let allowed = between(issue, " apart, ", " allowed").and_then(|it| it.parse::<f64>().ok());
    match (wanted, allowed) {
        (Some(wanted), _) if issue.contains(" (overlap): ") => overlap_milli(one, other) < wanted,
        (Some(wanted), _) if issue.contains(" (text): ") => dice_milli(one, other) < wanted,
        (_, Some(allowed)) => match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => (one - other).abs() > allowed,
            _ => differ(one, other),
        },
        _ => differ(one, other),
    }
}

/// What stands between two words, the last time that they are there: a place of an answer may hold them too.
fn between<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    let (_, rest) = text.rsplit_once(before)?;
    rest.split_once(behind).map(|(found, _)| found)
}

/// `0.500` as 500.
fn milli(share: &str) -> Option<usize> {
    share.replace('.', "").parse().ok()
}

/// The entries of a list that was written whole.
fn entries_of_json(text: &str) -> Option<BTreeSet<String>> {
    let list: Vec<Value> = serde_json::from_str(text).ok()?;
    Some(
        list.iter()
            .map(|it| it.to_string().to_lowercase())
            .collect(),
    )
}

/// What two lists share of the shorter one, in thousandths. Of a list that was cut, what is shown are its first entries in
/// the order of texts: beyond the last of them nothing is known, and nothing is counted.
fn overlap_milli(one: &str, other: &str) -> usize {
    let ((one, one_to), (other, other_to)) = (shown(one), shown(other));
    let known_to = match (one_to, other_to) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let known = |entries: &BTreeSet<&str>| {
        let is_known = |it: &&&str| known_to.is_none_or(|to| **it <= to);
        entries.iter().filter(is_known).count()
    };
    let common = one.intersection(&other).count();
    let shorter = known(&one).min(known(&other)).max(1);
    (common * 1_000 / shorter).min(1_000)
}

/// The entries of a position that are whole, and the last of them where there were more.
fn shown(position: &str) -> (BTreeSet<&str>, Option<&str>) {
    let whole = match position.strip_suffix(CUT) {
        None => position,
        // The entry that was cut names none; where it is the only one, its beginning has to do.
        Some(cut) => cut.rsplit_once("; ").map_or(cut, |(whole, _)| whole),
    };
    let entries = whole.split("; ").filter(|it| !it.is_empty());
    let entries: BTreeSet<&str> = entries.collect();
    let last = entries.last().copied();
    (entries, last.filter(|_| position.ends_with(CUT)))
}

/// What two texts share of their words (Sørensen–Dice), in thousandths, as far as they are shown.
fn dice_milli(one: &str, other: &str) -> usize {
    let (one, other) = (words(one), words(other));
    let total: usize = one.values().chain(other.values()).sum();
    let common = one
        .iter()
        .map(|(word, count)| (*count).min(other.get(word).copied().unwrap_or(0)));
    (2_000 * common.sum::<usize>())
        .checked_div(total)
        .unwrap_or(1_000)
}

fn words(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let words = text.split(|c: char| !c.is_alphanumeric());
    for word in words.filter(|it| !it.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(issue: &str, said: &[(&str, &str)]) -> Vec<String> {
        let positions = said.iter();
        let dispute = Dispute {
            spec: String::new(),
            stage: String::new(),
            run: String::new(),
            issue: issue.to_owned(),
            found_by: "host".to_owned(),
            positions: positions
                .map(|(agent, said)| ((*agent).to_owned(), (*said).to_owned()))
                .collect(),
            settled: None,
        };
        let pairs = parted(&dispute).into_iter();
        pairs.map(|(one, other)| format!("{one}|{other}")).collect()
    }

    #[test]
    fn two_that_share_enough_are_not_blamed_for_a_third() {
        let shares = "/risks (overlap): entries shared 0.000, at least 0.500 is wanted";
        let all = [("a", "x; y; z"), ("b", "w; x; y"), ("c", "k; l; m")];
        assert_eq!(of(shares, &all), ["a|c", "b|c"]);
        // Each is longer than what is shown of it.
        let cut = [("a", "p; q; ra…"), ("b", "p; q; rb…"), ("c", "k; l; m…")];
        assert_eq!(of(shares, &cut), ["a|c", "b|c"]);
        let apart = "/cost (number): 9 apart, 2 allowed";
        assert_eq!(
            of(apart, &[("a", "1"), ("b", "2.5"), ("c", "10")]),
            ["a|c", "b|c"]
        );
        let text = "/why (text): words shared 0.100, at least 0.600 is wanted";
        let said = [
            ("a", "The queue is slow"),
            ("b", "the queue was slow"),
            ("c", "Nobody asked"),
        ];
        assert_eq!(of(text, &said), ["a|c", "b|c"]);
        let set = "/days (set): the entries differ";
        let said = [("a", "[1,2]"), ("b", "[2,1]"), ("c", "[1]")];
        assert_eq!(of(set, &said), ["a|c", "b|c"]);
        let none = "/days (overlap): some answers have nothing there";
        assert_eq!(
            of(none, &[("a", "x"), ("b", "y"), ("c", "nothing")]),
            ["a|c", "b|c"]
        );
    }

    #[test]
    fn a_conflict_in_which_no_measure_finds_anybody_is_everybodys_who_said_something_else() {
        let shares = "/risks (overlap): entries shared 0.000, at least 0.500 is wanted";
        assert_eq!(of(shares, &[("a", "x…"), ("b", "x")]), ["a|b"; 0]);
        assert_eq!(of(shares, &[("a", "x; y"), ("b", "x; z")]), ["a|b"]);
        assert_eq!(of("the vote", &[("a", "x"), ("b", "y")]), ["a|b"]);
    }
}
