//! What model calls of a run hold and have spent: by plugin, by step, and in all.
//!
//! The planner has reserved a step's allowance before its call began; this is where the calls within
//! it take from that allowance, so that a model is never asked for more than was reserved. A plugin's
//! own ceiling counts over the whole run. Integers only, and what is spent beyond a hold is booked in
//! full. Must not know what spends, or why.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_caps::budget::Left;
use flowhost_caps::model::{HoldId, Origin, Short};
use flowhost_engine::CallScope;

/// A step that is at work.
#[derive(Debug, Clone, Default)]
struct Step {
    /// What the planner reserved; none for a plugin that was not expected to ask models.
    allowance: Option<Left>,
    sum: Sum,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    held: Left,
    spent: Left,
}

impl Sum {
    fn total(&self) -> Left {
        plus(self.held, self.spent)
    }

    fn settle(&mut self, held: Left, spent: Left) {
        self.held = minus(self.held, held);
        self.spent = plus(self.spent, spent);
    }
}

struct Hold {
    plugin: Arc<str>,
    step: Arc<str>,
    amount: Left,
}

/// What the run as a whole may spend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ceiling {
    pub(super) limit: Left,
    /// Whether more is refused, or only warned of by the planner.
    pub(super) halts: bool,
}

struct Inner {
    run: Ceiling,
    sum: Sum,
    plugins: HashMap<Arc<str>, Sum>,
    steps: HashMap<Arc<str>, Step>,
    holds: HashMap<u64, Hold>,
    calls: u64,
    /// Spent by calls outside of any step at work: messages that are handed over later.
    rest: Left,
}

/// All purses of a run.
pub(super) struct Purse(Mutex<Inner>);

