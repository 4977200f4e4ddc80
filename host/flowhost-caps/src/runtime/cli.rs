//! `wasi:cli` 0.2 without its environment, which is a right of its own.

use std::sync::Arc;

use flowhost_engine::{Fault, HostState};
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::cli::{
    exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use wasmtime_wasi::p2::pipe::ClosedInputStream;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use crate::runtime::RuntimeState;
use crate::runtime::stdio::Out;
use crate::shared::line::Stream;
use crate::shared::support::{HasView, View, kill};

pub(super) const STDIN: &str = "wasi:cli/stdin@0.2.12";
pub(super) const STDOUT: &str = "wasi:cli/stdout@0.2.12";
pub(super) const STDERR: &str = "wasi:cli/stderr@0.2.12";
pub(super) const EXIT: &str = "wasi:cli/exit@0.2.12";
pub(super) const TERMINAL_INPUT: &str = "wasi:cli/terminal-input@0.2.12";
pub(super) const TERMINAL_OUTPUT: &str = "wasi:cli/terminal-output@0.2.12";
pub(super) const TERMINAL_STDIN: &str = "wasi:cli/terminal-stdin@0.2.12";
pub(super) const TERMINAL_STDOUT: &str = "wasi:cli/terminal-stdout@0.2.12";
pub(super) const TERMINAL_STDERR: &str = "wasi:cli/terminal-stderr@0.2.12";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    stdin::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    stdout::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    stderr::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    exit::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    terminal_input::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    terminal_output::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    terminal_stdin::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    terminal_stdout::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    terminal_stderr::add_to_linker::<_, HasView>(linker, |state| View(state))
}

impl View<'_> {
    fn out(&mut self, stream: Stream) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let parts = self.0.parts::<RuntimeState>();
        let stdio = Arc::clone(&parts.state.stdio);
        let out: DynOutputStream = Box::new(Out { stdio, stream });
        Ok(parts.table.push(out)?)
    }

    // A runtime that finds none writes plain lines, without colours and cursors.
    fn no_terminal<T>(&self) -> wasmtime::Result<Option<T>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(None)
    }
}

impl stdin::Host for View<'_> {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let ended: DynInputStream = Box::new(ClosedInputStream);
        Ok(self.0.parts::<RuntimeState>().table.push(ended)?)
    }
}

impl stdout::Host for View<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.out(Stream::Stdout)
    }
}

impl stderr::Host for View<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.out(Stream::Stderr)
    }
}

impl exit::Host for View<'_> {
    // Not charged: it ends the call, so it is called once.
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        leave(u8::from(status.is_err()))
    }

    fn exit_with_code(&mut self, status_code: u8) -> wasmtime::Result<()> {
        leave(status_code)
    }
}

/// A plugin is called and answers; one that leaves instead has not done what it was asked for.
fn leave(code: u8) -> wasmtime::Result<()> {
    Err(kill(Fault::Guest {
        class: "failed",
        message: format!("the component left with code {code} instead of an answer"),
    }))
}

impl terminal_input::Host for View<'_> {}

impl terminal_input::HostTerminalInput for View<'_> {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.0.parts::<RuntimeState>().table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for View<'_> {}

impl terminal_output::HostTerminalOutput for View<'_> {
    fn drop(
        &mut self,
        terminal: Resource<terminal_output::TerminalOutput>,
    ) -> wasmtime::Result<()> {
        self.0.parts::<RuntimeState>().table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for View<'_> {
    fn get_terminal_stdin(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        self.no_terminal()
    }
}

impl terminal_stdout::Host for View<'_> {
    fn get_terminal_stdout(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.no_terminal()
    }
}

impl terminal_stderr::Host for View<'_> {
    fn get_terminal_stderr(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.no_terminal()
    }
}
