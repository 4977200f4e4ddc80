//! What one try has done so far: when the answer began, and what it has cost already.
//!
//! Kept outside the future that does the work, so that a try which is cut off by the deadline is
//! still accounted. Usage is counted once: a provider's later word replaces its earlier one and is
//! never added to it.

use tokio::time::Instant;

use crate::answer::{Reported, Usage};

/// A provider adds tokens of its own to a prompt; beyond this many times ours, and this many more,
/// its count cannot be.
const ABSURD_FACTOR: u64 = 4;
/// Tools and documents of the provider's own are in it.
const ABSURD_TOKENS: u64 = 16_384;
/// Bytes of text that one token can stand for: the longest tokens are runs of blanks.
const TOKEN_BYTES_MAX: u64 = 128;

#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    first_token: Option<Instant>,
    /// Our count of the prompt, with what the provider adds.
    prompt_tokens: u64,
    max_tokens: u64,
    /// Whether the provider may have begun to count.
    sent: bool,
    /// Our count of what has come.
    heard_tokens: u64,
    heard_bytes: u64,
    /// The provider's word so far.
    reported: Reported,
    /// Whether that was its last word.
    whole: bool,
}

impl Progress {
    pub(crate) fn new(now: Instant, prompt_tokens: u64, max_tokens: u64) -> Self {
        Self {
            started: now,
            first_token: None,
            prompt_tokens,
            max_tokens,
            sent: false,
            heard_tokens: 0,
            heard_bytes: 0,
            reported: Reported::default(),
            whole: false,
        }
    }

    /// From here on the provider may count.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// The provider refused: it counts nothing.
    pub(crate) fn refused(&mut self) {
        // Also where a connection was never made.
        self.sent = false;
    }

    /// A piece of the answer came, of so many tokens by our count.
    pub(crate) fn heard(&mut self, now: Instant, tokens: u64, bytes: usize) {
        self.first_token.get_or_insert(now);
        self.heard_tokens = self.heard_tokens.saturating_add(tokens);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.heard_bytes = self.heard_bytes.saturating_add(bytes);
    }

    /// The provider's word in the middle of an answer: its count of what comes out is not final.
    pub(crate) fn reported_so_far(&mut self, word: Reported) {
        self.reported.replaced_by(word);
    }

    /// The answer has come to its end: what the provider said last is its last word.
    pub(crate) fn whole(&mut self) {
        self.whole = true;
    }

    /// A provider that ends with an error before it has said anything has refused, and counts nothing.
    pub(crate) fn refused_unless_heard(&mut self) {
        if self.first_token.is_none() && self.reported == Reported::default() {
            self.refused();
        }
    }

    /// What the provider said, believed or not.
    pub(crate) fn word(&self) -> Reported {
        self.reported
    }

    /// Whether the provider counted an answer.
    pub(crate) fn completion_reported(&self) -> bool {
        self.reported.completion_tokens.is_some_and(|it| it > 0)
    }

    /// Our own count, whoever is believed.
    pub(crate) fn counted(&self) -> Usage {
        if !self.sent {
            return Usage::default();
        }
        Usage {
            prompt_tokens: self.prompt_tokens,
            // Our count is an upper bound, and no provider bills above the limit that it was given.
            completion_tokens: self.heard_tokens.min(self.max_tokens),
            ..Usage::default()
        }
    }

    /// What was used, and whether a part of that is our own count. A provider's count is believed when
    /// it can be true; of an answer that broke off, what went in is believed and what came out is the
    /// larger of both counts.
    pub(crate) fn usage(&self) -> (Usage, bool) {
        if !self.sent {
            return (Usage::default(), false);
        }
        let ours = self.counted();
        let word = &self.reported;
        let Some(prompt_tokens) = word.prompt_tokens.filter(|_| self.can_go_in()) else {
            return (ours, true);
        };
        let went_in = Usage {
            prompt_tokens,
            cached_tokens: word.cached_tokens.unwrap_or(0),
            cache_write_tokens: word.cache_write_tokens.unwrap_or(0),
            ..Usage::default()
        };
        // What asks for no answer (an embedding) has nothing to count there.
        let nothing = (self.max_tokens == 0).then_some(0);
        let theirs = word.completion_tokens.or(nothing);
        if let Some(completion_tokens) = theirs.filter(|it| self.whole && self.can_come_out(*it)) {
            let usage = Usage {
                completion_tokens,
                reasoning_tokens: word.reasoning_tokens.unwrap_or(0),
                ..went_in
            };
            return (usage, false);
        }
        let theirs = theirs.unwrap_or(0).min(self.max_tokens);
        let usage = Usage {
            completion_tokens: ours.completion_tokens.max(theirs),
            ..went_in
        };
        (usage, true)
    }

