//! Where something is wrong with a plan already, so that who looks further tells nothing that only follows from it, and
//! all the rest in the same round.
//!
//! A plan is its members (inputs, plugins, steps …), a member its parts (`uses`, `with` …). A part with a problem is
//! left at its default when the plan is read, and whatever is said of it then is not sure. A key that nobody knows may
//! have been meant for any part that is not written.

use std::collections::{BTreeMap, BTreeSet};

use crate::expr::Template;
use crate::plan::keys::{KINDS, STEP};
use crate::plan::tree::{Data, Key, Node};
use crate::plan::{Plan, Step};
use crate::problem::At;

/// Sections whose members are judged one by one.
const SECTIONS: [&str; 5] = ["inputs", "plugins", "steps", "handlers", "states"];
/// Sections of one value each.
const VALUES: [&str; 2] = ["labels", "outputs"];
/// Parts of a member whose own members are values that stand for themselves.
const TEMPLATES: [&str; 2] = ["with", "config"];

/// The part of a member that lists guardrails, which are judged one by one.
const GUARDRAILS: &str = "guardrails";

/// The parts of a step that decide what it hands on.
const GIVING: [&str; 8] = [
    "/uses",
    "/output",
    "/guardrails",
    "/foreach",
    "/consensus",
    "/wait_for",
    "/emit",
    "/barrier",
];

/// What of a plan cannot be relied on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// From where to where; the end is no part of it.
    spans: Vec<(At, At)>,
    /// Where a part would be told of that is not written, in a member that may have it under another name.
    unwritten: BTreeSet<At>,
    /// The names of members that have a problem, by section.
    members: BTreeMap<String, BTreeSet<String>>,
    /// Sections with a problem that belongs to none of their members.
    sections: BTreeSet<String>,
    /// Whether the plan has a key that is not known.
    astray: bool,
    /// Whether something is wrong that has no place.
    unplaced: bool,
    /// Whether a plan that it runs does not take what it is given, or is none to be run by another.
    misfit: bool,
}

/// A member of a map, with where it ends.
struct Member<'n> {
    key: &'n Key,
    node: &'n Node,
    end: At,
}

const END: At = At {
    line: u32::MAX,
    column: u32::MAX,
};

impl<'n> Member<'n> {
    /// The member of a map in which a place is; none before the first of them.
    fn around(map: &'n Node, end: At, at: At) -> Option<Self> {
        let members = map.members();
        let index = members.iter().rposition(|(key, _)| key.at <= at)?;
        let (key, node) = members.get(index)?;
        let next = members.get(index + 1);
        let end = next.map_or(end, |(next, _)| next.at);
        Some(Self { key, node, end })
    }

    fn span(&self) -> (At, At) {
        (self.key.at, self.end)
    }
}

/// From where to where the element of a list goes in which a place is; none before the first of them.
fn element_around(list: &Node, end: At, at: At) -> Option<(At, At)> {
    let elements = list.elements();
    let index = elements.iter().rposition(|node| node.at <= at)?;
    let next = elements.get(index + 1);
    Some((elements.get(index)?.at, next.map_or(end, |next| next.at)))
}

/// Whether the plan has a key that no plan has: what seems to be missing may stand there.
pub(super) fn is_astray(root: &Node) -> bool {
    let known = |name: &str| {
        let mut sections = KINDS.iter().map(|(_, section)| section);
        sections.any(|section| section.all().any(|key| key.name == name))
    };
    root.members().iter().any(|(key, _)| !known(&key.text))
}

/// The steps whose needs may stand under a key that is not known.
pub(super) fn unsure_needs<'p>(plan: &'p Plan, root: &Node) -> BTreeSet<&'p str> {
    let nodes = root.get("steps").map(Node::by_name).unwrap_or_default();
    let known = |name: &str| STEP.all().any(|key| key.name == name);
    let is_unsure = |step: &&Step| {
        let node = nodes.get(step.id.as_str());
        let node = node.filter(|node| node.get("needs").is_none());
        node.is_some_and(|node| node.members().iter().any(|(key, _)| !known(&key.text)))
    };
    let steps = plan.steps().into_iter().filter(is_unsure);
    steps.map(|step| step.id.as_str()).collect()
}

impl Faults {
    /// What follows from problems at these places.
    pub(super) fn of(root: &Node, places: impl Iterator<Item = At>) -> Self {
        let mut faults = Self {
            astray: is_astray(root),
            ..Self::default()
        };
        for at in places {
            match Member::around(root, END, at) {
                Some(section) => faults.in_section(&section, at),
                // It is about the plan as a whole, and about none of its parts.
                None => faults.unplaced = true,
            }
        }
        faults
    }

