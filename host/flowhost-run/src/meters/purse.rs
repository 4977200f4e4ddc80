//! What model calls of a run hold and have spent: by plugin, by budget of the plan, and in all.
//!
//! The planner says with each call whose tokens and money it may spend, and what was left of them; all
//! that is done for the call is held by the call's id. Calls that are at work together share that, and each model call is held before it is made. A
//! plugin's own ceiling counts over the whole run. Integers only, and what is spent beyond a hold is
//! booked in full. Must not know what spends, or why.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_engine::{Amount, Shortfall, Whose};
use flowhost_flow::budget::Ceiling as Owner;

use crate::meters::funds::{Funds, Payer};
use crate::meters::held::{OUTPUT_BYTES, Outputs};

/// A planner's call that is at work.
#[derive(Debug, Clone, Copy, Default)]
struct AtWork {
    /// The accounts of its tokens and of its money.
    owners: [u64; 2],
    sum: Sum,
}

/// A budget of the plan, while calls that spend from it are at work.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// What the calls at work may spend together.
    left: u64,
    /// What the plan allows in all, and what of it the planner had given to others.
    limit: u64,
    elsewhere: u64,
    of_run: bool,
    held: u64,
    spent: u64,
    calls: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    held: Left,
    spent: Left,
}

impl Sum {
    fn settle(&mut self, held: Left, spent: Left) {
        self.held = minus(self.held, held);
        self.spent = plus(self.spent, spent);
    }
}

struct Hold {
    plugin: Arc<str>,
    root: Arc<str>,
    amount: Left,
}

/// What the run as a whole may spend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ceiling {
    pub(crate) limit: Left,
    /// Whether more is refused, or only warned of by the planner.
    pub(crate) halts: bool,
}

struct Inner {
    run: Ceiling,
    sum: Sum,
    plugins: HashMap<Arc<str>, Sum>,
    /// By the call's id: two agents at work in one step are two calls.
    at_work: HashMap<Arc<str>, AtWork>,
    /// For tokens and for money, by the account's name.
    accounts: [HashMap<u64, Account>; 2],
    holds: HashMap<u64, Hold>,
    calls: u64,
    /// Spent by calls that the planner did not ask for: agents that read messages.
    rest: Left,
    /// Refused to such calls: no step fails of it, so that the run has to say so.
    rest_refused: u64,
    /// Spent by calls that were open when another process ended, until they are made again.
    carried: HashMap<Arc<str>, Left>,
}

/// What models cost before this process took the run over.
#[derive(Debug, Default)]
pub(crate) struct Before {
    pub(crate) by_plugin: Vec<(String, Left)>,
    /// Of calls that are still open.
    pub(crate) by_call: Vec<(String, Left)>,
    pub(crate) rest: Left,
}

/// All purses of a run, and what its outputs hold.
pub(crate) struct Purse(Mutex<Inner>, Outputs);

impl Purse {
    pub(crate) fn new(run: Ceiling) -> Self {
        let inner = Inner {
            run,
            sum: Sum::default(),
            plugins: HashMap::new(),
            at_work: HashMap::new(),
            accounts: [HashMap::new(), HashMap::new()],
            holds: HashMap::new(),
            calls: 0,
            rest: Left::default(),
            rest_refused: 0,
            carried: HashMap::new(),
        };
        Self(Mutex::new(inner), Outputs::new(OUTPUT_BYTES))
    }

    /// Takes up what was spent before this process.
    pub(crate) fn restore(&self, before: Before) {
        let mut inner = self.inner();
        for (plugin, spent) in before.by_plugin {
            inner.sum.spent = plus(inner.sum.spent, spent);
            let own = inner.plugins.entry(plugin.into()).or_default();
            own.spent = plus(own.spent, spent);
        }
        let carried = before.by_call.into_iter();
        inner.carried = carried.map(|(call, spent)| (call.into(), spent)).collect();
        inner.rest = before.rest;
    }

    /// A call that was to begin here has not begun: nobody took it. What it had spent before is kept for its next try,
    /// and is no less in its account until then.
    pub(crate) fn unbegun(&self, call: &str) {
        let mut inner = self.inner();
        if let Some(before) = inner.close(call, false)
            && (before.tokens > 0 || before.micro_usd > 0)
        {
            inner.carried.insert(call.into(), before);
        }
    }

    /// What a call had spent before that does not begin again, which is forgotten here.
    pub(crate) fn carried(&self, call: &str) -> Left {
        self.inner().carried.remove(call).unwrap_or_default()
    }

