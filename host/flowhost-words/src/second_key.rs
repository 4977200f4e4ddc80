//! The options that are the second of two keys: what a profile alone does not open, whoever starts a run opens with one
//! of them. A cure is one of these or lines of a profile, and whoever tells of a cure has to know which.

/// Opens private addresses, after `private_network` in a profile.
pub const PRIVATE_NETWORK_OPTION: &str = "--allow-private-network";
/// Opens native processes, after `[[process]]` in a profile.
pub const PROCESS_OPTION: &str = "--allow-process";
/// All of them.
pub const SECOND_KEYS: [&str; 2] = [PRIVATE_NETWORK_OPTION, PROCESS_OPTION];

/// Whether a cure is an option of the command line; else it is lines of a profile.
///
/// # Examples
///
/// ```
/// use flowhost_words::{PROCESS_OPTION, is_second_key};
///
/// assert!(is_second_key(PROCESS_OPTION));
/// assert!(!is_second_key("private_network = true"));
/// ```
#[must_use]
pub fn is_second_key(cure: &str) -> bool {
    SECOND_KEYS.contains(&cure)
}

/// A command with the second keys that a run had: what it may reach must not shrink because of what was typed.
///
/// # Examples
///
/// ```
/// use flowhost_words::{PROCESS_OPTION, with_keys};
///
/// let command = with_keys("flowhost runs resume R", &[PROCESS_OPTION]);
/// assert_eq!(command, "flowhost runs resume R --allow-process");
/// ```
#[must_use]
pub fn with_keys<S: AsRef<str>>(command: &str, keys: &[S]) -> String {
    // Only what is an option: keys are read from records, and what is printed is meant to be typed.
    let keys = keys
        .iter()
        .map(AsRef::as_ref)
        .filter(|key| is_second_key(key));
    keys.fold(command.to_owned(), |command, key| {
        format!("{command} {key}")
    })
}
