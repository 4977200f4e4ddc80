//! What only the text of the sources shows: which capability knows which, where time and tasks come from,
//! where the table of hidden characters stands, and how a message is worded.

use std::path::Path;

use anyhow::Result;

use super::{Faults, files_below, read, shown};
use crate::folders::names;

const CAPS: &str = "host/flowhost-caps/src";
/// What capabilities may share.
const SHARED: &[&str] = &["shared", "testing"];

/// Checks the host's sources.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = capabilities(root)?;
    for path in files_below(&root.join("host"), &[".rs"])? {
        let name = shown(root, &path);
        if is_of_tests(&name) {
            continue;
        }
        let text = read(&path)?;
        let said = faults_of(&name, without_tests(&text)).into_iter();
        faults.extend(said.map(|fault| format!("{name}: {fault}")));
    }
    for path in files_below(&root.join("plugins"), &[".rs"])? {
        let name = shown(root, &path);
        if !is_of_tests(&name) {
            let text = read(&path)?;
            let said = worded(without_tests(&text)).chain(table(&name, &text));
            faults.extend(said.map(|fault| format!("{name}: {fault}")));
        }
    }
    Ok(faults)
}

/// Tests and benches may do what the house may not, and plant what it must not hold.
fn is_of_tests(name: &str) -> bool {
    let of_tests = [
        "/tests/",
        "/benches/",
        "tests.rs",
        "/testing.rs",
        // Simulated runs: tests that are too large for one file.
        "/sim/",
        "/fuzz/",
        "/examples/",
    ];
    name.starts_with("host/xtask") || of_tests.iter().any(|it| name.contains(it))
}

/// A file up to its tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {")
        .map_or(text, |(before, _)| before)
}

/// A capability names no other: what two of them need stands in `shared`.
fn capabilities(root: &Path) -> Result<Faults> {
    let caps = root.join(CAPS);
    let folder = |path: &Path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        (path.is_dir() && !SHARED.contains(&name.as_str())).then_some(name)
    };
    let all = names(&caps, |path| folder(path))?;
    let mut faults = Faults::new();
    for own in &all {
        for path in files_below(&caps.join(own), &[".rs"])? {
            let text = read(&path)?;
            for other in known(&text, own, &all) {
                faults.push(format!(
                    "{}: names the capability `{other}`, and no capability knows another: what both need \
                     stands in {CAPS}/shared",
                    shown(root, &path)
                ));
            }
        }
    }
    Ok(faults)
}

fn known<'a>(text: &str, own: &str, all: &'a [String]) -> Vec<&'a str> {
    let others = all.iter().filter(|it| *it != own);
    others
        .filter(|it| text.contains(&format!("crate::{it}::")))
        .map(String::as_str)
        .collect()
}

fn faults_of(name: &str, text: &str) -> Faults {
    let mut faults: Faults = worded(text).chain(table(name, text)).collect();
    faults.extend(listed(name, text));
    faults.extend(rooms(name, text));
    faults
}

const RUN: &str = "host/flowhost-run/src/";

/// Rooms of `flowhost-run`, and what each may name of the crate. A room that names more cannot be understood without
/// that, and neither can whoever stands on it; `host` holds all of them together, and names what it likes.
const ROOMS: &[(&str, &[&str])] = &[
    ("base", &["base"]),
    // What a person brings of an earlier run, which nobody here looks into.
    ("given", &["base", "given", "earlier::reuse::Earlier"]),
    ("meters", &["base", "given", "meters"]),
    ("before", &["base", "given", "plugins", "before"]),
    (
        "kept",
        &[
            "base", "given", "meters", "before", "plugins", "calls", "earlier", "kept",
        ],
    ),
    // The handle of a run is what whoever holds it and whoever drives it have in common.
    (
        "plugins",
        &[
            "base",
            "given",
            "meters",
            "before",
            "calls",
            "kept",
            "plugins",
            "host::handle",
            // What a run has that is replayed, in the place of a world.
            "earlier::replay",
        ],
    ),
    (
        "calls",
        &[
            "base",
            "given",
            "meters",
            "plugins",
            "kept",
            "earlier",
            "calls",
            "host::handle",
            "host::requests",
        ],
    ),
];

