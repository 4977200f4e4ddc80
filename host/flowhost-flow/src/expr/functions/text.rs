//! Functions on texts. Places in a text are counted in characters; parts are shared, not copied.

use crate::effort::{Meter, Spent};
use crate::expr::fault::Fault;
use crate::expr::functions::{Called, Function, format, place};
use crate::expr::pattern::Patterns;
use crate::expr::value::{Text, Val};

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    patterns: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    match args {
        [Val::Text(text)] => one(function, text, meter),
        [Val::Text(a), Val::Text(b)] if function == Function::Matches => {
            Ok(Some(Val::Bool(patterns.matches_text(b, a, meter)?)))
        }
        [Val::Text(a), Val::Text(b)] => two(function, a, b, meter),
        [Val::Text(text), list] if function == Function::Format && list.is_list() => {
            Ok(Some(format::format(text, list, meter)?))
        }
        [Val::Text(text), from, rest @ ..] if function == Function::Substring => {
            substring(text, from, rest.first(), meter)
        }
        [Val::Text(text), at] if function == Function::CharAt => char_at(text, at, meter),
        [Val::Text(text), Val::Text(sought), from] => match function {
            Function::Split => match from.whole() {
                Some(parts) => split(text, sought, Some(parts), meter),
                None => Ok(None),
            },
            Function::IndexOf => index_of(text, sought, Some(from), meter),
            Function::LastIndexOf => last_index_of(text, sought, Some(from), meter),
            Function::Replace => match from {
                Val::Text(to) => replace(text, sought, to, None, meter),
                _ => Ok(None),
            },
            _ => Ok(None),
        },
        [Val::Text(text), Val::Text(from), Val::Text(to), times]
            if function == Function::Replace =>
        {
            match times.whole() {
                Some(times) => replace(text, from, to, usize::try_from(times).ok(), meter),
                None => Ok(None),
            }
        }
        [list] if function == Function::Join => join(list, "", meter),
        [list, Val::Text(between)] if function == Function::Join => join(list, between, meter),
        _ => Ok(None),
    }
}

fn one<'a>(function: Function, text: &Text<'a>, meter: &mut Meter<'_>) -> Called<'a> {
    meter.scan(text.len())?;
    Ok(Some(match function {
        Function::LowerAscii => {
            meter.text(text.len())?;
            Val::text(text.to_ascii_lowercase())
        }
        Function::UpperAscii => {
            meter.text(text.len())?;
            Val::text(text.to_ascii_uppercase())
        }
        Function::Trim => {
            let start = text.len() - text.trim_start().len();
            let len = text.trim().len();
            Val::Text(text.slice(start..start + len))
        }
        Function::Quote => quote(text, meter)?,
        _ => return Ok(None),
    }))
}

fn two<'a>(
    function: Function,
    text: &Text<'a>,
    sought: &Text<'a>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    Ok(Some(match function {
        Function::Contains => {
            meter.scan(text.len() + sought.len())?;
            Val::Bool(text.contains(&**sought))
        }
        Function::StartsWith => {
            meter.compare(sought.len())?;
            Val::Bool(text.starts_with(&**sought))
        }
        Function::EndsWith => {
            meter.compare(sought.len())?;
            Val::Bool(text.ends_with(&**sought))
        }
        Function::Split => return split(text, sought, None, meter),
        Function::IndexOf => return index_of(text, sought, None, meter),
        Function::LastIndexOf => return last_index_of(text, sought, None, meter),
        _ => return Ok(None),
    }))
}

/// At most `parts` parts; all of them where that is below zero or nothing.
fn split<'a>(
    text: &Text<'a>,
    by: &Text<'a>,
    parts: Option<i128>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    let most = parts.map_or(usize::MAX, |parts| {
        usize::try_from(parts).unwrap_or(usize::MAX)
    });
    if most == 0 {
        return Ok(Some(Val::list(Vec::new())));
    }
    // Twice: once to know how many parts there are, and once to make them.
    meter.scan(2 * (text.len() + by.len()))?;
    let ends: &mut dyn Iterator<Item = (usize, usize)> = if by.is_empty() {
        &mut text.char_indices().skip(1).map(|(at, _)| (at, at))
    } else {
        &mut text.match_indices(&**by).map(|(at, _)| (at, at + by.len()))
    };
    let count = if by.is_empty() {
        text.chars().count()
    } else {
        text.matches(&**by).count() + 1
    };
    meter.list(count.min(most))?;
    if by.is_empty() && text.is_empty() {
        return Ok(Some(Val::list(Vec::new())));
    }
    let mut items = Vec::with_capacity(count.min(most));
    let mut start = 0;
    for (end, next) in ends.take(most - 1) {
        items.push(Val::Text(text.slice(start..end)));
        start = next;
    }
    items.push(Val::Text(text.slice(start..text.len())));
    Ok(Some(Val::list(items)))
}

