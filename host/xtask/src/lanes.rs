//! Two lanes of one task: what asks for every core, beside what mostly waits for one core or for the network.
//!
//! Done one after the other, a machine of two cores has one of them idle for minutes: while an installer downloads, while
//! one program is linked, while a crate is compiled that all others need. Nothing that one lane makes may be read by the
//! other before both have ended.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow, bail};

use crate::say;

/// Says to a lane that the other one has failed.
#[derive(Default)]
pub(crate) struct Halt(AtomicBool);

impl Halt {
    /// Does one step, unless the other lane has failed: then what is left to do could not be told from its failure.
    pub(crate) fn unless(&self, step: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("left out, because the other lane has failed");
        }
        step()
    }

    /// Tells a failure at once: the other lane may have a program at work that takes minutes yet.
    fn heed(&self, done: Result<()>) -> Result<()> {
        if let Err(error) = &done
            && !self.0.swap(true, Ordering::Relaxed)
        {
            say::failure(error);
            say::line("ends when what is at work beside it has ended");
        }
        done
    }
}

/// Does both. What the first failure was has been told when it happened.
pub(crate) fn both(
    left: impl FnOnce(&Halt) -> Result<()>,
    right: impl FnOnce(&Halt) -> Result<()> + Send,
) -> Result<()> {
    let halt = Halt::default();
    let (left, right) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| halt.heed(right(&halt)));
        let left = halt.heed(left(&halt));
        let panicked = |_| halt.heed(Err(anyhow!("a house task has panicked")));
        (left, beside.join().unwrap_or_else(panicked))
    });
    match (left, right) {
        (Ok(()), Ok(())) => Ok(()),
        _ => bail!("not everything could be done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_fails_keeps_the_other_from_its_next_step() {
        let (tell, told) = std::sync::mpsc::channel();
        let done = both(
            |_| {
                tell.send(()).unwrap();
                bail!("the left lane fails")
            },
            move |halt| {
                told.recv().unwrap();
                while !halt.0.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                halt.unless(|| unreachable!("a step after a failure"))
            },
        );
        assert!(done.is_err());
    }

    #[test]
    fn both_lanes_are_done_when_it_ends() {
        let (left, right) = (AtomicBool::new(false), AtomicBool::new(false));
        let set = |flag: &AtomicBool| {
            flag.store(true, Ordering::Relaxed);
            Ok(())
        };
        both(|_| set(&left), |halt| halt.unless(|| set(&right))).unwrap();
        assert!(left.into_inner() && right.into_inner());
    }
}
