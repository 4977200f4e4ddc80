//! Random plans of all kinds, small and legal. The simulation of `flowhost-run` takes them from here, too.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// How a plan and its world are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Nothing fails, and nothing depends on which of two ends first.
    Calm,
    /// Everything that can happen does.
    Wild,
}

/// Calls of a plan whose tree has no memory. Such a tree begins its actions again at each tick, and a plan within it is
/// ticked as often each time: with the bound on ticks alone it would do some hundred million things.
const CALLS_WITHOUT_MEMORY: u64 = 300;

/// Chance with a seed.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }
}

/// The body of a plan of any kind, and that of the plan within it: `plan:s.yaml`. Their plugins are the tool
/// `t` and the guardrail `g`.
pub(super) fn bodies(seed: u64, mood: Mood) -> [String; 2] {
    let mut maker = Maker {
        dice: Dice::new(seed ^ 0x5eed),
        mood,
        nested: false,
    };
    let inner = maker.body();
    maker.nested = true;
    [maker.body(), inner]
}

struct Maker {
    dice: Dice,
    mood: Mood,
    nested: bool,
}

impl Maker {
    fn wild(&self) -> bool {
        self.mood == Mood::Wild
    }

    fn body(&mut self) -> String {
        let body = match self.dice.below(4) {
            0 => self.machine(),
            1 => self.tree(),
            _ => self.workflow(),
        };
        let mut budget = Vec::new();
        if self.wild() && self.dice.chance(40) {
            budget.push(format!("tokens: {}", 40 + self.dice.below(400)));
        }
        if body.contains("memory: false") {
            budget.push(format!("calls: {CALLS_WITHOUT_MEMORY}"));
        }
        match budget.is_empty() {
            true => body,
            false => format!("budget: {{{}}}\n{body}", budget.join(", ")),
        }
    }

    fn workflow(&mut self) -> String {
        let count = 1 + self.dice.below(6);
        let mut body = "steps:\n".to_owned();
        let mut outputs = "outputs:\n".to_owned();
        for index in 0..count {
            let (step, name) = self.step(index);
            let _ = writeln!(body, "  s{index}: {{{step}}}");
            let _ = writeln!(outputs, "  s{index}: '${{{{ steps.s{index}.{name} }}}}'");
        }
        let handler = "handlers:\n  h: {uses: t, with: '${{ failure.message }}'}\n";
        format!("{body}{handler}{outputs}")
    }

    fn step(&mut self, index: u64) -> (String, &'static str) {
        let needs: Vec<u64> = (0..index).filter(|_| self.dice.chance(40)).collect();
        let list: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
        let list = format!("needs: [{}]", list.join(", "));
        if !needs.is_empty() && self.dice.chance(20) {
            let require = match self.wild() {
                true => self.dice.pick(&["all", "any", "1", "'60%'"]),
                false => "all",
            };
            let late = self.dice.pick(&["halt", "continue"]);
            return (
                format!("{list}, barrier: {{require: {require}, timeout: 3s, on_timeout: {late}}}"),
                "output",
            );
        }
        if self.dice.chance(12) {
            return (format!("{list}, {}", self.waits()), "output");
        }
        let mut step = format!("{list}, {}", self.work());
        if self.dice.chance(30) {
            step.push_str(", compensate: {uses: t, with: '${{ output }}'}");
        }
        if let Some(need) = needs.first().filter(|_| self.dice.chance(25)) {
            let _ = write!(step, ", when: \"steps.s{need}.status != 'skipped'\"");
        }
        if self.wild() {
            match self.dice.below(4) {
                0 => step.push_str(", continue_on_error: true"),
                1 => step.push_str(", on_failure: {run: h, then: continue}"),
                2 => step.push_str(", on_failure: {run: h}"),
                _ => {}
            }
        }
        if self.dice.chance(25) {
            let items = self.dice.below(4);
            let items: Vec<u64> = (0..items).collect();
            let parallel = 1 + self.dice.below(3);
            let fast = self.dice.chance(50);
            let _ = write!(
                step,
                ", foreach: {{items: {items:?}, max_parallel: {parallel}, fail_fast: {fast}}}"
            );
            return (step, "outputs");
        }
        (step, "output")
    }

    /// What waits for somebody outside, or tells somebody.
    fn waits(&mut self) -> String {
        match self.dice.below(3) {
            0 => "emit: {subject: system.control, payload: {n: 1}}".to_owned(),
            1 => "wait_for: signal, timeout: 4h".to_owned(),
            _ => "wait_for: approval, timeout: 4h".to_owned(),
        }
    }

