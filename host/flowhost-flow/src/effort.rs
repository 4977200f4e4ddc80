//! What pure work may cost, and how it is stopped.
//!
//! Expressions and schema checks run on data that plugins made: they end because each piece of work is
//! paid for before it is done, and they end early when the caller's deadline has passed. Must not know
//! a clock: whether it is time to stop is the caller's question, asked about every millisecond.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Units between two questions whether to stop: well below a millisecond of work.
const UNITS_BETWEEN_QUESTIONS: u64 = 2_048;

/// What is counted for a piece of work that may last as long as its data are large: the question is asked before
/// it.
pub(crate) const LONG: u64 = UNITS_BETWEEN_QUESTIONS;

/// What one piece of work may cost, and when it stops early.
///
/// # Examples
/// ```
/// use flowhost_flow::effort::Limits;
/// use flowhost_flow::expr::{EvalError, Expr, Names};
///
/// let expr = Expr::compile("range(1000).map(x, x * x).sum()").unwrap();
/// let impatient = Limits { cost: 1_000_000, stop: &|| true };
/// assert_eq!(expr.eval_within(&Names::new(&[]), &impatient), Err(EvalError::Stopped));
/// ```
#[derive(Clone, Copy)]
pub struct Limits<'s> {
    /// Most units. Running out of them is an error of the work.
    pub cost: u64,
    /// Whether to stop now; asked about once in a millisecond, so it must be cheap (a flag, a clock).
    pub stop: &'s dyn Fn() -> bool,
}

/// Why work ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It would cost more than it may.
    Cost,
    /// The caller's question was answered with yes.
    Stopped,
}

/// The question of a thread's work. All that is done below [`stoppable`] counts here together: ten thousand
/// templates of a few units each are as long as one of ten thousand times as many.
struct Turn {
    question: Box<dyn Fn() -> bool>,
    unasked: Cell<u64>,
    stopped: Cell<bool>,
}

impl Turn {
    /// Counts work that comes next, and whether it may be done. After the first no there is no yes.
    fn goes_on(&self, units: u64) -> bool {
        let unasked = self.unasked.get().saturating_add(units);
        let ask = unasked >= UNITS_BETWEEN_QUESTIONS;
        self.unasked.set(if ask { 0 } else { unasked });
        if ask && !self.stopped.get() {
            self.stopped.set((self.question)());
        }
        !self.stopped.get()
    }
}

thread_local! {
    static STOP: RefCell<Option<Rc<Turn>>> = const { RefCell::new(None) };
}

/// Counts so many units of work on this thread, and whether it is to go on. Whoever hears no returns at once
/// with whatever it has: the answer of a turn that was stopped is thrown away.
pub(crate) fn goes_on(units: u64) -> bool {
    let turn = STOP.with_borrow(Clone::clone);
    turn.is_none_or(|turn| turn.goes_on(units))
}

/// Runs `work` on this thread; everything in this crate that it does ends with an error soon after
/// `stop` says yes.
///
/// This is how a driver bounds a planner's turn in time. A turn evaluates expressions and checks
/// outputs against schemas: milliseconds as a rule, but up to some seconds where a large output meets
/// many steps. So it belongs on a thread that may block, with the deadline asked for in `stop`:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let over = Arc::new(AtomicBool::new(false)); // set by the run's timer or by Ctrl-C
/// let heard = Arc::clone(&over);
/// // In the driver: tokio::task::spawn_blocking(move || stoppable(…, || planner.on(event, now)))
/// let answer = flowhost_flow::effort::stoppable(move || heard.load(Ordering::Relaxed), || 6 * 7);
/// assert_eq!(answer, 42);
/// ```
///
/// After a stop the answers are errors that the same events would not give again: a run that was
/// stopped ends, and its planner is not asked again.
pub fn stoppable<T>(stop: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<Turn>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            STOP.replace(self.0.take());
        }
    }
    let turn = Turn {
        question: Box::new(stop),
        unasked: Cell::new(0),
        stopped: Cell::new(false),
    };
    let _restore = Restore(STOP.replace(Some(Rc::new(turn))));
    work()
}

