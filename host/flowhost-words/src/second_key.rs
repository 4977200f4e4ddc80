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
