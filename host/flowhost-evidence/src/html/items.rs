//! Steps by what a reader thinks of: a step on its own, and the items of a `foreach` together.

use std::collections::BTreeMap;

use super::words;
use crate::story::Step;

/// The listed steps of a run, in the ledger's order.
pub(super) struct Grouped<'s> {
    /// Steps that are no item of another.
    pub(super) alone: Vec<&'s Step>,
    /// The items of each `foreach`, with what they run below them.
    pub(super) items: Vec<Items<'s>>,
}

/// The items of one `foreach`.
pub(super) struct Items<'s> {
    /// The path of the step.
    pub(super) of: &'s str,
    /// Those of them that are listed, with what they run below them.
    pub(super) steps: Vec<&'s Step>,
    /// How many of all ended how.
    counts: Option<&'s BTreeMap<String, u64>>,
}

impl<'s> Grouped<'s> {
    /// `all` counts the items of each step, listed or not.
    pub(super) fn of(
        steps: impl Iterator<Item = &'s Step>,
        all: &'s BTreeMap<String, BTreeMap<String, u64>>,
    ) -> Self {
        let mut grouped = Self {
            alone: Vec::new(),
            items: Vec::new(),
        };
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for step in steps {
            // `check[3]`, and `check[3]/read` of a plan that the item runs.
            let Some((of, _)) = step.path.split_once('[') else {
                grouped.alone.push(step);
                continue;
            };
            let place = *places.entry(of).or_insert_with(|| {
                grouped.items.push(Items {
                    of,
                    steps: Vec::new(),
                    counts: all.get(of),
                });
                grouped.items.len() - 1
            });
            if let Some(items) = grouped.items.get_mut(place) {
                items.steps.push(step);
            }
        }
        grouped
    }
}

impl Items<'_> {
    /// `400 items: 3 failed, 397 ok`, of all.
    pub(super) fn told(&self) -> String {
        let counts = self.counts.into_iter().flatten();
        let each = counts.map(|(word, count)| format!("{} {word}", words::count(*count)));
        let each: Vec<String> = each.collect();
        let all = words::plural(self.all(), "item", "items");
        format!("{all}: {}", each.join(", "))
    }

    /// How many there are, listed or not.
    fn all(&self) -> u64 {
        self.counts
            .into_iter()
            .flatten()
            .map(|(_, count)| count)
            .sum()
    }

    /// How many of them did not end well, listed or not.
    pub(super) fn troubled(&self) -> u64 {
        let counts = self.counts.into_iter().flatten();
        let bad = counts.filter(|(word, _)| !well(word));
        bad.map(|(_, count)| count).sum()
    }

    /// Whether every item ended well, and what they ran.
    pub(super) fn well(&self) -> bool {
        self.troubled() == 0 && self.steps.iter().all(|step| well(&step.status))
    }
}

/// Whether a status is nothing to look into: the page's filter leaves these out.
pub(super) fn well(status: &str) -> bool {
    matches!(status, "ok" | "skipped" | "pass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_together_and_are_counted_by_how_they_ended() {
        let step = |path: &str, status: &str| Step {
            path: path.to_owned(),
            status: status.to_owned(),
            ..Step::default()
        };
        let steps = [
            step("list", "ok"),
            step("check", "ok"),
            step("check[0]", "ok"),
            step("check[1]", "failed"),
            step("check[1]/read", "failed"),
        ];
        let count = |pairs: &[(&str, u64)]| {
            let pairs = pairs
                .iter()
                .map(|(word, count)| ((*word).to_owned(), *count));
            pairs.collect::<BTreeMap<String, u64>>()
        };
        let all = BTreeMap::from([("check".to_owned(), count(&[("ok", 398), ("failed", 4)]))]);
        let grouped = Grouped::of(steps.iter(), &all);
        let alone: Vec<&str> = grouped.alone.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(alone, ["list", "check"]);
        assert_eq!(grouped.items.len(), 1);
        // What is listed is a part of them, and the words are about all.
        assert_eq!(grouped.items[0].told(), "402 items: 4 failed, 398 ok");
        assert_eq!(grouped.items[0].troubled(), 4);
        assert!(!grouped.items[0].well());
    }
}
