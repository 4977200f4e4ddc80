//! What a `consensus:` says that does not go together, or names what there is not.

use std::collections::BTreeSet;

use flowhost_words::PluginKind;

use crate::consensus::By;
use crate::plan::consensus::{Consensus, Mode, React, Rule};
use crate::plan::tree::{Data, Node};
use crate::plan::{Effects, Step, limits};
use crate::problem::At;

use super::Check;

impl<'p> Check<'p> {
    /// `node` is the step's; `defaults` is `defaults.consensus`.
    pub(super) fn consensus(
        &mut self,
        step: &Step,
        spec: &'p Consensus,
        node: &Node,
        defaults: Option<&Node>,
    ) {
        let own = node.get("consensus");
        // A key that stands in the defaults is reported there: that is where it has to be changed.
        let place = |key: &str| {
            let stated = own.and_then(|own| own.get(key));
            stated
                .or_else(|| defaults.and_then(|defaults| defaults.get(key)))
                .or(own)
                .map_or(node.at, |node| node.at)
        };
        self.voters(spec, &place);
        self.rule(spec, &place);
        self.points(spec, &place, own, defaults);
        self.reactions(spec, &place);
        self.selection(spec, &place);
        self.once(step, spec, node);
        self.beside(step, node);
    }

    fn voters(&mut self, spec: &'p Consensus, place: &impl Fn(&str) -> At) {
        let at = place("agents");
        if !(2..=limits::AGENTS_MAX).contains(&spec.agents.len()) {
            let message = format!(
                "a consensus has 2 to {} agents; this one has {}",
                limits::AGENTS_MAX,
                spec.agents.len()
            );
            let cure = "list them in `consensus.agents`, or in `defaults.consensus.agents`";
            self.problems.add(at, message, cure);
        }
        let mut seen = BTreeSet::new();
        for agent in &spec.agents {
            if !seen.insert(agent) {
                let message = format!("the agent `{agent}` is listed twice");
                self.problems.add(at, message, "remove one of them");
            }
            self.agent(agent, at);
        }
        if let Some(arbiter) = &spec.arbiter {
            self.agent(arbiter, place("arbiter"));
        }
        if spec.min_participation as usize > spec.agents.len().max(1) {
            let there = match spec.agents.len() {
                1 => "is 1 agent".to_owned(),
                count => format!("are {count} agents"),
            };
            let message = format!(
                "`min_participation` is {} and there {there}",
                spec.min_participation
            );
            let cure = "lower it, or name more `agents`";
            self.problems.add(place("min_participation"), message, cure);
        }
    }

    fn agent(&mut self, name: &str, at: At) {
        if !self.plan.plugins.contains_key(name) {
            return self.unknown_plugin(name, at);
        }
        let kind = self.kinds.get(name);
        if kind.is_some_and(|kind| *kind != PluginKind::Agent) {
            let message = format!("`{name}` is not an agent; only agents take part in a consensus");
            self.problems
                .add(at, message, "declare it with `kind: agent`");
        }
    }

    fn rule(&mut self, spec: &Consensus, place: &impl Fn(&str) -> At) {
        let word = spec.rule.word();
        if matches!(spec.rule, Rule::Arbiter | Rule::BestOf) && spec.arbiter.is_none() {
            let message = format!("the rule `{word}` needs an `arbiter:`");
            let cure = "name the agent that decides, or a `rule:` that votes: majority, weighted, \
                        unanimous";
            self.problems.add(place("rule"), message, cure);
        }
        let weighted = spec.rule == Rule::Weighted;
        if !weighted && !spec.weights.is_empty() {
            let message = format!("`weights` mean nothing to the rule `{word}`");
            self.problems
                .add(place("weights"), message, "use `rule: weighted`");
        }
        let unweighted = spec
            .agents
            .iter()
            .find(|it| !spec.weights.contains_key(*it));
        if let Some(agent) = unweighted.filter(|_| weighted) {
            let message = format!("the rule `weighted` has no weight for `{agent}`");
            self.problems
                .add(place("weights"), message, "give every agent a weight");
        }
        for name in spec.weights.keys().filter(|it| !spec.agents.contains(it)) {
            let message = format!("`{name}` has a weight and is not an agent of this consensus");
            let cure = "take the weight out, or name it under `agents`";
            self.problems.add(place("weights"), message, cure);
        }
        if !spec.rule.is_vote() && !spec.vote.is_empty() {
            let message = format!("`vote` means nothing to the rule `{word}`");
            let cure = "votes are counted by `rule: majority`, `weighted` and `unanimous`";
            self.problems.add(place("vote"), message, cure);
        }
        if !spec.vote.is_empty() && !spec.vote.starts_with('/') {
            let message = format!("vote: `{}` is not a JSON Pointer", spec.vote);
            self.problems.add(
                place("vote"),
                message,
                "it begins with `/`, as in `/decision`",
            );
        }
        if spec.early_stop && !spec.rule.is_vote() && spec.mode == Mode::Parallel {
            let message =
                "`early_stop` stops nothing here: all are asked at once, and no vote is won";
            let cure = "use it with `mode: relay` or with a rule that votes";
            self.problems.add(place("early_stop"), message, cure);
        }
    }

