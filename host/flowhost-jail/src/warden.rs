//! The warden: makes the namespaces, starts the inmate in them, watches what the kernel does not bound by
//! itself, and tells the host how it ended.
//!
//! It has one thread: a process that has left its namespace of processes gets no second one, so that one
//! loop waits for words of the inmate, for its end and for the next look at what it uses. It stays outside of what it guards: it sees the machine, and shares with the inmate nothing but the
//! streams that it passed on. Before it goes it ends the inmate, which is the first process of its namespace, and the
//! kernel all others there. It goes when nobody reads what it tells any more. Killed itself it takes the inmate along only
//! until that is the program, which may free itself from that.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::INMATE_COMMAND;
use crate::raw;
use crate::spec::Spec;
use crate::told::{Breach, End, LOG_LINE_MAX, LOG_LINES_MAX, Told};
use crate::usage;

/// Longest wish, in bytes: a few hundred folders and variables.
const WISH_MAX: u64 = 256 * 1024;
/// How often memory, processes and time are looked at. Between two looks a program may take more than it is
/// allowed: less often is more of it, more often costs a processor's time for each server.
const LOOK: Duration = Duration::from_millis(50);
/// How often what it has written is looked at: a walk through folders costs more.
const WALK: Duration = Duration::from_secs(1);

/// The variable in which the inmate finds the wish; what it becomes does not see it.
pub(crate) const WISH: &str = "FLOWHOST_JAIL";

pub(crate) fn main() -> ExitCode {
    let told = match begin() {
        Ok(prisoner) => Told::Ended(watch(prisoner)),
        Err(told) => told,
    };
    tell(&told);
    ExitCode::SUCCESS
}

/// What is watched.
struct Prisoner {
    spec: Spec,
    pid: Pid,
    inmate: Child,
    words: Words,
    began: Instant,
    clock: usage::Clock,
}

fn begin() -> Result<Prisoner, Told> {
    let line = wish().map_err(unconfined("the wish cannot be read"))?;
    let spec: Spec = serde_json::from_str(&line).map_err(unconfined("the wish cannot be read"))?;
    // Before the pipe is made, which the inmate has to inherit.
    raw::close_others_at_exec().map_err(unconfined("open files cannot be closed"))?;
    own_namespaces()?;
    let (mut report, written) = io::pipe().map_err(unconfined("a pipe cannot be made"))?;
    // The inmate inherits this end alone, and closes it by becoming the program.
    rustix::io::fcntl_setfd(&written, FdFlags::empty())
        .map_err(unconfined("a pipe cannot be handed on"))?;
    let began = Instant::now();
    let mut inmate = start(&line, &written).map_err(unconfined("the inmate cannot be started"))?;
    // Our own end, or the pipe would never say that it is closed.
    drop(written);
    let mut trouble = String::new();
    let heard = report.read_to_string(&mut trouble);
    heard.map_err(unconfined("the inmate cannot be heard"))?;
    if !trouble.is_empty() {
        // It has said why, and its code adds nothing.
        let _gone = inmate.wait();
        let told = serde_json::from_str(&trouble);
        // Words that are not its own are shown as they came: nothing begins either way.
        return Err(told.unwrap_or(Told::Unconfined(trouble)));
    }
    tell(&Told::Ready);
    let pid = i32::try_from(inmate.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Told::Unconfined("the inmate has no process id".to_owned()))?;
    let words = Words::new(inmate.stderr.take());
    Ok(Prisoner {
        spec,
        pid,
        inmate,
        words,
        began,
        clock: usage::Clock::default(),
    })
}

/// The first line of standard input, byte by byte: what follows is the program's.
fn wish() -> io::Result<String> {
    let mut line = Vec::new();
    let stdin = rustix::stdio::stdin();
    let mut byte = [0];
    while rustix::io::read(stdin, &mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
        if line.len() as u64 > WISH_MAX {
            return Err(io::Error::other("it is larger than 256 KiB"));
        }
    }
    String::from_utf8(line).map_err(io::Error::other)
}

/// Leaves the host's namespaces, but for that of mounts, which the inmate leaves by itself: the warden goes
/// on seeing the machine, where it looks at what the inmate uses. The person's own id becomes that of the administrator in there, who may
/// lay out folders in there and nothing anywhere else.
fn own_namespaces() -> Result<(), Told> {
    let (user, group) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(all).map_err(unconfined(
        "new namespaces are refused (is `user.max_user_namespaces` 0, or does this system's security module \
         keep plain users from them?)",
    ))?;
    let lines = [
        // The kernel wants this before it takes groups from a plain user, who could else lay one
        // down that keeps it out of a file.
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ];
    for (file, line) in lines {
        write(file, &line).map_err(unconfined("the user namespace cannot be set up"))?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the files by which the kernel is told who is who in a namespace"
)]
fn write(file: &str, line: &str) -> io::Result<()> {
    std::fs::write(file, line)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the inmate is one of the few processes that are started: this very executable"
)]
fn start(wish: &str, report: &impl std::os::fd::AsRawFd) -> io::Result<Child> {
    // Not by its path, where a newer build may stand by now: warden and inmate speak the same
    // words.
    Command::new("/proc/self/exe")
        .args([INMATE_COMMAND, &report.as_raw_fd().to_string()])
        .env_clear()
        .env(WISH, wish)
        .stderr(Stdio::piped())
        .spawn()
}

/// What the program writes to its standard error, passed on line by line, bounded.
struct Words {
    pipe: Option<ChildStderr>,
    line: Vec<u8>,
    told: usize,
}

