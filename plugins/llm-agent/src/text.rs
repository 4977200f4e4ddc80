//! Text with bounds: what goes back to a model or into an error is cut between characters, and says so.

/// The first `bytes_max` bytes of a text, and how many are missing.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let kept = text.get(..end).unwrap_or_default();
    match text.len() - kept.len() {
        0 => kept.to_owned(),
        missing => format!(
            "{kept}\n[cut: {missing} of {} bytes are missing]",
            text.len()
        ),
    }
}

/// One line of at most `chars_max` characters, for people.
pub(crate) fn line(text: &str, chars_max: usize) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut line: String = text.chars().take(chars_max).map(plain).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_how_much_is_missing() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ääää", 5), "ää\n[cut: 4 of 8 bytes are missing]");
    }

    #[test]
    fn a_line_has_no_control_characters_and_an_end() {
        assert_eq!(line("a\nb\u{1b}[1m", 3), "a b…");
    }
}