    fn in_section(&mut self, section: &Member<'_>, at: At) {
        let name = section.key.text.as_str();
        let has_members = SECTIONS.contains(&name) || VALUES.contains(&name);
        let member = Member::around(section.node, section.end, at).filter(|_| has_members);
        match member {
            Some(member) if SECTIONS.contains(&name) => {
                // A part that stands where names do is one of the member above.
                let mut above = section.node.members().iter().rev();
                let above = above.find(|(key, _)| key.at < member.key.at);
                if let Some((key, node)) = above.filter(|_| at == member.key.at) {
                    self.touched(name, &key.text);
                    self.lacks_parts(node);
                }
                self.in_member(name, &member, at);
            }
            Some(member) => self.spans.push(member.span()),
            None => {
                self.sections.insert(name.to_owned());
                self.spans.push(section.span());
            }
        }
    }

    fn in_member(&mut self, section: &str, member: &Member<'_>, at: At) {
        self.touched(section, &member.key.text);
        let Some(part) = Member::around(member.node, member.end, at) else {
            // The name is wrong, or something is missing.
            self.lacks_parts(member.node);
            if at == member.key.at || member.node.members().is_empty() {
                self.spans.push(member.span());
            }
            return;
        };
        if at == part.key.at {
            // The key is not known, or something is missing where the first one stands.
            self.lacks_parts(member.node);
        }
        // One wrong guardrail leaves the others as they are written.
        let guards = Member::around(part.node, part.end, at);
        let guards = guards.filter(|_| part.key.text == GUARDRAILS);
        if let Some(guard) = guards.and_then(|it| element_around(it.node, it.end, at)) {
            self.spans.push(guard);
            return;
        }
        // So does one wrong value, if the whole could be read.
        let is_template = TEMPLATES.contains(&part.key.text.as_str());
        let value = Member::around(part.node, part.end, at).filter(|_| is_template);
        let value = value.filter(|_| Template::compile(part.node.json()).is_ok());
        self.spans
            .push(value.map_or(part.span(), |value| value.span()));
    }

    fn touched(&mut self, section: &str, name: &str) {
        let members = self.members.entry(section.to_owned()).or_default();
        members.insert(name.to_owned());
    }

    /// What a member does not have, or has without a value, may stand elsewhere.
    fn lacks_parts(&mut self, member: &Node) {
        let parts = member.members().iter();
        let empty = parts.filter(|(_, node)| matches!(node.data, Data::Null));
        self.unwritten.extend(empty.map(|(key, _)| key.at));
        self.unwritten.insert(member.at);
    }

    /// A plan that was attached does not go with this one.
    pub(super) const fn add_misfit(&mut self) {
        self.misfit = true;
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nowhere = self.spans.is_empty() && self.unwritten.is_empty();
        nowhere && !self.unplaced && !self.misfit
    }

    /// Whether what is told of this place may only follow from what is wrong.
    #[must_use]
    pub fn covers(&self, at: At) -> bool {
        let mut spans = self.spans.iter();
        self.unwritten.contains(&at) || spans.any(|(from, to)| (*from..*to).contains(&at))
    }

    /// Whether something is wrong with a member of a section such as `inputs`.
    #[must_use]
    pub fn touch(&self, section: &str, name: &str) -> bool {
        let members = self.members.get(section);
        self.touch_section(section) || members.is_some_and(|members| members.contains(name))
    }

    /// Whether something is wrong with a section that is no member's fault.
    #[must_use]
    pub fn touch_section(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// Whether a key of the plan is not known, so that a whole section may stand under it.
    #[must_use]
    pub const fn astray(&self) -> bool {
        self.astray
    }
}

impl Plan {
    /// What of the plan cannot be relied on; nothing of a sound one.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Whether something is wrong with what does work under this id: a step, a state, an action or a handler.
    #[must_use]
    pub fn is_faulty(&self, id: &str) -> bool {
        let sections = ["steps", "handlers", "states"];
        let touched = sections
            .iter()
            .any(|section| self.faults.touch(section, id));
        // The actions of a behaviour tree have no names of their own: one that is wrong makes all of them unsure.
        touched || self.faults.touch_section("root")
    }

    /// Whether one of these parts of a step, such as `/with`, cannot be relied on as it was read.
    #[must_use]
    pub fn is_unsure(&self, step: &Step, parts: &[&str]) -> bool {
        let faults = &self.faults;
        let covered = || parts.iter().any(|part| faults.covers(step.place(part)));
        self.is_faulty(&step.id) && (faults.touch_section("root") || covered())
    }

