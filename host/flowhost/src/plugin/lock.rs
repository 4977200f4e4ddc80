//! `flowhost.lock`: which plugins a plan was last looked at with, and what they asked for and said of
//! themselves then. With `--locked` nothing else runs.
//!
//! A digest alone would do for a machine. The rest is there for the person who is asked whether a change is
//! all right: rights, descriptors and who vouched are what has to be judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_flow::Exit;
use flowhost_ledger::VKey;
use flowhost_policy::{RIGHTS, ToolDescriptor};
use flowhost_run::{Member, Project, drift};
use flowhost_words::{PluginKind, with_article};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::programs;
use super::trust::{Trust, opened};
use super::vouched::Shown;
use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::sources::DOCUMENT_BYTES_MAX;

/// The file's name; it stands beside the plan.
pub const LOCK_FILE: &str = "flowhost.lock";
/// The form of the file. One of a later form may lock what this program does not look at, so that it is refused and not
/// read as far as it goes.
const VERSION: u32 = 1;

const HEAD: &str =
    "# Written by `flowhost plugin lock` and `flowhost plugin update`; do not edit.\n";

/// The plugins of a plan, by their keys in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(pub BTreeMap<String, Entry>);

/// One plugin as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As the plan names it.
    pub source: String,
    /// `sha256:…` of its component.
    pub digest: String,
    /// What it is.
    pub kind: String,
    /// Its author's version; empty where it has no manifest.
    pub release: String,
    /// The rights that it asks for.
    pub needs: Vec<String>,
    /// Who vouched for it, of those that the operator believes; empty for nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signer: String,
    /// Its tools, with the hash of each descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
    /// Of a server's tools what was accepted, so that a change can be shown; the hash decides. A tool may be missing here:
    /// locks of earlier hosts have hashes alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shown: BTreeMap<String, String>,
    /// Who vouched for those tools, of those that the operator believes, where a server shows them; empty for nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vouched: String,
    /// Of a plugin with a program: the hash of each granted file that its command names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    plugins: BTreeMap<String, Entry>,
}

/// What is another than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The plugin's key in the plan.
    pub plugin: String,
    /// What changed, as a sentence.
    pub what: String,
    /// Whether it asks for more, comes from somebody else or is older: what a person should look at.
    pub graver: bool,
}

impl Lock {
    /// What a plan would run with now.
    ///
    /// # Errors
    /// When the operator's trust file is wrong.
    pub fn of(ambient: &Ambient, config: &Config, project: &Project) -> Result<Self, Failure> {
        let trust = Trust::find(ambient, config)?;
        let members = project.members.iter();
        let entries = members.map(|(key, member)| {
            let files = programs::files(ambient, member, &project.dir);
            let vouched = vouched(ambient, &trust, project, key);
            let entry = entry(&trust, project, key, member);
            let entry = Entry {
                files,
                vouched,
                ..entry
            };
            (key.clone(), entry)
        });
        Ok(Self(entries.collect()))
    }

    /// The lock file of a plan; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and is not one.
    pub fn read(ambient: &Ambient, project: &Project) -> Result<Option<Self>, Failure> {
        let path = file(project);
        match ambient.read_text(&path, DOCUMENT_BYTES_MAX) {
            Ok(text) => Self::parse(&text, &path)
                .map(Some)
                .map_err(|failure| failure.named("PLAN", &project.file)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(
                Exit::Internal,
                format!("`{}` is not a lock file", path.display()),
            )
            .hint("remove it, look at the plan with `flowhost plugin list PLAN`, and lock it again with `flowhost plugin lock PLAN`")
        };
        // It stands beside a plan that may be a stranger's, and the TOML reader recurses once for each level.
        if flowhost_policy::toml_too_deep_at(text).is_some() {
            return Err(wrong().because("it is nested too deeply"));
        }
        let read: Document = toml::from_str(text).map_err(|error| wrong().caused_by(&error))?;
        if read.version != VERSION {
            let what = format!(
                "it is of version {}, and this program knows {VERSION}",
                read.version
            );
            return Err(wrong().because(what));
        }
        let is_digest = |text: &str| {
            let digits = text.strip_prefix("sha256:");
            digits
                .is_some_and(|it| it.len() == 64 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let odd = read
            .plugins
            .values()
            .flat_map(|it| {
                it.tools
                    .values()
                    .chain(it.files.values())
                    .chain([&it.digest])
            })
            .find(|it| !is_digest(it))
            .cloned();
        if let Some(odd) = odd {
            return Err(wrong().because(format!("`{odd}` is not a digest")));
        }
        Ok(Self(read.plugins))
    }

    /// The text of the file: the same plugins, the same text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut document = Document {
            version: VERSION,
            plugins: self.0.clone(),
        };
        loop {
            // Texts, lists and maps of texts always have a form in TOML.
            let text = toml::to_string(&document).unwrap_or_default();
            let text = format!("{HEAD}{text}");
            // A larger file would not be read again. What was shown goes first, that of the largest server before the
            // others', and the hashes stay.
            let fits = text.len() as u64 <= DOCUMENT_BYTES_MAX;
            let size = |entry: &Entry| entry.shown.values().map(String::len).sum::<usize>();
            let largest = document.plugins.values_mut().max_by_key(|it| size(it));
            match largest.filter(|it| !fits && !it.shown.is_empty()) {
                Some(entry) => entry.shown.clear(),
                None => return text,
            }
        }
    }

    /// What is another in `now`.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, entry) in &now.0 {
            match self.0.get(key) {
                Some(before) => changes.extend(differences(key, before, entry)),
                // A person has to look at it: nobody has yet.
                None => changes.push(change(
                    key,
                    format!("is new: {} {}", entry.source, entry.digest),
                    true,
                )),
            }
        }
        // Nothing graver: what is gone does nothing any more.
        let gone = self.0.keys().filter(|key| !now.0.contains_key(*key));
        changes.extend(gone.map(|key| change(key, "is gone".to_owned(), false)));
        changes
    }
}

