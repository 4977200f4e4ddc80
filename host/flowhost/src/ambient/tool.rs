//! Tools that run to their end: compilers, bundlers, `git`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Ambient, FileError};

/// Which output of a tool goes to the person at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Its standard error: a compiler's own messages, in its own colours.
    Errors,
    /// Nothing: the caller reads it.
    Nothing,
}

/// A tool that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Whether it says that all went well.
    pub ok: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, where it was not shown.
    pub stderr: Vec<u8>,
}

impl Ambient {
    /// Runs a tool of an author's (a compiler, a bundler) to its end, in a folder, with the environment
    /// that this process was started with and `variables` beside it. What it prints on standard output is
    /// handed back.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
        shown: Shown,
    ) -> Result<Ran, FileError> {
        self.run_on(b"", program, arguments, folder, variables, shown)
    }

    /// As [`Ambient::run`], with `input` on its standard input: for a tool that reads all of it before it prints
    /// more than a pipe holds.
    ///
    /// # Errors
    /// When it cannot be started, or says that all went well without having read the input.
    pub fn run_on(
        &self,
        input: &[u8],
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
        shown: Shown,
    ) -> Result<Ran, FileError> {
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .current_dir(self.resolve(folder))
            // As it was when this process began, and not as something has set it since.
            .env_clear()
            .envs(&self.env)
            .envs(variables.iter().copied())
            .stdin(match input.is_empty() {
                true => Stdio::null(),
                false => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(match shown {
                Shown::Errors => Stdio::inherit(),
                Shown::Nothing => Stdio::piped(),
            });
        command
            .spawn()
            .and_then(|child| ended(child, input))
            .map_err(|source| FileError::new("run", program, source))
    }
}

fn ended(mut child: Child, input: &[u8]) -> std::io::Result<Ran> {
    // Dropped once it is written: the tool reads to the end of it.
    let fed = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    // All of it is held: the tools are the author's own, and say what their sources give them to say.
    let ended = child.wait_with_output()?;
    let ok = ended.status.success();
    match fed {
        // A tool that fails early says itself why it did not read on.
        Some(Err(error)) if ok => Err(error),
        _ => Ok(Ran {
            ok,
            stdout: ended.stdout,
            stderr: ended.stderr,
        }),
    }
}
