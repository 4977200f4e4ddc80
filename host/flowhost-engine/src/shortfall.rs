//! What a budget of tokens or money says when it does not pay for a model call: each number that a person
//! needs to raise the right one.
//!
//! A guest reads a limit's name and two numbers, and ends with them if it likes; who spent what is the
//! host's to know, and stands in the record of the refusal, from which a replay takes it again.

use std::fmt;

use flowhost_ledger::records::{Budget, RecordKind as _};
use flowhost_ledger::{Fact, Kind};
use serde::{Deserialize, Serialize};

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Model tokens.
    Tokens,
    /// Money, in millionths of a US dollar.
    Usd,
}

impl Amount {
    const ALL: [Self; 2] = [Self::Tokens, Self::Usd];

    /// The key by which plans and profiles bound it, and the name of the limit.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Usd => "usd",
        }
    }

    /// So much of it, in the unit of that key.
    #[must_use]
    pub fn told(self, amount: u64) -> String {
        match self {
            Self::Tokens => format!("{amount} tokens"),
            Self::Usd => format!("${}", dollars(amount)),
        }
    }

    /// The value of the key that allows so much.
    #[must_use]
    pub fn value(self, amount: u64) -> String {
        match self {
            Self::Tokens => amount.to_string(),
            Self::Usd => dollars(amount),
        }
    }
}

fn dollars(micro: u64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// Whose budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The plan's: all of the run.
    Plan,
    /// That of a step, or of the plan that it runs.
    Step,
    /// What its profile lets the plugin spend in a run.
    Plugin,
}

impl Whose {
    const ALL: [Self; 3] = [Self::Plan, Self::Step, Self::Plugin];

    /// The word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Step => "step",
            Self::Plugin => "plugin",
        }
    }
}

/// A model call that is not paid for. Amounts are in the unit of what is counted: tokens, or millionths of
/// a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// What is short.
    pub amount: Amount,
    /// Whose budget has too little.
    pub whose: Whose,
    /// What was spent before.
    pub spent: u64,
    /// What calls at work hold, until they say what they have spent.
    pub held: u64,
    /// What the call can cost at most: its prompt, and an answer of `max_tokens`.
    pub asked: u64,
    /// What is allowed in all.
    pub allowed: u64,
}

impl Shortfall {
    /// What would be spent and held with the call; the least that would allow it.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.spent
            .saturating_add(self.held)
            .saturating_add(self.asked)
    }

    /// The refusal as its record has it.
    pub(crate) fn of_record(fact: &Fact) -> Option<Self> {
        if fact.kind != Kind::Budget {
            return None;
        }
        let said = Budget::from_fields(&fact.fields).ok()?;
        let amount = Amount::ALL
            .into_iter()
            .find(|it| Some(it.key()) == said.name.as_deref())?;
        let whose = Whose::ALL
            .into_iter()
            .find(|it| Some(it.word()) == said.whose.as_deref())?;
        Some(Self {
            amount,
            whose,
            spent: said.spent?,
            held: said.held?,
            asked: match amount {
                Amount::Tokens => said.tokens?,
                Amount::Usd => said.micro_usd?,
            },
            allowed: said.allowed?,
        })
    }
}

impl From<&Shortfall> for Budget {
    fn from(short: &Shortfall) -> Self {
        let asked = |amount| (short.amount == amount).then_some(short.asked);
        Self {
            event: Some("refuse".to_owned()),
            name: Some(short.amount.key().to_owned()),
            whose: Some(short.whose.word().to_owned()),
            tokens: asked(Amount::Tokens),
            micro_usd: asked(Amount::Usd),
            spent: Some(short.spent),
            held: Some(short.held),
            used: Some(short.used()),
            allowed: Some(short.allowed),
            ..Self::default()
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let budget = match self.whose {
            Whose::Plan => "the budget of the plan",
            Whose::Step => "the budget of the step",
            Whose::Plugin => "what its profile lets the plugin spend in a run",
        };
        let told = |amount| self.amount.told(amount);
        write!(
            f,
            "{budget} does not pay for this model call: it asks for {} (its prompt, and an answer of \
             `max_tokens`), {} are spent and {} held by calls at work, {} are allowed",
            told(self.asked),
            told(self.spent),
            told(self.held),
            told(self.allowed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(amount: Amount, whose: Whose) -> Shortfall {
        Shortfall {
            amount,
            whose,
            spent: 700,
            held: 20,
            asked: 1_206,
            allowed: 1_500,
        }
    }

    #[test]
    fn says_who_has_too_little_and_every_amount_in_the_unit_of_the_key() {
        assert_eq!(
            short(Amount::Tokens, Whose::Plan).to_string(),
            "the budget of the plan does not pay for this model call: it asks for 1206 tokens (its prompt, and an \
             answer of `max_tokens`), 700 tokens are spent and 20 tokens held by calls at work, 1500 tokens are allowed"
        );
        let told = short(Amount::Usd, Whose::Step).to_string();
        assert!(told.contains("asks for $0.001206"), "{told}");
        assert_eq!(short(Amount::Usd, Whose::Step).used(), 1_926);
        assert_eq!(Amount::Usd.value(1_926), "0.001926");
    }

    #[test]
    fn a_record_of_the_refusal_says_the_same_and_other_records_say_nothing() {
        for amount in Amount::ALL {
            for whose in Whose::ALL {
                let short = short(amount, whose);
                let said = Budget::from(&short).by("default/asker");
                assert_eq!(Shortfall::of_record(&said), Some(short));
            }
        }
        // A warning of the planner, and a refusal of an older host.
        let warning = Budget {
            name: Some("tokens".to_owned()),
            used: Some(9),
            allowed: Some(10),
            ..Budget::default()
        };
        assert_eq!(Shortfall::of_record(&warning.by("default/host")), None);
    }
}
