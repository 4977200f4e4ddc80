//! What comes for a call, and what comes for nobody in particular: streams of one call share an inbox, and what
//! waits there is bounded, whoever sent it and by which way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowhost_engine::{Bytes, Fault, Told};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// Bytes that may wait for one server's calls to read them. A server that writes faster than its client reads
/// is stopped there, by its own pipe or connection.
const WAITING_MAX: usize = 8 << 20;
/// Bytes that an arrival takes beside its frame: its place in the inbox, the name of its stream, and what the allocator
/// keeps of each. Frames can be some thirty bytes short, and a flood of those would else hold ten times the bound.
const ARRIVAL_BYTES: usize = 256;
/// Frames that belong to no stream and are kept for who listens later, and their bytes together: a server that
/// floods while nobody listens loses its oldest words, and the host no memory.
const UNASKED_MAX: usize = 256;
const UNASKED_BYTES_MAX: usize = 8 << 20;

/// Status and headers of an answer over HTTP, as a record has them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// What comes on a stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Came {
    Head(Head),
    /// A frame, or the last piece of one.
    Frame(String),
    /// A piece of a frame that goes on.
    Piece(String),
    Closed,
    Broken(String),
    Failed(Told),
}

impl Came {
    /// Whether more may come.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Head(_) | Self::Frame(_) | Self::Piece(_))
    }
}

/// The same, with its stream, and what it counts for while it waits. A fault ends the call that reads it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: String,
    came: Result<Came, Fault>,
    /// Bytes of a frame that were handed over in pieces. What is left stays where it is: a copy of it with each piece
    /// would be hundreds of times a large frame.
    handed: usize,
    waiting: Option<(Waiting, usize)>,
}

impl Arrival {
    /// Takes the next piece of a frame of which more than `bytes_max` are left.
    pub(super) fn piece(&mut self, bytes_max: usize) -> Option<String> {
        let Ok(Came::Frame(frame)) = &self.came else {
            return None;
        };
        let left = frame.get(self.handed..)?;
        if left.len() <= bytes_max {
            return None;
        }
        let cut = (0..=bytes_max)
            .rev()
            .find(|at| left.is_char_boundary(*at))?;
        let piece = left.get(..cut)?.to_owned();
        self.handed += cut;
        Some(piece)
    }

