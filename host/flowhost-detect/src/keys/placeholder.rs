//! What documentation shows in a key's place: the providers' own published examples, and what says of
//! itself that it is to be replaced. To redact those makes a report worth less and protects nothing.
//!
//! Only what says so: a key that merely looks simple is a key.

use std::ops::Range;

use crate::text::Text;

/// Bytes of a find that are looked at. Placeholders say what they are at their beginning, and a find may be as
/// long as the text.
const HEAD: usize = 256;

/// What says in a key, in small letters, that it is none.
const WORDS: &[&str] = &[
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "redacted",
    "your_",
    "your-",
    "yourkey",
    "yourtoken",
    "yourapikey",
    "yoursecret",
    "replace_me",
    "replace-me",
    "replaceme",
    "_here",
    "-here",
    "xxxxxx",
    "******",
    "......",
    "000000000000",
];

/// Examples that documentation and standards publish, by a piece of each that no other key has.
const PUBLISHED: &[&str] = &[
    // Stripe's documentation, the key of every reader who is not logged in.
    "4eC39HqLyjWDarjtT1zdp7dc",
    // The storage emulator's account, the same on every machine.
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsu",
    // The token that jwt.io opens with: John Doe, issued in 2018.
    "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9l",
    // RFC 7515, appendix A.1.
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs",
    // RFC 7617, section 2, and RFC 2617.
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ",
    "QWxhZGRpbjpPcGVuU2VzYW1l",
];

/// What stands in a password's place in every manual.
const PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "pwd",
    "pw",
    "p",
    "...",
    "none",
    "null",
    "[password]",
    "[redacted]",
];

/// Whether what was found is an example.
pub(super) fn stands_at(text: &Text, label: &str, place: &Range<usize>) -> bool {
    let head = text.head(place, HEAD);
    let published = PUBLISHED.iter().any(|known| holds(head, known.as_bytes()));
    // A block of a private key holds prose in its own header lines, and is redacted whole.
    published || (label != "private-key" && label != "basic-auth" && says_so(head))
}

/// Whether a password is one that a manual shows or a template fills in.
pub(super) fn is_password(password: &[u8]) -> bool {
    let small = password.to_ascii_lowercase();
    let is_template = matches!(
        small.first(),
        Some(b'$' | b'{' | b'<' | b'[' | b'*' | b'%') | None
    ) && small.len() > 1;
    let is_word = PASSWORDS.iter().any(|word| word.as_bytes() == small);
    let is_crossed =
        !small.is_empty() && small.iter().all(|byte| matches!(byte, b'x' | b'*' | b'.'));
    is_template_closed(&small, is_template) || is_word || is_crossed || says_so(password)
}

/// A template is closed where it was opened; `$ecret` and `{x` are passwords.
fn is_template_closed(small: &[u8], opens: bool) -> bool {
    let last = small.last().copied();
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    opens
        && match small.first() {
            Some(b'$') => {
                small.get(1) == Some(&b'{') && last == Some(b'}')
                    || small.get(1) == Some(&b'(') && last == Some(b')')
                    || ENV.iter().any(|word| holds(small, word.as_bytes()))
                        && small.get(1..).is_some_and(|name| name.iter().all(named))
            }
            Some(b'{') => last == Some(b'}'),
            Some(b'<') => last == Some(b'>'),
            Some(b'[') => last == Some(b']'),
            Some(b'%') => last == Some(b'%') || matches!(small.get(1), Some(b's' | b'v' | b'(')),
            Some(b'*') => small.iter().all(|byte| *byte == b'*'),
            _ => false,
        }
}

/// What the name of a variable for a password holds.
const ENV: &[&str] = &["pass", "pw", "secret", "token", "key"];

fn says_so(bytes: &[u8]) -> bool {
    let small = bytes.to_ascii_lowercase();
    WORDS.iter().any(|word| holds(&small, word.as_bytes()))
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