impl Words {
    fn new(pipe: Option<ChildStderr>) -> Self {
        Self {
            pipe,
            line: Vec::new(),
            told: 0,
        }
    }

    /// Reads what is there; called when something is, so that it does not wait.
    fn take(&mut self) {
        let mut buffer = [0; 4096];
        let read = match &mut self.pipe {
            // A pipe that cannot be read has ended, as one that is closed has.
            Some(pipe) => pipe.read(&mut buffer).unwrap_or(0),
            None => return, // its end was read before
        };
        if read == 0 {
            self.pipe = None;
            self.tell();
            return;
        }
        for byte in buffer.get(..read).unwrap_or_default() {
            match byte {
                b'\n' => self.tell(),
                // What is longer is cut, and the rest read so that the program does not wait.
                _ if self.line.len() == LOG_LINE_MAX => {}
                byte => self.line.push(*byte),
            }
        }
    }

    fn tell(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() && self.told < LOG_LINES_MAX {
            self.told += 1;
            tell(&Told::Log(text.to_owned()));
        }
    }
}

/// Watches until it has ended, and ends it when it goes over a bound or nobody is there any more who wants
/// it.
fn watch(mut prisoner: Prisoner) -> End {
    let (mut looked, mut walked) = (Instant::now(), Instant::now());
    loop {
        let host_is_gone = wait(&mut prisoner.words);
        match prisoner.inmate.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                last_words(&mut prisoner.words);
                return by_itself(status);
            }
            // Nobody else waits for this child, so that the kernel always knows it.
            Err(_) => return End::Stopped,
        }
        if host_is_gone {
            return end(prisoner, End::Stopped);
        }
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        let mut breach = bounds(&mut prisoner);
        if breach.is_none() && walked.elapsed() >= WALK {
            breach = quotas(&prisoner.spec);
            walked = Instant::now();
        }
        if let Some(breach) = breach {
            return end(prisoner, End::Breach(breach));
        }
    }
}

/// Waits for words of the inmate, and passes them on; no longer than to the next look. Gives whether the
/// reader of standard error has gone, which is the host.
fn wait(words: &mut Words) -> bool {
    let stderr = io::stderr();
    let mut fds = vec![PollFd::new(&stderr, PollFlags::empty())];
    if let Some(pipe) = &words.pipe {
        fds.push(PollFd::new(pipe, PollFlags::IN));
    }
    let until = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(LOOK.subsec_nanos()),
    };
    if poll(&mut fds, Some(&until)).is_err() {
        return false; // a signal; the next look is soon
    }
    let at = |index: usize| fds.get(index).map_or(PollFlags::empty(), PollFd::revents);
    let gone = at(0).intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
    if !at(1).is_empty() {
        words.take();
    }
    gone
}

/// What was written before the end. All who could write are gone with the inmate, so that this ends.
fn last_words(words: &mut Words) {
    while words.pipe.is_some() {
        words.take();
    }
}

/// The first bound that is gone over now.
fn bounds(prisoner: &mut Prisoner) -> Option<Breach> {
    let bounds = prisoner.spec.bounds;
    let lasted = prisoner.began.elapsed();
    if lasted >= Duration::from_secs(bounds.wall_seconds) {
        return Some(Breach {
            name: "wall".to_owned(),
            used: lasted.as_secs(),
            allowed: bounds.wall_seconds,
        });
    }
    let used = usage::of(prisoner.pid, bounds.processes, &mut prisoner.clock);
    // First, because the look ends where there are too many of them.
    over("processes", used.threads, bounds.processes)
        .or_else(|| over("memory", used.memory_bytes, bounds.memory_bytes))
        .or_else(|| over("cpu", used.cpu_seconds, bounds.cpu_seconds))
}

fn over(name: &str, used: u64, allowed: u64) -> Option<Breach> {
    (used > allowed).then(|| Breach {
        name: name.to_owned(),
        used,
        allowed,
    })
}

/// The first folder that holds more than it may.
fn quotas(spec: &Spec) -> Option<Breach> {
    // One after the other, and no further than the first that holds too much: a walk takes its
    // time.
    let mut used = spec
        .folders
        .iter()
        .filter(|folder| folder.write)
        .map(|folder| (folder, usage::below(&folder.host, folder.quota_entries)));
    used.find_map(|(folder, (entries, bytes))| {
        over("entries", entries, folder.quota_entries)
            .or_else(|| over("quota", bytes, folder.quota_bytes))
    })
}

fn end(mut prisoner: Prisoner, how: End) -> End {
    // The first process of a namespace takes all others with it.
    let _gone = kill_process(prisoner.pid, Signal::KILL);
    let _reaped = prisoner.inmate.wait();
    last_words(&mut prisoner.words);
    how
}

fn by_itself(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        // What the kernel ends a process with for a call that is not allowed; a program that sends
        // it to itself says the same of itself.
        (None, Some(libc::SIGSYS)) => End::Syscall,
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

fn unconfined<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Told + '_ {
    move |error| Told::Unconfined(format!("{what}: {error}"))
}

/// One line to the host, whole.
fn tell(told: &Told) {
    let Ok(mut line) = serde_json::to_vec(told) else {
        debug_assert!(
            false,
            "what is told has only names and numbers, which are always JSON"
        );
        return;
    };
    line.push(b'\n');
    let mut stderr = io::stderr().lock();
    let _nobody_listens = stderr.write_all(&line);
}
