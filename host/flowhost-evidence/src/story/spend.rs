//! What was used of the run's budget, and what the budget said on the way.

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::lent::Budget;

use super::head::{CURRENCIES, EVIDENCE};
use super::stored::{Held, Shelf, short, text};
use super::{GROUPS_MAX, Head, Models, Shown, Stored};

/// The run's budget.
#[derive(Debug, Clone, Default)]
pub struct Spend {
    /// One line for each of `calls`, `fuel`, `tokens` and `micro_usd`, and one for `evidence`.
    pub lines: Vec<Line>,
    /// Reservations made.
    pub reserved: u64,
    /// Reservations settled.
    pub settled: u64,
    /// What its model calls were expected to take; none where it was not to make any.
    pub expected: Option<Expected>,
    /// Warnings and refusals.
    pub events: Shown<Event>,
}

/// An estimate that a run was started with, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The record that says it, with its steps as payload.
    pub seq: u64,
    /// Tokens and millionths of a US dollar that were likely.
    pub likely: (u64, u64),
    /// The same as it was spent; none before the run's end.
    pub spent: Option<(u64, u64)>,
}

/// One currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `calls`, `fuel`, `tokens`, `micro_usd` or `evidence`.
    pub currency: &'static str,
    /// What was used; none when the run has no end and nothing else says.
    pub used: Option<u64>,
    /// What of it the past used that the run was forked with: another run spent that.
    pub before: u64,
    /// What was held for work of which no record says how it ended: it may have been used as well.
    pub held: u64,
    /// What might have been used; none when the ledger does not say.
    pub allowed: Option<u64>,
}

/// A warning or a refusal.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// The record.
    pub seq: u64,
    /// `refuse`, `warning`, …
    pub event: String,
    /// Which currency, or where.
    pub about: String,
    /// What was used, as the record says it; empty for nothing.
    pub used: String,
    /// What was allowed.
    pub allowed: String,
    /// A sentence.
    pub message: Stored,
}

#[derive(Default)]
pub(super) struct SpendOf {
    reserved: u64,
    settled: u64,
    expected: Option<Expected>,
    events: Shown<(Event, Held)>,
}

impl SpendOf {
    pub(super) fn record(&mut self, record: &LentRecord<'_>, budget: &Budget<'_>) {
        let amount = |amount: Option<u64>| amount.map_or_else(String::new, |it| it.to_string());
        let taken = (budget.tokens.unwrap_or(0), budget.micro_usd.unwrap_or(0));
        match budget.event.as_deref() {
            Some("reserve") => self.reserved = self.reserved.saturating_add(1),
            Some("settle") => self.settled = self.settled.saturating_add(1),
            // One without an amount says that nobody could know it.
            Some("estimate") if budget.tokens.is_none() => {}
            Some("estimate") => {
                self.expected = Some(Expected {
                    seq: record.seq,
                    likely: taken,
                    spent: None,
                });
            }
            Some("variance") => {
                if let Some(expected) = &mut self.expected {
                    expected.spent = Some(taken);
                }
            }
            other => {
                let event = Event {
                    seq: record.seq,
                    event: short(other.unwrap_or("warning")),
                    about: text(budget.name.as_ref().or(budget.place.path.as_ref())),
                    used: amount(budget.used),
                    allowed: amount(budget.allowed),
                    message: Stored::None,
                };
                self.events.push((event, Held::of(record)), GROUPS_MAX);
            }
        }
    }

    pub(super) fn finish(self, head: &Head, models: &Models, shelf: &mut Shelf<'_>) -> Spend {
        let before = |currency: &str| head.taken.before.get(currency).copied().unwrap_or(0);
        let told = |currency: &str| match (&head.used, currency) {
            (Some(used), _) => used.get(currency).copied(),
            // A run without an end: what its models took is still in their records, and in those of its past.
            (None, "tokens") => Some(models.all.tokens().saturating_add(before(currency))),
            (None, "micro_usd") => Some(models.all.micro_usd.saturating_add(before(currency))),
            (None, _) => None,
        };
        let lines = CURRENCIES.iter().map(|currency| Line {
            currency,
            used: told(currency),
            before: before(currency),
            held: match (*currency, &head.used) {
                ("tokens", None) => models.all.held_tokens,
                ("micro_usd", None) => models.all.held_micro_usd,
                _ => 0,
            },
            allowed: head.allowed.get(*currency).copied(),
        });
        // A ledger of an older host does not say it.
        let evidence = head.allowed.get(EVIDENCE).map(|allowed| Line {
            currency: EVIDENCE,
            used: head
                .used
                .as_ref()
                .and_then(|used| used.get(EVIDENCE).copied()),
            // The past of a fork is named, and not copied.
            before: 0,
            held: 0,
            allowed: Some(*allowed),
        });
        let lines = lines.chain(evidence);
        let events = self.events.items.into_iter().map(|(mut event, held)| {
            event.message = shelf.take(&held);
            event
        });
        Spend {
            lines: lines.collect(),
            reserved: self.reserved,
            settled: self.settled,
            expected: self.expected,
            events: Shown {
                items: events.collect(),
                total: self.events.total,
            },
        }
    }
}
