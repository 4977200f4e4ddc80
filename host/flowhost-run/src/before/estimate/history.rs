//! What steps cost in the newest runs of a plan: a view of their ledgers.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_ledger::{Kind, RealDisk, read_lent_in};

use super::{Amount, Past, Range};
use crate::base::state::State;

/// Earlier runs that are looked at: the newest say most, and each is read from start to end.
const RUNS_MAX: usize = 10;
/// Records after which no older run is looked at. Somebody waits for the run to begin, and these take some ten
/// milliseconds; a run that alone has more is still read.
const RECORDS_MAX: usize = 2_000;
/// Earlier runs, and records, that are looked at where a step has come to its end in none of the newest: runs that failed
/// before it, or did other steps only, must not hide what it did cost.
const RUNS_LOOKED_MAX: usize = 50;
const RECORDS_LOOKED_MAX: usize = 6_000;

/// A step by path and by the model that it asked first: another model costs something else.
type Step = (String, String);

/// What steps cost in the newest runs of a plan.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Run by run, where the step did all that it had to.
    whole: BTreeMap<Step, Vec<Cost>>,
    /// The most that it had spent where it did not come to its end.
    broken_off: BTreeMap<Step, Amount>,
}

/// What a step spent in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    /// All its items together.
    sum: Amount,
    /// How many those were; 0 for a step without items.
    items: u64,
}

impl Cost {
    /// What it would have been with this many items, where that is known and the step has some.
    fn of_items(self, items: Option<u64>) -> Amount {
        match items {
            Some(items) if self.items > 0 => self.sum.times(items).mean(self.items),
            _ => self.sum,
        }
    }
}

/// What the steps of one run spent, items of a step together.
#[derive(Debug, Default)]
struct OfRun {
    whole: BTreeMap<Step, Cost>,
    broken_off: BTreeMap<Step, Amount>,
}

impl History {
    /// What these steps (path and the model that is asked first) cost. What cannot be read says nothing: an estimate must
    /// not keep a run from starting.
    pub(super) fn read(
        state: &State,
        past: &dyn Past,
        plan: &str,
        steps: &[(&str, String)],
    ) -> Self {
        let runs = past.runs(plan, RUNS_LOOKED_MAX).into_iter();
        Self::of(runs.map(|run| of_run(state, &run)), steps)
    }

    /// Of what runs spent, the newest first, each with how many records it has. Runs beyond the newest are only asked
    /// about steps that none of those has done.
    fn of(runs: impl Iterator<Item = (OfRun, usize)>, steps: &[(&str, String)]) -> Self {
        let mut history = Self::default();
        let mut read = 0;
        let mut missing: Option<BTreeSet<Step>> = None;
        for (at, (mut run, records)) in runs.enumerate() {
            if let Some(missing) = &mut missing {
                run.broken_off.clear();
                run.whole.retain(|step, _| missing.remove(step));
            }
            history.add(run);
            read += records;
            if at + 1 >= RUNS_MAX || read >= RECORDS_MAX {
                let missing = missing.get_or_insert_with(|| history.without(steps));
                if missing.is_empty() || read >= RECORDS_LOOKED_MAX {
                    break;
                }
            }
        }
        history
    }

    /// The steps that came to their end in no run that was read.
    fn without(&self, steps: &[(&str, String)]) -> BTreeSet<Step> {
        let steps = steps.iter().map(|(path, model)| step(path, model));
        steps.filter(|it| !self.whole.contains_key(it)).collect()
    }

    fn add(&mut self, run: OfRun) {
        for (step, cost) in run.whole {
            self.whole.entry(step).or_default().push(cost);
        }
        for (step, amount) in run.broken_off {
            let most = self.broken_off.entry(step).or_default();
            *most = most.most(amount);
        }
    }

    /// The least, the mean and the most that a step has cost, and in how many runs. Of a step with `items`, where their
    /// number is known, what each of them has cost, that many times: the next list may be longer.
    pub(super) fn range(
        &self,
        path: &str,
        model: Option<&str>,
        items: Option<u64>,
    ) -> Option<(Range, u64)> {
        let runs = self.whole.get(&step(path, model?))?;
        let runs = runs.iter().map(|cost| cost.of_items(items));
        let mut sum = Amount::default();
        runs.clone().for_each(|amount| sum.add(amount));
        let count = runs.len() as u64;
        let range = Range {
            low: runs.clone().reduce(Amount::least)?,
            likely: sum.mean(count),
            high: runs.reduce(Amount::most),
        };
        Some((range, count))
    }

    /// What a step had spent at most when it failed or was stopped: it would have cost more.
    pub(super) fn broken_off(&self, path: &str, model: Option<&str>) -> Amount {
        let amount = model.and_then(|model| self.broken_off.get(&step(path, model)));
        amount.copied().unwrap_or_default()
    }
}

fn step(path: &str, model: &str) -> Step {
    (path.to_owned(), model.to_owned())
}

