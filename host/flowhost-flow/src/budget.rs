//! What a run may use, who has reserved how much of it, and what was used.
//!
//! A call reserves before it starts and settles after it ended, so that parallel calls cannot together
//! spend what only one of them may. A sub-plan or step with a budget of its own is an account whose
//! amounts are taken out of its parent's when it opens; what it did not spend returns when it closes.
//! Integers only, and nothing is ever negative: what a call spends beyond its reservation is booked in
//! full and stops whatever comes after it. Must not know what spends, or why.

use serde::{Deserialize, Serialize};

mod lack;

pub use lack::Lack;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Currency {
    /// Calls of plugins.
    Calls,
    /// Units of wasm fuel.
    Fuel,
    /// Model tokens.
    Tokens,
    /// Millionths of a US dollar.
    MicroUsd,
}

impl Currency {
    /// All of them.
    pub const ALL: [Currency; 4] = [Self::Calls, Self::Fuel, Self::Tokens, Self::MicroUsd];

    /// The word in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Fuel => "fuel",
            Self::Tokens => "tokens",
            Self::MicroUsd => "micro-dollars",
        }
    }

    /// The key of `budget:` that bounds it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::MicroUsd => "usd",
            other => other.word(),
        }
    }

    /// An amount in the unit of that key.
    fn told(self, amount: u64) -> String {
        match self {
            Self::MicroUsd => format!("${}.{:06}", amount / 1_000_000, amount % 1_000_000),
            _ => amount.to_string(),
        }
    }
}

/// An amount in each currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Calls of plugins.
    pub calls: u64,
    /// Units of wasm fuel.
    pub fuel: u64,
    /// Model tokens, prompt and completion.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

impl Amounts {
    /// The amount in one currency.
    #[must_use]
    pub const fn get(&self, currency: Currency) -> u64 {
        match currency {
            Currency::Calls => self.calls,
            Currency::Fuel => self.fuel,
            Currency::Tokens => self.tokens,
            Currency::MicroUsd => self.micro_usd,
        }
    }

    const fn get_mut(&mut self, currency: Currency) -> &mut u64 {
        match currency {
            Currency::Calls => &mut self.calls,
            Currency::Fuel => &mut self.fuel,
            Currency::Tokens => &mut self.tokens,
            Currency::MicroUsd => &mut self.micro_usd,
        }
    }

    /// Adds, and stays at the largest number rather than wrap.
    pub fn add(&mut self, other: &Amounts) {
        for currency in Currency::ALL {
            let sum = self.get(currency).saturating_add(other.get(currency));
            *self.get_mut(currency) = sum;
        }
    }
}

/// What a run may use when its plan does not say: ample for honest work, and an end to a loop.
pub const DEFAULT_LIMIT: Amounts = Amounts {
    calls: 100_000,
    fuel: 1_000_000_000_000_000,
    tokens: 2_000_000,
    micro_usd: 10_000_000,
};

/// A budget as the plan states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetSpec {
    /// Limits in the order of [`Currency::ALL`]. `None` is not "unlimited": the account then shares the
    /// limit of its parent, and a run's own account has [`DEFAULT_LIMIT`].
    pub limits: [Option<u64>; 4],
    /// Shares in thousandths at which a warning is given, ascending.
    pub warn_at_milli: Vec<u32>,
    /// What happens at the limit.
    pub on_exceeded: OnExceeded,
}

impl BudgetSpec {
    /// States nothing: a run has the default limits, a step those of its run.
    #[must_use]
    pub fn unstated() -> Self {
        Self {
            limits: [None; 4],
            warn_at_milli: vec![800, 1_000],
            on_exceeded: OnExceeded::Halt,
        }
    }

