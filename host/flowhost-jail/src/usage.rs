//! What the processes of a sandbox use together, read where the kernel shows it.
//!
//! All of them descend from the first process of their namespace, which inherits every orphan in there,
//! so that following children finds each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::Pid;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of resident memory; memory that several share is counted for each of them.
    pub(crate) memory_bytes: u64,
    /// Processes with their threads.
    pub(crate) threads: u64,
    /// Seconds of processor time, of those that have ended too.
    pub(crate) cpu_seconds: u64,
}

/// Processor time by process, from look to look. The kernel hands that of one that has ended to whoever waits for it, and to
/// nobody where its parent does not want to know: a program could work in such children for as long as it likes.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Ticks of each that was there at the last look.
    there: BTreeMap<String, u64>,
    /// Ticks of those that have gone since, as they were seen last.
    gone: u64,
}

impl Clock {
    /// Ticks of all that were ever seen.
    fn all(&mut self, now: BTreeMap<String, u64>) -> u64 {
        for (pid, before) in &self.there {
            // One with less is another process, which has the number now.
            if now.get(pid).is_none_or(|ticks| ticks < before) {
                self.gone = self.gone.saturating_add(*before);
            }
        }
        self.there = now;
        self.there
            .values()
            .fold(self.gone, |sum, ticks| sum.saturating_add(*ticks))
    }
}

/// What `first` and its descendants use. Those that end while they are looked at are left out. No more than
/// `threads_max` and one are looked for: they could be made faster than they are counted.
pub(crate) fn of(first: Pid, threads_max: u64, clock: &mut Clock) -> Usage {
    let page = rustix::param::page_size() as u64;
    let mut usage = Usage::default();
    let mut open = vec![first.as_raw_nonzero().get().to_string()];
    let (mut ticks, mut own) = (0_u64, BTreeMap::new());
    while let Some(pid) = open.pop() {
        let resident = read(&format!("/proc/{pid}/statm"));
        // The second number: the first is of address space, which costs nothing.
        let pages: u64 = resident
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok())
            .unwrap_or_default();
        usage.memory_bytes = usage.memory_bytes.saturating_add(pages * page);
        let (used, waited_for) = ticks_of(&read(&format!("/proc/{pid}/stat")));
        ticks = ticks.saturating_add(used).saturating_add(waited_for);
        own.insert(pid.clone(), used);
        for task in names(&format!("/proc/{pid}/task")) {
            usage.threads += 1;
            // What it says of memory and time is not whole then, and nobody asks: the bound on
            // processes is looked at first.
            if usage.threads > threads_max {
                return usage;
            }
            let children = read(&format!("/proc/{pid}/task/{task}/children"));
            open.extend(children.split_ascii_whitespace().map(str::to_owned));
        }
    }
    // The larger counts nobody twice: both know of a process that was waited for, and each of some that the other misses.
    let ticks = ticks.max(clock.all(own));
    usage.cpu_seconds = ticks / rustix::param::clock_ticks_per_second().max(1);
    usage
}

/// Ticks of processor time in a line of `/proc/PID/stat`: its own, and those of children that it waited for. The program's
/// name, which it may choose itself, stands in brackets before the numbers.
fn ticks_of(stat: &str) -> (u64, u64) {
    let (_, numbers) = stat.rsplit_once(')').unwrap_or_default();
    // Counted from the state: user, system, and the same of the children.
    let mut ticks = numbers
        .split_ascii_whitespace()
        // utime, stime, cutime and cstime are the fields 14 to 17 of proc(5), of which the state is
        // the third.
        .skip(11)
        .map(|it| it.parse::<u64>().unwrap_or_default());
    let mut two = || ticks.by_ref().take(2).fold(0, u64::saturating_add);
    (two(), two())
}

/// Entries and bytes below a folder; no more than `entries_max` entries and one are looked at, and no link
/// is followed.
pub(crate) fn below(folder: &Path, entries_max: u64) -> (u64, u64) {
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in entries_of(&folder) {
            entries += 1;
            if entries > entries_max {
                return (entries, bytes);
            }
            let Ok(about) = entry.metadata() else {
                continue; // gone meanwhile
            };
            if about.is_dir() {
                open.push(entry.path());
            } else {
                bytes = bytes.saturating_add(about.len());
            }
        }
    }
    (entries, bytes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the warden looks at what its inmate has written, by the host's own path"
)]
fn entries_of(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    // What is gone meanwhile is not there. What the program has taken its own permissions from is
    // read all the same: in its namespace the warden has an administrator's power over files of the
    // person's id and group.
    fs::read_dir(folder).into_iter().flatten().flatten()
}

fn names(folder: &str) -> Vec<String> {
    let entries = entries_of(Path::new(folder));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the warden looks at what its inmate uses, where the kernel shows it"
)]
fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_numbers_is_none() {
        let stat = "7 (a) 1 2 3) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0";
        assert_eq!(ticks_of(stat), (11 + 22, 33 + 44));
        assert_eq!(ticks_of(""), (0, 0));
    }

    #[test]
    fn processor_time_of_a_process_that_nobody_waits_for_is_not_forgotten() {
        let mut clock = Clock::default();
        let mut all = |now: &[(&str, u64)]| {
            clock.all(
                now.iter()
                    .map(|(pid, it)| ((*pid).to_owned(), *it))
                    .collect(),
            )
        };
        assert_eq!(all(&[("1", 5), ("2", 100)]), 105);
        assert_eq!(all(&[("1", 6), ("2", 200)]), 206);
        assert_eq!(all(&[("1", 6)]), 206, "2 has gone");
        assert_eq!(all(&[("1", 7), ("2", 3)]), 210, "its number was given away");
        assert_eq!(all(&[("1", 7), ("2", 1)]), 211, "and once more");
        assert_eq!(all(&[]), 211);
    }

    #[test]
    fn a_process_sees_what_it_uses_itself() {
        let usage = of(rustix::process::getpid(), 1_000, &mut Clock::default());
        assert!(usage.memory_bytes > 100_000, "{usage:?}");
        assert!(usage.threads >= 2, "{usage:?}"); // this one and the one that runs the test
    }
}
