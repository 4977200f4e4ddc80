//! Templates of others for `plugin new`: a folder of files with `{{word}}` in them, and `template.toml` that says
//! which words there are, which hosts it is for, and what comes of it.
//!
//! A template is somebody else's text. Nothing of it is run here, no link in it is followed, and what it makes is held
//! against what it says of itself before anything is written.

mod described;
mod fetch;
mod fill;

use std::path::{Path, PathBuf};

use flowhost_flow::Exit;
use flowhost_policy::Manifest;
use flowhost_words::PluginKind;

use self::described::Described;
use super::lang::{File, Lang};
use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::report::problems::Texts;

/// The file that makes a template of a folder.
pub const DESCRIPTION: &str = "template.toml";
/// Bytes of the description: a table of parameters.
const DESCRIPTION_BYTES_MAX: u64 = 64 << 10;
/// Files of a template; the largest of ours has eleven.
const FILES_MAX: usize = 1_000;
/// Bytes of one file of a template: sources and pictures, not data.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all files of a template, as they stand there and once more as they are filled in, where five bytes may become
/// 1 KiB: all of them are in memory before one is written. The largest of ours has some KiB, and a thousand sources of
/// 64 KiB each would still be taken.
const BYTES_MAX: usize = 64 << 20;
/// Findings that are collected: a file may hold a wrong word some hundred thousand times, and nobody reads that.
const FINDINGS_MAX: usize = 64;
/// How deep folders of a template may lie within each other: deeper than projects are, and an end to one that was made to
/// have none.
const DEPTH_MAX: usize = 16;

/// A template, read.
#[derive(Debug)]
pub struct Template {
    /// Where it came from: a folder, or an address with the commit that was taken.
    pub origin: String,
    described: Described,
    /// Where its description was read, as a person is shown it.
    shown: String,
    files: Vec<(String, Vec<u8>)>,
}

/// What a template is filled with.
#[derive(Debug)]
pub struct Given<'a> {
    /// The plugin's name.
    pub name: &'a str,
    /// Parameters, as they were given.
    pub parameters: &'a [(String, String)],
}

impl Template {
    /// Reads a template from a folder, or from `git+https://…`, with `#` and a branch, tag or commit behind it.
    ///
    /// # Errors
    /// When it cannot be fetched or read, and everything that is wrong with its description.
    pub fn read(ambient: &Ambient, source: &str, texts: &mut Texts) -> Result<Self, Failure> {
        match fetch::Address::parse(source)? {
            Some(address) => {
                let scratch = ambient.scratch()?;
                let commit = fetch::clone(ambient, &address, scratch.path())?;
                let origin = format!("{}#{commit}", address.plain());
                Self::of(ambient, scratch.path(), origin, texts)
            }
            None => Self::of(ambient, Path::new(source), source.to_owned(), texts),
        }
    }

    fn of(
        ambient: &Ambient,
        folder: &Path,
        origin: String,
        texts: &mut Texts,
    ) -> Result<Self, Failure> {
        let folder = ambient.resolve(folder);
        let text = ambient.read_text(&folder.join(DESCRIPTION), DESCRIPTION_BYTES_MAX);
        let text = text.map_err(|error| match error.is_missing() {
            true => {
                let message = format!("`{origin}` is not a template: it has no `{DESCRIPTION}`");
                Failure::new(Exit::Internal, message)
                    .hint("what stands in one: docs/book/templates.md")
            }
            false => error.into(),
        })?;
        let shown = format!("{origin}/{DESCRIPTION}");
        texts.add(&shown, text.as_str());
        let described = Described::parse(&shown, &text)
            .map_err(|findings| Failure::findings("the template", findings))?;
        let mut files = Vec::new();
        let mut left = BYTES_MAX;
        collect(ambient, &folder, "", 0, &mut left, &mut files)?;
        // It says what the template is, and is no part of what comes of it.
        files.retain(|(path, _)| path != DESCRIPTION);
        Ok(Self {
            origin,
            described,
            shown,
            files,
        })
    }

    /// What it makes.
    #[must_use]
    pub fn kind(&self) -> PluginKind {
        self.described.kind
    }