fn replace<'a>(
    text: &Text<'a>,
    from: &Text<'a>,
    to: &Text<'a>,
    times: Option<usize>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    let most = times.unwrap_or(usize::MAX);
    meter.scan(2 * (text.len() + from.len()))?;
    let count = text.matches(&**from).take(most).count();
    let size = text.len() - count * from.len() + count.saturating_mul(to.len());
    meter.text(size)?;
    Ok(Some(Val::text(text.replacen(&**from, to, count))))
}

fn join<'a>(list: &Val<'a>, between: &str, meter: &mut Meter<'_>) -> Called<'a> {
    if !list.is_list() {
        return Ok(None);
    }
    let len = list.len().unwrap_or(0);
    meter.charge(2 * len as u64)?;
    let mut size = 0_usize;
    for index in 0..len {
        match list.element(index) {
            Some(Val::Text(text)) => size = size.saturating_add(text.len() + between.len()),
            other => {
                let kind = other.as_ref().map_or("nothing", Val::kind);
                return Err(Fault::Unfit("`join` joins texts", kind));
            }
        }
    }
    meter.text(size)?;
    let mut joined = String::with_capacity(size);
    for index in 0..len {
        if index > 0 {
            joined.push_str(between);
        }
        if let Some(Val::Text(text)) = list.element(index) {
            joined.push_str(&text);
        }
    }
    Ok(Some(Val::text(joined)))
}

/// Where the character number `index` starts, in bytes; the end of the text comes after the last.
fn byte_of(text: &str, index: usize) -> usize {
    text.char_indices()
        .nth(index)
        .map_or(text.len(), |(at, _)| at)
}

fn char_at<'a>(text: &Text<'a>, at: &Val<'a>, meter: &mut Meter<'_>) -> Called<'a> {
    meter.scan(2 * text.len())?;
    let Some(at) = place("`charAt`", at, text.chars().count())? else {
        return Ok(None);
    };
    let start = byte_of(text, at);
    let len = text
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    Ok(Some(Val::Text(text.slice(start..start + len))))
}

fn substring<'a>(
    text: &Text<'a>,
    from: &Val<'a>,
    to: Option<&Val<'a>>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    meter.scan(3 * text.len())?;
    let count = text.chars().count();
    let Some(from) = place("`substring`", from, count)? else {
        return Ok(None);
    };
    let to = match to {
        None => count,
        Some(to) => match place("`substring`", to, count)? {
            Some(to) => to,
            None => return Ok(None),
        },
    };
    if from > to {
        return Err(Fault::Said("`substring` ends before it starts"));
    }
    Ok(Some(Val::Text(
        text.slice(byte_of(text, from)..byte_of(text, to)),
    )))
}

fn index_of<'a>(
    text: &Text<'a>,
    sought: &Text<'a>,
    from: Option<&Val<'a>>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    meter.scan(4 * text.len() + sought.len())?;
    let from = match from {
        None => 0,
        Some(from) => match place("`indexOf`", from, text.chars().count())? {
            Some(from) => from,
            None => return Ok(None),
        },
    };
    let start = byte_of(text, from);
    let found = text.get(start..).and_then(|rest| rest.find(&**sought));
    Ok(Some(match found {
        Some(at) => Val::count(chars_before(text, start + at)),
        None => Val::Int(-1),
    }))
}

fn last_index_of<'a>(
    text: &Text<'a>,
    sought: &Text<'a>,
    from: Option<&Val<'a>>,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    meter.scan(4 * text.len() + sought.len())?;
    // A match starts at `from` or before it.
    let end = match from {
        None => text.len(),
        Some(from) => match place("`lastIndexOf`", from, text.chars().count())? {
            Some(from) => text
                .len()
                .min(byte_of(text, from).saturating_add(sought.len())),
            None => return Ok(None),
        },
    };
    // The end may lie within a character; then the match that would reach it is not one.
    let end = (0..=end)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    let found = text.get(..end).and_then(|head| head.rfind(&**sought));
    Ok(Some(match found {
        Some(at) => Val::count(chars_before(text, at)),
        None => Val::Int(-1),
    }))
}

fn chars_before(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().chars().count()
}

/// The text in double quotes, with what a literal of CEL would need escaped.
fn quote<'a>(text: &Text<'a>, meter: &mut Meter<'_>) -> Result<Val<'a>, Spent> {
    meter.text(2 * text.len() + 2)?;
    meter.scan(text.len())?;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(Val::text(out))
}
