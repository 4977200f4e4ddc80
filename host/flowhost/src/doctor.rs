//! What an installation is made of, and whether it will do: read by `flowhost doctor`.
//!
//! Looks and never repairs. A check says ok, warning or error with the value it found and a cure.

use std::path::Path;

use flowhost_evidence::text::bytes;
use flowhost_ledger::{HostKey, RealDisk, Source as _, archives_dir};
use serde::Serialize;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::firsts;
use crate::keys::{self, KEY_VARIABLE};
use crate::output::counted;
use crate::sources::{PLUGINS, SHIPPED, Sources};
use crate::state::{FindRuns as _, State};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but something is missing or weaker than it could be.
    Warning,
    /// Plans will not run.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `platform`, `signing key`, `tool cargo`, …
    pub name: String,
    /// How it came out.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    pub hint: String,
    /// The same as a number, where it is a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Check {
    fn new(name: &str, level: Level, found: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            level,
            found: found.into(),
            hint: String::new(),
            bytes: None,
        }
    }

    fn hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }
}

/// Programs that authors of plugins use; running a plan needs none of them.
const AUTHOR_TOOLS: [&str; 4] = ["cargo", "rustup", "node", "python3"];

/// Looks at everything.
#[must_use]
pub fn examine(ambient: &Ambient, config: &Config, state: &State) -> Vec<Check> {
    let mut checks = vec![
        Check::new("flowhost", Level::Ok, env!("CARGO_PKG_VERSION")),
        Check::new("engine", Level::Ok, flowhost_engine::ENGINE_VERSION),
        platform(),
        configuration(config),
        folder_configuration(config),
        state_root(ambient, state),
        state_size(state),
        signing_key(ambient, state),
    ];
    let sources = Sources::new(ambient, config, None);
    checks.push(plugins(ambient, &sources));
    checks.push(profiles());
    checks.push(first_green_run(ambient));
    checks.push(native_processes(ambient));
    checks.extend(secrets(ambient, config));
    checks.extend(AUTHOR_TOOLS.iter().map(|tool| author_tool(ambient, tool)));
    checks
}

/// How long this person took to a run that ended well. No installation is better or worse for it.
fn first_green_run(ambient: &Ambient) -> Check {
    let found = match firsts::seconds(ambient) {
        Some(seconds) => format!("{seconds:.1} s after the first command"),
        None => "not yet".to_owned(),
    };
    Check::new("first green run", Level::Ok, found)
}

/// The worst level of all checks.
#[must_use]
pub fn worst(checks: &[Check]) -> Level {
    checks
        .iter()
        .map(|check| check.level)
        .max()
        .unwrap_or(Level::Ok)
}

fn platform() -> Check {
    let found = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    if found == "x86_64-linux" {
        return Check::new("platform", Level::Ok, found);
    }
    Check::new("platform", Level::Warning, found)
        .hint("the sandbox is strongest on x86-64 Linux, where wasmtime is fuzzed continuously")
}

fn configuration(config: &Config) -> Check {
    let found = match &config.file {
        Some(file) => file.display().to_string(),
        None => {
            let place = config
                .own_path
                .as_deref()
                .map(|path| format!(" in `{}`", path.display()));
            format!(
                "none{}; the defaults are in force",
                place.unwrap_or_default()
            )
        }
    };
    Check::new("configuration", Level::Ok, found)
}

fn folder_configuration(config: &Config) -> Check {
    let found = match &config.folder_file {
        Some(file) if config.file.as_ref() == Some(file) => "the same file".to_owned(),
        Some(file) => file.display().to_string(),
        None => "none".to_owned(),
    };
    Check::new("this folder's configuration", Level::Ok, found)
}

fn state_root(ambient: &Ambient, state: &State) -> Check {
    let root = state.root();
    let found = root.display().to_string();
    if !ambient.is_dir(root) {
        return Check::new(
            "state",
            Level::Ok,
            format!("{found} (made by the first run)"),
        );
    }
    match state.runs(ambient) {
        Ok(runs) => Check::new(
            "state",
            Level::Ok,
            format!("{found}, {}", counted(runs.len(), "run")),
        ),
        Err(failure) => Check::new("state", Level::Error, failure.message)
            .hint("make it readable and writable for the user that runs flowhost"),
    }
}

/// What the state folder takes on the disk, and what of it grows with each run.
fn state_size(state: &State) -> Check {
    let tenant = state.tenant_dir();
    let parts = [
        ("runs", state.runs_dir()),
        ("index of runs", tenant.join("runs.index")),
        ("archives", archives_dir(state.root(), state.tenant())),
        ("state of plugins", tenant.join("state")),
        ("components", state.components_dir()),
        ("compiled code", state.cache_dir()),
    ];
    let sizes = parts.map(|(name, dir)| (name, size_of(&dir, 0)));
    let all: u64 = sizes.iter().map(|(_, size)| size).sum();
    let some = sizes.iter().filter(|(_, size)| *size > 0);
    let told: Vec<String> = some
        .map(|(name, size)| format!("{name} {}", bytes(*size)))
        .collect();
    let found = match told.is_empty() {
        true => "nothing yet".to_owned(),
        false => format!("{}: {}", bytes(all), told.join(", ")),
    };
    let mut check = Check::new("state size", Level::Ok, found);
    check.bytes = Some(all);
    let of_runs = sizes.first().map_or(0, |(_, size)| *size);
    match of_runs > RUNS_BYTES_MANY {
        true => check.hint("`flowhost runs prune --keep N` archives old runs and removes them"),
        false => check,
    }
}

