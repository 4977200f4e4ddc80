//! What a behaviour tree must have so that a tick of it means something.

use std::collections::BTreeSet;

use crate::plan::check::{Check, Reach};
use crate::plan::tree::Node;
use crate::plan::{NodeKind, Tree, TreeNode};

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
                success_count,
                failure_count,
                children,
                ..
            } => {
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
}
