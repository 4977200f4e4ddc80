//! The inmate: first process of its namespaces. Lays out what may be seen, then gives up every power,
//! lock by lock, and becomes the program. Whatever cannot be done is told, and nothing begins.
//!
//! The order is the defence: folders while it may mount, then Landlock and limits, then capabilities, then
//! system calls, last because the others need them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, Scope, path_beneath_rules,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, setrlimit};
use sha2::{Digest as _, Sha256};

use crate::raw;
use crate::root;
use crate::spec::{Bounds, PATH, Spec};
use crate::syscalls;
use crate::told::Told;
use crate::warden::WISH;

/// The least of Landlock that is a sandbox for files: below, files could be cut to nothing.
pub(crate) const LANDLOCK_MIN: ABI = ABI::V3;
/// The most that is asked for: devices, TCP, signals and abstract sockets of others. Older kernels do
/// without; the namespaces forbid the same.
const LANDLOCK_MOST: ABI = ABI::V6;

pub(crate) fn main() -> ExitCode {
    let Ok(mut report) = report() else {
        // Nobody can be told: to the warden it looks like a program that began and ended with code 1.
        return ExitCode::FAILURE;
    };
    let told = match confined(&report) {
        Ok((spec, program)) => become_it(&spec, &program),
        Err(told) => told,
    };
    // Anything but nothing: silence is how the warden knows that the program has begun.
    let line = serde_json::to_vec(&told).unwrap_or_else(|error| error.to_string().into_bytes());
    let _warden_is_gone = report.write_all(&line);
    ExitCode::FAILURE
}

/// The pipe to the warden, whose number stands in the arguments. Opened anew before anything else, while
/// there is a way to it; it closes when the program begins, which is how the warden knows.
fn report() -> std::io::Result<File> {
    let number = std::env::args().nth(2).unwrap_or_default();
    File::options()
        .write(true)
        .open(format!("/proc/self/fd/{number}"))
}

/// Everything up to the program; when it returns, only the program is left to begin.
fn confined(report: &File) -> Result<(Spec, PathBuf), Told> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(unconfined("it would outlive its warden"))?;
    // A warden that went before that was asked for is told of by nobody but the pipe that it alone reads.
    if nobody_reads(report) {
        return Err(Told::Unconfined("its warden is gone".to_owned()));
    }
    let spec: Spec =
        serde_json::from_str(&wish()).map_err(unconfined("the wish cannot be read"))?;
    // No terminal either way: what controls one could write into it as if a person had typed.
    rustix::process::setsid().map_err(unconfined("a session of its own"))?;
    root::lay_out(&spec)?;
    // Behind the layout, so that what is found and hashed is what the process itself would see.
    let program = program(&spec)?;
    rustix::process::chdir(&spec.folder).map_err(|error| {
        Told::Folder(format!(
            "the process cannot start in `{}`: {error}; `folder` in [process] is a folder that it sees, such as \
             the guest path of a grant",
            spec.folder
        ))
    })?;
    // Behind the layout, which mounts: Landlock forbids that.
    landlock(&spec)?;
    limit(&spec.bounds).map_err(unconfined("limits cannot be set"))?;
    // Those that this process has itself go when it becomes the program: under `SECBIT_NOROOT` the
    // administrator's id brings none along.
    raw::give_up_powers().map_err(unconfined("capabilities cannot be given up"))?;
    raw::close_others_at_exec().map_err(unconfined("open files cannot be closed"))?;
    // Last, because all of the above asks for calls that nobody needs from here on.
    syscalls::filter().map_err(unconfined("system calls cannot be filtered"))?;
    Ok((spec, program))
}

fn nobody_reads(report: &File) -> bool {
    let mut fds = [PollFd::new(report, PollFlags::empty())];
    let now = Timespec::default();
    let looked = poll(&mut fds, Some(&now));
    // A pipe without a reader is an error to its writer, whatever was asked about.
    looked.is_err() || fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the wish comes in a variable, which nobody but this process can read"
)]
fn wish() -> String {
    std::env::var(WISH).unwrap_or_default()
}

