//! Which characters a person can see: the one table of the house.
//!
//! Text that hides characters is how a name, an address, a tool description or a provider's error says one
//! thing to the reader and another to the machine. This file only classifies; what to do is the caller's. Two
//! tables would drift apart, and what one of them misses is what an attacker uses.

/// Invisible, joining, bidirectional and tag code points, as inclusive ranges in order.
///
/// Sources: Unicode 16 `Default_Ignorable_Code_Point` and `Bidi_Control`; the tag block and the
/// variation selectors are in it because both carry hidden text to a model.
const INVISIBLE: [(u32, u32); 22] = [
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x061c, 0x061c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xe000, 0xf8ff),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x1_107f, 0x1_107f),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
    (0xf_0000, 0xf_fffd),
    (0x10_0000, 0x10_fffd),
];

/// Whether a person cannot see `c`: zero width, bidirectional, tag, variation or private use.
fn is_invisible(c: char) -> bool {
    let code = u32::from(c);
    if code < 0xad {
        return false;
    }
    INVISIBLE
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&code))
}

/// Whether `c` is a control character, or one that a person cannot see: zero width, bidirectional,
/// tag, variation selector or private use.
///
/// # Examples
///
/// ```
/// let hidden = |text: &str| text.chars().filter(|c| flowhost_detect::is_hidden(*c)).count();
/// assert_eq!(hidden("a\u{1b}[2J\u{9b}\u{202e}\u{200b}\u{e0041}\n"), 6);
/// assert_eq!(hidden("Grüße, 世界"), 0);
/// ```
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}
