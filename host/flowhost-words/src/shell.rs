//! Words of a command that a person is told to type. A path may hold a space, and then the command would do
//! something else than it says; and a word such as `RUN` is to be typed as what it stands for.

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

/// A text with commands between backticks, with what `word` stands for in them. What is no command of flowhost stays as
/// it is.
///
/// # Examples
///
/// ```
/// use flowhost_words::filled;
///
/// let text = "RUN: `flowhost runs show RUN --step STEP` and `flowhost verify RUN`, not `RUN` or RUNS";
/// let told = filled(&filled(text, "RUN", "01K"), "STEP", "scan[3]");
/// assert_eq!(
///     told,
///     "RUN: `flowhost runs show 01K --step 'scan[3]'` and `flowhost verify 01K`, not `RUN` or RUNS"
/// );
/// ```
#[must_use]
pub fn filled(text: &str, word: &str, value: &str) -> String {
    // Of nothing there is no word: it is left to whoever types the command.
    if value.is_empty() {
        return text.to_owned();
    }
    let value = shell_word(value);
    let mut parts: Vec<String> = text.split('`').map(str::to_owned).collect();
    // Every second part stands between two backticks.
    let commands = parts.iter_mut().skip(1).step_by(2);
    for command in commands.filter(|it| it.starts_with("flowhost ")) {
        let words = command.split(' ');
        let words: Vec<&str> = words
            .map(|it| if it == word { value.as_str() } else { it })
            .collect();
        *command = words.join(" ");
    }
    parts.join("`")
}