    /// Whether no limit is stated.
    #[must_use]
    pub(crate) fn is_unstated(&self) -> bool {
        self.limits.iter().all(Option::is_none)
    }
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceeded {
    /// The step that wanted more fails with class `budget`.
    Halt,
    /// A recorded warning.
    Warn,
}

/// Names an account of a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(usize);

/// The run's own account: the first that is made, and the only one that is never closed.
const RUN: AccountId = AccountId(0);

/// What a call has reserved. Must be settled, exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a reservation that is not settled is held for ever"]
pub struct Reservation {
    account: AccountId,
    held: Amounts,
}

impl Reservation {
    /// What the call may use.
    #[must_use]
    pub const fn amounts(&self) -> &Amounts {
        &self.held
    }
}

/// Whose limit a call spends from, and what it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Names the account; one that was closed may be used again.
    pub account: u64,
    /// What it could still spend when the call was asked for.
    pub left: u64,
    /// What it may spend in all.
    pub limit: u64,
    /// What it had given to others then, who have not said yet what they spent.
    pub held: u64,
}

impl Ceiling {
    /// Whether the account is the run's own, and so the limit that of the plan.
    #[must_use]
    pub const fn is_of_run(&self) -> bool {
        self.account == RUN.0 as u64
    }
}

/// Why nothing could be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Others hold what is wanted and may return some of it: ask again after a settlement.
    Wait,
    /// It is used up.
    Exceeded(Lack),
}

/// A threshold that was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// Of which currency.
    pub currency: Currency,
    /// Share in thousandths.
    pub at_milli: u32,
    /// Spent so far.
    pub spent: u64,
    /// The limit.
    pub limit: u64,
}

/// What a settlement brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Thresholds crossed by it.
    pub crossed: Vec<Crossed>,
    /// The currency that is now spent beyond its limit, if the plan says to halt then.
    pub exceeded: Option<Lack>,
}

#[derive(Clone, Debug)]
struct Purse {
    limit: u64,
    spent: u64,
    held: u64,
    warned: usize,
}

impl Purse {
    const fn new(limit: u64) -> Self {
        Self {
            limit,
            spent: 0,
            held: 0,
            warned: 0,
        }
    }

    const fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent)
            .saturating_sub(self.held)
    }
}

#[derive(Clone, Debug)]
struct Account {
    parent: Option<usize>,
    purses: [Option<Purse>; 4],
    warn_at_milli: Vec<u32>,
    on_exceeded: OnExceeded,
}

/// All accounts of a run.
///
/// # Examples
/// ```
/// use flowhost_flow::budget::{Amounts, Budget, BudgetSpec, Refusal};
///
/// let mut spec = BudgetSpec::unstated();
/// spec.limits[0] = Some(1); // one call
/// let mut budget = Budget::new(&spec);
/// let call = Amounts { calls: 1, ..Amounts::default() };
/// let reserved = budget.reserve(budget.root(), &call).unwrap();
/// assert_eq!(budget.reserve(budget.root(), &call), Err(Refusal::Wait));
/// budget.settle(reserved, &call);
/// assert!(matches!(budget.reserve(budget.root(), &call), Err(Refusal::Exceeded(_))));
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    accounts: Vec<Account>,
    /// Accounts that were closed and may be used again.
    free: Vec<usize>,
    used: Amounts,
}

impl Budget {
    /// The run's account.
    #[must_use]
    pub fn new(spec: &BudgetSpec) -> Self {
        let purses = std::array::from_fn(|index| {
            let default = Currency::ALL
                .get(index)
                .map_or(0, |c| DEFAULT_LIMIT.get(*c));
            let stated = spec.limits.get(index).copied().flatten();
            Some(Purse::new(stated.unwrap_or(default)))
        });
        let root = Account {
            parent: None,
            purses,
            warn_at_milli: spec.warn_at_milli.clone(),
            on_exceeded: spec.on_exceeded,
        };
        Self {
            accounts: vec![root],
            free: Vec::new(),
            used: Amounts::default(),
        }
    }

    /// The run's account.
    #[must_use]
    pub const fn root(&self) -> AccountId {
        RUN
    }

    /// What the whole run has used.
    #[must_use]
    pub const fn used(&self) -> &Amounts {
        &self.used
    }

    /// What an account could still reserve.
    #[must_use]
    pub fn left(&self, account: AccountId) -> Amounts {
        let mut left = Amounts::default();
        for currency in Currency::ALL {
            *left.get_mut(currency) = self.owner(account, currency).map_or(0, Purse::left);
        }
        left
    }

