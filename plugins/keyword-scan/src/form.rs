//! One form for all the ways in which Unicode writes the same word, and what a script has of word
//! boundaries.
//!
//! Compatibility forms are folded too (UAX #15, form KC): full-width letters and ligatures are how a
//! banned word is written by someone who knows that it is banned, as are characters that show nothing.

use unicode_normalization::UnicodeNormalization as _;
pub(crate) use unicode_normalization::char::is_combining_mark as is_mark;

/// The text in form KC, without what shows nothing, and in one case unless case counts: lower case,
/// with the sharp s and the final sigma as what they are upper-cased to.
pub(crate) fn folded(text: &str, ignore_case: bool) -> String {
    // Upper case of composed letters can be decomposed and the reverse, so case is folded in between.
    let visible = text.chars().filter(|letter| !shows_nothing(*letter));
    let plain: String = visible.nfkd().collect();
    if !ignore_case {
        return plain.nfc().collect();
    }
    let one_case = plain
        .to_uppercase()
        .to_lowercase()
        .replace('\u{3c2}', "\u{3c3}");
    one_case.nfkc().collect()
}

/// Characters that can stand in a word and leave it looking the same: Unicode's
/// `Default_Ignorable_Code_Point` (UAX #44), fillers of Korean and tags among them.
const fn shows_nothing(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a letter is of a script that puts no spaces between words, or particles onto them.
pub(crate) const fn has_no_spaces(letter: char) -> bool {
    matches!(
        letter,
        '\u{e00}'..='\u{eff}'         // Thai, Lao
            | '\u{f00}'..='\u{109f}'   // Tibetan, Burmese
            | '\u{1100}'..='\u{11ff}'  // Korean in single letters
            | '\u{1780}'..='\u{17ff}'  // Khmer
            | '\u{1950}'..='\u{19ff}'  // Tai Le, Tai Lue, Khmer signs
            | '\u{1a20}'..='\u{1aaf}'  // Tai Tham
            | '\u{1b00}'..='\u{1b7f}'  // Balinese
            | '\u{3005}'..='\u{3007}'  // Han: iteration, closing, zero
            | '\u{3040}'..='\u{31ff}'  // Japanese, Bopomofo, Korean letters
            | '\u{3400}'..='\u{4dbf}'  // Han
            | '\u{4e00}'..='\u{9fff}'
            | '\u{a980}'..='\u{a9df}'  // Javanese
            | '\u{ac00}'..='\u{d7ff}'  // Korean
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}