    /// Takes what came; of a frame what was not handed over in pieces.
    pub(super) fn take(&mut self) -> Result<Came, Fault> {
        let mut came = std::mem::replace(&mut self.came, Ok(Came::Closed));
        if let Ok(Came::Frame(frame)) = &mut came
            && self.handed > 0
        {
            *frame = frame.split_off(self.handed);
        }
        came
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some((all, bytes)) = &self.waiting {
            all.0.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes of one server that wait to be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// Waits until calls have read what they were sent: whoever reads slowly holds the server up and not the
    /// memory of the host.
    pub(super) async fn room(&self) {
        // Looked at again and again, because room is made where an arrival is dropped, in whichever
        // call that is. Ten milliseconds are little for a server that is eight MiB ahead.
        while self.0.load(Ordering::Relaxed) > WAITING_MAX {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Somebody who waits for what comes.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) stream: String,
    // Unbounded, so that a reader of one stream never waits for the call that reads another; bytes
    // are bounded by [`Waiting::room`] instead.
    pub(super) sender: UnboundedSender<Arrival>,
}

impl Waiter {
    /// Tells what takes no room. A call that is over hears nothing.
    pub(super) fn tell(&self, came: Result<Came, Fault>) {
        let _call_is_over = self.sender.send(Arrival {
            stream: self.stream.clone(),
            came,
            handed: 0,
            waiting: None,
        });
    }

    /// Delivers a frame.
    pub(super) fn deliver(&self, frame: String, waiting: &Waiting) {
        let bytes = frame.len() + ARRIVAL_BYTES;
        waiting.0.fetch_add(bytes, Ordering::Relaxed);
        // A call that is over drops it, and what it counts for with it.
        let _call_is_over = self.sender.send(Arrival {
            stream: self.stream.clone(),
            came: Ok(Came::Frame(frame)),
            handed: 0,
            waiting: Some((waiting.clone(), bytes)),
        });
    }
}

/// What a server says that nobody asked for.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    listener: Option<Waiter>,
    kept: VecDeque<String>,
    kept_bytes: usize,
}

impl Unasked {
    /// Hands a frame to whoever listens, or keeps it.
    pub(super) fn hear(&mut self, frame: String, waiting: &Waiting) {
        // A call that is over listens no more; what comes is for the next that does.
        let there = |waiter: &&Waiter| !waiter.sender.is_closed();
        if let Some(waiter) = self.listener.as_ref().filter(there) {
            waiter.deliver(frame, waiting);
            return;
        }
        self.kept_bytes += frame.len();
        self.kept.push_back(frame);
        while self.kept.len() > UNASKED_MAX || self.kept_bytes > UNASKED_BYTES_MAX {
            // A frame that is larger than all that is kept goes at once, as its own oldest.
            let oldest = self.kept.pop_front().unwrap_or_default();
            self.kept_bytes -= oldest.len();
        }
    }

    /// From now on it arrives there; first what came before.
    pub(super) fn listen(&mut self, waiter: Waiter, waiting: &Waiting) {
        self.kept_bytes = 0;
        for frame in std::mem::take(&mut self.kept) {
            waiter.deliver(frame, waiting);
        }
        self.listener = Some(waiter);
    }

    /// Nobody listens on `stream` any more.
    pub(super) fn forget(&mut self, stream: &str) {
        if self.listener.as_ref().is_some_and(|it| it.stream == stream) {
            self.listener = None;
        }
    }

    /// Whoever listens, for the last time.
    pub(super) fn take_listener(&mut self) -> Option<Waiter> {
        self.listener.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_is_handed_over_in_pieces_that_are_text() {
        let waiting = Waiting::default();
        let (sender, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let waiter = Waiter {
            stream: "1-1".to_owned(),
            sender,
        };
        waiter.deliver("aöbö".to_owned(), &waiting);
        let mut arrival = inbox.try_recv().unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = arrival.piece(2) {
            pieces.push(piece);
        }
        assert_eq!(pieces, ["a", "ö", "b"]);
        assert!(matches!(arrival.take(), Ok(Came::Frame(rest)) if rest == "ö"));
        assert_eq!(
            waiting.0.load(Ordering::Relaxed),
            6 + ARRIVAL_BYTES,
            "until all of it is read"
        );
        drop(arrival);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_the_shortest_frames_is_held_up_as_one_of_long_ones_is() {
        let waiting = Waiting::default();
        let (sender, _inbox) = tokio::sync::mpsc::unbounded_channel();
        let stream = "1-1".to_owned();
        let waiter = Waiter { stream, sender };
        let most = WAITING_MAX / ARRIVAL_BYTES;
        for _ in 0..most {
            waiter.deliver("{}".to_owned(), &waiting);
        }
        let room = tokio::time::timeout(Duration::from_secs(1), waiting.room());
        assert!(room.await.is_err(), "{most} frames are as many as may wait");
    }

    #[test]
    fn who_floods_while_nobody_listens_loses_its_oldest_words() {
        let waiting = Waiting::default();
        let mut unasked = Unasked::default();
        for number in 0..300 {
            unasked.hear(number.to_string(), &waiting);
        }
        for _ in 0..3 {
            unasked.hear("x".repeat(4 << 20), &waiting);
        }
        assert_eq!((unasked.kept.len(), unasked.kept_bytes), (2, 8 << 20));
        let (sender, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let stream = "1-1".to_owned();
        unasked.listen(Waiter { stream, sender }, &waiting);
        assert!(inbox.try_recv().is_ok() && inbox.try_recv().is_ok());
        assert!(inbox.try_recv().is_err());
        assert_eq!(unasked.kept_bytes, 0);
    }
}