    /// For each of tokens and money the account that owns the limit of `account`, and what that has
    /// left, for a driver that holds them call by call; without end where the plan only warns.
    #[must_use]
    pub fn ceilings(&self, account: AccountId) -> [Ceiling; 2] {
        [Currency::Tokens, Currency::MicroUsd].map(|currency| {
            let owner = self.owner_index(account, currency).unwrap_or_default();
            let (left, limit, held) = match self.on_exceeded(account, currency) {
                OnExceeded::Warn => (u64::MAX, u64::MAX, 0),
                OnExceeded::Halt => self
                    .owner(account, currency)
                    .map_or((0, 0, 0), |purse| (purse.left(), purse.limit, purse.held)),
            };
            Ceiling {
                account: owner as u64,
                left,
                limit,
                held,
            }
        })
    }

    /// Opens an account with what `spec` states, taken out of `parent`, which may have less: then the
    /// account gets what is left. What is not stated is shared with the parent.
    pub fn open(&mut self, parent: AccountId, spec: &BudgetSpec) -> AccountId {
        let purses = std::array::from_fn(|index| {
            let currency = *Currency::ALL.get(index)?;
            let stated = spec.limits.get(index).copied().flatten()?;
            let purse = self.owner_mut(parent, currency)?;
            let allotted = stated.min(purse.left());
            purse.held = purse.held.saturating_add(allotted);
            Some(Purse::new(allotted))
        });
        let account = Account {
            parent: Some(parent.0),
            purses,
            warn_at_milli: spec.warn_at_milli.clone(),
            on_exceeded: spec.on_exceeded,
        };
        match self
            .free
            .pop()
            .and_then(|index| Some((index, self.accounts.get_mut(index)?)))
        {
            Some((index, place)) => {
                *place = account;
                AccountId(index)
            }
            None => {
                self.accounts.push(account);
                AccountId(self.accounts.len() - 1)
            }
        }
    }

    /// Closes an account whose reservations are settled: what it spent is booked to its parent, what
    /// it did not spend returns. The run's own account cannot be closed.
    pub fn close(&mut self, account: AccountId) -> Settled {
        let mut settled = Settled::default();
        let Some(closed) = self.accounts.get_mut(account.0) else {
            debug_assert!(false, "the name of an account is only made by `open`");
            return settled;
        };
        let Some(parent) = closed.parent.map(AccountId) else {
            debug_assert!(false, "the run's own account ends with the run");
            return settled;
        };
        let purses = std::mem::take(&mut closed.purses);
        for (purse, currency) in purses.into_iter().zip(Currency::ALL) {
            let Some(purse) = purse else { continue };
            if let Some(above) = self.owner_mut(parent, currency) {
                // What is still held counts as spent: a call that was never settled may have used all of it.
                above.held = above.held.saturating_sub(purse.limit);
                above.spent = above
                    .spent
                    .saturating_add(purse.spent)
                    .saturating_add(purse.held);
            }
            self.after_spending(parent, currency, &mut settled);
        }
        self.free.push(account.0);
        settled
    }

    /// Reserves what a call can use at most, or what is left if that is less and nobody can return any.
    ///
    /// # Errors
    /// [`Refusal`], and nothing is reserved.
    pub fn reserve(&mut self, account: AccountId, most: &Amounts) -> Result<Reservation, Refusal> {
        // All currencies are asked before any is held: a refusal leaves nothing to give back.
        let mut grant = Amounts::default();
        for currency in Currency::ALL {
            let want = most.get(currency);
            *grant.get_mut(currency) = self.grantable(account, currency, want)?;
        }
        for currency in Currency::ALL {
            if let Some(purse) = self.owner_mut(account, currency) {
                purse.held = purse.held.saturating_add(grant.get(currency));
            }
        }
        Ok(Reservation {
            account,
            held: grant,
        })
    }

