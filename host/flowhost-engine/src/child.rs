//! The other side of [`crate::Compiler::Child`]: the whole life of the compile child.
//!
//! It limits itself before it reads its input, opens nothing, and speaks only over the two pipes it
//! was given. Linux ends it when it takes more processor time or address space than it allowed
//! itself.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::compile::{CPU_SECS, REFUSED};
use crate::inspect::{self, ShapeLimits};
use crate::knobs;

/// Address space: CPython takes about 1 GiB to compile.
const ADDRESS_SPACE_BYTES: u64 = 6 << 30;

/// Descriptors: two pipes, standard error, and what the runtime opens for itself.
const DESCRIPTORS: u64 = 16;

/// Reads a component from standard input and writes its native code to standard output.
///
/// Exit codes: 0 with the code, 65 with the reason on standard output, anything else is a crash.
#[must_use]
pub fn compile_child_main() -> ExitCode {
    let answer = limit_self()
        .map_err(|error| error.to_string())
        .and_then(|()| compile());
    let (bytes, code) = match answer {
        Ok(code) => (code, ExitCode::SUCCESS),
        Err(message) => (
            message.into_bytes(),
            ExitCode::from(REFUSED.unsigned_abs() as u8),
        ),
    };
    match io::stdout().lock().write_all(&bytes) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn limit_self() -> io::Result<()> {
    let limits = [
        (Resource::Cpu, CPU_SECS),
        (Resource::As, ADDRESS_SPACE_BYTES),
        (Resource::Nofile, DESCRIPTORS),
        // A core file would be an image of hostile input, in a folder that nobody sweeps.
        (Resource::Core, 0),
        // Of files alone: the pipes take the answer.
        (Resource::Fsize, 0),
    ];
    for (resource, value) in limits {
        // Where both are the same, Linux ends the process by SIGKILL, which does not say why.
        let more = u64::from(resource == Resource::Cpu);
        setrlimit(
            resource,
            Rlimit {
                current: Some(value),
                maximum: Some(value + more),
            },
        )?;
    }
    Ok(())
}

fn compile() -> Result<Vec<u8>, String> {
    // Before its input comes, which a child may have to wait for.
    let engine = wasmtime::Engine::new(&knobs::compiling()).map_err(|e| format!("{e:#}"))?;
    let limits = ShapeLimits::default();
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        // One more than allowed tells a component that is too large from one that just fits.
        .take(limits.bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    // Again, although the parent has inspected it: this process believes only what it reads itself.
    inspect::inspect(&bytes, &limits).map_err(|error| error.to_string())?;
    engine
        .precompile_component(&bytes)
        .map_err(|error| format!("{error:#}"))
}
