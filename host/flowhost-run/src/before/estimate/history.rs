//! What steps cost in the newest runs of a plan: a view of their ledgers.

use std::collections::BTreeMap;

use flowhost_ledger::{Kind, read_run};

use super::{Amount, Past, Range};
use crate::base::state::State;

/// Earlier runs that are looked at: the newest say most, and each is read from start to end.
const RUNS_MAX: usize = 10;
/// Records after which no older run is looked at. Somebody waits for the run to begin, and these take some ten
/// milliseconds; a run that alone has more is still read.
const RECORDS_MAX: usize = 2_000;

/// What steps cost in the newest runs of a plan.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By path and model, run by run: another model costs something else.
    steps: BTreeMap<(String, String), Vec<Amount>>,
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

    fn add(&mut self, run: BTreeMap<(String, String), Amount>) {
        for (step, amount) in run {
            self.steps.entry(step).or_default().push(amount);
        }
    }

    /// The least, the mean and the most that a step has cost, and in how many runs.
    pub(super) fn range(&self, path: &str, model: Option<&str>) -> Option<(Range, u64)> {
        let step = (path.to_owned(), model?.to_owned());
        let runs = self.steps.get(&step)?;
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
}

/// Each step of a run, by path and by the model that it asked first, with what it and its items spent;
/// steps that did not end well say nothing of those that do. And how many records it has.
fn of_run(state: &State, run: &str) -> (BTreeMap<(String, String), Amount>, usize) {
    let mut read = 0;
    let mut own = BTreeMap::new();
    let mut items = BTreeMap::<(String, String), Amount>::new();
    let mut models = BTreeMap::<String, String>::new();
    let Ok(records) = read_run(&state.run_dir(run)) else {
        return (own, read);
    };
    for record in records.map_while(Result::ok) {
        read += 1;
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        if record.kind() == Some(Kind::ModelIntent) && record.text("decision") == Some("allow") {
            models.entry(text("step")).or_insert_with(|| text("asked"));
        }
        let good = record.kind() == Some(Kind::StepEnd) && record.text("status") == Some("ok");
        let Some(path) = record.text("path").filter(|_| good) else {
            continue;
        };
        let number = |name: &str| record.number(name).unwrap_or(0);
        let amount = Amount {
            tokens: number("tokens"),
            micro_usd: number("micro_usd"),
        };
        // A step with items repeats their sum and asks no model itself: the items count.
        let Some(model) = models.get(&text("step")).cloned() else {
            continue;
        };
        match path.split_once('[') {
            Some(_) => {
                let step = (without_items(path), model);
                items.entry(step).or_default().add(amount);
            }
            None => drop(own.insert((path.to_owned(), model), amount)),
        }
    }
    own.extend(items);
    (own, read)
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
    fn a_mean_rounds_up_between_the_least_and_the_most_and_items_are_one_step() {
        let mut history = History::default();
        let step = || ("a".to_owned(), "p/m".to_owned());
        history.add(BTreeMap::from([(step(), amount(3, 1))]));
        history.add(BTreeMap::from([(step(), amount(4, 0))]));
        let range = Range {
            low: amount(3, 0),
            likely: amount(4, 1),
            high: Some(amount(4, 1)),
        };
        assert_eq!(history.range("a", Some("p/m")), Some((range, 2)));
        assert_eq!(history.range("a", Some("p/other")), None);
        assert_eq!(history.range("b", Some("p/m")), None);
        assert_eq!(without_items("audit[3]/read[10]"), "audit/read");
    }
}
