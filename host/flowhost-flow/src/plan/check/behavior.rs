//! What a behaviour tree must have so that a tick of it means something.

use std::collections::BTreeSet;

use crate::plan::check::{Check, Reach};
use crate::plan::tree::Node;
use crate::plan::{NodeKind, Tree, TreeNode, Work};

impl<'p> Check<'p> {
    pub(super) fn tree(&mut self, tree: &'p Tree, root: &Node) {
        if let Some(node) = root.get("root") {
            self.tree_node(&tree.root, node, &mut BTreeSet::new());
        }
    }

    fn tree_node(&mut self, it: &'p TreeNode, node: &Node, seen: &mut BTreeSet<&'p str>) {
        match &it.node {
            NodeKind::Action(step) => {
                if !seen.insert(&step.id) {
                    let at = node.get("id").map_or(node.at, |node| node.at);
                    let message = format!("the id `{}` is given twice", step.id);
                    self.problems.add(at, message, "rename one of the actions");
                }
                self.work_node(step, node, false);
            }
            NodeKind::Condition(check) => {
                let at = node.get("check").map_or(node.at, |node| node.at);
                let reach = Reach::Work {
                    failure: false,
                    output: false,
                    step: None,
                };
                self.expr(check, at, &reach);
            }
            NodeKind::Parallel {
                memory,
                success_count,
                failure_count,
                children,
            } => {
                // One success is its end, so that nothing is ticked again.
                if !memory && *success_count > 1 {
                    self.asked_again(children, node);
                }
                for (key, count) in [
                    ("success_count", *success_count),
                    ("failure_count", *failure_count),
                ] {
                    if let Some(node) = node.get(key)
                        && count as usize > children.len()
                    {
                        let message = format!("{key}: {count} of {} children", children.len());
                        self.problems
                            .add(node.at, message, "it could never be reached");
                    }
                }
            }
            NodeKind::Sequence {
                memory: false,
                children,
            }
            | NodeKind::Selector {
                memory: false,
                children,
            } => self.asked_again(children, node),
            NodeKind::Sequence { .. } | NodeKind::Selector { .. } | NodeKind::Decorator { .. } => {}
        }
        let children = match node.get("child") {
            Some(child) => std::slice::from_ref(child),
            None => node.get("children").map(Node::elements).unwrap_or_default(),
        };
        for (child, node) in it.children().iter().zip(children) {
            self.tree_node(child, node, seen);
        }
    }

    /// Without memory what has ended is begun again at each tick, and what runs behind it is stopped. Where a gate stands beside
    /// other work, whoever answers it is asked again when that work ends, and the run never ends.
    fn asked_again(&mut self, children: &'p [TreeNode], node: &Node) {
        for (place, child) in children.iter().enumerate() {
            let mut steps = child.actions().into_iter();
            let Some(gate) = steps.find(|step| matches!(step.work, Work::Gate(_))) else {
                continue;
            };
            let others = children.iter().enumerate();
            let mut beside = others.filter(|(other, _)| *other != place);
            let Some(work) = beside.find_map(|(_, it)| it.actions().into_iter().next()) else {
                continue;
            };
            let at = node.get("memory").map_or(node.at, |node| node.at);
            let message = format!(
                "without memory the gate `{}` would be asked again whenever `{}` has ended",
                gate.id, work.id
            );
            let cure = "remove `memory: false` here, or let only conditions stand beside the gate";
            self.problems.add(at, message, cure);
            return;
        }
    }
}