/// One record of how a step, or an item of it, ended.
struct Ended {
    path: String,
    /// The model that it asked first; none where it asked none itself.
    model: Option<String>,
    status: String,
    spent: Amount,
}

/// What each step of a run spent, and how many records the run has.
fn of_run(state: &State, run: &str) -> (OfRun, usize) {
    let mut read = 0;
    let mut ended = Vec::new();
    let mut models = BTreeMap::<String, String>::new();
    let dir = state.run_dir(run);
    let Ok(batches) = read_lent_in(&RealDisk, &dir) else {
        return (OfRun::default(), read);
    };
    // Up to what cannot be read: a run that goes on, or was killed, ends in the middle of something.
    for batch in batches.map_while(Result::ok) {
        for record in batch.records() {
            read += 1;
            let text = |name: &str| record.text(name).unwrap_or_default().into_owned();
            let number = |name: &str| record.number(name).unwrap_or(0);
            match record.kind {
                Some(Kind::ModelIntent) if record.text("decision").as_deref() == Some("allow") => {
                    models.entry(text("step")).or_insert_with(|| text("asked"));
                }
                Some(Kind::StepEnd) => ended.push(Ended {
                    path: text("path"),
                    model: models.get(&text("step")).cloned(),
                    status: text("status"),
                    spent: Amount {
                        tokens: number("tokens"),
                        micro_usd: number("micro_usd"),
                    },
                }),
                _ => {}
            }
        }
    }
    (summed(ended), read)
}

/// Steps that did not end well say nothing of those that do: a run that its budget stopped at the second of ten items
/// would make the next one look cheap. A step with items counts where it ended well and so did all of them.
fn summed(ended: Vec<Ended>) -> OfRun {
    let ended_well: BTreeSet<String> = ended
        .iter()
        .filter(|it| it.status == "ok")
        .map(|it| it.path.clone())
        .collect();
    let failed: BTreeSet<String> = ended
        .iter()
        .filter(|it| !matches!(it.status.as_str(), "ok" | "skipped"))
        .map(|it| without_items(&it.path))
        .collect();
    let mut run = OfRun::default();
    for Ended {
        path,
        model,
        status,
        spent,
    } in ended
    {
        // A step with items repeats their sum and asks no model itself: the items count.
        let Some(model) = model else { continue };
        let of = path.split_once('[').map(|(of, _)| of);
        let is_whole = match of {
            None => status == "ok",
            Some(of) => {
                ended_well.contains(of) && !above(&path).iter().any(|it| failed.contains(it))
            }
        };
        let key = (without_items(&path), model);
        if is_whole {
            let cost = run.whole.entry(key).or_default();
            cost.sum.add(spent);
            cost.items += u64::from(of.is_some());
        } else {
            run.broken_off.entry(key).or_default().add(spent);
        }
    }
    run
}

/// A path and all above it, without items: `audit[3]/read` gives `audit` and `audit/read`.
fn above(path: &str) -> Vec<String> {
    let path = without_items(path);
    let ends = path.match_indices('/').map(|(at, _)| at);
    let all = ends.chain([path.len()]).filter_map(|end| path.get(..end));
    all.map(str::to_owned).collect()
}

