//! `'…%s…'.format([…])`: texts from a pattern with clauses.
//!
//! Each clause is paid for before it is written: a precision of a million digits costs what it makes,
//! and is refused before that.

use crate::effort::{Meter, Spent};
use crate::expr::eval::Evaluated;
use crate::expr::fault::Fault;
use crate::expr::functions::{shown, text_of};
use crate::expr::json::key_text;
use crate::expr::value::{Text, Val};

/// Digits after the point that can be asked for: far beyond the 17 that a double has, and still one line.
const PRECISION_MAX: usize = 100;
/// Bytes of a number with [`PRECISION_MAX`] digits after up to 309 others. That many are paid for before the
/// number is written, because how long it gets is known only then.
const NUMBER_BYTES: usize = 450;

pub(super) fn format<'a>(
    pattern: &Text<'a>,
    values: &Val<'a>,
    meter: &mut Meter<'_>,
) -> Evaluated<'a> {
    meter.scan(pattern.len())?;
    meter.text(pattern.len())?;
    let mut out = String::with_capacity(pattern.len());
    let mut rest: &str = pattern;
    let mut next = 0;
    while let Some(start) = rest.find('%') {
        let (before, clause) = rest.split_at(start);
        out.push_str(before);
        let (clause, after) = Clause::read(clause)?;
        rest = after;
        if clause.verb == '%' {
            out.push('%');
            continue;
        }
        let index = next;
        next += 1;
        let value = values
            .element(index)
            .ok_or(Fault::Said("`format` has more clauses than values"))?;
        clause.write(&value, &mut out, meter)?;
    }
    out.push_str(rest);
    // It grew by doubling, and what is kept is what was charged.
    out.shrink_to_fit();
    Ok(Val::text(out))
}

struct Clause {
    precision: Option<usize>,
    verb: char,
}

impl Clause {
    /// The clause at the start of `text`, and what follows it.
    fn read(text: &str) -> Result<(Self, &str), Fault<'static>> {
        let mut rest = text.strip_prefix('%').unwrap_or(text);
        let mut precision = None;
        if let Some(digits) = rest.strip_prefix('.') {
            let end = digits
                .find(|char: char| !char.is_ascii_digit())
                .unwrap_or(digits.len());
            let (digits, after) = digits.split_at(end);
            let digits = digits
                .parse()
                .map_err(|_| Fault::Said("`%.` in `format` goes with a number of digits"))?;
            if digits > PRECISION_MAX {
                return Err(Fault::Said(
                    "`format` writes at most 100 digits after the point",
                ));
            }
            precision = Some(digits);
            rest = after;
        }
        let verb = rest.chars().next().ok_or(Fault::Said(
            "`%` at the end in `format`; write `%%` for the sign",
        ))?;
        if !"%sdfebxXo".contains(verb) {
            return Err(Fault::Said(
                "a clause in `format` is %s, %d, %f, %e, %b, %x, %X, %o or %%",
            ));
        }
        let after = rest.get(verb.len_utf8()..).unwrap_or_default();
        Ok((Self { precision, verb }, after))
    }

    fn write<'a>(
        &self,
        value: &Val<'a>,
        out: &mut String,
        meter: &mut Meter<'_>,
    ) -> Result<(), Fault<'a>> {
        if self.verb == 's' {
            return write_any(value, out, meter);
        }
        if let (Val::Text(text), 'x' | 'X') = (value, self.verb) {
            return Ok(write_hex(text, self.verb == 'X', out, meter)?);
        }
        // Each digit is a division of a large number.
        meter.scan(2 * NUMBER_BYTES)?;
        let written = match self.verb {
            'd' => decimal(value),
            'f' | 'e' => value.double().map(|number| self.double(number)),
            'b' if matches!(value, Val::Bool(_)) => {
                let bit = matches!(value, Val::Bool(true));
                Some(if bit { "1" } else { "0" }.to_owned())
            }
            verb => whole(value).map(|number| in_base(number, verb)),
        };
        match written {
            Some(written) => out.push_str(&written),
            None => return Err(Fault::Unfit(self.takes(), value.kind())),
        }
        Ok(())
    }

    const fn takes(&self) -> &'static str {
        match self.verb {
            'f' | 'e' => "`%f` and `%e` take a number",
            'd' | 'o' => "`%d` and `%o` take a whole number",
            'b' => "`%b` takes a whole number, true or false",
            _ => "`%x` and `%X` take a whole number or text",
        }
    }

    fn double(&self, number: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        if !number.is_finite() {
            return shown(number).into_owned();
        }
        if self.verb == 'f' {
            return format!("{number:.precision$}");
        }
        // With at least two digits and a sign after the `e`, as C and Go write it.
        let written = format!("{number:.precision$e}");
        let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        format!("{digits}e{sign}{exponent:0>2}")
    }
}

fn whole(value: &Val<'_>) -> Option<i128> {
    match value {
        Val::Int(_) | Val::Uint(_) => value.whole(),
        _ => None,
    }
}

fn decimal(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Double(number) if !number.is_finite() => Some(shown(*number).into_owned()),
        _ => value.whole().map(|number| number.to_string()),
    }
}

/// With a minus sign instead of the two's complement.
fn in_base(number: i128, verb: char) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let number = number.unsigned_abs();
    match verb {
        'b' => format!("{sign}{number:b}"),
        'o' => format!("{sign}{number:o}"),
        'X' => format!("{sign}{number:X}"),
        _ => format!("{sign}{number:x}"),
    }
}

fn write_hex(
    text: &str,
    upper: bool,
    out: &mut String,
    meter: &mut Meter<'_>,
) -> Result<(), Spent> {
    const LOWER: &[u8] = b"0123456789abcdef";
    const UPPER: &[u8] = b"0123456789ABCDEF";
    // As unoptimised code, each byte is a good deal of work.
    meter.scan(4 * text.len())?;
    meter.text(2 * text.len())?;
    let digits = if upper { UPPER } else { LOWER };
    for byte in text.bytes() {
        for half in [byte >> 4, byte & 15] {
            out.push(
                digits
                    .get(usize::from(half))
                    .copied()
                    .map_or('0', char::from),
            );
        }
    }
    Ok(())
}

/// Any value as text: lists and objects with their contents.
fn write_any<'a>(
    value: &Val<'a>,
    out: &mut String,
    meter: &mut Meter<'_>,
) -> Result<(), Fault<'a>> {
    meter.charge(1)?;
    if let Some(text) = text_of(value, meter)? {
        meter.text(text.len())?;
        out.push_str(&text);
        return Ok(());
    }
    let len = value.len().unwrap_or(0);
    if value.is_map() {
        meter.list(2 * len)?;
    }
    let Some(items) = value.items() else {
        return Err(Fault::Unfit("`%s` takes a value", value.kind()));
    };
    let (open, close) = if value.is_map() {
        ('{', '}')
    } else {
        ('[', ']')
    };
    out.push(open);
    for place in 0..len {
        let Some((key, item)) = items.get(place) else {
            break;
        };
        if place > 0 {
            out.push_str(", ");
        }
        if value.is_map()
            && let Some(key) = crate::expr::value::Key::of(&key)
        {
            let key = key_text(&key);
            meter.text(key.len() + 2)?;
            out.push_str(&key);
            out.push_str(": ");
        }
        write_any(&item, out, meter)?;
    }
    out.push(close);
    Ok(())
}
