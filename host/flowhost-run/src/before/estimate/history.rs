//! What steps cost in the newest runs of a plan: a view of their ledgers.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_ledger::{Kind, read_run};

use super::{Amount, Past, Range};
use crate::base::state::State;

/// Earlier runs that are looked at: the newest say most, and each is read from start to end.
const RUNS_MAX: usize = 10;
/// Records after which no older run is looked at. Somebody waits for the run to begin, and these take some ten
/// milliseconds; a run that alone has more is still read.
const RECORDS_MAX: usize = 2_000;

/// A step by path and by the model that it asked first: another model costs something else.
type Step = (String, String);

/// What steps cost in the newest runs of a plan.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Run by run, where the step did all that it had to.
    whole: BTreeMap<Step, Vec<Amount>>,
    /// The most that it had spent where it did not come to its end.
    broken_off: BTreeMap<Step, Amount>,
}

/// What the steps of one run spent, items of a step together.
#[derive(Debug, Default)]
struct OfRun {
    whole: BTreeMap<Step, Amount>,
    broken_off: BTreeMap<Step, Amount>,
}

impl History {
    /// What cannot be read says nothing: an estimate must not keep a run from starting.
    pub(super) fn read(state: &State, past: &dyn Past, plan: &str) -> Self {
        let mut history = Self::default();
        let mut read = 0;
        for run in past.runs(plan, RUNS_MAX) {
            let (steps, records) = of_run(state, &run);
            history.add(steps);
            read += records;
            if read >= RECORDS_MAX {
                break;
            }
        }
        history
    }

    fn add(&mut self, run: OfRun) {
        for (step, amount) in run.whole {
            self.whole.entry(step).or_default().push(amount);
        }
        for (step, amount) in run.broken_off {
            let most = self.broken_off.entry(step).or_default();
            *most = most.most(amount);
        }
    }

    /// The least, the mean and the most that a step has cost, and in how many runs.
    pub(super) fn range(&self, path: &str, model: Option<&str>) -> Option<(Range, u64)> {
        let runs = self.whole.get(&step(path, model?))?;
        let mut sum = Amount::default();
        runs.iter().for_each(|amount| sum.add(*amount));
        let count = runs.len() as u64;
        let first = runs.first().copied()?;
        let range = Range {
            low: runs.iter().fold(first, |least, it| least.least(*it)),
            likely: sum.mean(count),
            high: Some(runs.iter().fold(first, |most, it| most.most(*it))),
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
    let Ok(records) = read_run(&state.run_dir(run)) else {
        return (OfRun::default(), read);
    };
    for record in records.map_while(Result::ok) {
        read += 1;
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        let number = |name: &str| record.number(name).unwrap_or(0);
        match record.kind() {
            Some(Kind::ModelIntent) if record.text("decision") == Some("allow") => {
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
        let is_whole = match path.split_once('[') {
            None => status == "ok",
            Some((of, _)) => {
                ended_well.contains(of) && !above(&path).iter().any(|it| failed.contains(it))
            }
        };
        let sums = match is_whole {
            true => &mut run.whole,
            false => &mut run.broken_off,
        };
        let sum = sums.entry((without_items(&path), model)).or_default();
        sum.add(spent);
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
        for spent in [amount(3, 1), amount(4, 0)] {
            let whole = BTreeMap::from([(step("a", "p/m"), spent)]);
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
        assert_eq!(history.range("a", Some("p/m")), Some((range, 2)));
        assert_eq!(history.range("a", Some("p/other")), None);
        assert_eq!(history.range("b", Some("p/m")), None);
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
            assert_eq!(found.whole.get(&key), whole.then_some(&sum), "{ended:?}");
            assert_eq!(
                found.broken_off.get(&key),
                (!whole).then_some(&sum),
                "{ended:?}"
            );
        }
    }

    #[test]
    fn what_an_item_runs_counts_where_all_around_it_ended_well() {
        let key = step("a/b", "p/m");
        let good = [("a[0]/b", "ok", 5), ("a[0]", "ok", 5), ("a", "ok", 5)];
        assert_eq!(run(&good).whole.get(&key), Some(&amount(5, 0)));
        let bad = [("a[0]/b", "ok", 5), ("a[1]", "failed", 0), ("a", "ok", 5)];
        assert_eq!(run(&bad).whole.get(&key), None);
    }

    #[test]
    fn what_a_step_had_spent_when_it_failed_is_the_least_that_it_would_have_cost() {
        let mut history = History::default();
        history.add(run(&[("a", "failed", 70)]));
        history.add(run(&[("a", "cancelled", 30)]));
        assert_eq!(history.range("a", Some("p/m")), None);
        assert_eq!(history.broken_off("a", Some("p/m")), amount(70, 0));
        assert_eq!(history.broken_off("b", Some("p/m")), amount(0, 0));
    }
}