/// The program's file, which has to be the one that was meant.
fn program(spec: &Spec) -> Result<PathBuf, Told> {
    let name = spec.command.first().map_or("", String::as_str);
    let candidates: Vec<PathBuf> = match name.contains('/') {
        true => vec![PathBuf::from(name)],
        false => PATH.split(':').map(|at| Path::new(at).join(name)).collect(),
    };
    let there = |path: &&PathBuf| {
        rustix::fs::access(path.as_path(), rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
    };
    let Some(found) = candidates.iter().find(there) else {
        let place = match name.contains('/') {
            true => "the process sees no such file, or may not start it".to_owned(),
            false => format!(
                "none of {PATH} has it: install it, or name it by a path that the process sees"
            ),
        };
        return Err(Told::Program(format!(
            "the program `{name}` is not there: {place}"
        )));
    };
    match spec.sha256.is_empty() {
        true => Ok(found.clone()),
        false => meant(found, &spec.sha256),
    }
}

/// The path by which exactly the file begins that was looked at, whatever is put in its place meanwhile. A script begins by
/// its name, because its interpreter opens it again.
fn meant(found: &Path, sha256: &str) -> Result<PathBuf, Told> {
    let unread = |error: std::io::Error| {
        Told::Program(format!("`{}` cannot be read: {error}", found.display()))
    };
    let (file, hash, is_script) = looked_at(found).map_err(unread)?;
    if hash != sha256 {
        return Err(Told::Program(format!(
            "`{}` is another program than the profile names: sha256 {hash}, and `sha256` in [process] says {sha256}",
            found.display(),
        )));
    }
    match is_script {
        true => Ok(found.to_owned()),
        // Open until the program begins, which closes it.
        false => Ok(format!("/proc/self/fd/{}", file.into_raw_fd()).into()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program's own file, inside of the sandbox that was just laid out"
)]
fn looked_at(file: &Path) -> std::io::Result<(File, String, bool)> {
    let mut file = File::open(file)?;
    let (mut hash, mut begins) = (Sha256::new(), Vec::<u8>::new());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match file.read(&mut buffer)? {
            0 => break,
            read => buffer.get(..read).unwrap_or_default(),
        };
        hash.update(read);
        // Two bytes tell a script, and a read may give one.
        let missing = 2_usize.saturating_sub(begins.len());
        begins.extend(read.iter().take(missing));
    }
    Ok((file, hex::encode(hash.finalize()), begins == b"#!"))
}

/// Files by what may be done with them: the second lock beside the mounts, and the one that holds for
/// whatever is mounted below a granted folder.
fn landlock(spec: &Spec) -> Result<(), Told> {
    let told = unconfined("Landlock");
    let read = AccessFs::from_read(LANDLOCK_MOST);
    // What it may write it may not start: a program of its own would be one that nobody named.
    let write = AccessFs::from_all(LANDLOCK_MOST)
        & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let devices: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    let of = |write: bool| {
        spec.folders
            .iter()
            .filter(move |it| it.write == write)
            .map(|folder| folder.guest.as_str())
    };
    let rules = || -> Result<(), landlock::RulesetError> {
        let ruleset = Ruleset::default()
            // First what has to be there, then whatever more this kernel knows.
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LANDLOCK_MIN))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LANDLOCK_MOST))?
            .handle_access(AccessNet::from_all(LANDLOCK_MOST))?
            .scope(Scope::from_all(LANDLOCK_MOST))?
            .create()?
            .add_rules(path_beneath_rules(root::SYSTEM, read))?
            .add_rules(path_beneath_rules(of(false), read))?
            .add_rules(path_beneath_rules(of(true), write))?
            .add_rules(path_beneath_rules(["/tmp"], write))?
            .add_rules(path_beneath_rules(
                ["/proc"],
                AccessFs::ReadFile | AccessFs::ReadDir,
            ))?
            .add_rules(path_beneath_rules(["/dev"], devices))?;
        ruleset.restrict_self().map(drop)
    };
    rules().map_err(told)
}

/// What the kernel counts for each process. Processor time is the warden's to tell; should it be gone, the
/// kernel ends a process a little later.
fn limit(bounds: &Bounds) -> std::io::Result<()> {
    let limits = [
        // A core file would lie in a granted folder, with all that the process knew.
        (Resource::Core, 0, 0),
        (
            Resource::Cpu,
            bounds.cpu_seconds + 2,
            bounds.cpu_seconds + 2,
        ),
        (Resource::Data, bounds.memory_bytes, bounds.memory_bytes),
        (Resource::Fsize, bounds.file_bytes, bounds.file_bytes),
        (Resource::Nofile, bounds.open_files, bounds.open_files),
        // Counted within its user namespace since Linux 5.14. An older kernel counts what else the
        // person runs, so that a process may start fewer there; the warden counts its own either
        // way.
        (Resource::Nproc, bounds.processes, bounds.processes),
        // Locked memory cannot be taken back when the machine runs short.
        (Resource::Memlock, 0, 0),
        // The kernel's memory and no process's, so that the bound on memory would not see it.
        (Resource::Msgqueue, 0, 0),
    ];
    for (resource, current, maximum) in limits {
        let limit = Rlimit {
            current: Some(current),
            maximum: Some(maximum),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program that the profile names, in the sandbox that was made for it"
)]
fn become_it(spec: &Spec, program: &Path) -> Told {
    let name = spec.command.first().map_or("", String::as_str);
    let error = Command::new(program)
        .arg0(name)
        .args(spec.command.iter().skip(1))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/tmp")
        .env("TMPDIR", "/tmp")
        .envs(&spec.environment)
        .exec();
    Told::Program(format!("`{name}` does not start: {error}"))
}

pub(crate) fn unconfined<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Told + '_ {
    move |error| Told::Unconfined(format!("{what}: {error}"))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes files of its own")]
mod tests {
    use super::*;

    #[test]
    fn what_begins_is_the_file_that_was_looked_at() {
        let dir = std::env::temp_dir().join(format!("flowhost-jail-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (program, other) = (dir.join("program"), dir.join("other"));
        let put = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
        put(&program, "\u{7f}ELF, more or less");
        let hash = hex::encode(Sha256::digest(std::fs::read(&program).unwrap()));
        let begins = meant(&program, &hash).unwrap();
        put(&other, "another");
        std::fs::rename(&other, &program).unwrap();
        assert_eq!(
            std::fs::read_to_string(begins).unwrap(),
            "\u{7f}ELF, more or less"
        );
        assert!(matches!(meant(&program, &hash), Err(Told::Program(_))));
        put(&program, "#!/bin/sh\n");
        let hash = hex::encode(Sha256::digest(b"#!/bin/sh\n"));
        assert_eq!(meant(&program, &hash).unwrap(), program);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