fn rooms(name: &str, text: &str) -> Faults {
    let room = name.strip_prefix(RUN).and_then(|it| it.split_once('/'));
    let room = room.and_then(|(room, _)| ROOMS.iter().find(|(it, _)| *it == room));
    let Some((room, may)) = room else {
        return Faults::new();
    };
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let named = code.flat_map(|line| line.split("crate::").skip(1));
    let strange = named.filter(|path| !may.iter().any(|it| path.starts_with(it)));
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    strange
        .map(|path| {
            let path: String = path.chars().take_while(|c| is_of_path(*c)).collect();
            format!(
                "names `crate::{path}`, and the room `{room}` may name {}: move what both need below it",
                may.join(", ")
            )
        })
        .collect()
}

/// Where something may be named, and why nowhere else.
struct Listed {
    /// Words of one line.
    what: &'static [&'static str],
    /// Crates and files, by the beginning of their path.
    places: &'static [&'static str],
    why: &'static str,
}

const LISTED: &[Listed] = &[
    Listed {
        what: &["tokio::spawn("],
        places: &[
            "host/flowhost-run/src/base/tasks.rs",
            // The process's own: telemetry, its listeners, signals. None of it is a run's.
            "host/flowhost/src/",
            // Connections of whoever asks the server; a run that is asked for is the host's.
            "host/flowhost-serve/src/",
            // A question to a name server, which is over within its call.
            "host/flowhost-caps/src/http/resolve.rs",
            // What a native process says and how it ends: it ends with the process, which no simulation has.
            "host/flowhost-jail/src/launch.rs",
            "host/flowhost-caps/src/mcp-transport/peer.rs",
        ],
        why: "a run's tasks are started in flowhost-run/src/base/tasks.rs, so that a simulation has all of them",
    },
    Listed {
        what: &["thread::spawn("],
        places: &[
            // Lets a runtime end although an exporter does not answer.
            "host/flowhost/src/telemetry/otlp.rs",
            "host/flowhost-engine/src/ticker.rs",
            "host/flowhost-ledger/src/",
        ],
        why: "a thread that no runtime knows takes its turns as the machine likes",
    },
    Listed {
        what: &["std::time::", "Instant"],
        places: &[
            // Writes to a disk and waits for locks on threads of its own, which no simulation pauses.
            "host/flowhost-ledger/src/",
            // Compiling, and the tick of epochs: the machine's time by its nature.
            "host/flowhost-engine/src/",
            "host/flowhost/src/",
            // The warden of a native process, which is a process of its own.
            "host/flowhost-jail/src/",
        ],
        why: "time that passes in a run is tokio's, which a test can pause",
    },
];

fn listed(name: &str, text: &str) -> Faults {
    let outside = |it: &&Listed| !it.places.iter().any(|place| name.starts_with(place));
    let code = || {
        text.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
    };
    let broken = LISTED.iter().filter(outside);
    let says = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
    let broken = broken.filter(|it| code().any(|line| says(line, it.what)));
    broken
        .map(|it| format!("`{}` does not belong here: {}", it.what.concat(), it.why))
        .collect()
}

/// Files that say which characters cannot be seen, or mean another set by it.
const TABLES: &[&str] = &[
    "host/flowhost-detect/src/",
    // Letters that leave a word looking the same, which is less than what cannot be seen.
    "plugins/keyword-scan/src/form.rs",
];

fn table(name: &str, text: &str) -> Option<String> {
    let ranges = ["0x200b", "'\\u{200b}'..="];
    let holds = ranges
        .iter()
        .any(|it| text.to_ascii_lowercase().contains(it));
    let allowed = TABLES.iter().any(|place| name.starts_with(place));
    (holds && !allowed).then(|| {
        "has a table of hidden characters of its own: ask `flowhost_detect::is_hidden`, because of two \
         tables one misses something"
            .to_owned()
    })
}

