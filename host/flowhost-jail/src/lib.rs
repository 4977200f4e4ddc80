//! Native processes that nobody has to trust: each in a sandbox of the kernel's, whole or not at all.
//!
//! What a WebAssembly component cannot do because nothing is linked, a native program cannot do because
//! the kernel was told so before it began: it sees the machine's programs and libraries and the granted
//! folders, no network, no other process, no variable that it was not given. What this machine cannot
//! enforce is a refusal with its reason, never a weaker sandbox.
//!
//! Three processes, all of them this executable until the last moment: the host asks; the *warden*
//! ([`jail_child_main`]) makes the namespaces, watches limits and tells how it ended; the *inmate* lays out
//! what may be seen, locks itself in and becomes the program. The host itself, which has threads and
//! holds keys, never forks.

mod launch;
mod probe;
mod spec;
mod told;

#[cfg(target_os = "linux")]
mod inmate;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod root;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(target_os = "linux")]
mod usage;
#[cfg(target_os = "linux")]
mod warden;

pub use launch::{LastWords, Running, launch};
pub use probe::{Probed, probe};
pub use spec::{Bounds, Folder, PATH, Refusal, Spec, is_taken};
pub use told::{Breach, End};

/// The hidden subcommand that the warden runs.
pub const JAIL_COMMAND: &str = "__jail";
/// The hidden subcommand that the inmate runs until it is the program.
pub const INMATE_COMMAND: &str = "__jailed";

/// The whole life of the warden, which the host starts by [`JAIL_COMMAND`].
#[must_use]
pub fn jail_child_main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return warden::main();
    #[cfg(not(target_os = "linux"))]
    std::process::ExitCode::FAILURE
}

/// The whole life of the inmate, which the warden starts by [`INMATE_COMMAND`].
#[must_use]
pub fn inmate_main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return inmate::main();
    #[cfg(not(target_os = "linux"))]
    std::process::ExitCode::FAILURE
}
