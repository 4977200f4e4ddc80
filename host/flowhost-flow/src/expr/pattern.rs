//! `matches`: regular expressions of the RE2 kind, in time linear in the text.
//!
//! The engine is a lazy automaton that is stepped here, byte by byte, because only so each step can be
//! paid for: a known transition is cheap, a new one costs as much as the pattern has states. No pattern
//! backtracks. Classes such as `\w` are ASCII, as in RE2 and unlike in the library.

use std::sync::Arc;

use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::effort::{Meter, Spent};
use crate::expr::fault::Fault;
use crate::expr::value::Text;

/// Bytes of a pattern: half of the longest expression.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Brackets within brackets of a pattern: as many as an expression may have.
const DEPTH_MAX: u32 = 24;
/// States that a pattern may need, repetitions written out: `[a-z]{1,200}` needs some hundred.
const STATES_MAX: u64 = 4_000;
/// Memory of one automaton, found states and their transitions. When it is full it starts anew. The cost of a
/// pattern is reckoned in states, so what they take is bounded apart from it.
const CACHE_BYTES_MAX: usize = 256 * 1024;
/// Automata that an evaluation keeps: patterns in turn cost no memory without end.
const CACHES_MAX: usize = 4;
/// Bytes of the text for one unit, where the way is known: a step is more work than reading.
const BYTES_STEPPED: usize = 3;
/// Reading one byte of a pattern, which may be a third of a class of the whole of Unicode.
const UNITS_PER_PATTERN_BYTE: u64 = 100;
/// Making the program of a pattern, for each state: an allocation and its transitions.
const UNITS_PER_STATE: u64 = 8;
/// What reading and making a written-out pattern may cost, once, when the plan is read: a fifth of an
/// evaluation, because a plan may hold many.
const WRITTEN_UNITS_MAX: u64 = 200_000;

/// A pattern ready to search with.
#[derive(Clone)]
pub(super) struct Pattern {
    source: Arc<str>,
    dfa: Arc<DFA>,
    states: u64,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pattern({})", self.source)
    }
}

/// Why a pattern cannot be used.
enum Refused {
    Spent(Spent),
    Pattern(&'static str),
}

impl From<Spent> for Refused {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

const TOO_LARGE: &str = "it is too large; repeat less, or use fewer large classes";

impl Pattern {
    /// A pattern that is written out in the plan.
    pub(super) fn compile(source: &str) -> Result<Self, &'static str> {
        let mut meter = Meter::of_thread(WRITTEN_UNITS_MAX);
        Self::compile_within(source, &mut meter).map_err(|refused| match refused {
            Refused::Spent(Spent::Cost) => TOO_LARGE,
            Refused::Spent(Spent::Stopped) => "there was no time left to read it",
            Refused::Pattern(message) => message,
        })
    }

    fn compile_within(source: &str, meter: &mut Meter<'_>) -> Result<Self, Refused> {
        if source.len() > PATTERN_BYTES_MAX {
            return Err(Refused::Pattern("it has more than 1024 bytes"));
        }
        meter.charge(500 + UNITS_PER_PATTERN_BYTE * source.len() as u64)?;
        let config = syntax::Config::new().nest_limit(DEPTH_MAX).utf8(false);
        let hir = syntax::parse_with(&translated(source), &config)
            .map_err(|_| Refused::Pattern("it is not a regular expression of RE2"))?;
        let states = size(&hir);
        if states > STATES_MAX {
            return Err(Refused::Pattern(TOO_LARGE));
        }
        meter.charge(UNITS_PER_STATE * states)?;
        let nfa = NFA::compiler()
            .configure(NFA::config().which_captures(WhichCaptures::None))
            .build_from_hir(&hir)
            .map_err(|_| Refused::Pattern(TOO_LARGE))?;
        let states = nfa.states().len() as u64;
        let config = DFA::config()
            .cache_capacity(CACHE_BYTES_MAX)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(|_| Refused::Pattern(TOO_LARGE))?;
        Ok(Self {
            source: source.into(),
            dfa: Arc::new(dfa),
            states,
        })
    }
}

/// States that a pattern of a JSON Schema needs at most, about; such a pattern is compiled elsewhere.
pub(crate) fn states_of(pattern: &str) -> u64 {
    let config = syntax::Config::new().nest_limit(DEPTH_MAX).utf8(false);
    // What this parser refuses is mostly refused there; else nothing of it is larger than this.
    syntax::parse_with(&translated(pattern), &config)
        .map_or_else(|_| 64 * pattern.len() as u64, |hir| size(&hir))
}

/// States that the pattern needs at most, about. Nesting is bounded by the parser.
fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        // A range of characters is up to four sequences of bytes.
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().fold(1, |sum, range| {
            sum + if range.end().is_ascii() { 1 } else { 4 }
        }),
        HirKind::Class(Class::Bytes(class)) => 1 + class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            let once = size(&repetition.sub).saturating_add(1);
            once.saturating_mul(u64::from(times.max(1)))
        }
        HirKind::Capture(capture) => 2 + size(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts
            .iter()
            .fold(1_u64, |sum, part| sum.saturating_add(1 + size(part))),
    }
}