enum Stop<'s> {
    Asked(&'s dyn Fn() -> bool),
    OfThread(Option<Rc<Turn>>),
}

/// What is left, in units.
pub(crate) struct Meter<'s> {
    left: u64,
    unasked: u64,
    stop: Stop<'s>,
}

impl<'s> Meter<'s> {
    pub(crate) fn new(limits: &Limits<'s>) -> Self {
        Self {
            left: limits.cost,
            unasked: 0,
            stop: Stop::Asked(limits.stop),
        }
    }

    /// With the question of [`stoppable`], if there is one on this thread.
    pub(crate) fn of_thread(cost: u64) -> Meter<'static> {
        Meter {
            left: cost,
            unasked: 0,
            stop: Stop::OfThread(STOP.with_borrow(Clone::clone)),
        }
    }

    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Pays for work that comes next.
    pub(crate) fn charge(&mut self, units: u64) -> Result<(), Spent> {
        self.left = self.left.checked_sub(units).ok_or(Spent::Cost)?;
        let goes_on = match &self.stop {
            Stop::OfThread(turn) => turn.as_ref().is_none_or(|turn| turn.goes_on(units)),
            Stop::Asked(question) => {
                self.unasked = self.unasked.saturating_add(units);
                self.unasked < UNITS_BETWEEN_QUESTIONS || {
                    self.unasked = 0;
                    !question()
                }
            }
        };
        if goes_on { Ok(()) } else { Err(Spent::Stopped) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn nothing_is_done_on_credit() {
        let mut meter = Meter::new(&Limits {
            cost: 10,
            stop: &|| false,
        });
        assert_eq!(meter.charge(11), Err(Spent::Cost));
        assert_eq!(meter.charge(10), Ok(()));
        assert_eq!(meter.charge(1), Err(Spent::Cost));
    }

    #[test]
    fn the_question_is_asked_again_and_again_but_not_for_each_unit() {
        let asked = Cell::new(0_u64);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 5
        };
        let mut meter = Meter::new(&Limits {
            cost: u64::MAX,
            stop: &stop,
        });
        let paid = (1_u64..).find(|_| meter.charge(1).is_err());
        assert_eq!(paid, Some(5 * UNITS_BETWEEN_QUESTIONS));
    }

    #[test]
    fn small_pieces_of_work_are_counted_together_and_none_is_done_after_a_no() {
        let asked = Rc::new(Cell::new(0_u64));
        let seen = Rc::clone(&asked);
        let stop = move || {
            seen.set(seen.get() + 1);
            seen.get() == 3
        };
        let piece = || Meter::of_thread(u64::MAX).charge(8).is_ok() && goes_on(8);
        let done = stoppable(stop, || (0..).take_while(|_: &u64| piece()).count());
        assert_eq!(done as u64, 3 * UNITS_BETWEEN_QUESTIONS / 16 - 1);
        let never = stoppable(
            || true,
            || {
                let first = goes_on(UNITS_BETWEEN_QUESTIONS);
                first || goes_on(1) || Meter::of_thread(9).charge(1).is_ok()
            },
        );
        assert_eq!((asked.get(), never), (3, false));
        assert!(goes_on(u64::MAX), "nobody asks outside of a turn");
    }

    #[test]
    fn a_question_holds_for_its_work_alone() {
        let charge = || Meter::of_thread(u64::MAX).charge(UNITS_BETWEEN_QUESTIONS);
        let (inner, outer) = stoppable(|| false, || (stoppable(|| true, charge), charge()));
        assert_eq!((inner, outer), (Err(Spent::Stopped), Ok(())));
        assert_eq!(charge(), Ok(()));
    }
}