/// The tools of MCP servers that a lock has, by plugin and tool.
#[derive(Debug, Default)]
pub struct Pins {
    /// The hash of each, which decides.
    pub hashes: BTreeMap<String, BTreeMap<String, String>>,
    /// What was accepted under it, where the lock keeps that.
    pub accepted: BTreeMap<String, BTreeMap<String, ToolDescriptor>>,
}

/// The tools of MCP servers that the lock of a plan has: what a person accepted. No lock, none.
///
/// # Errors
/// When the plan has such a plugin, and the lock cannot be read.
pub fn pins(ambient: &Ambient, project: &Project) -> Result<Pins, Failure> {
    let is_adapter = |key: &str| {
        let member = project.members.get(key);
        member.is_some_and(|member| member.decl.kind == PluginKind::McpAdapter)
    };
    // Not read at all where nothing depends on it: a lock that is broken is `--locked`'s matter then.
    if !project.members.keys().any(|key| is_adapter(key)) {
        return Ok(Pins::default());
    }
    let lock = Lock::read(ambient, project)?.unwrap_or_default();
    let mut pins = Pins::default();
    for (key, entry) in lock.0 {
        if is_adapter(&key) && !entry.tools.is_empty() {
            pins.accepted.insert(key.clone(), accepted(&entry));
            pins.hashes.insert(key, entry.tools);
        }
    }
    Ok(pins)
}

/// What was accepted, of those tools whose text is that of their hash.
fn accepted(entry: &Entry) -> BTreeMap<String, ToolDescriptor> {
    let known = entry.tools.iter().filter_map(|(name, hash)| {
        let tool = drift::of_kept(name, entry.shown.get(name)?, hash)?;
        Some((name.clone(), tool))
    });
    known.collect()
}

/// Where the lock file of a plan is.
#[must_use]
pub fn file(project: &Project) -> PathBuf {
    project.dir.join(LOCK_FILE)
}

/// What `--locked` refuses: every difference between what was looked at and what would run.
///
/// # Errors
/// When there is no lock file, or one that cannot be read.
pub fn drift(
    ambient: &Ambient,
    config: &Config,
    project: &Project,
) -> Result<Vec<Finding>, Failure> {
    let Some(locked) = Lock::read(ambient, project)? else {
        let message =
            format!("`--locked` goes by `{LOCK_FILE}` beside the plan, which does not exist");
        return Err(Failure::new(Exit::Internal, message)
            .hint(format!("run `flowhost plugin lock {}`", project.file)));
    };
    let changes = locked.changes(&Lock::of(ambient, config, project)?);
    let finding = |change: Change| {
        let at = project
            .members
            .get(&change.plugin)
            .map(|member| member.decl.at);
        let message = format!("plugin `{}` {}", change.plugin, change.what);
        let finding = Finding::new(&project.file, message);
        let placed = match at {
            // A sub-plan's plugin stands in another file.
            Some(at) if !change.plugin.contains("::") => finding.at(at.line, at.column),
            _ => finding,
        };
        placed.cure(format!(
            "look at it with `flowhost plugin update {}`",
            project.file
        ))
    };
    Ok(changes.into_iter().map(finding).collect())
}