    /// What steps hand on to later ones.
    pub(crate) fn outputs(&self) -> &Outputs {
        &self.1
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A planner's call begins, and whose tokens and money it may spend.
    pub(crate) fn begin(&self, call: &str, owners: [Owner; 2]) {
        let mut inner = self.inner();
        let carried = inner.carried.remove(call).unwrap_or_default();
        let amounts = [carried.tokens, carried.micro_usd];
        for ((accounts, owner), carried) in inner.accounts.iter_mut().zip(owners).zip(amounts) {
            let account = accounts.entry(owner.account).or_default();
            // The planner may not have heard yet of what other calls have spent.
            account.left = match account.calls {
                0 => owner.left,
                _ => account.left.min(owner.left),
            };
            account.limit = owner.limit;
            account.elsewhere = owner.held;
            account.of_run = owner.is_of_run();
            account.calls += 1;
            account.spent = account.spent.saturating_add(carried);
        }
        let opened = AtWork {
            owners: owners.map(|owner| owner.account),
            sum: Sum {
                spent: carried,
                ..Sum::default()
            },
        };
        inner.at_work.insert(call.into(), opened);
    }

    /// A planner's call has ended: what was spent in it, which is forgotten here.
    pub(crate) fn end(&self, call: &str) -> Left {
        // One that was never begun here, or has ended, has spent nothing more.
        self.inner().close(call, true).unwrap_or_default()
    }

    /// What was spent outside of any step's call, so far.
    pub(crate) fn rest(&self) -> Left {
        self.inner().rest
    }

    /// How many model calls outside of any step's call were refused, so far.
    pub(crate) fn rest_refused(&self) -> u64 {
        self.inner().rest_refused
    }

    /// Whoever performed the call is gone: what it held is booked in full, because nobody knows what a
    /// provider will charge for it.
    pub(crate) fn abandon(&self, call: &str) {
        let held: Vec<(u64, Left)> = {
            let inner = self.inner();
            let of_call = inner.holds.iter().filter(|(_, hold)| &*hold.root == call);
            of_call
                .map(|(number, hold)| (*number, hold.amount))
                .collect()
        };
        for (number, amount) in held {
            self.settle(HoldId(number), amount);
        }
    }
}

impl Funds for Purse {
    fn left(&self, payer: &Payer) -> Left {
        let rooms = self.inner().rooms(payer);
        let least = |amount| {
            let of_it = rooms.iter().filter(|room| room.amount == amount);
            of_it.map(Room::left).min().unwrap_or_default()
        };
        Left {
            tokens: least(Amount::Tokens),
            micro_usd: least(Amount::Usd),
        }
    }

    fn hold(&self, payer: &Payer, want: Left) -> Result<HoldId, Shortfall> {
        let mut inner = self.inner();
        let rooms = inner.rooms(payer);
        // The nearest ceiling that is too low is told, also where a farther one is too: to raise it comes first.
        let short = rooms.iter().find_map(|room| room.short_of(want));
        let (plugin, root): (Arc<str>, Arc<str>) =
            (payer.plugin.as_str().into(), payer.root.as_str().into());
        if let Some(short) = short {
            let outside = !inner.at_work.contains_key(&root);
            inner.rest_refused += u64::from(outside);
            return Err(short);
        }
        inner.calls += 1;
        let number = inner.calls;
        inner.sum.held = plus(inner.sum.held, want);
        let own = inner.plugins.entry(plugin.clone()).or_default();
        own.held = plus(own.held, want);
        inner.of_call(
            &root,
            |sum| sum.held = plus(sum.held, want),
            |it, amount| {
                it.held = it.held.saturating_add(amount);
            },
            want,
        );
        let hold = Hold {
            plugin,
            root,
            amount: want,
        };
        inner.holds.insert(number, hold);
        Ok(HoldId(number))
    }