/// From here on `doctor` names the command that makes runs fewer. So much is noticed on a laptop's disk.
const RUNS_BYTES_MANY: u64 = 1 << 30;

/// Our folders are a few levels deep; a deeper one is not ours, and is not looked into.
const DEPTH_MAX: u32 = 16;

/// Bytes of all files below a folder; what cannot be looked at counts as nothing.
fn size_of(dir: &Path, depth: u32) -> u64 {
    // A folder that is not there has no size, and one that nobody may list is told where it is needed.
    let entries = RealDisk.list(dir).unwrap_or_default();
    let sizes = entries.into_iter().map(|entry| {
        let path = dir.join(&entry.name);
        match entry.is_dir {
            true if depth < DEPTH_MAX => size_of(&path, depth + 1),
            true => 0,
            false => RealDisk.len(&path).unwrap_or(0),
        }
    });
    sizes.sum()
}

fn signing_key(ambient: &Ambient, state: &State) -> Check {
    match keys::given(ambient) {
        Ok(Some(key)) => {
            let found = format!("{} ({KEY_VARIABLE})", key.vkey());
            return Check::new("signing key", Level::Ok, found);
        }
        Ok(None) => {}
        Err(failure) => {
            let why = failure.causes.join(": ");
            return Check::new(
                "signing key",
                Level::Error,
                format!("{KEY_VARIABLE}: {why}"),
            )
            .hint("no run can be signed; give the key as its file has it, or none");
        }
    }
    let path = state.signing_key();
    if !ambient.is_file(&path) {
        return Check::new("signing key", Level::Ok, "none yet (made by the first run)");
    }
    match HostKey::load(&path) {
        Ok(key) => Check::new("signing key", Level::Ok, key.vkey().to_string()),
        Err(error) => Check::new("signing key", Level::Error, error.to_string())
            .hint("no run can be signed; restore the key, or run `chmod 600` on it"),
    }
}

fn plugins(ambient: &Ambient, sources: &Sources<'_>) -> Check {
    let folders = sources.builtin_folders();
    let found = |name: &&str| {
        let file = format!("{name}.wasm");
        folders
            .iter()
            .any(|folder| ambient.is_file(&folder.join(&file)))
    };
    let (here, missing): (Vec<&str>, Vec<&str>) = PLUGINS.iter().partition(|name| found(name));
    if missing.is_empty() {
        return Check::new("plugins", Level::Ok, here.join(", "));
    }
    let what = format!("missing: {}", missing.join(", "));
    Check::new("plugins", Level::Warning, what)
        .hint("build them with `cargo xtask build-guests`, or set FLOWHOST_PLUGINS")
}

fn profiles() -> Check {
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    Check::new("profiles", Level::Ok, names.join(", "))
}

/// Whether a native process can be confined here, by confining one. Plans without [[process]] need none.
fn native_processes(ambient: &Ambient) -> Check {
    const NAME: &str = "native processes";
    let Some(program) = ambient.exe() else {
        return Check::new(
            NAME,
            Level::Warning,
            "where this executable is, is not known",
        );
    };
    // Of its own and with one thread: this command has none, and asks for one answer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.map(|runtime| runtime.block_on(flowhost_jail::probe(program))) {
        Ok(probed) if probed.there => Check::new(NAME, Level::Ok, probed.found),
        Ok(probed) => Check::new(NAME, Level::Warning, probed.found).hint(
            "only plans with [[process]] need it, and they are refused here (docs/processes.md)",
        ),
        Err(error) => Check::new(NAME, Level::Warning, error.to_string()),
    }
}

/// Where each secret comes from; its value is never looked at.
fn secrets(ambient: &Ambient, config: &Config) -> Vec<Check> {
    let check = |(name, source): (&String, &crate::config::SecretSource)| {
        let label = format!("secret {name}");
        let there = match (&source.env, &source.file) {
            (Some(variable), _) => ambient.var(variable).is_some(),
            (None, Some(file)) => ambient.is_file(file),
            (None, None) => false,
        };
        if there {
            Check::new(&label, Level::Ok, "there")
        } else {
            // No error: a plan that does not ask for it runs.
            Check::new(&label, Level::Warning, "its source holds nothing")
                .hint("set the variable, or write the file, that your flowhost.toml names")
        }
    };
    config.secrets.iter().map(check).collect()
}

fn author_tool(ambient: &Ambient, tool: &str) -> Check {
    let name = format!("tool {tool}");
    match ambient.program(tool) {
        Some(file) => Check::new(&name, Level::Ok, file.display().to_string()),
        None => Check::new(&name, Level::Warning, "not on the PATH")
            .hint("only authors of plugins need it"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_an_error_and_no_key_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
        let state = State::new(dir.path().join("state"), "default");
        assert_eq!(signing_key(&ambient, &state).level, Level::Ok);
        let key = state.signing_key();
        HostKey::load_or_create(&key, Some("host.example")).unwrap();
        assert_eq!(signing_key(&ambient, &state).level, Level::Ok);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(signing_key(&ambient, &state).level, Level::Error);
    }

    #[test]
    fn names_the_plugins_that_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
        let config = Config::default();
        let check = plugins(&ambient, &Sources::new(&ambient, &config, None));
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("markdown"));
    }
}
