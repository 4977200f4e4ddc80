//! Two versions of a file as a unified diff, which `patch` and `git apply` read and a person judges.

use similar::TextDiff;

/// Empty when nothing changes.
pub(super) fn of(file: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut unified = diff.unified_diff();
    unified.header(file, file).to_string()
}
