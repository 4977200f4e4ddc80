//! Keys and tokens, by what their providers publish: a prefix, an alphabet, a length.
//!
//! A row of the table is decided on a bounded head; only what is a match by then is followed to its
//! end, and the search goes on behind it. So a text costs its length, whatever it is made of. A key is
//! never guessed from entropy alone.

use std::ops::Range;

use crate::text::Text;
use crate::token::{self, Webs};

/// One kind of key.
struct Token {
    label: &'static str,
    /// The key starts with one of these.
    prefixes: &'static [&'static str],
    /// What follows, of which alphabet, and how many at least.
    class: fn(u8) -> bool,
    least: usize,
    /// Whether there are never more.
    exact: bool,
    /// What else the head must be.
    accept: fn(&Text, Range<usize>) -> bool,
}

const fn key(
    label: &'static str,
    prefixes: &'static [&'static str],
    class: fn(u8) -> bool,
    least: usize,
) -> Token {
    Token {
        label,
        prefixes,
        class,
        least,
        exact: false,
        accept: |_, _| true,
    }
}

impl Token {
    const fn exactly(self) -> Self {
        Self {
            exact: true,
            ..self
        }
    }

    const fn when(self, accept: fn(&Text, Range<usize>) -> bool) -> Self {
        Self { accept, ..self }
    }
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The alphabet of base64url (RFC 4648 section 5).
pub(crate) fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn base32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn hyphenated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

/// The `b64token` of RFC 6750.
fn bearer(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// Every key with a prefix; where two end alike the earlier one names it.
const TOKENS: &[Token] = &[
    key("aws-access-key", &["AKIA", "ASIA"], base32, 16).exactly(),
    key(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        alphanumeric,
        36,
    ),
    key("github-token", &["github_pat_"], crate::text::is_word, 22),
    key("gitlab-token", &["glpat-"], url_safe, 20),
    key("anthropic-key", &["sk-ant-"], url_safe, 24),
    key("openai-key", &["sk-"], url_safe, 32).when(is_mixed),
    key("google-api-key", &["AIza"], url_safe, 35),
    key("google-oauth-secret", &["GOCSPX-"], url_safe, 28),
    key("google-oauth-token", &["ya29."], url_safe, 24),
    key(
        "slack-token",
        &[
            "xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-",
        ],
        hyphenated,
        10,
    ),
    key("slack-token", &["xapp-"], hyphenated, 20).when(has_digit),
    key("slack-webhook", &["hooks.slack.com/services/"], path, 20),
    key(
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        alphanumeric,
        16,
    ),
    key("stripe-webhook-secret", &["whsec_"], alphanumeric, 24),
    key("npm-token", &["npm_"], alphanumeric, 36).exactly(),
    key("pypi-token", &["pypi-"], url_safe, 50),
    key("huggingface-token", &["hf_"], alphanumeric, 30),
    key(
        "digitalocean-token",
        &["doo_v1_", "dop_v1_", "dor_v1_", "dot_v1_"],
        hex,
        64,
    )
    .exactly(),
    key(
        "shopify-token",
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        hex,
        32,
    )
    .exactly(),
];

/// Which rows of [`TOKENS`] have a prefix that starts with a byte, a bit each: a word of a text is
/// compared with those few.
static BY_FIRST: [u32; 256] = by_first();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, where iterators are not to be had"
)]
const fn by_first() -> [u32; 256] {
    let mut rows = [0; 256];
    let mut row = 0;
    while row < TOKENS.len() {
        let prefixes = TOKENS[row].prefixes;
        let mut at = 0;
        while at < prefixes.len() {
            rows[prefixes[at].as_bytes()[0] as usize] |= 1 << row;
            at += 1;
        }
        row += 1;
    }
    rows
}

/// What an `Authorization` header says before its token, in the spellings in use.
const BEARER: &[&str] = &["Bearer ", "bearer ", "BEARER "];
/// Fewest letters of a bearer token without a provider's prefix.
const BEARER_LEAST: usize = 16;

