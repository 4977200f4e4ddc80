//! The article of a word that a message puts in.

/// A word with its article, as it is spoken: `an agent`, `a tool`. What stands around it, such as backticks, counts
/// for nothing.
///
/// # Examples
///
/// ```
/// use flowhost_words::with_article;
///
/// assert_eq!(with_article("agent"), "an agent");
/// assert_eq!(with_article("`input`"), "an `input`");
/// assert_eq!(with_article("mcp-adapter"), "an mcp-adapter");
/// assert_eq!(with_article("user"), "a user");
/// ```
#[must_use]
pub fn with_article(word: &str) -> String {
    let spoken = word.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    // Our words with `u` begin with the sound of `you`, and letters that are read one by one are `em`, `see`, `pee`.
    let vowel = spoken.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    match vowel || spoken.starts_with("mcp") || spoken.starts_with("MCP") {
        true => format!("an {word}"),
        false => format!("a {word}"),
    }
}