impl Purse {
    pub(super) fn new(run: Ceiling) -> Self {
        Self(Mutex::new(Inner {
            run,
            sum: Sum::default(),
            plugins: HashMap::new(),
            steps: HashMap::new(),
            holds: HashMap::new(),
            calls: 0,
            rest: Left::default(),
        }))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step's call begins, with what the planner reserved for it.
    pub(super) fn begin(&self, step: &str, allowance: Left, origin: Origin) {
        let reserved = allowance != Left::default();
        let opened = Step {
            allowance: reserved.then_some(allowance),
            sum: Sum::default(),
            origin,
        };
        self.inner().steps.insert(step.into(), opened);
    }

    /// A step's call has ended: what was spent in it, which is forgotten here.
    pub(super) fn end(&self, step: &str) -> Left {
        let ended = self.inner().steps.remove(step);
        ended.map(|step| step.sum.spent).unwrap_or_default()
    }

    /// What was spent outside of any step's call, so far.
    pub(super) fn rest(&self) -> Left {
        self.inner().rest
    }

    pub(super) fn origin(&self, step: &str) -> Origin {
        let inner = self.inner();
        let step = inner.steps.get(step);
        step.map(|step| step.origin.clone()).unwrap_or_default()
    }

    /// The smallest of what the plugin, its step and the run have left.
    pub(super) fn left(&self, caller: &CallScope) -> Left {
        let inner = self.inner();
        inner
            .ceilings(caller)
            .into_iter()
            .map(|(limit, sum)| minus(limit, sum.total()))
            .reduce(least)
            .unwrap_or_default()
    }

    pub(super) fn hold(&self, caller: &CallScope, want: Left) -> Result<HoldId, Short> {
        let mut inner = self.inner();
        for (limit, sum) in inner.ceilings(caller) {
            fits(limit, plus(sum.total(), want))?;
        }
        inner.calls += 1;
        let number = inner.calls;
        let (plugin, step) = (caller.plugin.clone(), caller.step.clone());
        inner.sum.held = plus(inner.sum.held, want);
        let own = inner.plugins.entry(plugin.clone()).or_default();
        own.held = plus(own.held, want);
        if let Some(open) = inner.steps.get_mut(&step) {
            open.sum.held = plus(open.sum.held, want);
        }
        let hold = Hold {
            plugin,
            step,
            amount: want,
        };
        inner.holds.insert(number, hold);
        Ok(HoldId(number))
    }

    pub(super) fn settle(&self, hold: HoldId, spent: Left) {
        let mut inner = self.inner();
        let Some(hold) = inner.holds.remove(&hold.0) else {
            return;
        };
        inner.sum.settle(hold.amount, spent);
        if let Some(own) = inner.plugins.get_mut(&hold.plugin) {
            own.settle(hold.amount, spent);
        }
        match inner.steps.get_mut(&hold.step) {
            Some(step) => step.sum.settle(hold.amount, spent),
            None => inner.rest = plus(inner.rest, spent),
        }
    }
}

impl Inner {
    /// Every ceiling over the caller, the nearest first.
    fn ceilings(&self, caller: &CallScope) -> Vec<(Left, Sum)> {
        let grant = &caller.effective.grants.model;
        let own = Left {
            tokens: grant.tokens,
            micro_usd: grant.micro_usd,
        };
        let spent = self.plugins.get(&caller.plugin).copied();
        let mut all = vec![(own, spent.unwrap_or_default())];
        if let Some(step) = self.steps.get(&caller.step)
            && let Some(allowance) = step.allowance
        {
            all.push((allowance, step.sum));
        }
        if self.run.halts {
            all.push((self.run.limit, self.sum));
        }
        all
    }
}

fn fits(limit: Left, wanted: Left) -> Result<(), Short> {
    let short = |name, used, allowed| Short {
        name,
        used,
        allowed,
    };
    if wanted.tokens > limit.tokens {
        return Err(short("tokens", wanted.tokens, limit.tokens));
    }
    if wanted.micro_usd > limit.micro_usd {
        return Err(short("usd", wanted.micro_usd, limit.micro_usd));
    }
    Ok(())
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

fn least(a: Left, b: Left) -> Left {
    Left {
        tokens: a.tokens.min(b.tokens),
        micro_usd: a.micro_usd.min(b.micro_usd),
    }
}

#[cfg(test)]
mod tests {
    use flowhost_engine::{Meter, RunScope};
    use flowhost_ledger::MemoryRecorder;
    use flowhost_policy::Effective;

    use super::*;

    fn amount(tokens: u64, micro_usd: u64) -> Left {
        Left { tokens, micro_usd }
    }

    fn caller(plugin: &str, step: &str, tokens: u64) -> CallScope {
        let mut effective = Effective::default();
        effective.grants.model.tokens = tokens;
        effective.grants.model.micro_usd = 1_000;
        CallScope {
            run: RunScope {
                tenant: "default".into(),
                run: "01RUN".into(),
                seed: [0; 32],
                started_ms: 0,
                recorder: Arc::new(MemoryRecorder::default()),
            },
            step: step.into(),
            attempt: 1,
            plugin: plugin.into(),
            digest: "".into(),
            effective: Arc::new(effective),
            config: "{}".into(),
            traceparent: "".into(),
            deadline: tokio::time::Instant::now(),
            callers: Arc::from([]),
            meter: Arc::new(Meter::default()),
        }
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
        purse.begin("s", amount(50, 500), Origin::default());
        let short = |caller: &CallScope, tokens| purse.hold(caller, amount(tokens, 0));
        let own = short(&caller("p", "s", 40), 41).unwrap_err();
        assert_eq!((own.name, own.used, own.allowed), ("tokens", 41, 40));
        assert_eq!(short(&caller("p", "s", 90), 51).unwrap_err().allowed, 50);
        assert_eq!(
            short(&caller("p", "else", 200), 101).unwrap_err().allowed,
            100
        );
        let usd = purse
            .hold(&caller("p", "s", 40), amount(1, 501))
            .unwrap_err();
        assert_eq!((usd.name, usd.used, usd.allowed), ("usd", 501, 500));
    }

    #[test]
    fn what_is_held_is_gone_until_it_is_settled_and_the_rest_returns() {
        let purse = purse(100);
        let caller = caller("p", "s", 60);
        purse.begin("s", amount(80, 1_000), Origin::default());
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
    fn what_nobodys_step_spent_is_kept_apart() {
        let purse = purse(100);
        let hold = purse.hold(&caller("p", "", 60), amount(50, 10)).unwrap();
        purse.settle(hold, amount(70, 12));
        assert_eq!(purse.rest(), amount(70, 12));
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