    fn settle(&self, hold: HoldId, spent: Left) {
        let mut inner = self.inner();
        // When a call ends, what it still holds is settled; a later word about it must not count twice.
        let Some(hold) = inner.holds.remove(&hold.0) else {
            return;
        };
        inner.sum.settle(hold.amount, spent);
        if let Some(own) = inner.plugins.get_mut(&hold.plugin) {
            own.settle(hold.amount, spent);
        }
        if !inner.at_work.contains_key(&hold.root) {
            inner.rest = plus(inner.rest, spent);
            return;
        }
        let held = hold.amount;
        inner.of_call(
            &hold.root,
            |sum| sum.settle(held, spent),
            |it, amount| {
                it.held = it.held.saturating_sub(amount);
            },
            held,
        );
        inner.of_call(
            &hold.root,
            |_| {},
            |it, amount| {
                it.spent = it.spent.saturating_add(amount);
            },
            spent,
        );
    }
}

impl Inner {
    /// Takes a call out of the accounts that it spends from: what was spent in it. `ended` where the planner will be told
    /// of that, so that until it is, so much less is left for the others.
    fn close(&mut self, call: &str, ended: bool) -> Option<Left> {
        let AtWork { owners, sum } = self.at_work.remove(call)?;
        let amounts = [sum.spent.tokens, sum.spent.micro_usd];
        let places = self.accounts.iter_mut().zip(owners);
        for ((accounts, owner), amount) in places.zip(amounts) {
            let Some(account) = accounts.get_mut(&owner) else {
                debug_assert!(false, "an account is there while a call spends from it");
                continue;
            };
            account.calls = account.calls.saturating_sub(1);
            account.spent = account.spent.saturating_sub(amount);
            if ended {
                account.left = account.left.saturating_sub(amount);
            }
            if account.calls == 0 {
                accounts.remove(&owner);
            }
        }
        Some(sum.spent)
    }

    /// Changes a call at work and the accounts that it spends from.
    fn of_call(
        &mut self,
        call: &str,
        own: impl FnOnce(&mut Sum),
        account: impl Fn(&mut Account, u64),
        amount: Left,
    ) {
        let Some(at_work) = self.at_work.get_mut(call) else {
            return; // a call that the planner did not ask for spends from no budget of the plan
        };
        own(&mut at_work.sum);
        let places = self.accounts.iter_mut().zip(at_work.owners);
        for ((accounts, owner), amount) in places.zip([amount.tokens, amount.micro_usd]) {
            if let Some(it) = accounts.get_mut(&owner) {
                account(it, amount);
            }
        }
    }

    /// Every ceiling over the payer, the nearest first.
    fn rooms(&self, payer: &Payer) -> Vec<Room> {
        // Tokens and money of plugin, step and run.
        let mut all = Vec::with_capacity(6);
        let used = self.plugins.get(&*payer.plugin).copied();
        let [tokens, micro_usd] = payer.own;
        let own = Left { tokens, micro_usd };
        all.extend(rooms(Whose::Plugin, own, used.unwrap_or_default()));
        if let Some(at_work) = self.at_work.get(&*payer.root) {
            for (at, amount) in [Amount::Tokens, Amount::Usd].into_iter().enumerate() {
                all.push(self.account(at_work, at).room(amount));
            }
        }
        if self.run.halts {
            all.extend(rooms(Whose::Plan, self.run.limit, self.sum));
        }
        all
    }

    /// The account that a call spends from. One that is not there has nothing left: what nobody knows of is not spent.
    fn account(&self, call: &AtWork, at: usize) -> Account {
        let owner = call.owners.get(at);
        let accounts = self.accounts.get(at);
        let account = accounts.zip(owner).and_then(|(all, owner)| all.get(owner));
        account.copied().unwrap_or_default()
    }
}

impl Account {
    fn room(&self, amount: Amount) -> Room {
        // What the planner has booked already: neither left nor given to others.
        let booked = self.limit.saturating_sub(self.left);
        Room {
            amount,
            whose: match self.of_run {
                true => Whose::Plan,
                false => Whose::Step,
            },
            spent: booked
                .saturating_sub(self.elsewhere)
                .saturating_add(self.spent),
            held: self.held.saturating_add(self.elsewhere.min(booked)),
            limit: self.limit,
        }
    }
}

/// One ceiling, in one of tokens and money.
#[derive(Debug, Clone, Copy)]
struct Room {
    amount: Amount,
    whose: Whose,
    spent: u64,
    held: u64,
    limit: u64,
}

impl Room {
    fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.spent.saturating_add(self.held))
    }

    fn short_of(&self, want: Left) -> Option<Shortfall> {
        let asked = match self.amount {
            Amount::Tokens => want.tokens,
            Amount::Usd => want.micro_usd,
        };
        let short = Shortfall {
            amount: self.amount,
            whose: self.whose,
            spent: self.spent,
            held: self.held,
            asked,
            allowed: self.limit,
        };
        (short.used() > self.limit).then_some(short)
    }
}