    /// What it is written in.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.described.lang
    }

    /// Its files with every word filled in.
    ///
    /// # Errors
    /// Everything that is wrong with what was given, or with the template.
    pub fn filled(
        &self,
        given: &Given<'_>,
        texts: &mut Texts,
    ) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let words = self.described.words(given).map_err(|findings| {
            let failure = Failure::findings("what was given for the template", findings);
            failure.hint(self.described.usage())
        })?;
        let mut findings = Vec::new();
        let mut filled: Vec<(String, Vec<u8>)> = Vec::new();
        let mut left = BYTES_MAX;
        for (path, bytes) in &self.files {
            let from = format!("{}/{path}", self.origin);
            match fill::file(&from, path, bytes, &words) {
                Ok(file) => {
                    left = left
                        .checked_sub(file.1.len())
                        .ok_or_else(|| too_much(&from))?;
                    filled.push(file);
                }
                Err(wrong) => {
                    // Of what is no text there is no line to be shown.
                    if let Ok(text) = std::str::from_utf8(bytes) {
                        texts.add(&from, text);
                    }
                    findings.extend(wrong);
                }
            }
            if findings.len() >= FINDINGS_MAX {
                let failure = Failure::findings("the template", findings);
                return Err(failure.hint("what follows these was not looked at"));
            }
        }
        // So that two of one path stand beside each other.
        filled.sort();
        findings.extend(self.misfits(&filled, given));
        match findings.is_empty() {
            true => Ok(filled),
            false => Err(Failure::findings("the template", findings)),
        }
    }

    /// Where what it makes is another thing than it says.
    fn misfits(&self, filled: &[(String, Vec<u8>)], given: &Given<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut say = |message: String| findings.push(Finding::new(&self.shown, message));
        for pair in filled.windows(2) {
            if let [(one, _), (other, _)] = pair
                && one == other
            {
                say(format!("two of its files become `{one}`"));
            }
        }
        let (_, sdk) = self.described.lang.sdk();
        let own = format!("{sdk}/");
        if let Some((path, _)) = filled.iter().find(|(path, _)| path.starts_with(&own)) {
            say(format!(
                "it brings `{path}`: `{sdk}/` is the SDK's, which this installation puts there"
            ));
        }
        let mark = self.described.lang.mark();
        if !filled.iter().any(|(path, _)| path == mark) {
            let lang = self.described.lang.word();
            say(format!(
                "it is for `{lang}` and makes no `{mark}`, by which such a project is known"
            ));
        }
        // Looked at before anything is written: a project whose first build is refused would be the author's first
        // hour.
        let manifest = filled.iter().find(|(path, _)| path == "plugin.toml");
        match manifest.map(|(_, bytes)| read(bytes)) {
            None => say("it makes no `plugin.toml`, which every plugin has".to_owned()),
            Some(Err(why)) => say(format!(
                "the `plugin.toml` that it makes cannot be used: {why}"
            )),
            Some(Ok(manifest)) => {
                if manifest.name != given.name {
                    let made = &manifest.name;
                    say(format!(
                        "the `plugin.toml` that it makes is called `{made}`: `name = \"{{{{name}}}}\"` is wanted"
                    ));
                }
                if manifest.kind != Some(self.described.kind) {
                    let kind = self.described.kind.wit_name();
                    say(format!(
                        "the `plugin.toml` that it makes is not of the kind `{kind}`"
                    ));
                }
            }
        }
        findings
    }
}

/// That what a template makes, up to this file, is more than is taken.
fn too_much(from: &str) -> Failure {
    let message = format!("the template makes too much with `{from}`");
    Failure::new(Exit::Internal, message)
        .because(format!(
            "all that it makes may have {} MiB together",
            BYTES_MAX >> 20
        ))
        .hint("give shorter values, or take files out of the template")
}

/// The manifest that was made, or all that is wrong with it.
fn read(bytes: &[u8]) -> Result<Manifest, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    Manifest::parse(text, "plugin.toml").map_err(|problems| {
        let told = problems
            .into_iter()
            .map(|problem| Finding::from(problem).to_string());
        told.collect::<Vec<_>>().join("; ")
    })
}

/// Every file below a folder, by its path in it, as long as there are bytes `left`.
fn collect(
    ambient: &Ambient,
    folder: &Path,
    inside: &str,
    depth: usize,
    left: &mut usize,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    let refused = |path: &Path, why: &str| {
        let message = format!("`{}` cannot be a part of a template", path.display());
        Failure::new(Exit::Internal, message).because(why)
    };
    for name in ambient.list(folder)? {
        let path: PathBuf = folder.join(&name);
        // What keeps its history is no part of it.
        if inside.is_empty() && name == ".git" {
            continue;
        }
        // It could lead to a file of the person's who uses the template.
        if ambient.is_link(&path) {
            return Err(refused(&path, "it is a link").hint("put the file itself there"));
        }
        let inside = match inside {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        if ambient.is_dir(&path) {
            if depth == DEPTH_MAX {
                let why = format!("folders lie more than {DEPTH_MAX} deep");
                return Err(refused(&path, &why));
            }
            collect(ambient, &path, &inside, depth + 1, left, files)?;
        } else if !ambient.is_file(&path) {
            return Err(refused(&path, "it is neither a file nor a folder"));
        } else if files.len() == FILES_MAX {
            let why = format!("a template has at most {FILES_MAX} files");
            return Err(refused(&path, &why));
        } else {
            let bytes = ambient.read(&path, FILE_BYTES_MAX)?;
            *left = left.checked_sub(bytes.len()).ok_or_else(|| {
                let why = format!(
                    "all files of a template may have {} MiB together",
                    BYTES_MAX >> 20
                );
                refused(&path, &why).hint("take out what is not source")
            })?;
            files.push((inside, bytes));
        }
    }
    Ok(())
}

/// The words that every template has, of the plugin's name.
fn own_words(name: &str) -> [(&'static str, String); 2] {
    let type_name = File::of("", "{{type}}", name).text;
    [("name", name.to_owned()), ("type", type_name)]
}
