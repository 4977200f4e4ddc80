//! A word of a command that a person is told to type. A path may hold a space, and then the command would do
//! something else than it says.

/// A word as a POSIX shell reads it back.
///
/// # Examples
///
/// ```
/// use flowhost_words::shell_word;
///
/// assert_eq!(shell_word("policies/a.toml"), "policies/a.toml");
/// assert_eq!(shell_word("my plans/it's.toml"), r"'my plans/it'\''s.toml'");
/// ```
#[must_use]
pub fn shell_word(word: &str) -> String {
    // Without `~`, in whose place a shell puts a folder where it comes first.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
