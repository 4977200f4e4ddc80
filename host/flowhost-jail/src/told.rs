//! What the warden tells the host, one line of JSON each, on its standard error: the program's own
//! standard error passes through it as `log`, so that no program can speak for the warden.

use serde::{Deserialize, Serialize};

/// Longest line of the program's standard error that is kept, in bytes. A line without an end would grow in the
/// host's memory.
pub(crate) const LOG_LINE_MAX: usize = 2_048;
/// Lines of it that are told at all; the rest is read, so that the program does not wait, and dropped.
pub(crate) const LOG_LINES_MAX: usize = 1_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// The program begins: everything before was done.
    Ready,
    /// It does not, because the machine cannot do a part of it.
    Unconfined(String),
    /// It does not, because of its program.
    Program(String),
    /// It does not, because of a folder.
    Folder(String),
    /// It wrote to its standard error.
    Log(String),
    /// It ended.
    Ended(End),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that nobody here sent.
    Signal(i32),
    /// It made a system call that no honest program makes here, and the kernel ended it.
    Syscall,
    /// It went over a bound and was ended.
    Breach(Breach),
    /// The host wanted it.
    Stopped,
}

/// A bound that was gone over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Its key in the profile: `memory`.
    pub name: String,
    /// What was found.
    pub used: u64,
    /// What is allowed.
    pub allowed: u64,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it ended by itself with code {code}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::Syscall => {
                write!(
                    f,
                    "it made a forbidden system call, and the kernel ended it"
                )
            }
            Self::Breach(Breach {
                name,
                used,
                allowed,
            }) => write!(
                f,
                "it was ended because it went over `{name}` of [process]: {used}, {allowed} allowed"
            ),
            Self::Stopped => write!(f, "it was stopped"),
        }
    }
}