fn rooms(whose: Whose, limit: Left, sum: Sum) -> [Room; 2] {
    let Sum { held, spent } = sum;
    let room = |amount, limit, spent, held| Room {
        amount,
        whose,
        spent,
        held,
        limit,
    };
    [
        room(Amount::Tokens, limit.tokens, spent.tokens, held.tokens),
        room(
            Amount::Usd,
            limit.micro_usd,
            spent.micro_usd,
            held.micro_usd,
        ),
    ]
}

fn plus(a: Left, b: Left) -> Left {
    Left {
        tokens: a.tokens.saturating_add(b.tokens),
        micro_usd: a.micro_usd.saturating_add(b.micro_usd),
    }
}

fn minus(a: Left, b: Left) -> Left {
    Left {
        tokens: a.tokens.saturating_sub(b.tokens),
        micro_usd: a.micro_usd.saturating_sub(b.micro_usd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: u64, micro_usd: u64) -> Left {
        Left { tokens, micro_usd }
    }

    fn caller(plugin: &str, call: &str, tokens: u64) -> Payer {
        Payer {
            plugin: plugin.to_owned(),
            root: call.to_owned(),
            own: [tokens, 1_000],
        }
    }

    /// Both from account 7, with this left.
    fn owners(tokens: u64, micro_usd: u64) -> [Owner; 2] {
        [tokens, micro_usd].map(|left| Owner {
            account: 7,
            left,
            limit: left,
            held: 0,
        })
    }

    fn purse(tokens: u64) -> Purse {
        Purse::new(Ceiling {
            limit: amount(tokens, 10_000),
            halts: true,
        })
    }

    #[test]
    fn refuses_what_the_plugin_the_step_or_the_run_has_not_left() {
        let purse = purse(100);
        purse.begin("s", owners(50, 500));
        let short = |caller: &Payer, tokens| purse.hold(caller, amount(tokens, 0));
        let own = short(&caller("p", "s", 40), 41).unwrap_err();
        assert_eq!(
            (own.amount, own.used(), own.allowed),
            (Amount::Tokens, 41, 40)
        );
        assert_eq!(own.whose, Whose::Plugin);
        assert_eq!(short(&caller("p", "s", 90), 51).unwrap_err().allowed, 50);
        assert_eq!(
            short(&caller("p", "else", 200), 101).unwrap_err().allowed,
            100
        );
        let usd = purse
            .hold(&caller("p", "s", 40), amount(1, 501))
            .unwrap_err();
        assert_eq!(
            (usd.amount, usd.used(), usd.allowed),
            (Amount::Usd, 501, 500)
        );
        assert_eq!(usd.whose, Whose::Step);
    }

    #[test]
    fn a_refusal_tells_what_was_spent_before_from_what_is_held_and_from_what_is_asked_for() {
        let purse = purse(10_000);
        // Of the plan's 1,500 tokens the planner has booked 600 and given 100 to a step of its own budget.
        let tokens = Owner {
            account: 0,
            left: 800,
            limit: 1_500,
            held: 100,
        };
        let money = Owner {
            account: 0,
            left: 50,
            limit: 50,
            held: 0,
        };
        purse.begin("s", [tokens, money]);
        let payer = caller("p", "s", 9_000);
        let first = purse.hold(&payer, amount(300, 0)).unwrap();
        purse.settle(first, amount(40, 0));
        let _second = purse.hold(&payer, amount(20, 0)).unwrap();
        let short = purse.hold(&payer, amount(741, 0)).unwrap_err();
        let wanted = Shortfall {
            amount: Amount::Tokens,
            whose: Whose::Plan,
            spent: 640,
            held: 120,
            asked: 741,
            allowed: 1_500,
        };
        assert_eq!(short, wanted);
        assert!(purse.hold(&payer, amount(740, 0)).is_ok());
    }

    #[test]
    fn what_is_held_is_gone_until_it_is_settled_and_the_rest_returns() {
        let purse = purse(100);
        let caller = caller("p", "s", 60);
        purse.begin("s", owners(80, 1_000));
        let hold = purse.hold(&caller, amount(50, 10)).unwrap();
        assert_eq!(purse.left(&caller), amount(10, 990));
        purse.settle(hold, amount(20, 3));
        assert_eq!(purse.left(&caller), amount(40, 997));
        purse.settle(hold, amount(20, 3)); // a second time is no time
        assert_eq!(purse.end("s"), amount(20, 3));
        assert_eq!(purse.end("s"), amount(0, 0));
        assert_eq!(
            purse.left(&caller),
            amount(40, 997),
            "the plugin's ceiling is the run's"
        );
    }

    #[test]
    fn steps_at_work_share_their_budget_whoever_spends_and_whatever_the_planner_has_heard() {
        let purse = purse(1_000);
        for step in ["a", "b"] {
            purse.begin(step, owners(100, 1_000));
        }
        let first = purse.hold(&caller("p", "a", 500), amount(60, 0)).unwrap();
        assert!(purse.hold(&caller("q", "b", 500), amount(60, 0)).is_err());
        purse.settle(first, amount(50, 0));
        assert_eq!(purse.left(&caller("q", "b", 500)).tokens, 50);
        assert_eq!(purse.end("a"), amount(50, 0));
        // The planner asks for another call before it has heard of the 50.
        purse.begin("c", owners(100, 1_000));
        assert_eq!(purse.left(&caller("q", "c", 500)).tokens, 50);
        purse.end("b");
        purse.end("c");
        purse.begin("d", owners(100, 1_000));
        assert_eq!(purse.left(&caller("q", "d", 500)).tokens, 100);
    }

    #[test]
    fn the_same_two_agents_twice_in_one_step_spend_from_one_budget_and_each_call_knows_its_own() {
        let purse = purse(1_000);
        let calls = [("1", "ann"), ("2", "bob"), ("3", "ann"), ("4", "bob")];
        for (call, _) in calls {
            purse.begin(call, owners(100, 1_000));
        }
        let held = calls.map(|(call, agent)| {
            let hold = purse.hold(&caller(agent, call, 500), amount(20, 5));
            (call, hold.unwrap())
        });
        assert_eq!(purse.left(&caller("ann", "1", 500)).tokens, 20);
        for ((_, hold), spent) in held.iter().zip(11..) {
            purse.settle(*hold, amount(spent, 1));
        }
        // 100 of the step without 11 + 12 + 13 + 14; and of bob's own 30 without 12 + 14.
        assert_eq!(purse.left(&caller("ann", "1", 500)).tokens, 50);
        assert_eq!(purse.left(&caller("bob", "2", 30)).tokens, 4);
        for ((call, _), spent) in held.iter().zip(11..) {
            assert_eq!(purse.end(call), amount(spent, 1));
        }
        assert_eq!(purse.rest(), amount(0, 0));
    }

    #[test]
    fn what_a_call_had_spent_before_counts_once_however_often_there_is_no_room_for_it() {
        let purse = purse(1_000);
        purse.restore(Before {
            by_call: vec![("b".to_owned(), amount(30, 0))],
            ..Before::default()
        });
        purse.begin("a", owners(100, 1_000));
        for _ in 0..3 {
            purse.begin("b", owners(100, 1_000));
            purse.unbegun("b");
        }
        assert_eq!(purse.left(&caller("p", "a", 500)).tokens, 100);
        purse.begin("b", owners(100, 1_000));
        assert_eq!(purse.left(&caller("p", "a", 500)).tokens, 70);
        assert_eq!(purse.end("b"), amount(30, 0));
        assert_eq!(purse.left(&caller("p", "a", 500)).tokens, 70);
    }

    #[test]
    fn what_nobodys_step_spent_is_kept_apart() {
        let purse = purse(100);
        let hold = purse.hold(&caller("p", "", 60), amount(50, 10)).unwrap();
        purse.settle(hold, amount(70, 12));
        assert_eq!(purse.rest(), amount(70, 12));
        assert!(purse.hold(&caller("p", "", 60), amount(50, 10)).is_err());
        assert_eq!(purse.rest_refused(), 1);
    }

    #[test]
    fn what_a_worker_held_when_it_died_is_spent_to_the_last_token() {
        let purse = purse(100);
        purse.begin("s", owners(80, 1_000));
        let hold = purse.hold(&caller("p", "s", 60), amount(50, 10)).unwrap();
        purse.abandon("else");
        assert_eq!(purse.left(&caller("p", "s", 60)).tokens, 10);
        purse.abandon("s");
        purse.settle(hold, amount(0, 0)); // it is not there to be returned any more
        assert_eq!(purse.end("s"), amount(50, 10));
    }

    #[test]
    fn a_budget_that_only_warns_refuses_nothing() {
        let purse = Purse::new(Ceiling {
            limit: amount(1, 1),
            halts: false,
        });
        assert!(purse.hold(&caller("p", "s", 60), amount(50, 10)).is_ok());
    }
}
