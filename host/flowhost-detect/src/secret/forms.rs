//! What a value looks like in the encodings that carry text: hexadecimal, base32 and base64 at every
//! alignment, percent, JSON, lists of bytes.

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use data_encoding::{BASE32_NOPAD, BASE32HEX_NOPAD, Encoding};
use zeroize::Zeroizing;

type Form = Zeroizing<Vec<u8>>;

/// Shortest value that is looked for as a list of numbers, in bytes: four numbers in a row may be anybody's.
const LISTED_MIN: usize = 8;

/// All encodings of a value.
pub(super) fn encodings(value: &str) -> Vec<Form> {
    let raw = value.as_bytes();
    let mut encoded = vec![hex(raw, false), hex(raw, true)];
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        encoded.extend((0..3).map(|shift| base64_inside(raw, shift, alphabet)));
    }
    for alphabet in [&BASE32_NOPAD, &BASE32HEX_NOPAD] {
        encoded.extend((0..5).map(|shift| base32_inside(raw, shift, alphabet)));
    }
    // As programs of Windows hand texts on: two bytes for each unit, and base64 of that.
    let wide: Zeroizing<Vec<u8>> =
        Zeroizing::new(value.encode_utf16().flat_map(u16::to_le_bytes).collect());
    encoded.extend((0..3).map(|shift| base64_inside(&wide, shift, &alphabet::STANDARD)));
    encoded.extend([hex(&wide, false), hex(&wide, true)]);
    for upper in [false, true] {
        encoded.push(percent(raw, upper, |byte| byte.is_ascii_alphanumeric()));
        encoded.push(percent(raw, upper, |b| {
            b.is_ascii_alphanumeric() || b"-._~".contains(&b)
        }));
        encoded.push(percent(raw, upper, |_| false));
        encoded.push(json_numeric(value, upper));
    }
    encoded.push(plus_for_space(raw));
    encoded.push(json(value, false));
    encoded.push(json(value, true));
    encoded.push(escaped_bytes(raw, b"\\x"));
    encoded.push(escaped_bytes(raw, b"0x"));
    if raw.len() >= LISTED_MIN {
        encoded.push(listed(raw));
    }
    // By characters, as whoever reverses a text does it; by bytes the search reverses itself.
    encoded.push(Zeroizing::new(
        value.chars().rev().collect::<String>().into_bytes(),
    ));
    encoded
}

fn digits(byte: u8, upper: bool) -> [u8; 2] {
    let table: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let digit = |nibble: u8| table.get(usize::from(nibble)).copied().unwrap_or(b'0');
    [digit(byte >> 4), digit(byte & 15)]
}

fn hex(raw: &[u8], upper: bool) -> Form {
    Zeroizing::new(raw.iter().flat_map(|byte| digits(*byte, upper)).collect())
}

/// `\x41\x42`, `0x41, 0x42`: the search for letters does not mind what is between.
fn escaped_bytes(raw: &[u8], mark: &[u8]) -> Form {
    let escaped = raw.iter().flat_map(|byte| {
        let digits = digits(*byte, false);
        mark.iter().copied().chain(digits)
    });
    Zeroizing::new(escaped.collect())
}

/// `115, 51, 99`, as a list of bytes turns up in JSON.
fn listed(raw: &[u8]) -> Form {
    let mut out = Vec::with_capacity(raw.len() * 4);
    for byte in raw {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend(byte.to_string().bytes());
    }
    Zeroizing::new(out)
}

/// The base64 characters that depend on `raw` alone when it starts `shift` bytes after a group.
fn base64_inside(raw: &[u8], shift: usize, alphabet: &alphabet::Alphabet) -> Form {
    let mut padded = Zeroizing::new(vec![0; shift]);
    padded.extend_from_slice(raw);
    let whole = GeneralPurpose::new(alphabet, NO_PAD).encode(padded.as_slice());
    inside(&Zeroizing::new(whole), shift, padded.len(), 6)
}

/// The base32 characters (RFC 4648, both alphabets) that depend on `raw` alone when it starts `shift` bytes
/// after a group.
fn base32_inside(raw: &[u8], shift: usize, alphabet: &Encoding) -> Form {
    let mut padded = Zeroizing::new(vec![0; shift]);
    padded.extend_from_slice(raw);
    let whole = Zeroizing::new(alphabet.encode(&padded));
    inside(&whole, shift, padded.len(), 5)
}

/// The characters of `bits` bits each that hold nothing of the first `shift` bytes, and nothing of what would
/// follow the last of `bytes`.
fn inside(whole: &str, shift: usize, bytes: usize, bits: usize) -> Form {
    let first = (shift * 8).div_ceil(bits);
    let last = bytes * 8 / bits;
    let inside = whole.as_bytes().get(first..last);
    Zeroizing::new(inside.unwrap_or_default().to_vec())
}

fn percent(raw: &[u8], upper: bool, plain: impl Fn(u8) -> bool) -> Form {
    let mut out = Vec::with_capacity(raw.len() * 3);
    for byte in raw {
        if plain(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(digits(*byte, upper));
        }
    }
    Zeroizing::new(out)
}

/// `application/x-www-form-urlencoded`.
fn plus_for_space(raw: &[u8]) -> Form {
    let mut escaped = percent(raw, true, |b| {
        b.is_ascii_alphanumeric() || b" -._*".contains(&b)
    });
    for byte in escaped.iter_mut().filter(|byte| **byte == b' ') {
        *byte = b'+';
    }
    escaped
}

/// The inside of a JSON string, with or without the escape that `/` may have.
fn json(value: &str, solidus: bool) -> Form {
    let text = Zeroizing::new(serde_json::Value::from(value).to_string());
    let inside = text
        .get(1..text.len().saturating_sub(1))
        .unwrap_or_default();
    Zeroizing::new(if solidus {
        inside.replace('/', "\\/").into_bytes()
    } else {
        inside.as_bytes().to_vec()
    })
}

/// A JSON string with everything but letters and digits as `\u00XX`.
fn json_numeric(value: &str, upper: bool) -> Form {
    let mut out = Vec::new();
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => {
                let [high, low] = unit.to_be_bytes();
                out.extend(b"\\u");
                out.extend(digits(high, upper));
                out.extend(digits(low, upper));
            }
        }
    }
    Zeroizing::new(out)
}