/// Messages that say what something is not by saying that it is none: nobody speaks like that.
fn worded(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().enumerate().filter_map(|(number, line)| {
        let code = line.trim_start();
        if code.starts_with("//") {
            return None;
        }
        let found = literals(code).find_map(odd)?;
        Some(format!(
            "line {}: a message says `{found}`: say what it is not (`is not a list`), or what failed",
            number + 1
        ))
    })
}

/// What stands between the quotes of a line.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// The first odd wording of a text. `this is no plugin` is not English, and `there is no plugin` says neither who has
/// none nor where it was looked for: `the plan has no plugin` does.
fn odd(literal: &str) -> Option<&'static str> {
    const FORMS: &[&str] = &["is no ", "are no ", "is none", "are none", "was none"];
    FORMS.iter().copied().find(|form| {
        literal.match_indices(form).any(|(at, _)| {
            let before = literal.get(..at).unwrap_or_default();
            let is_word = !before.ends_with(char::is_alphabetic);
            is_word
                && literal
                    .get(at..)
                    .is_none_or(|rest| !rest.starts_with("is no longer"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_capability_that_names_another() {
        let all = ["log".to_owned(), "model".to_owned()];
        assert_eq!(known("use crate::log::Gate;", "model", &all), ["log"]);
        assert!(known("use crate::shared::line::Gate;", "model", &all).is_empty());
        assert!(known("use crate::log::Gate;", "log", &all).is_empty());
    }

    #[test]
    fn refuses_tasks_and_time_outside_of_their_places() {
        let spawns = "let task = tokio::spawn(work);";
        assert_eq!(
            listed("host/flowhost-run/src/calls/driver.rs", spawns).len(),
            1
        );
        assert!(listed("host/flowhost-run/src/base/tasks.rs", spawns).is_empty());
        assert!(listed("host/flowhost-flow/src/a.rs", "/// tokio::spawn(it)").is_empty());
        let clock = "use std::time::{Duration, Instant};";
        assert_eq!(listed("host/flowhost-models/src/rate.rs", clock).len(), 1);
    }

    #[test]
    fn refuses_a_room_that_names_one_above_it() {
        let found = |room: &str, text: &str| rooms(&format!("{RUN}{room}/a.rs"), text).len();
        assert_eq!(found("meters", "use crate::calls::order::Order;"), 1);
        assert_eq!(found("kept", "let host = crate::host::Host::new();"), 1);
        assert_eq!(found("given", "use crate::earlier::reuse::Reuse;"), 1);
        assert_eq!(found("given", "use crate::earlier::reuse::Earlier;"), 0);
        assert_eq!(found("calls", "use crate::host::handle::Run;"), 0);
        assert_eq!(found("meters", "/// As [`crate::calls::order`]."), 0);
        assert_eq!(found("host", "use crate::kept::journal::Journal;"), 0);
    }

    #[test]
    fn refuses_a_second_table_of_hidden_characters() {
        let table = |name| super::table(name, "matches!(c, '\\u{200B}'..='\\u{200F}')");
        assert!(table("host/flowhost-models/src/text.rs").is_some());
        assert!(table("host/flowhost-detect/src/hidden.rs").is_none());
    }

    #[test]
    fn refuses_a_message_that_nobody_would_say() {
        let found = |text: &str| worded(text).count();
        assert_eq!(found("bail!(\"the value is no list\")"), 1);
        assert_eq!(found("bail!(\"a result that is none\")"), 1);
        assert_eq!(found("bail!(\"there is no plugin `x`\")"), 1);
        assert_eq!(found("bail!(\"the plan has no plugin `x`\")"), 0);
        assert_eq!(found("bail!(\"the file is no longer there\")"), 0);
        assert_eq!(found("bail!(\"windows that share no minute\")"), 0);
        assert_eq!(found("// a value that is none"), 0);
    }
}
