//! Mutations that are the same on every machine: a number names an input.
//!
//! Coverage guides nothing here. These find what lies close to a valid
//! document, in seconds, on stable Rust, in every build.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::Target;

/// Longest input that is made, in bytes. Limits of parsers are larger or need no bytes to reach.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Bytes that mean something in most formats.
const EDGES: &[u8] = b"\0\n\r\t \"'\\/{}[]()<>,:;.=+-*#%@$&|!?0199azAZ_~\x7f\x80\xc3\xff";

/// The input with the number `case` of a target, made from its seeds. Empty without seeds.
#[must_use]
pub fn mutated(target: &Target, seeds: &[Vec<u8>], case: u64) -> Vec<u8> {
    let mut random = Random::new(target.name, case);
    let mut input = random.seed_of(seeds).to_vec();
    for _ in 0..=random.below(4) {
        random.mutate(&mut input, target.words, seeds);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

struct Random(ChaCha8Rng);

impl Random {
    fn new(name: &str, case: u64) -> Self {
        let mut seed = [0; 32];
        let bytes = name.bytes().chain([0]).chain(case.to_le_bytes());
        for (at, byte) in seed.iter_mut().zip(bytes) {
            *at = byte;
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number below `bound`; 0 when that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u64::from(self.0.next_u32()) * (bound as u64);
        usize::try_from(wide >> 32).unwrap_or_default()
    }

    fn seed_of<'s>(&mut self, seeds: &'s [Vec<u8>]) -> &'s [u8] {
        let at = self.below(seeds.len());
        seeds.get(at).map_or(&[], Vec::as_slice)
    }

    fn edge(&mut self) -> u8 {
        let at = self.below(EDGES.len());
        EDGES.get(at).copied().unwrap_or_default()
    }

    /// A place and a short length within `len`.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let longest = if self.below(4) == 0 { len } else { 32 };
        let end = start + self.below(longest.min(len - start) + 1);
        start..end
    }

    fn mutate(&mut self, input: &mut Vec<u8>, words: &[&str], seeds: &[Vec<u8>]) {
        let place = self.range(input.len());
        match self.below(10) {
            0 => self.flip(input),
            1 => self.set(input),
            2 => input.truncate(place.start),
            3 => drop(input.drain(place)),
            4 => self.repeat(input, place),
            5 => {
                let byte = self.edge();
                input.insert(place.start, byte);
            }
            6 | 7 => {
                let at = self.below(words.len());
                let word = words.get(at).copied().unwrap_or("0");
                let place = if self.below(2) == 0 {
                    place.start..place.start
                } else {
                    place
                };
                input.splice(place, word.bytes());
            }
            8 => {
                let other = self.seed_of(seeds);
                let piece = other.get(self.range(other.len())).unwrap_or_default();
                input.splice(place, piece.iter().copied());
            }
            _ => {
                let piece = input.get(self.range(input.len())).unwrap_or_default();
                let piece = piece.to_vec();
                input.splice(place, piece);
            }
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.below(input.len()), self.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set(&mut self, input: &mut [u8]) {
        let (at, edge) = (self.below(input.len()), self.edge());
        if let Some(byte) = input.get_mut(at) {
            *byte = edge;
        }
    }

    /// Once in a while a piece follows itself thousands of times: depth, length, quadratic work.
    fn repeat(&mut self, input: &mut Vec<u8>, place: std::ops::Range<usize>) {
        let times = match self.below(8) {
            0 => 4_096,
            1 => 200,
            _ => self.below(4) + 1,
        };
        let piece = input.get(place.clone()).unwrap_or_default();
        let room = INPUT_BYTES_MAX.saturating_sub(input.len());
        let times = times.min(room / piece.len().max(1));
        let many = piece.repeat(times);
        input.splice(place.end..place.end, many);
    }
}
