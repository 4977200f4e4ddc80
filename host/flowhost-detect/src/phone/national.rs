//! Numbers as a country prints them for itself. Nothing but their grouping tells them from other
//! digits, so only groupings that are in use somewhere count, and none beside further digits.

use super::ends;
use crate::text::{Text, is_digit};

/// Digits of a national number of an area code with its zero and one block.
const DIGITS: std::ops::RangeInclusive<usize> = 9..=11;
/// Most digits and groups that are read. Hardly a country's are longer without its code, and ids are.
const DIGITS_MAX: usize = 12;
/// No country's numbers are written in more; tables of numbers are.
const GROUPS_MAX: usize = 5;

/// How numbers that begin with a zero are grouped.
const WITH_ZERO: &[&[usize]] = &[
    &[2, 2, 2, 2, 2], // France
    &[2, 4, 4],       // Australia, Brazil, Italy, Japan
    &[2, 3, 4],       // Ireland, New Zealand
    &[2, 3, 3, 2],    // Sweden
    &[3, 4, 4],       // London, Korea, Japan's mobiles
    &[3, 4, 3],
    &[3, 3, 4], // the Netherlands, South Africa
    &[3, 3, 3, 2],
    &[3, 3, 2, 2], // Switzerland
    &[3, 2, 2, 2], // Belgium
    &[3, 2, 2, 3],
    &[4, 3, 3],    // Australia's mobiles, Romania
    &[4, 3, 4],    // the larger cities of the United Kingdom
    &[4, 3, 2, 2], // Turkey
    &[4, 2, 2, 2], // Belgium's mobiles
    &[4, 2, 2, 3], // Germany
    &[5, 3, 3],    // the United Kingdom
];
/// How mobile numbers without a zero are grouped, with the digits that they begin with.
const WITHOUT_ZERO: &[(&[usize], &[u8])] = &[
    (&[3, 2, 2, 2], b"6789"), // Spain
    (&[3, 4, 4], b"1"),       // China
];

/// The end of a national number that starts there.
pub(super) fn number(text: &Text, at: usize) -> Option<usize> {
    let trunk = prefixed(text, at);
    if trunk.is_some() {
        return trunk;
    }
    let open = text.at(at) == Some(b'(');
    let first = if open { at + 1 } else { at };
    three_three_four(text, first, open)
        .or_else(|| brazil(text, first, open))
        .or_else(|| with_leading_zero(text, first, open))
        .or_else(|| grouped(text, first, open))
}

/// `1-800-555-0199`, `8 (495) 123-45-67`: North America's and Russia's own prefix.
fn prefixed(text: &Text, at: usize) -> Option<usize> {
    let prefix = text.at(at).filter(|byte| matches!(byte, b'1' | b'8'))?;
    let separates = |byte: u8| matches!(byte, b' ' | b'-' | b'.');
    let area = text.run(at + 1, separates, 1);
    let open = text.at(area) == Some(b'(');
    let first = if open { area + 1 } else { area };
    if area == at + 1 && !open {
        return None;
    }
    if prefix == b'1' {
        let is_area = text.is(first, |byte| matches!(byte, b'2'..=b'9'));
        return three_three_four(text, first, open).filter(|_| is_area);
    }
    let (groups, end) = groups(text, first, open)?;
    (groups == [3, 3, 2, 2] && text.is(first, |byte| matches!(byte, b'3'..=b'9'))).then_some(end)
}

/// `(212) 555-0187`, `212-555-0187`.
fn three_three_four(text: &Text, start: usize, open: bool) -> Option<usize> {
    let separates = |byte: u8| matches!(byte, b' ' | b'.' | b'-');
    let area = exactly(text, start, 3)?;
    // No area code begins with a one; `100-200-3000` is a list of numbers.
    if text.at(start) == Some(b'1') {
        return None;
    }
    let closed = closing(text, area, open);
    let middle = if text.is(closed, separates) {
        closed + 1
    } else if open && closed > area {
        closed
    } else {
        return None;
    };
    let last = exactly(text, middle, 3)?;
    let end = text
        .is(last, separates)
        .then(|| exactly(text, last + 1, 4))??;
    ends(text, end).then_some(end)
}

