//! How long it takes a person from the first command to the first run that ends well: `dx_ttfd_seconds`, which
//! `doctor` shows.
//!
//! Two files of the person's own, each written once and never sent anywhere. What cannot be written is no
//! reason to fail a command.

use std::path::{Path, PathBuf};

use crate::ambient::Ambient;

/// The moment of the first command.
const COMMAND: &str = "first-command";
/// The moment at which a run first ended well.
const GREEN: &str = "first-green-run";
/// Bytes of a moment: milliseconds as digits.
const MOMENT_BYTES_MAX: u64 = 32;

/// Remembers the first command.
pub fn command(ambient: &Ambient) {
    remember(ambient, COMMAND);
}

/// Remembers the first run that ended well.
pub fn green(ambient: &Ambient) {
    remember(ambient, GREEN);
}

/// Seconds from the one to the other; none where no run has ended well yet, or nothing can be remembered.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a lifetime are exact"
)]
pub fn seconds(ambient: &Ambient) -> Option<f64> {
    let (begun, green) = (moment(ambient, COMMAND)?, moment(ambient, GREEN)?);
    Some(green.saturating_sub(begun) as f64 / 1000.0)
}

fn remember(ambient: &Ambient, name: &str) {
    // Without a home there is no place to remember it.
    let Some(folder) = folder(ambient) else {
        return;
    };
    let path = folder.join(name);
    // Every command comes here: one look, and a write once in a lifetime.
    if ambient.is_file(&path) {
        return;
    }
    let written = ambient.create_dir(&folder).and_then(|()| {
        // Of two commands at once one is the first.
        ambient.create_secret(&path, ambient.now_ms().to_string().as_bytes())
    });
    if let Err(error) = written {
        tracing::debug!(%error, "a first moment is not remembered");
    }
}

fn moment(ambient: &Ambient, name: &str) -> Option<u64> {
    let path = folder(ambient)?.join(name);
    let text = ambient.read_text(&path, MOMENT_BYTES_MAX).ok()?;
    text.trim().parse().ok()
}

/// The person's own place for such things, as the XDG base directory specification has it.
fn folder(ambient: &Ambient) -> Option<PathBuf> {
    let named = ambient.var("XDG_STATE_HOME").map(PathBuf::from);
    // A home that is not there is nobody's: it is not made for two numbers.
    let home = || {
        let home = Path::new(ambient.var("HOME")?);
        ambient.is_dir(home).then(|| home.join(".local/state"))
    };
    let base = named.filter(|path| path.is_absolute()).or_else(home)?;
    Some(base.join("flowhost"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nothing_is_told_before_a_run_ended_well_and_only_the_first_ones_count() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let variables = BTreeMap::from([("HOME".to_owned(), home)]);
        let ambient = Ambient::with(variables, dir.path().to_owned(), None);
        assert_eq!(seconds(&ambient), None);
        command(&ambient);
        assert_eq!(seconds(&ambient), None);
        green(&ambient);
        let first = seconds(&ambient).unwrap();
        assert!(first >= 0.0);
        command(&ambient);
        green(&ambient);
        assert_eq!(seconds(&ambient), Some(first));
        let gone = dir.path().join("gone").display().to_string();
        let variables = BTreeMap::from([("HOME".to_owned(), gone)]);
        let nowhere = Ambient::with(variables, dir.path().to_owned(), None);
        green(&nowhere);
        assert_eq!(seconds(&nowhere), None);
        assert!(!dir.path().join("gone").exists(), "a home was made");
    }
}
