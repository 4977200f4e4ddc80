//! Keys without a telling prefix that have a telling shape: pieces of fixed words and of runs with a
//! length, one after the other. Each piece is bounded, so a word of a text costs a bounded look.

use super::{Hit, alphanumeric, base64, hex, small_hex, url_safe};
use crate::text::{Text, is_digit};

enum Piece {
    /// These letters.
    Word(&'static str),
    /// A run of an alphabet, as long as it goes, of so many letters.
    Of(fn(u8) -> bool, usize, usize),
    /// A run of an alphabet of at least so many letters, to its end. Only the last piece: what it reads
    /// belongs to the key.
    Rest(fn(u8) -> bool, usize),
}
use Piece::{Of, Rest, Word};

struct Shape {
    label: &'static str,
    /// Which bytes it can start with, so that most words of a text are not looked at.
    first: fn(u8) -> bool,
    pieces: &'static [Piece],
}

fn azure_secret(byte: u8) -> bool {
    url_safe(byte) || matches!(byte, b'.' | b'~')
}

const SHAPES: &[Shape] = &[
    Shape {
        label: "sendgrid-key",
        first: |byte| byte == b'S',
        pieces: &[
            Word("SG."),
            Of(url_safe, 22, 22),
            Word("."),
            Rest(url_safe, 43),
        ],
    },
    Shape {
        label: "resend-key",
        first: |byte| byte == b'r',
        pieces: &[
            Word("re_"),
            Of(alphanumeric, 8, 8),
            Word("_"),
            Of(alphanumeric, 24, 24),
        ],
    },
    // A bot's number, and thirty-five letters.
    Shape {
        label: "telegram-token",
        first: is_digit,
        pieces: &[Of(is_digit, 8, 10), Word(":AA"), Rest(url_safe, 33)],
    },
    Shape {
        label: "mailchimp-key",
        first: hex,
        pieces: &[Of(small_hex, 32, 32), Word("-us"), Of(is_digit, 1, 2)],
    },
    Shape {
        label: "discord-token",
        first: |byte| matches!(byte, b'M' | b'N' | b'O'),
        pieces: &[
            Of(url_safe, 24, 28),
            Word("."),
            Of(url_safe, 6, 7),
            Word("."),
            Rest(url_safe, 27),
        ],
    },
    Shape {
        label: "terraform-token",
        first: alphanumeric,
        pieces: &[
            Of(alphanumeric, 14, 14),
            Word(".atlasv1."),
            Rest(url_safe, 60),
        ],
    },
    Shape {
        label: "salesforce-token",
        first: |byte| byte == b'0',
        pieces: &[
            Word("00D"),
            Of(alphanumeric, 12, 15),
            Word("!"),
            Rest(|byte| url_safe(byte) || byte == b'.', 60),
        ],
    },
    Shape {
        label: "zoho-token",
        first: |byte| byte == b'1',
        pieces: &[
            Word("1000."),
            Of(small_hex, 32, 32),
            Word("."),
            Of(small_hex, 32, 32),
        ],
    },
    Shape {
        label: "azure-client-secret",
        first: alphanumeric,
        pieces: &[Of(alphanumeric, 4, 4), Word("Q~"), Of(azure_secret, 31, 34)],
    },
    // Azure DevOps and Azure's AI services mark their keys within.
    Shape {
        label: "azure-devops-token",
        first: alphanumeric,
        pieces: &[
            Of(alphanumeric, 76, 76),
            Word("AZDO"),
            Of(alphanumeric, 4, 4),
        ],
    },
    Shape {
        label: "azure-ai-key",
        first: alphanumeric,
        pieces: &[
            Of(alphanumeric, 52, 52),
            Word("JQQJ99"),
            Of(alphanumeric, 26, 26),
        ],
    },
    Shape {
        label: "harness-token",
        first: |byte| matches!(byte, b'p' | b's'),
        pieces: &[
            Of(|byte| matches!(byte, b'p' | b's'), 1, 1),
            Word("at."),
            Of(url_safe, 22, 22),
            Word("."),
            Of(alphanumeric, 24, 24),
            Word("."),
            Of(alphanumeric, 20, 20),
        ],
    },
    Shape {
        label: "maxmind-key",
        first: alphanumeric,
        pieces: &[
            Of(alphanumeric, 6, 6),
            Word("_"),
            Of(alphanumeric, 29, 29),
            Word("_mmk"),
        ],
    },
    Shape {
        label: "newrelic-key",
        first: hex,
        pieces: &[Of(small_hex, 36, 36), Word("NRAL")],
    },
    Shape {
        label: "asana-token",
        first: |byte| matches!(byte, b'1' | b'2'),
        pieces: &[
            Of(is_digit, 1, 1),
            Word("/"),
            Of(is_digit, 14, 18),
            Of(|byte| matches!(byte, b':' | b'/'), 1, 1),
            Rest(|byte| alphanumeric(byte) || byte == b':', 32),
        ],
    },
    Shape {
        label: "basic-auth",
        first: |byte| byte == b'x',
        // GitHub's way to hand a token to git over HTTP: `x-access-token:` in base64.
        pieces: &[Word("x-access-token:"), Rest(base64, 20)],
    },
];

impl Shape {
    fn end(&self, text: &Text, start: usize) -> Option<usize> {
        let mut at = start;
        for piece in self.pieces {
            at = match piece {
                Word(word) => text.word(at, word)?,
                Of(class, least, most) => {
                    let end = text.run(at, *class, *most);
                    (end - at >= *least).then_some(end)?
                }
                Rest(class, least) => {
                    let head = text.run(at, *class, *least);
                    (head - at == *least).then(|| text.rest(head, *class))?
                }
            };
        }
        (!text.is(at, alphanumeric)).then_some(at)
    }
}

/// The keys that start there by their shape.
pub(super) fn keys_at(text: &Text, at: usize, first: u8) -> impl Iterator<Item = Hit> {
    SHAPES
        .iter()
        .filter(move |shape| (shape.first)(first))
        .filter_map(move |shape| Some((shape.label, at..shape.end(text, at)?)))
}

/// What a key of each shape has at least: how many letters, and of what.
#[cfg(test)]
pub(super) fn bounds() -> impl Iterator<Item = super::Bounds> {
    SHAPES.iter().map(|shape| {
        let least = shape.pieces.iter().map(|piece| match piece {
            Word(word) => word.len(),
            Of(_, least, _) | Rest(_, least) => *least,
        });
        let takes = move |byte| {
            shape.pieces.iter().any(|piece| match piece {
                Word(word) => word.as_bytes().contains(&byte),
                Of(class, ..) | Rest(class, _) => class(byte),
            })
        };
        let takes: Box<dyn Fn(u8) -> bool> = Box::new(takes);
        (shape.label, least.sum(), takes)
    })
}
