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
    pub(super) steps: Vec<&'s Step>,
}

impl<'s> Grouped<'s> {
    pub(super) fn of(steps: impl Iterator<Item = &'s Step>) -> Self {
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
    /// `400 items: 397 ok, 3 failed`, of those that are listed.
    pub(super) fn told(&self) -> String {
        let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
        for step in &self.steps {
            *by_status.entry(step.status.as_str()).or_default() += 1;
        }
        let each = by_status
            .iter()
            .map(|(word, count)| format!("{} {word}", words::count(*count)));
        let each: Vec<String> = each.collect();
        let all = words::plural(self.steps.len() as u64, "item", "items");
        format!("{all}: {}", each.join(", "))
    }

    /// Whether every item ended well.
    pub(super) fn well(&self) -> bool {
        self.steps.iter().all(|step| well(&step.status))
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
        let grouped = Grouped::of(steps.iter());
        let alone: Vec<&str> = grouped.alone.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(alone, ["list", "check"]);
        assert_eq!(grouped.items.len(), 1);
        assert_eq!(grouped.items[0].told(), "3 items: 2 failed, 1 ok");
        assert!(!grouped.items[0].well());
    }
}