fn entry(trust: &Trust, project: &Project, key: &str, member: &Member) -> Entry {
    let manifest = &member.manifest;
    let digest = member.inspection.digest.to_string();
    // Of a stranger's signature nothing is kept: it says nothing to this operator, and whether it may be loaded is
    // asked elsewhere.
    let signer = member.signature.as_deref().and_then(|signature| {
        opened(
            signature,
            &digest,
            Some(manifest),
            &trust.keys,
            &trust.revoked,
        )
        .ok()
    });
    let asked = RIGHTS.iter().filter(|right| right.is_asked_by(manifest));
    let tools = manifest.tools.iter();
    let accepted = project.accepted.get(key).into_iter().flatten();
    Entry {
        source: member.decl.source.clone(),
        kind: member.inspection.role.as_str().to_owned(),
        release: manifest.release.clone(),
        needs: asked.map(|right| right.key.to_owned()).collect(),
        signer: signer.map_or_else(String::new, |key| name_of(&key)),
        // A server's tools are in no manifest: they are what was accepted when it was asked.
        tools: match project.pins.get(key) {
            Some(pins) => pins.clone(),
            None => tools.map(|tool| (tool.name.clone(), tool.hash())).collect(),
        },
        shown: accepted
            .map(|(name, tool)| (name.clone(), drift::kept(tool)))
            .collect(),
        digest,
        vouched: String::new(),
        files: BTreeMap::new(),
    }
}

/// Who vouches for the tools of a server as they were accepted.
fn vouched(ambient: &Ambient, trust: &Trust, project: &Project, plugin: &str) -> String {
    let by = |tools| {
        let shown = Shown {
            project,
            plugin,
            tools,
        };
        // A signature that does not count is nobody's; whether the server may be used without one is asked elsewhere.
        shown.by(ambient, trust).ok().flatten()
    };
    let key = project.pins.get(plugin).and_then(by);
    key.map_or_else(String::new, |key| name_of(&key))
}

fn name_of(key: &VKey) -> String {
    format!("{}+{}", key.name(), key.id_hex())
}

fn change(plugin: &str, what: String, graver: bool) -> Change {
    Change {
        plugin: plugin.to_owned(),
        what,
        graver,
    }
}

fn differences(key: &str, before: &Entry, now: &Entry) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut told = |what: String, graver: bool| changes.push(change(key, what, graver));
    if before.source != now.source {
        told(
            format!(
                "comes from `{}`, and came from `{}`",
                now.source, before.source
            ),
            true,
        );
    }
    if before.kind != now.kind {
        told(
            format!(
                "is {}, and was {}",
                with_article(&now.kind),
                with_article(&before.kind)
            ),
            true,
        );
    }
    // No alarm by itself: every build has another. What it asks for and says decides.
    if before.digest != now.digest {
        told(
            format!("is {}, and was {}", now.digest, before.digest),
            false,
        );
    }
    if before.release != now.release {
        let older = is_older(&now.release, &before.release);
        let word = if older {
            "an older release"
        } else {
            "another release"
        };
        told(
            format!("is {word}: {}, and was {}", now.release, before.release),
            older,
        );
    }
    let more: Vec<&str> = missing_from(&before.needs, &now.needs);
    if !more.is_empty() {
        told(format!("asks for more: {}", more.join(", ")), true);
    }
    let less: Vec<&str> = missing_from(&now.needs, &before.needs);
    if !less.is_empty() {
        told(format!("asks no more for {}", less.join(", ")), false);
    }
    for (what, before, now) in [
        ("is vouched for by", &before.signer, &now.signer),
        ("has tools vouched for by", &before.vouched, &now.vouched),
    ] {
        if before != now {
            told(
                format!("{what} {}, and was by {}", named(now), named(before)),
                true,
            );
        }
    }
    for (tool, hash) in &now.tools {
        match before.tools.get(tool) {
            None => told(format!("has a new tool `{tool}`"), true),
            Some(known) if known != hash => {
                told(format!("says something else of its tool `{tool}`"), true)
            }
            Some(_) => {}
        }
    }
    before
        .tools
        .keys()
        .filter(|tool| !now.tools.contains_key(*tool))
        .for_each(|tool| told(format!("has no tool `{tool}` any more"), false));
    for (path, hash) in &now.files {
        match before.files.get(path) {
            None => told(format!("starts `{path}`, which is new"), true),
            Some(known) if known != hash => told(
                format!("starts another `{path}`: {hash}, and was {known}"),
                true,
            ),
            Some(_) => {}
        }
    }
    before
        .files
        .keys()
        .filter(|path| !now.files.contains_key(*path))
        .for_each(|path| told(format!("starts no `{path}` any more"), true));
    changes
}