    /// What a step, a state or an action does, and how it fails.
    fn work(&mut self) -> String {
        let mut work = match self.nested && self.dice.chance(15) {
            true => "uses: 'plan:s.yaml', with: {}".to_owned(),
            false => {
                let effects = self.dice.pick(&["idempotent", "keyed", "once"]);
                let tool = self.dice.pick(&["t", "t/fn"]);
                format!("uses: {tool}, effects: {effects}")
            }
        };
        if !self.wild() {
            // Whoever drives a calm plan may let first attempts fail: no output depends on it.
            work.push_str(", retry: {max_attempts: 3, backoff: {initial: 1ms}}");
            return work;
        }
        if self.dice.chance(50) {
            let attempts = 1 + self.dice.below(3);
            let _ = write!(work, ", retry: {{max_attempts: {attempts}}}");
        }
        if self.dice.chance(30) {
            work.push_str(", timeout: 200ms");
        }
        if self.dice.chance(20) {
            let fail = self.dice.pick(&["halt", "warn"]);
            let _ = write!(
                work,
                ", guardrails: {{before: [{{uses: g}}], after: [{{uses: g, on_fail: {fail}}}]}}"
            );
        }
        if self.dice.chance(15) {
            work.push_str(", checks: [{id: c, that: 'output != 3', on_fail: warn}]");
        }
        if self.dice.chance(15) {
            let tokens = 20 + self.dice.below(100);
            let _ = write!(work, ", budget: {{tokens: {tokens}}}");
        }
        work
    }

    fn machine(&mut self) -> String {
        let count = 1 + self.dice.below(4);
        let mut body = String::from("kind: fsm\ninitial_state: s0\nfinal_states: [end]\n");
        let _ = writeln!(
            body,
            "max_transitions: {}\nstates:",
            4 + self.dice.below(12)
        );
        for index in 0..count {
            let next = match index + 1 < count {
                true => format!("s{}", index + 1),
                false => "end".to_owned(),
            };
            let back = format!("s{}", self.dice.below(index + 1));
            let mut ways = format!("on_success: {next}");
            if self.dice.chance(50) {
                let when = self
                    .dice
                    .pick(&["output == null", "states.s0.status == 'failed'"]);
                let _ = write!(ways, ", transitions: [{{when: \"{when}\", to: {back}}}]");
            }
            if self.dice.chance(20) {
                let _ = writeln!(body, "  s{index}: {{on_success: {next}}}");
                continue;
            }
            if self.dice.chance(60) {
                let _ = write!(ways, ", on_error: {back}");
            }
            let work = match self.dice.chance(20) {
                true => self.waits(),
                false => self.work(),
            };
            let _ = writeln!(body, "  s{index}: {{{work}, {ways}}}");
        }
        body.push_str("  end: {}\noutputs: {last: '${{ states.s0.status }}'}\n");
        body
    }

    fn tree(&mut self) -> String {
        let mut actions = 0;
        let root = self.node(0, &mut actions);
        format!("kind: behavior_tree\nroot: {root}\n")
    }

    fn node(&mut self, depth: u64, actions: &mut u64) -> String {
        let leaf = depth >= 3 || self.dice.chance(20 * depth);
        if leaf {
            if self.dice.chance(25) {
                let check = self.dice.pick(&["true", "false", "run.cost.calls < 4"]);
                let check = match self.wild() {
                    true => check,
                    false => "true",
                };
                return format!("{{type: condition, check: '{check}'}}");
            }
            *actions += 1;
            let work = match self.dice.chance(15) {
                true => self.waits(),
                false => self.work(),
            };
            return format!("{{type: action, id: a{actions}, {work}}}");
        }
        if self.dice.chance(30) {
            let how = self.dice.pick(&[
                "invert",
                "force_success",
                "force_failure",
                "retry, max_attempts: 2",
                "repeat, times: 2",
                "timeout, timeout: 300ms",
                "cooldown, cooldown: 100ms",
            ]);
            let child = self.node(depth + 1, actions);
            // How long a gate waits depends on when the process that holds it was killed: what is calm does not.
            if how.starts_with("timeout") && child.contains("wait_for") && !self.wild() {
                return child;
            }
            return format!("{{type: {how}, child: {child}}}");
        }
        let count = 1 + self.dice.below(3);
        let children: Vec<String> = (0..count).map(|_| self.node(depth + 1, actions)).collect();
        let ty = self.dice.pick(&["sequence", "selector", "parallel"]);
        // Without memory a tree may begin its actions again and again, until its budget ends it. A gate in it would be asked
        // again and again, which costs nothing and so never ends; beside other work it is refused.
        let forgets = self.wild() && self.dice.chance(15) && ty != "parallel";
        let memory = !forgets || children.iter().any(|child| child.contains("wait_for"));
        let counts = match ty == "parallel" && self.wild() {
            true => format!("success_count: {}, ", 1 + self.dice.below(count)),
            false => String::new(),
        };
        format!(
            "{{type: {ty}, memory: {memory}, {counts}children: [{}]}}",
            children.join(", ")
        )
    }
}
