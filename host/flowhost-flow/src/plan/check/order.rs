//! In which order the steps of a workflow can run, and where they wait for each other for ever.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::plan::Plan;
use crate::plan::check::Check;
use crate::plan::tree::Node;

/// Which steps come before which: one bit per pair, so that the largest plan takes 12 MiB
/// and not the square of its names.
pub(super) struct Before<'p> {
    places: BTreeMap<&'p str, usize>,
    /// By place: a bit for each step that it needs, directly or not; `None` for steps on or behind a
    /// cycle, which is reported elsewhere.
    sets: Vec<Option<Vec<u64>>>,
}

impl<'p> Before<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let steps = plan.steps();
        let places: BTreeMap<&str, usize> = steps
            .iter()
            .enumerate()
            .map(|(place, step)| (step.id.as_str(), place))
            .collect();
        let words = steps.len().div_ceil(64);
        let mut sets: Vec<Option<Vec<u64>>> = vec![None; steps.len()];
        for id in in_order(plan).0 {
            let mut set = vec![0_u64; words];
            for need in plan
                .step(id)
                .map(|step| step.needs.as_slice())
                .unwrap_or_default()
            {
                let Some(place) = places.get(need.as_str()) else {
                    continue;
                };
                if let Some(word) = set.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
                for (word, above) in set
                    .iter_mut()
                    .zip(sets.get(*place).into_iter().flatten().flatten())
                {
                    *word |= above;
                }
            }
            if let Some(place) = places.get(id).and_then(|place| sets.get_mut(*place)) {
                *place = Some(set);
            }
        }
        Self { places, sets }
    }

    /// Whether `first` comes before `then`; `None` when a cycle leaves that open.
    pub(super) fn comes(&self, first: &str, then: &str) -> Option<bool> {
        let first = self.places.get(first)?;
        let set = self.sets.get(*self.places.get(then)?)?.as_ref()?;
        Some(
            set.get(first / 64)
                .is_some_and(|word| word & (1 << (first % 64)) != 0),
        )
    }
}

/// The steps in an order in which each comes after its needs, and those that have no such order. By their places:
/// names are looked up once for each need, in a plan that may have ten thousand.
fn in_order(plan: &Plan) -> (Vec<&str>, BTreeSet<&str>) {
    let steps = plan.steps();
    let named = steps.iter().enumerate();
    let places: HashMap<&str, usize> = named
        .map(|(place, step)| (step.id.as_str(), place))
        .collect();
    let mut waiting = vec![0_usize; steps.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    for (place, (step, waits)) in steps.iter().zip(&mut waiting).enumerate() {
        for need in step
            .needs
            .iter()
            .filter_map(|need| places.get(need.as_str()))
        {
            if let Some(dependents) = dependents.get_mut(*need) {
                dependents.push(place);
                *waits += 1;
            }
        }
    }
    let free = waiting.iter().enumerate().filter(|(_, waits)| **waits == 0);
    let mut ready: Vec<usize> = free.map(|(place, _)| place).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(place) = ready.pop() {
        order.extend(steps.get(place).map(|step| step.id.as_str()));
        for dependent in dependents.get(place).into_iter().flatten() {
            if let Some(waits) = waiting.get_mut(*dependent) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push(*dependent);
                }
            }
        }
    }
    let stuck = steps.iter().zip(&waiting).filter(|(_, waits)| **waits > 0);
    let left = stuck.map(|(step, _)| step.id.as_str()).collect();
    (order, left)
}

impl<'p> Check<'p> {
    /// Reports cycles of needs, each with its steps in order. A step is in one report at most.
    pub(super) fn cycles(&mut self, root: &Node) {
        let (_, mut left) = in_order(self.plan);
        let mut looked = BTreeMap::new();
        // Each walk begins anew, so that thousands of cycles behind a long chain would take its square; and those
        // that are not listed nobody reads of.
        while !self.problems.is_full()
            && let Some(cycle) = self.find_cycle(&mut left, &mut looked)
        {
            let Some(first) = cycle.first().filter(|_| cycle.len() > 1) else {
                continue;
            };
            let place = root
                .get("steps")
                .and_then(|steps| steps.get(first)?.get("needs"));
            let path = cycle.join("` needs `");
            let message = format!("the steps wait for each other: `{path}` needs `{first}`");
            let at = place.map(|node| node.at).unwrap_or_default();
            self.problems.add(at, message, "remove one of these needs");
        }
    }

    /// Walks along needs until a step comes again. Steps on the cycle, and those that led nowhere, are
    /// taken out of `left`, and what was taken out does not come back: so `looked` keeps how many needs of each step
    /// no walk has to look at again.
    fn find_cycle(
        &self,
        left: &mut BTreeSet<&'p str>,
        looked: &mut BTreeMap<&'p str, usize>,
    ) -> Option<Vec<&'p str>> {
        let mut path: Vec<&'p str> = Vec::new();
        let mut on_path: BTreeMap<&'p str, usize> = BTreeMap::new();
        loop {
            let current = path.last().copied().or_else(|| left.first().copied())?;
            if path.is_empty() {
                on_path.insert(current, 0);
                path.push(current);
            }
            let needs = self.plan.step(current).map(|step| step.needs.as_slice());
            let needs = needs.unwrap_or_default();
            let at = looked.entry(current).or_default();
            let is_gone = |need: &String| !left.contains(need.as_str());
            while needs.get(*at).is_some_and(is_gone) {
                *at += 1;
            }
            match needs.get(*at) {
                None => {
                    left.remove(current);
                    path.pop();
                }
                Some(next) => match on_path.get(next.as_str()) {
                    Some(from) => {
                        let mut cycle = path.split_off(*from);
                        cycle.iter().for_each(|id| {
                            left.remove(id);
                        });
                        let smallest = cycle.iter().enumerate().min_by_key(|(_, id)| **id);
                        let turn = smallest.map_or(0, |(index, _)| index);
                        cycle.rotate_left(turn);
                        return Some(cycle);
                    }
                    None => {
                        on_path.insert(next, path.len());
                        path.push(next);
                    }
                },
            }
        }
    }
}