/// Who vouches, for people.
fn named(signer: &str) -> &str {
    match signer {
        "" => "nobody",
        signer => signer,
    }
}

/// What `all` has and `known` has not.
fn missing_from<'a>(known: &[String], all: &'a [String]) -> Vec<&'a str> {
    let missing = all.iter().filter(|it| !known.contains(it));
    missing.map(String::as_str).collect()
}

/// Whether a release comes before another. A release is a label: one that is no version is never older.
fn is_older(now: &str, before: &str) -> bool {
    match (Version::parse(now), Version::parse(before)) {
        (Ok(now), Ok(before)) => now < before,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(release: &str, needs: &[&str]) -> Entry {
        Entry {
            source: "./a.wasm".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            kind: "tool".to_owned(),
            release: release.to_owned(),
            needs: needs.iter().map(|it| (*it).to_owned()).collect(),
            signer: String::new(),
            tools: BTreeMap::from([("run".to_owned(), format!("sha256:{}", "1".repeat(64)))]),
            shown: BTreeMap::new(),
            vouched: String::new(),
            files: BTreeMap::new(),
        }
    }

    fn lock(entry: Entry) -> Lock {
        Lock(BTreeMap::from([("a".to_owned(), entry)]))
    }

    #[test]
    fn more_rights_an_older_release_and_another_descriptor_are_what_a_person_must_see() {
        let before = lock(entry("1.10.0", &["log"]));
        let mut now = entry("1.9.0", &["log", "http"]);
        now.tools
            .insert("run".to_owned(), format!("sha256:{}", "2".repeat(64)));
        let program = (
            "/tool/a.py".to_owned(),
            format!("sha256:{}", "3".repeat(64)),
        );
        now.files.extend([program]);
        let grave: Vec<String> = before
            .changes(&lock(now))
            .into_iter()
            .filter(|change| change.graver)
            .map(|change| change.what)
            .collect();
        assert_eq!(
            grave,
            [
                "is an older release: 1.9.0, and was 1.10.0",
                "asks for more: http",
                "says something else of its tool `run`",
                "starts `/tool/a.py`, which is new",
            ]
        );
    }

    #[test]
    fn refuses_a_digest_that_was_edited_into_something_else_and_keys_that_mean_nothing() {
        let text = lock(entry("1.0.0", &[])).text();
        let path = Path::new("flowhost.lock");
        assert!(Lock::parse(&text.replace("sha256:0", "sha256:x"), path).is_err());
        assert!(Lock::parse(&text.replace("release", "relaese"), path).is_err());
        assert!(Lock::parse(&text.replace("version = 1", "version = 2"), path).is_err());
        let deep = format!("{text}x = {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Lock::parse(&deep, path).is_err());
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_changed() {
        let lock = lock(entry("1.0.0", &["log"]));
        let again = Lock::parse(&lock.text(), Path::new("flowhost.lock")).unwrap();
        assert_eq!(again, lock);
        assert!(lock.changes(&again).is_empty());
    }

    #[test]
    fn what_was_accepted_is_kept_beside_its_hash_as_far_as_the_file_can_be_read_again() {
        let tool = |description: &str| ToolDescriptor {
            name: "run".to_owned(),
            title: String::new(),
            description: description.to_owned(),
            input: serde_json::json!({ "type": "object", "properties": { "a'\"\n": {} } }),
            output: None,
            effects: Default::default(),
            annotations: Default::default(),
        };
        let first = tool("Says 'it' \"louder\".");
        let mut entry = entry("1.0.0", &[]);
        entry.tools = BTreeMap::from([("run".to_owned(), first.hash())]);
        entry.shown = BTreeMap::from([("run".to_owned(), drift::kept(&first))]);
        let path = Path::new("flowhost.lock");
        let again = Lock::parse(&lock(entry.clone()).text(), path).unwrap();
        assert_eq!(accepted(&again.0["a"])["run"], first);
        // Whoever edits the text shows nobody another one for what was accepted.
        let forged = BTreeMap::from([("run".to_owned(), drift::kept(&tool("Sends it home.")))]);
        assert!(
            accepted(&Entry {
                shown: forged,
                ..entry.clone()
            })
            .is_empty()
        );

        let large = Entry {
            shown: BTreeMap::from([("run".to_owned(), "x".repeat(2 << 20))]),
            ..entry.clone()
        };
        let both = Lock(BTreeMap::from([
            ("a".to_owned(), entry),
            ("b".to_owned(), large),
        ]));
        let again = Lock::parse(&both.text(), path).unwrap();
        assert!(again.0["b"].shown.is_empty() && !again.0["a"].shown.is_empty());
        assert_eq!(again.0["b"].tools, both.0["b"].tools);
    }
}
