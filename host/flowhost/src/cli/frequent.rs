//! The commands that programs start, alone: all options of all commands are made before the one that was typed is known, and
//! that takes longer than to read it.
//!
//! Nothing is said here. Whoever asks for help, or slips, is answered by the whole command line.

use clap::{Parser, Subcommand};

use super::{Cli, Command, Global, McpCommand, RunArgs};

#[derive(Debug, Parser)]
#[command(name = "flowhost")]
struct Frequent {
    #[command(subcommand)]
    command: Alone,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Subcommand)]
enum Alone {
    Run(RunArgs),
    #[command(subcommand)]
    Mcp(McpCommand),
}

impl Alone {
    /// Whether a line that begins so is one of these, if it is one at all.
    fn begins(word: &std::ffi::OsStr) -> bool {
        word == "run" || word == "mcp"
    }
}

impl From<Frequent> for Cli {
    fn from(typed: Frequent) -> Self {
        Self {
            command: match typed.command {
                Alone::Run(args) => Command::Run(args),
                Alone::Mcp(command) => Command::Mcp(command),
            },
            global: typed.global,
        }
    }
}

impl Cli {
    /// What was typed.
    pub(crate) fn typed() -> Result<Self, clap::Error> {
        // Read twice, once here: a line whose first word is an option is left to the whole parser.
        let first = std::env::args_os().nth(1);
        let frequent = first.is_some_and(|word| Alone::begins(&word));
        match frequent.then(Frequent::try_parse) {
            Some(Ok(typed)) => Ok(typed.into()),
            Some(Err(_)) | None => Self::try_parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_alone_is_what_the_whole_command_line_reads() {
        for line in [
            "run plan.yaml",
            "run --json plan.yaml --input a=1 --durability relaxed --state elsewhere -vv",
            "mcp serve --plugin echo=echo.wasm --plan plan.yaml --listen 127.0.0.1:0 -v",
            "mcp --state elsewhere inspect plan.yaml one --json",
        ] {
            let words = || std::iter::once("flowhost").chain(line.split(' '));
            let alone = Cli::from(Frequent::try_parse_from(words()).unwrap());
            let whole = Cli::try_parse_from(words()).unwrap();
            assert_eq!(format!("{alone:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn what_is_not_whole_or_asks_for_help_is_left_to_the_whole_command_line() {
        for line in [
            "run",
            "run --help",
            "mcp",
            "mcp srve",
            "runs",
            "run a.yaml --nonsense",
        ] {
            let words = std::iter::once("flowhost").chain(line.split(' '));
            assert!(Frequent::try_parse_from(words).is_err(), "{line}");
        }
    }
}