/// `audit[3]/read` is `audit/read`.
fn without_items(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: u64, micro_usd: u64) -> Amount {
        Amount { tokens, micro_usd }
    }

    #[test]
    fn a_mean_rounds_up_between_the_least_and_the_most() {
        let mut history = History::default();
        for sum in [amount(3, 1), amount(4, 0)] {
            let whole = BTreeMap::from([(step("a", "p/m"), Cost { sum, items: 0 })]);
            history.add(OfRun {
                whole,
                ..OfRun::default()
            });
        }
        let range = Range {
            low: amount(3, 0),
            likely: amount(4, 1),
            high: Some(amount(4, 1)),
        };
        assert_eq!(history.range("a", Some("p/m"), None), Some((range, 2)));
        assert_eq!(history.range("a", Some("p/other"), None), None);
        assert_eq!(history.range("b", Some("p/m"), None), None);
    }

    #[test]
    fn items_are_one_step() {
        assert_eq!(without_items("audit[3]/read[10]"), "audit/read");
        assert_eq!(above("audit[3]/read[10]"), ["audit", "audit/read"]);
    }

    /// Path, status and tokens; what has items asks no model itself.
    fn run(ended: &[(&str, &str, u64)]) -> OfRun {
        let asks = |path: &str| {
            path.contains('[') || !ended.iter().any(|it| it.0.starts_with(&format!("{path}[")))
        };
        let ended = ended.iter().map(|(path, status, tokens)| Ended {
            path: (*path).to_owned(),
            model: asks(path).then(|| "p/m".to_owned()),
            status: (*status).to_owned(),
            spent: amount(*tokens, 0),
        });
        summed(ended.collect())
    }

    #[test]
    fn a_run_that_was_stopped_among_the_items_does_not_make_the_next_one_look_cheap() {
        let key = step("a", "p/m");
        for (ended, whole) in [
            (
                &[("a[0]", "ok", 5), ("a[1]", "ok", 7), ("a", "ok", 12)][..],
                true,
            ),
            (
                &[("a[0]", "ok", 5), ("a[1]", "skipped", 0), ("a", "ok", 5)][..],
                true,
            ),
            (
                &[
                    ("a[0]", "ok", 5),
                    ("a[1]", "failed", 7),
                    ("a", "failed", 12),
                ][..],
                false,
            ),
            // The plan lives with what failed, and it did not cost what it would have.
            (
                &[("a[0]", "ok", 5), ("a[1]", "failed", 7), ("a", "ok", 12)][..],
                false,
            ),
            (&[("a[0]", "ok", 5), ("a[1]", "cancelled", 7)][..], false),
            // The process died.
            (&[("a[0]", "ok", 5)][..], false),
        ] {
            let sum = amount(
                ended.iter().filter(|it| it.0 != "a").map(|it| it.2).sum(),
                0,
            );
            let found = run(ended);
            let found_whole = found.whole.get(&key).map(|it| &it.sum);
            assert_eq!(found_whole, whole.then_some(&sum), "{ended:?}");
            assert_eq!(
                found.broken_off.get(&key),
                (!whole).then_some(&sum),
                "{ended:?}"
            );
        }
    }

    #[test]
    fn a_longer_list_costs_more_than_the_one_before() {
        let mut history = History::default();
        history.add(run(&[
            ("a[0]", "ok", 5),
            ("a[1]", "ok", 7),
            ("a", "ok", 12),
        ]));
        history.add(run(&[("a[0]", "ok", 9), ("a", "ok", 9)]));
        let (range, runs) = history.range("a", Some("p/m"), Some(10)).unwrap();
        assert_eq!(runs, 2);
        assert_eq!((range.low, range.likely), (amount(60, 0), amount(75, 0)));
        assert_eq!(range.high, Some(amount(90, 0)));
        let (range, _) = history.range("a", Some("p/m"), None).unwrap();
        assert_eq!((range.low, range.likely), (amount(9, 0), amount(11, 0)));
        // A step without items costs what it did.
        history.add(run(&[("b", "ok", 4)]));
        let (range, _) = history.range("b", Some("p/m"), Some(1)).unwrap();
        assert_eq!(range.likely, amount(4, 0));
    }

    #[test]
    fn what_an_item_runs_counts_where_all_around_it_ended_well() {
        let key = step("a/b", "p/m");
        let good = [("a[0]/b", "ok", 5), ("a[0]", "ok", 5), ("a", "ok", 5)];
        assert_eq!(run(&good).whole[&key].sum, amount(5, 0));
        let bad = [("a[0]/b", "ok", 5), ("a[1]", "failed", 0), ("a", "ok", 5)];
        assert_eq!(run(&bad).whole.get(&key), None);
    }

    #[test]
    fn runs_that_failed_before_a_step_do_not_hide_what_it_cost() {
        let steps = [("a", "p/m".to_owned()), ("b", "p/m".to_owned())];
        let failed = || (run(&[("a", "ok", 5)]), RECORDS_MAX / 4);
        let older = || run(&[("a", "ok", 50), ("b", "ok", 70)]);
        let tokens = |history: &History, path: &str| {
            let (range, runs) = history.range(path, Some("p/m"), None)?;
            Some((range.likely.tokens, runs))
        };
        let newest = (0..6).map(|_| failed());
        let history = History::of(newest.chain([(older(), 9), (older(), 9)]), &steps);
        // What the newest say of `a` stands, and of `b` the newest that has it does.
        assert_eq!(tokens(&history, "a"), Some((5, 4)));
        assert_eq!(tokens(&history, "b"), Some((70, 1)));
        // Twelve short ones, which are more runs than are read of a step that all of them have.
        let many = (0..12).map(|_| (run(&[("a", "ok", 5)]), 3));
        let history = History::of(many.chain([(older(), 9)]), &steps);
        assert_eq!(tokens(&history, "a"), Some((5, 10)));
        assert_eq!(tokens(&history, "b"), Some((70, 1)));
        // Somebody waits: a step that no run has done is not looked for in all of them.
        let long = (0..50).map(|_| (run(&[("a", "ok", 5)]), RECORDS_LOOKED_MAX / 4));
        let history = History::of(long.chain([(older(), 9)]), &steps);
        assert_eq!(tokens(&history, "b"), None);
    }

    #[test]
    fn what_a_step_had_spent_when_it_failed_is_the_least_that_it_would_have_cost() {
        let mut history = History::default();
        history.add(run(&[("a", "failed", 70)]));
        history.add(run(&[("a", "cancelled", 30)]));
        assert_eq!(history.range("a", Some("p/m"), None), None);
        assert_eq!(history.broken_off("a", Some("p/m")), amount(70, 0));
        assert_eq!(history.broken_off("b", Some("p/m")), amount(0, 0));
    }
}