/// `(11) 98765-4321`: only with its parentheses.
fn brazil(text: &Text, start: usize, open: bool) -> Option<usize> {
    let area = exactly(text, start, 2).filter(|_| open)?;
    let middle = text.word(area, ") ")?;
    let last = text.run(middle, is_digit, 5);
    let end = exactly(text, text.word(last, "-")?, 4)?;
    (last - middle >= 4 && ends(text, end)).then_some(end)
}

/// `030 901820`, `(0221) 4710`, `0221 / 47108`: an area code with its zero and one block.
fn with_leading_zero(text: &Text, start: usize, open: bool) -> Option<usize> {
    let area = text.run(start, is_digit, 5);
    let second = text.is(start + 1, |byte| byte != b'0');
    if text.at(start) != Some(b'0') || area - start < 3 || !second {
        return None;
    }
    let closed = closing(text, area, open);
    let block = text.word(closed, " / ").or_else(|| {
        text.is(closed, |byte| matches!(byte, b' ' | b'/' | b'-'))
            .then_some(closed + 1)
    })?;
    let end = text.run(block, is_digit, 8);
    let (area, block) = (area - start, end - block);
    let is_one = block >= 5 && DIGITS.contains(&(area + block)) && ends(text, end);
    is_one.then_some(end)
}

/// Several groups in one of the layouts, and neither digits nor a dump's bytes beside them.
fn grouped(text: &Text, start: usize, open: bool) -> Option<usize> {
    if is_beside_digits(text, if open { start - 1 } else { start }) {
        return None;
    }
    let (groups, end) = groups(text, start, open)?;
    let first = text.at(start)?;
    let known = if first == b'0' {
        let second = text.is(start + 1, |byte| byte != b'0');
        second && WITH_ZERO.contains(&&*groups)
    } else {
        let is_known = |(layout, digits): &(&[usize], &[u8])| {
            *layout == groups.as_slice() && digits.contains(&first)
        };
        !open && WITHOUT_ZERO.iter().any(is_known)
    };
    known.then_some(end)
}

/// The lengths of the groups that stand there, all with the same mark between them, and their end.
fn groups(text: &Text, start: usize, open: bool) -> Option<(Vec<usize>, usize)> {
    let (mut groups, mut digits, mut at) = (Vec::new(), 0, start);
    let mut mark = None;
    loop {
        let end = text.run(at, is_digit, DIGITS_MAX + 1 - digits);
        if end == at {
            return None;
        }
        groups.push(end - at);
        digits += end - at;
        if digits > DIGITS_MAX || groups.len() > GROUPS_MAX {
            return None;
        }
        let is_area = groups.len() == 1 && open;
        let closed = closing(text, end, is_area);
        let next = text
            .at(closed)
            .filter(|byte| matches!(byte, b' ' | b'.' | b'-'));
        let goes_on = next.is_some() && text.is(closed + 1, is_digit);
        if !goes_on {
            let dump = next.is_some() && is_byte(text, closed + 1);
            return (ends(text, end) && !dump).then_some((groups, end));
        }
        // The mark behind an area code may be another one.
        if groups.len() > 1 || !open {
            if groups.len() > 1 && mark.is_some() && mark != next && groups.len() > 2 {
                return None;
            }
            mark = next;
        }
        at = closed + 1;
    }
}

/// Whether two hexadecimal digits stand there alone.
fn is_byte(text: &Text, at: usize) -> bool {
    let end = text.run(at, |byte| byte.is_ascii_hexdigit(), 3);
    end - at == 2 && text.ends(end)
}

/// Whether digits or a byte of a dump stand before, with a blank between.
pub(super) fn is_beside_digits(text: &Text, at: usize) -> bool {
    let Some(gap) = at.checked_sub(1).filter(|gap| text.at(*gap) == Some(b' ')) else {
        return false;
    };
    let word = text.run_back(gap, |byte| byte.is_ascii_alphanumeric(), 3);
    let is_dump = gap - word == 2 && is_byte(text, word);
    is_dump || text.before(gap).is_some_and(is_digit)
}

/// The end of exactly so many digits.
fn exactly(text: &Text, start: usize, digits: usize) -> Option<usize> {
    let end = text.run(start, is_digit, digits);
    (end - start == digits).then_some(end)
}

/// Past the parenthesis that was opened.
fn closing(text: &Text, at: usize, open: bool) -> usize {
    let closes = open && text.at(at) == Some(b')');
    if closes { at + 1 } else { at }
}