    fn points(
        &mut self,
        spec: &Consensus,
        place: &impl Fn(&str) -> At,
        own: Option<&Node>,
        defaults: Option<&Node>,
    ) {
        if spec.rule != Rule::Arbiter && !spec.compare.is_empty() {
            let word = spec.rule.word();
            let message = format!("`compare` means nothing to the rule `{word}`");
            let cure =
                "a vote and a list of issues compare by themselves, and a judge by its own measure";
            self.problems.add(place("compare"), message, cure);
        }
        let list = own.and_then(|own| own.get("compare"));
        let list = list.or_else(|| defaults.and_then(|defaults| defaults.get("compare")));
        let nodes = list.map(Node::elements).unwrap_or_default();
        for (point, node) in spec.compare.iter().zip(nodes) {
            let at = |key: &str| node.get(key).map_or(node.at, |node| node.at);
            if !point.at.starts_with('/') {
                let message = format!("at: `{}` is not a JSON Pointer", point.at);
                self.problems
                    .add(at("at"), message, "it begins with `/`, as in `/milestones`");
            }
            let takes: &[&str] = match point.by {
                By::Overlap { .. } => &["key", "min"],
                By::Text { .. } => &["min"],
                By::Number { .. } => &["tolerance"],
                By::Equal | By::Size | By::Set => &[],
            };
            for key in ["key", "min", "tolerance"] {
                if node.get(key).is_some() && !takes.contains(&key) {
                    let message = format!("`{key}` means nothing to this comparison");
                    self.problems.add(at(key), message, "remove it");
                }
            }
        }
    }

    fn reactions(&mut self, spec: &Consensus, place: &impl Fn(&str) -> At) {
        for (key, list) in [
            ("on_degraded", &spec.on_degraded),
            ("on_conflict", &spec.on_conflict),
            ("on_no_consensus", &spec.on_no_consensus),
        ] {
            if list.contains(&React::Arbiter) && spec.arbiter.is_none() {
                let message = format!("{key}: `arbiter` is listed and none is named");
                self.problems
                    .add(place(key), message, "add `arbiter: <agent>`");
            }
            let end = list
                .iter()
                .position(|it| matches!(it, React::Accept | React::Halt));
            if end.is_some_and(|end| end + 1 < list.len()) {
                let message = format!("{key}: nothing comes after `accept` or `halt`");
                self.problems.add(place(key), message, "remove the rest");
            }
        }
    }

    fn selection(&mut self, spec: &Consensus, place: &impl Fn(&str) -> At) {
        // Without it all agents are asked, which needs no word.
        let Some(pointer) = &spec.select else { return };
        if !pointer.starts_with('/') {
            let message = format!("select: `{pointer}` is not a JSON Pointer");
            let cure = "`select: /size`, and in the step's `with` a `size: { tasks: 12 }`";
            self.problems.add(place("select"), message, cure);
        }
        if spec.rule == Rule::Issues {
            let message = "`select` does not go with the rule `issues`";
            let cure = "how many raise an issue is what that rule goes by: ask all of them";
            self.problems.add(place("select"), message, cure);
        }
    }

    /// What must not be done twice must not be asked for twice. A step that calls one plugin knows from its failure that
    /// nothing happened; of a consensus that failed, some agents have done their part.
    fn once(&mut self, step: &Step, spec: &Consensus, node: &Node) {
        if step.effects != Effects::Once {
            return;
        }
        let lists = [
            ("on_degraded", &spec.on_degraded),
            ("on_conflict", &spec.on_conflict),
            ("on_no_consensus", &spec.on_no_consensus),
        ];
        let mut lists = lists.into_iter();
        let again = match step.retry.max_attempts > 1 {
            true => Some("retry"),
            false => lists.find_map(|(key, list)| list.contains(&React::Retry).then_some(key)),
        };
        // Nothing of it asks a second time.
        let Some(again) = again else { return };
        let id = &step.id;
        let at = node.get("effects").map_or(node.at, |node| node.at);
        let message = format!(
            "step `{id}`: `effects: once` does not go with its `{again}`, which asks agents again"
        );
        let cure = "let nothing ask again (`retry: {max_attempts: 1}`, and no `retry` in `on_degraded`, `on_conflict` \
                    and `on_no_consensus`), or leave what must be done once to a step of its own after this one";
        self.problems.add(at, message, cure);
    }

    /// What else the step says.
    fn beside(&mut self, step: &Step, node: &Node) {
        let id = &step.id;
        for (key, why) in [
            ("uses", "who is asked stands in `consensus.agents`"),
            ("foreach", "give each item a sub-plan with a consensus step"),
        ] {
            if let Some(node) = node.get(key) {
                let message = format!("step `{id}`: `{key}` does not go with `consensus`");
                self.problems.add(node.at, message, why);
            }
        }
        // `with` is optional: members find at least each other.
        let Some(with) = node.get("with") else { return };
        match &with.data {
            Data::Map(_) if with.get("consensus").is_some() => {
                let message =
                    format!("step `{id}`: `consensus` in `with` is the host's to fill in");
                self.problems.add(with.at, message, "give it another name");
            }
            Data::Map(_) => {}
            _ => {
                let message = format!("step `{id}`: `with` of a consensus step is a map");
                let cure = "agents find what they need to know of each other beside its members";
                self.problems.add(with.at, message, cure);
            }
        }
    }
}