    fn can_go_in(&self) -> bool {
        let word = &self.reported;
        let prompt = word.prompt_tokens.unwrap_or(0);
        let cached = word.cached_tokens.unwrap_or(0);
        let written = word.cache_write_tokens.unwrap_or(0);
        prompt > 0
            && prompt <= most(self.prompt_tokens)
            // Parts above their whole: one of the numbers is wrong, and nobody knows which.
            && cached.checked_add(written).is_some_and(|it| it <= prompt)
    }

    fn can_come_out(&self, completion: u64) -> bool {
        completion <= most(self.max_tokens)
            && self.reported.reasoning_tokens.unwrap_or(0) <= completion
            && completion >= self.heard_bytes.div_ceil(TOKEN_BYTES_MAX)
    }

    pub(crate) fn duration_ms(&self, now: Instant) -> u64 {
        millis(now - self.started)
    }

    pub(crate) fn first_token_ms(&self) -> Option<u64> {
        self.first_token.map(|at| millis(at - self.started))
    }
}

fn most(ours: u64) -> u64 {
    ours.saturating_mul(ABSURD_FACTOR)
        .saturating_add(ABSURD_TOKENS)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, cached: u64, completion: u64, reasoning: u64) -> Usage {
        Usage {
            prompt_tokens: prompt,
            cached_tokens: cached,
            cache_write_tokens: 0,
            completion_tokens: completion,
            reasoning_tokens: reasoning,
        }
    }

    fn heard(reported: Option<Usage>) -> (Usage, bool) {
        let now = Instant::now();
        let mut progress = Progress::new(now, 100, 50);
        progress.sent();
        progress.heard(now, 20, 256);
        if let Some(usage) = reported {
            progress.reported_so_far(usage.into());
        }
        progress.whole();
        progress.usage()
    }

    #[test]
    fn counts_itself_when_the_providers_word_cannot_be() {
        let table = [
            (usage(0, 0, 20, 0), usage(100, 0, 20, 0)),
            (usage(u64::MAX, 0, 20, 0), usage(100, 0, 20, 0)),
            (usage(90, 91, 20, 0), usage(100, 0, 20, 0)),
            (usage(90, 9, 20, 21), usage(90, 9, 20, 0)),
            (usage(90, 9, 0, 0), usage(90, 9, 20, 0)),
            (usage(90, 9, 1, 0), usage(90, 9, 20, 0)),
            (usage(90, 9, 1_000_000, 0), usage(90, 9, 50, 0)),
        ];
        for (lie, ours) in table {
            assert_eq!(heard(Some(lie)), (ours, true), "{lie:?}");
        }
        assert_eq!(heard(None), (usage(100, 0, 20, 0), true));
    }

    #[test]
    fn an_answer_that_broke_off_costs_the_larger_count() {
        let mut progress = Progress::new(Instant::now(), 100, 50);
        progress.sent();
        progress.reported_so_far(usage(90, 9, 1, 0).into());
        progress.heard(Instant::now(), 20, 256);
        assert_eq!(progress.usage(), (usage(90, 9, 20, 0), true));
    }

    #[test]
    fn believes_a_count_that_can_be() {
        let word = usage(90, 10, 20, 5);
        assert_eq!(heard(Some(word)), (word, false));
    }

    #[test]
    fn a_half_of_a_count_is_completed_by_ours() {
        let now = Instant::now();
        let mut progress = Progress::new(now, 100, 50);
        progress.sent();
        progress.heard(now, 20, 256);
        progress.reported_so_far(Reported {
            prompt_tokens: Some(90),
            ..Reported::default()
        });
        progress.whole();
        assert_eq!(progress.usage(), (usage(90, 0, 20, 0), true));
        assert_eq!(progress.counted(), usage(100, 0, 20, 0));
        assert_eq!(progress.word().completion_tokens, None);
    }

    #[test]
    fn a_zero_never_takes_a_count_back() {
        let mut progress = Progress::new(Instant::now(), 100, 50);
        progress.sent();
        progress.reported_so_far(usage(90, 10, 20, 5).into());
        progress.reported_so_far(usage(0, 0, 0, 0).into());
        progress.whole();
        assert_eq!(progress.usage(), (usage(90, 10, 20, 5), false));
    }

    #[test]
    fn an_error_before_the_first_word_is_a_refusal_and_a_later_one_is_not() {
        let mut progress = Progress::new(Instant::now(), 100, 50);
        progress.sent();
        progress.refused_unless_heard();
        assert_eq!(progress.usage().0, usage(0, 0, 0, 0));
        progress.sent();
        progress.heard(Instant::now(), 2, 5);
        progress.refused_unless_heard();
        assert_eq!(progress.usage().0, usage(100, 0, 2, 0));
    }

    #[test]
    fn nothing_sent_and_nothing_answered_cost_nothing() {
        let mut progress = Progress::new(Instant::now(), 100, 50);
        assert_eq!(progress.usage(), (Usage::default(), false));
        progress.sent();
        assert_eq!(progress.usage(), (usage(100, 0, 0, 0), true));
        progress.refused();
        assert_eq!(progress.usage(), (Usage::default(), false));
    }
}