/// RE2's syntax in the library's: ASCII classes and word boundaries, and no set operations, for
/// which the library takes some signs in brackets that stand for themselves in RE2.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(2 * source.len());
    let mut chars = source.chars().peekable();
    let mut in_class = false;
    let mut first = false;
    while let Some(char) = chars.next() {
        let was_first = std::mem::replace(&mut first, false);
        match char {
            '\\' => escape(chars.next(), in_class, &mut out),
            '[' if !in_class => {
                in_class = true;
                first = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            '[' if chars.peek() == Some(&':') => {
                // `[:alpha:]`, to its end.
                out.push('[');
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if in_class && was_first => out.push_str("\\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
            }
            '-' if in_class && (was_first || chars.peek() == Some(&'-')) => out.push_str("\\-"),
            _ => out.push(char),
        }
    }
    out
}

fn escape(char: Option<char>, in_class: bool, out: &mut String) {
    let class = match char {
        Some('d') => "0-9",
        Some('w') => "0-9A-Za-z_",
        Some('s') => "\\t\\n\\f\\r ",
        Some('D') => "^0-9",
        Some('W') => "^0-9A-Za-z_",
        Some('S') => "^\\t\\n\\f\\r ",
        Some('b') if !in_class => return out.push_str("(?-u:\\b)"),
        Some('B') if !in_class => return out.push_str("(?-u:\\B)"),
        // `\C`, a single byte, and `\Q`, a quotation, stay what they are: errors.
        Some(other) => {
            out.push('\\');
            return out.push(other);
        }
        None => return out.push('\\'),
    };
    if in_class && !class.starts_with('^') {
        out.push_str(class);
    } else {
        out.push('[');
        out.push_str(class);
        out.push(']');
    }
}

/// The patterns of one evaluation: those that are made on the way, and what searching found out.
#[derive(Default)]
pub(super) struct Patterns {
    /// The one used last is last.
    used: Vec<(Pattern, Cache)>,
}

impl Patterns {
    /// Whether `pattern` is found anywhere in `text`.
    pub(super) fn matches(
        &mut self,
        pattern: &Pattern,
        text: &str,
        meter: &mut Meter<'_>,
    ) -> Result<bool, Spent> {
        let cache = self.cache(pattern, meter)?;
        search(pattern, cache, text, meter)
    }

    /// As [`Patterns::matches`], with a pattern that is data.
    pub(super) fn matches_text<'a>(
        &mut self,
        pattern: &Text<'a>,
        text: &str,
        meter: &mut Meter<'_>,
    ) -> Result<bool, Fault<'a>> {
        meter.compare(CACHES_MAX * pattern.len())?;
        let known = self
            .used
            .iter()
            .find(|(known, _)| *known.source == **pattern);
        let compiled = match known {
            Some((known, _)) => known.clone(),
            None => Pattern::compile_within(pattern, meter).map_err(|refused| match refused {
                Refused::Spent(spent) => Fault::Spent(spent),
                Refused::Pattern(message) => Fault::Pattern(pattern.clone(), message),
            })?,
        };
        Ok(self.matches(&compiled, text, meter)?)
    }

    fn cache(&mut self, pattern: &Pattern, meter: &mut Meter<'_>) -> Result<&mut Cache, Spent> {
        let known = self
            .used
            .iter()
            .position(|(known, _)| Arc::ptr_eq(&known.dfa, &pattern.dfa));
        let entry = match known {
            Some(place) => self.used.remove(place),
            None => {
                meter.charge(50 + pattern.states / 4)?;
                if self.used.len() >= CACHES_MAX {
                    self.used.remove(0);
                }
                (pattern.clone(), pattern.dfa.create_cache())
            }
        };
        self.used.push(entry);
        match self.used.last_mut() {
            Some((_, cache)) => Ok(cache),
            None => Err(Spent::Cost),
        }
    }
}