/// Where keys stand, and whose they are.
pub(crate) fn find(text: &Text) -> Vec<(&'static str, Range<usize>)> {
    let mut webs = Webs::default();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hit = key_at(text, at, &mut webs);
        at = hit.as_ref().map_or(at + 1, |(_, place)| place.end);
        found.extend(hit);
    }
    found
}

fn key_at(text: &Text, at: usize, webs: &mut Webs) -> Option<(&'static str, Range<usize>)> {
    let first = text.at(at)?;
    if first == b'-' {
        return token::private_key(text, at).map(|end| ("private-key", at..end));
    }
    if !alphanumeric(first) || text.before(at).is_some_and(alphanumeric) {
        return None;
    }
    if matches!(first, b'B' | b'b')
        && let Some(start) = BEARER.iter().find_map(|word| text.word(at, word))
    {
        return bearer_token(text, start, webs);
    }
    provider_key(text, at, first, webs)
}

/// A key of a known provider, the longest that starts there.
fn provider_key(
    text: &Text,
    at: usize,
    first: u8,
    webs: &mut Webs,
) -> Option<(&'static str, Range<usize>)> {
    let rows = BY_FIRST.get(usize::from(first)).copied().unwrap_or(0);
    let candidates = TOKENS.iter().enumerate();
    let candidates = candidates.filter(|(row, _)| (rows >> row) & 1 == 1);
    let by_prefix = candidates.filter_map(|(_, token)| {
        let end = token.end(text, at)?;
        Some((token.label, at..end))
    });
    let by_shape = [
        ("json-web-token", webs.end(text, at)),
        ("sendgrid-key", token::sendgrid(text, at)),
        ("telegram-token", token::telegram(text, at)),
    ];
    let by_shape = by_shape
        .into_iter()
        .filter_map(|(label, end)| Some((label, at..end?)));
    by_prefix.chain(by_shape).reduce(
        |best, next| {
            if next.1.end > best.1.end { next } else { best }
        },
    )
}

/// What stands behind `Bearer `, under its provider's name if it has one.
fn bearer_token(
    text: &Text,
    start: usize,
    webs: &mut Webs,
) -> Option<(&'static str, Range<usize>)> {
    let known = text
        .at(start)
        .and_then(|first| provider_key(text, start, first, webs));
    if known.is_some() {
        return known;
    }
    let head = text.run(start, bearer, BEARER_LEAST);
    if head - start < BEARER_LEAST || !is_opaque(text, start..head) {
        return None;
    }
    let end = text.rest(head, bearer);
    let end = if text.before(end) == Some(b'.') {
        end - 1
    } else {
        end
    };
    Some(("bearer-token", start..end))
}

impl Token {
    /// The end of such a key that starts there.
    fn end(&self, text: &Text, at: usize) -> Option<usize> {
        let mut prefixes = self.prefixes.iter();
        let start = prefixes.find_map(|prefix| text.word(at, prefix))?;
        let head = text.run(start, self.class, self.least);
        if head - start < self.least || !(self.accept)(text, start..head) {
            return None;
        }
        if self.exact {
            return (!text.is(head, alphanumeric)).then_some(head);
        }
        Some(text.rest(head, self.class))
    }
}

fn has_digit(text: &Text, mut head: Range<usize>) -> bool {
    head.any(|at| text.is(at, |byte| byte.is_ascii_digit()))
}

/// No word of prose: a digit, or a capital letter within.
fn is_opaque(text: &Text, head: Range<usize>) -> bool {
    let capital = |at: usize| text.is(at, |byte| byte.is_ascii_uppercase());
    has_digit(text, head.clone())
        || (head.clone().skip(1).any(capital) && !head.clone().all(capital))
}

/// Not the words of a name with hyphens: six letters in a row, of which some are small and some are
/// not.
fn is_mixed(text: &Text, head: Range<usize>) -> bool {
    let (mut length, mut small, mut other) = (0, false, false);
    for at in head {
        if !text.is(at, alphanumeric) {
            (length, small, other) = (0, false, false);
            continue;
        }
        let is_small = text.is(at, |byte| byte.is_ascii_lowercase());
        length += 1;
        small |= is_small;
        other |= !is_small;
        if length >= 6 && small && other {
            return true;
        }
    }
    false
}
