//! Options of `run` that say which stages of a plan are wanted, and what is noted about the run.

use clap::Args;

/// Most characters of a note: it is read beside the run, and is no place for a document.
const NOTE_CHARS_MAX: usize = 500;

/// Which stages run, and what is noted about it.
#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// Begin at this stage (or step): what comes before it is taken from the newest run of the plan
    #[arg(
        long,
        value_name = "STAGE",
        conflicts_with_all = ["only", "resume", "reuse", "dry_run", "estimate", "watch"]
    )]
    pub(crate) from: Option<String>,
    /// Run this stage (or step) alone: what it needs is taken from the newest run of the plan
    #[arg(
        long,
        value_name = "STAGE",
        conflicts_with_all = ["resume", "reuse", "dry_run", "estimate", "watch"]
    )]
    pub(crate) only: Option<String>,
    /// What is to be read beside the run: it stands in the run's first record, for good, and in its evidence
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = note,
        conflicts_with_all = ["resume", "dry_run", "estimate"]
    )]
    pub(crate) note: Option<String>,
    /// Run a plan that requires a clean work tree in one that has changes; which, is recorded
    #[arg(long, conflicts_with_all = ["resume", "dry_run", "estimate", "watch"])]
    pub(crate) allow_dirty: bool,
}

/// One line of a bounded length: it is shown in tables and on terminals.
fn note(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("a note says something: `--note \"with the new prompt\"`".to_owned()),
        count if count > NOTE_CHARS_MAX => Err(format!(
            "a note has at most {NOTE_CHARS_MAX} characters, and this one has {count}"
        )),
        _ if text.chars().any(char::is_control) => {
            Err("a note is one line, without control characters".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}