    fn grantable(&self, id: AccountId, currency: Currency, want: u64) -> Result<u64, Refusal> {
        let Some(purse) = self.owner(id, currency) else {
            debug_assert!(false, "the run's own account has a purse of every currency");
            return Ok(0);
        };
        let lack = Lack {
            currency,
            asked: want,
            spent: purse.spent,
            held: purse.held,
            limit: purse.limit,
            of_run: self.owner_index(id, currency) == Some(RUN.0),
        };
        if self.on_exceeded(id, currency) == OnExceeded::Warn {
            return Ok(want);
        }
        // Also to a call that wants none of it: where no estimate names the currency, nothing else would keep
        // an overdrawn budget from being overdrawn again.
        if purse.spent > purse.limit {
            return Err(Refusal::Exceeded(lack));
        }
        let left = purse.left();
        if want <= left {
            return Ok(want);
        }
        if purse.held > 0 {
            return Err(Refusal::Wait);
        }
        // A call is whole or not at all; of the others the call gets what is left.
        if left == 0 || currency == Currency::Calls {
            return Err(Refusal::Exceeded(lack));
        }
        Ok(left)
    }

    /// Books what a call used and returns the rest of its reservation.
    pub fn settle(&mut self, reservation: Reservation, used: &Amounts) -> Settled {
        let mut settled = Settled::default();
        self.used.add(used);
        for currency in Currency::ALL {
            if let Some(purse) = self.owner_mut(reservation.account, currency) {
                purse.held = purse.held.saturating_sub(reservation.held.get(currency));
                purse.spent = purse.spent.saturating_add(used.get(currency));
            }
            self.after_spending(reservation.account, currency, &mut settled);
        }
        settled
    }

    fn after_spending(&mut self, account: AccountId, currency: Currency, settled: &mut Settled) {
        let owner = self.owner_index(account, currency);
        let Some(owner) = owner.and_then(|index| self.accounts.get_mut(index)) else {
            debug_assert!(false, "the run's own account has a purse of every currency");
            return;
        };
        let place = Currency::ALL.iter().position(|c| *c == currency);
        let purse = place.and_then(|place| owner.purses.get_mut(place)?.as_mut());
        let Some(purse) = purse else {
            debug_assert!(false, "an owner is an account with a purse of the currency");
            return;
        };
        while let Some(at_milli) = owner.warn_at_milli.get(purse.warned).copied() {
            let reached =
                u128::from(purse.spent) * 1_000 >= u128::from(purse.limit) * u128::from(at_milli);
            // A limit of 0 is reached by spending nothing, which is no news.
            if !reached || purse.spent == 0 {
                break;
            }
            purse.warned += 1;
            let (spent, limit) = (purse.spent, purse.limit);
            settled.crossed.push(Crossed {
                currency,
                at_milli,
                spent,
                limit,
            });
        }
        if purse.spent > purse.limit && owner.on_exceeded == OnExceeded::Halt {
            let lack = Lack {
                currency,
                asked: 0,
                spent: purse.spent,
                held: purse.held,
                limit: purse.limit,
                of_run: owner.parent.is_none(),
            };
            settled.exceeded = settled.exceeded.or(Some(lack));
        }
    }

    fn on_exceeded(&self, account: AccountId, currency: Currency) -> OnExceeded {
        self.owner_index(account, currency)
            .and_then(|index| self.accounts.get(index))
            .map_or(OnExceeded::Halt, |account| account.on_exceeded)
    }

    /// The account at or above `account` that has a purse of this currency. The root has all.
    fn owner_index(&self, account: AccountId, currency: Currency) -> Option<usize> {
        let place = Currency::ALL.iter().position(|c| *c == currency)?;
        let mut index = account.0;
        loop {
            let account = self.accounts.get(index)?;
            if account.purses.get(place).is_some_and(Option::is_some) {
                return Some(index);
            }
            index = account.parent?;
        }
    }

    fn owner(&self, account: AccountId, currency: Currency) -> Option<&Purse> {
        let index = self.owner_index(account, currency)?;
        let place = Currency::ALL.iter().position(|c| *c == currency)?;
        self.accounts.get(index)?.purses.get(place)?.as_ref()
    }

    fn owner_mut(&mut self, account: AccountId, currency: Currency) -> Option<&mut Purse> {
        let index = self.owner_index(account, currency)?;
        let place = Currency::ALL.iter().position(|c| *c == currency)?;
        self.accounts
            .get_mut(index)?
            .purses
            .get_mut(place)?
            .as_mut()
    }
}

#[cfg(test)]
mod tests;
