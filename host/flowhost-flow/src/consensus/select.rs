//! How many agents a piece of work is worth: the smallest set that its size and its risk ask for.
//!
//! A plain rule and no model, so that the same signals always give the same set and a replay asks the same agents. It never asks fewer
//! where any signal is larger.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fewer tasks than this are simple.
const MEDIUM_FROM: u64 = 10;
/// More tasks than this are complex.
const MEDIUM_TO: u64 = 30;
/// More kinds of knowledge than this make work harder than its tasks say: a team has about so many.
const DOMAINS: u64 = 3;
/// Dependencies for each task over which the order of work is itself a problem.
const DEPENDENCIES_A_TASK: u64 = 2;
/// So many of the lesser signs raise the class by one: one alone is how most work looks.
const SIGNS: usize = 2;

/// What is known of a piece of work before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signals {
    /// How many tasks it has.
    pub tasks: u64,
    /// How many kinds of knowledge it needs.
    #[serde(default)]
    pub domains: u64,
    /// How many times a task waits for another.
    #[serde(default)]
    pub dependencies: u64,
    /// How much it touches.
    #[serde(default)]
    pub scope: Level,
    /// What happens when it goes wrong.
    #[serde(default)]
    pub risk: Level,
}

/// How much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Little.
    #[default]
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Complexity {
    /// One agent will do.
    Simple,
    /// Two, so that somebody notices.
    Medium,
    /// All.
    Complex,
}

impl Complexity {
    /// The word in notes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Medium => "medium",
            Self::Complex => "complex",
        }
    }

    /// How many of so many agents are asked.
    #[must_use]
    pub fn agents(self, all: usize) -> usize {
        match self {
            Self::Simple => all.min(1),
            Self::Medium => all.min(2),
            Self::Complex => all,
        }
    }
}

impl Signals {
    /// The signals as a plan gives them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(value: &Value) -> Result<Self, String> {
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())
    }

    /// What work of these signals is.
    #[must_use]
    pub(crate) fn complexity(&self) -> Complexity {
        let by_tasks = match self.tasks {
            tasks if tasks < MEDIUM_FROM => Complexity::Simple,
            tasks if tasks <= MEDIUM_TO => Complexity::Medium,
            _ => Complexity::Complex,
        };
        if self.risk == Level::High {
            return Complexity::Complex;
        }
        // Against the least number of tasks, so that more tasks alone never make it simpler.
        let dense = self.dependencies > DEPENDENCIES_A_TASK * MEDIUM_FROM;
        let signs = [
            self.scope == Level::High,
            self.domains > DOMAINS,
            dense,
            self.risk == Level::Medium,
        ];
        let raised = signs.into_iter().filter(|sign| *sign).count() >= SIGNS;
        match (by_tasks, raised) {
            (class, false) => class,
            (Complexity::Simple, true) => Complexity::Medium,
            (_, true) => Complexity::Complex,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn level() -> impl Strategy<Value = Level> {
        prop_oneof![Just(Level::Low), Just(Level::Medium), Just(Level::High)]
    }

    fn signals() -> impl Strategy<Value = Signals> {
        (0_u64..60, 0_u64..8, 0_u64..60, level(), level()).prop_map(
            |(tasks, domains, dependencies, scope, risk)| Signals {
                tasks,
                domains,
                dependencies,
                scope,
                risk,
            },
        )
    }

    proptest! {
        #[test]
        fn more_of_anything_never_asks_fewer(less in signals(), more in signals(), agents in 1_usize..16) {
            let both = Signals {
                tasks: less.tasks.max(more.tasks),
                domains: less.domains.max(more.domains),
                dependencies: less.dependencies.max(more.dependencies),
                scope: less.scope.max(more.scope),
                risk: less.risk.max(more.risk),
            };
            let of = |signals: &Signals| signals.complexity().agents(agents);
            prop_assert!(of(&both) >= of(&less).max(of(&more)));
            prop_assert!((1..=agents).contains(&of(&less)));
        }

        #[test]
        fn the_number_of_tasks_and_high_risk_decide_as_they_are_documented(signals in signals()) {
            let plain = Signals { tasks: signals.tasks, ..Signals::read(&json!({ "tasks": 0 })).unwrap() };
            let expected = match signals.tasks {
                0..=9 => Complexity::Simple,
                10..=30 => Complexity::Medium,
                _ => Complexity::Complex,
            };
            prop_assert_eq!(plain.complexity(), expected);
            prop_assert!(signals.complexity() >= expected);
            let risky = Signals { risk: Level::High, ..signals };
            prop_assert_eq!(risky.complexity(), Complexity::Complex);
        }
    }

    #[test]
    fn two_lesser_signs_raise_the_class_by_one_and_one_does_not() {
        let read = |value| Signals::read(&value).unwrap().complexity();
        assert_eq!(
            read(json!({ "tasks": 9, "scope": "high" })),
            Complexity::Simple
        );
        let two = json!({ "tasks": 9, "scope": "high", "risk": "medium" });
        assert_eq!(read(two), Complexity::Medium);
        let two = json!({ "tasks": 12, "domains": 4, "dependencies": 21 });
        assert_eq!(read(two), Complexity::Complex);
    }

    #[test]
    fn signals_that_are_not_known_or_not_numbers_are_refused() {
        for wrong in [
            json!({}),
            json!({ "tasks": -1 }),
            json!({ "tasks": "nine" }),
            json!({ "tasks": 9, "risk": "extreme" }),
            json!({ "tasks": 9, "mood": "good" }),
            json!(9),
        ] {
            assert!(Signals::read(&wrong).is_err(), "{wrong}");
        }
    }
}