fn search(
    pattern: &Pattern,
    cache: &mut Cache,
    text: &str,
    meter: &mut Meter<'_>,
) -> Result<bool, Spent> {
    let dfa = pattern.dfa.as_ref();
    let new_transition = 4 + pattern.states / 4;
    meter.charge(new_transition)?;
    // The automaton gives up never, only starts its memory anew, and has no bytes at which it quits.
    let Ok(mut state) = dfa.start_state_forward(cache, &Input::new(text)) else {
        return Err(Spent::Cost);
    };
    for few in text.as_bytes().chunks(BYTES_STEPPED) {
        meter.charge(1)?;
        for &byte in few {
            state = step(dfa, cache, state, byte, new_transition, meter)?;
            if state.is_match() {
                return Ok(true);
            }
            if state.is_dead() {
                return Ok(false);
            }
        }
    }
    meter.charge(new_transition)?;
    let end = dfa.next_eoi_state(cache, state);
    Ok(end.is_ok_and(|end| end.is_match()))
}

fn step(
    dfa: &DFA,
    cache: &mut Cache,
    state: LazyStateID,
    byte: u8,
    new_transition: u64,
    meter: &mut Meter<'_>,
) -> Result<LazyStateID, Spent> {
    if !state.is_tagged() {
        let known = dfa.next_state_untagged(cache, state, byte);
        if !known.is_unknown() {
            return Ok(known);
        }
    }
    meter.charge(new_transition)?;
    dfa.next_state(cache, state, byte).map_err(|_| Spent::Cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> Result<bool, &'static str> {
        let pattern = Pattern::compile(pattern)?;
        let mut meter = Meter::of_thread(1_000_000);
        Patterns::default()
            .matches(&pattern, text, &mut meter)
            .map_err(|_| "spent")
    }

    #[test]
    fn refuses_what_is_too_large_or_not_regular() {
        for pattern in [
            "(",
            "a{5000}",
            "((a{50}){50}){50}",
            "(?=a)",
            r"(a)\1",
            r"\pL{900}",
            "[z-a]",
        ] {
            assert!(matches(pattern, "a").is_err(), "{pattern}");
        }
        assert!(matches(&"a".repeat(2_000), "a").is_err());
        assert!(matches(&format!("{}a{}", "(".repeat(100), ")".repeat(100)), "a").is_err());
    }

    #[test]
    fn finds_a_pattern_anywhere_and_reads_classes_as_re2_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("b", "abc", true),
            ("^b", "abc", false),
            ("c$", "abc", true),
            ("^a.c$", "aéc", true),
            (r"^\w+$", "straße", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^\W$", "é", true),
            (r"^[^\W]$", "é", false),
            (r"^\d$", "٣", false),
            (r"\bb\b", "a b c", true),
            (r"\bb\b", "abc", false),
            ("[[]", "[", true),
            ("[]]", "]", true),
            ("^[a&&b]$", "&", true),
            ("^[a--z]$", "-", true),
            ("^[[:alpha:]]+$", "abc", true),
            ("(?i)straße", "STRASSE", false),
            ("(?i)ABC", "abc", true),
            (r"\pL\p{Greek}", "aα", true),
            ("^(a|b)*c$", "abbac", true),
            (r"^\$\{$", "${", true),
        ] {
            assert_eq!(matches(pattern, text), Ok(expected), "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_that_would_backtrack_is_linear() {
        let text = "a".repeat(100_000);
        assert_eq!(matches("^(a+)+$", &text), Ok(true));
        assert_eq!(matches("^(a|a)*b$", &text), Ok(false));
    }
}
