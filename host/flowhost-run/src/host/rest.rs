//! When a host has come to rest: runs have gone on, and for a while none has.
//!
//! Who serves for long gives back then what it kept for the next call. Must not know what that is.

use std::time::Duration;

use tokio::sync::watch;

/// The runs of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    begun: u64,
    going_on: usize,
}

impl Course {
    pub(crate) fn begin(&mut self) {
        self.begun += 1;
        self.going_on += 1;
    }

    pub(crate) fn end(&mut self) {
        debug_assert!(self.going_on > 0, "a run that ends has begun");
        self.going_on = self.going_on.saturating_sub(1);
    }
}

/// Tells of each time that a host has come to rest.
#[derive(Debug)]
pub struct Rests {
    course: watch::Receiver<Course>,
    /// Runs that had begun at the last rest.
    begun: u64,
}

impl Rests {
    pub(crate) fn new(course: watch::Receiver<Course>) -> Self {
        Self { course, begun: 0 }
    }

    /// Waits until runs have gone on since the last rest, and then none has for `still`. For ever once the host is gone.
    pub async fn next(&mut self, still: Duration) {
        loop {
            let before = self.begun;
            let is_idle = |it: &Course| it.begun > before && it.going_on == 0;
            let Ok(begun) = self.course.wait_for(is_idle).await.map(|it| it.begun) else {
                return std::future::pending().await;
            };
            // By their number: one that began and ended between two looks leaves as few at work as there were.
            let another = self.course.wait_for(|it| it.begun != begun);
            let another = tokio::time::timeout(still, another).await;
            match another.map(|it| it.is_ok()) {
                Err(_still) => {
                    self.begun = begun;
                    return;
                }
                Ok(true) => {}
                Ok(false) => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Duration = Duration::from_secs(5);

    /// Whether a rest is told within the time.
    async fn rests(rests: &mut Rests, seconds: u64) -> bool {
        let within = Duration::from_secs(seconds);
        tokio::time::timeout(within, rests.next(STILL))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_worked_or_works_does_not_rest_and_one_that_did_rests_once() {
        let course = watch::Sender::new(Course::default());
        let mut told = Rests::new(course.subscribe());
        assert!(!rests(&mut told, 60).await, "nothing has run");
        course.send_modify(Course::begin);
        course.send_modify(Course::begin);
        course.send_modify(Course::end);
        assert!(!rests(&mut told, 60).await, "one goes on");
        course.send_modify(Course::end);
        assert!(!rests(&mut told, 4).await, "the next may come soon");
        // One that nobody saw begin and end.
        course.send_modify(Course::begin);
        course.send_modify(Course::end);
        assert!(!rests(&mut told, 4).await);
        assert!(rests(&mut told, 6).await);
        assert!(!rests(&mut told, 60).await, "it has been told");
        drop(course);
        assert!(!rests(&mut told, 60).await, "there is no host");
    }
}
