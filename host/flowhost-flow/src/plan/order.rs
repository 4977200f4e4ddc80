//! What the order of a plan says before anything runs: whether it leaves anything to be done beside something else,
//! and what a step needs. It decides nothing about a run: a host that knows the one need not wake a second processor
//! for every step, and who runs a part of a plan knows what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_words::PluginKind;

use super::{Body, Plan, Step, Work};

impl Plan {
    /// Whether no two calls of its steps can be at work at once: each step needs the one before it, no step has
    /// items side by side, and no agent reads messages beside them.
    #[must_use]
    pub fn goes_one_by_one(&self) -> bool {
        let agents = self.plugins.values().any(|it| it.kind == PluginKind::Agent);
        let in_line = match &self.body {
            Body::Workflow { .. } => is_a_line(&self.steps()),
            Body::Fsm(_) => true,
            // Its parallel nodes are nodes like others, and few trees have steps enough to matter.
            Body::BehaviorTree(_) => false,
        };
        !agents && in_line && self.steps().into_iter().all(|step| self.is_single(step))
    }

    fn is_single(&self, step: &Step) -> bool {
        let items = step.foreach.as_ref();
        let beside = items.is_some_and(|items| items.max_parallel > 1);
        let work = match &step.work {
            Work::Plan { reference } => {
                let child = self.sub_plan(reference);
                child.is_some_and(|child| child.goes_one_by_one())
            }
            Work::Consensus(_) => false,
            Work::Call { .. } | Work::Barrier(_) | Work::Gate(_) | Work::Emit { .. } => true,
        };
        work && !beside
    }
}

/// Whether there is one order only in which steps can be done.
fn is_a_line(steps: &[&Step]) -> bool {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in steps {
        let needs: BTreeSet<&str> = step.needs.iter().map(String::as_str).collect();
        left.insert(&step.id, needs.len());
        for need in needs {
            followers.entry(need).or_default().push(&step.id);
        }
    }
    let mut ready: Vec<&str> = left
        .iter()
        .filter(|(_, needs)| **needs == 0)
        .map(|(id, _)| *id)
        .collect();
    while let Some(done) = ready.pop() {
        if !ready.is_empty() {
            return false;
        }
        for follower in followers.get(done).into_iter().flatten() {
            if let Some(needs) = left.get_mut(*follower) {
                *needs = needs.saturating_sub(1);
                if *needs == 0 {
                    ready.push(*follower);
                }
            }
        }
    }
    true
}

impl Plan {
    /// A step of a workflow and all that it needs, directly or not. Of a step that there is not, nothing.
    #[must_use]
    pub fn with_needs(&self, id: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![id.to_owned()];
        while let Some(id) = open.pop() {
            if let Some(step) = self.step(&id)
                && found.insert(id)
            {
                open.extend(step.needs.iter().cloned());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: &str) -> Plan {
        let head = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
                    t: {kind: tool, source: ./t.wasm, profile: p}\nsteps:\n";
        Plan::parse(&format!("{head}{steps}"), "t.yaml").unwrap()
    }

    #[test]
    fn a_line_of_steps_goes_one_by_one_and_whatever_can_be_beside_another_does_not() {
        for (steps, one_by_one) in [
            ("  a: {uses: t}\n", true),
            (
                "  c: {uses: t}\n  b: {uses: t, needs: [c]}\n  a: {uses: t, needs: [b, c]}\n",
                true,
            ),
            ("  a: {uses: t}\n  b: {uses: t}\n", false),
            (
                "  a: {uses: t}\n  b: {uses: t, needs: [a]}\n  c: {uses: t, needs: [a]}\n",
                false,
            ),
            (
                "  a: {uses: t, foreach: {items: [1, 2], as: it, max_parallel: 1}}\n",
                true,
            ),
            (
                "  a: {uses: t, foreach: {items: [1, 2], as: it, max_parallel: 2}}\n",
                false,
            ),
        ] {
            assert_eq!(plan(steps).goes_one_by_one(), one_by_one, "{steps}");
        }
    }

    #[test]
    fn an_agent_may_read_messages_beside_the_steps() {
        let text = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
                    a: {kind: agent, source: ./a.wasm, profile: p}\nsteps:\n  a: {uses: a}\n";
        assert!(!Plan::parse(text, "t.yaml").unwrap().goes_one_by_one());
    }
}