    /// Whether it is not known what a step hands on: a wrong `with` or `timeout` changes nothing about that.
    pub(super) fn gives_unsure(&self, step: &Step) -> bool {
        self.is_unsure(step, &GIVING)
    }

    /// The same of a step by its id.
    pub(super) fn gives_unsure_by_id(&self, id: &str) -> bool {
        let surely = || self.step(id).is_some_and(|step| !self.gives_unsure(step));
        // Of a tree's actions none can be relied on then, and none is looked for.
        self.is_faulty(id) && (self.faults.touch_section("root") || !surely())
    }

    /// Whether what is told of this place, in the plan or in one that it runs, may only follow from what is wrong
    /// there.
    #[must_use]
    pub fn follows(&self, file: &str, at: At) -> bool {
        let own = self.file == file && self.faults.covers(at);
        own || self.children.values().any(|child| child.follows(file, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "flowhost: v1
kind: workflow
name: p
inputs:
  many: { type: nuber }
  few: { type: number }
plugins:
  md: { kind: tool, source: ./md.wasm, profile: deny-all, verison: 1 }
  js: { kind: tool, source: ./js.wasm, profile: deny-all }
steps:
  a:
    uses: md/check
    timeout: soon
    with: { text: x, other: \"${{ steps.b.output }}\" }
  b:
    uses: js/run
    wiht: { text: x }
  c:
    uses: js/run
    with: { one: \"${{ nonsense( }}\", two: 2 }
";

    /// Where a part of the text stands.
    fn at(part: &str) -> At {
        let before = &PLAN[..PLAN.find(part).unwrap()];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().len() + 1;
        At {
            line: u32::try_from(line).unwrap(),
            column: u32::try_from(column).unwrap(),
        }
    }

    fn plan() -> Plan {
        let (plan, problems) = Plan::survey(PLAN, "p.yaml");
        assert_eq!(problems.len(), 6, "{problems:#?}");
        plan.unwrap()
    }

    #[test]
    fn what_is_wrong_covers_its_part_and_no_other() {
        let plan = plan();
        let covers = |part: &str| plan.faults().covers(at(part));
        for part in ["nuber", "soon", "\"${{ steps.b", "nonsense", "two: 2"] {
            assert!(covers(part), "{part}");
        }
        for part in ["few:", "md/check", "text: x, other", "./md.wasm", "js/run"] {
            assert!(!covers(part), "{part}");
        }
        assert!(plan.follows("p.yaml", at("soon")));
        assert!(!plan.follows("q.yaml", at("soon")));
    }

    #[test]
    fn a_key_that_is_not_known_may_be_any_that_is_not_written() {
        let plan = plan();
        let (b, c) = (plan.step("b").unwrap(), plan.step("c").unwrap());
        assert!(plan.faults().covers(b.place("/with")), "it has a `wiht`");
        assert!(!plan.faults().covers(b.place("/uses")));
        assert!(!plan.faults().covers(c.place("/retry")));
    }

    #[test]
    fn a_part_that_stands_elsewhere_is_missing_nowhere() {
        let steps = |text: &str| {
            let text = format!("{}{text}", &PLAN[..PLAN.find("steps:").unwrap()]);
            Plan::survey(&text, "p.yaml").0.unwrap()
        };
        for text in [
            "steps:\n  a:\n    uses: js/run\n  with: { text: x }\n",
            "steps:\n  a:\n    uses: js/run\n    with:\n    text: x\n",
        ] {
            let plan = steps(text);
            let with = plan.step("a").unwrap().place("/with");
            assert!(plan.faults().covers(with) && plan.is_faulty("a"), "{text}");
        }
        let plan = steps("steps:\n  a:\n    uses: js/run\n    timeout: soon\n");
        assert!(!plan.faults().covers(plan.step("a").unwrap().place("/with")));
    }

    #[test]
    fn members_are_known_by_name() {
        let plan = plan();
        let faults = plan.faults();
        assert!(faults.touch("inputs", "many") && !faults.touch("inputs", "few"));
        assert!(faults.touch("plugins", "md") && !faults.touch("plugins", "js"));
        assert!(plan.is_faulty("a") && !plan.is_faulty("nobody"));
        assert!(!faults.astray() && !faults.is_empty());
        let (sound, problems) = Plan::survey(&PLAN.replace("name: p", "nam: p"), "p.yaml");
        assert!(sound.unwrap().faults().astray(), "{problems:?}");
    }
}
