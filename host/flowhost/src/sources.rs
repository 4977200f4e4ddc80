//! Where components and profiles are found.
//!
//! A component's source is `builtin:NAME`, a path relative to its plan, a program with its manifest (`process:NAME`), or a
//! place that [`crate::remote`] fetches from. A profile's name is looked up among the shipped ones and in the operator's and the plan's folders;
//! a shipped name cannot be taken by another file, so that `deny-all` means the same everywhere.

mod kept;
mod shipped;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_author::remote::Place;
use flowhost_engine::Inspected;
use flowhost_policy::{Manifest, Profile};
use flowhost_run::OwnProfile;

use crate::ambient::{Ambient, Unusable};
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::plugin::lock::{LOCK_FILE, Lock};
use crate::plugin::trust::{self, Trust};
use crate::remote::{Pin, Remote};
use crate::report::problems::Texts;

pub use kept::KeptRun;
pub use shipped::{PLUGINS, SHIPPED, as_document_name, is_shipped, read_profile};
use shipped::{TAKEN_CURE, how_it_is_built, is_another, taken};

/// Bytes of a component: above the engine's own limit, which gives the better message.
pub const COMPONENT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a profile, a manifest or a case table. Their own readers take less; this only keeps a wrong file from
/// being read into memory.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// The shipped component that stands between a plan and a program of [`program_name`].
const PROCESS_TOOL: &str = "process-tool";

/// A manifest by the name that authors give it in the plugin's own folder.
const PLUGIN_MANIFEST: &str = "plugin.toml";

/// The name in `process:NAME`: a native program that is a tool, with its manifest beside the plan.
#[must_use]
pub fn program_name(source: &str) -> Option<&str> {
    source.strip_prefix("process:")
}

/// Whether a source is a component of this build, which nobody has to vouch for.
fn is_builtin(source: &str) -> bool {
    source.starts_with("builtin:") || program_name(source).is_some()
}

/// Whose word a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// It is part of this build.
    Builds,
    /// The operator named its folder, by `--policies` or in his own configuration.
    Operators,
    /// It stands beside the plan, and whoever wrote the plan may have written it.
    Plans,
}

/// A profile's text, where it was found.
#[derive(Debug, Clone)]
pub struct ProfileText {
    /// The file as a person would write it.
    pub file: String,
    /// What stands in it.
    pub text: String,
    /// Whose word it is.
    pub whose: Whose,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    ambient: &'a Ambient,
    config: &'a Config,
    only: Option<&'a Path>,
    kept: Option<&'a KeptRun>,
    newest: bool,
}

impl<'a> Sources<'a> {
    /// Looks at what a run kept, and nowhere else.
    #[must_use]
    pub fn of_run(ambient: &'a Ambient, config: &'a Config, kept: &'a KeptRun) -> Self {
        Self {
            kept: Some(kept),
            ..Self::new(ambient, config, None)
        }
    }

    /// The same, and remote components that a plan does not pin are those that are there now, if `newest`: to
    /// look at them, and to lock them.
    #[must_use]
    pub fn looking_anew(self, newest: bool) -> Self {
        Self { newest, ..self }
    }

    /// Whether remote components that a plan does not pin are those that are there now.
    pub(crate) fn looks_anew(&self) -> bool {
        self.newest
    }

    /// The run whose files these are, if they are one's.
    pub(crate) fn kept(&self) -> Option<&'a KeptRun> {
        self.kept
    }

    /// Why a component cannot be had; `missing` says it where there is no file.
    fn unusable(&self, path: &Path, error: Unusable, missing: impl FnOnce() -> Finding) -> Finding {
        match error {
            Unusable::Unread(error) if error.is_missing() => missing(),
            Unusable::Unread(error) => Finding::from(&error),
            Unusable::Refused(error) => {
                let message = format!("`{}`: {error}", self.shown(path));
                Finding::new("", message).split_hint()
            }
        }
    }

    /// Whether the operator lets plans use MCP servers.
    #[must_use]
    pub fn takes_adapters(&self) -> bool {
        self.config.mcp_adapters
    }

    /// Looks where the configuration says; with `only`, profiles come from that folder (and the
    /// shipped ones) and never from beside a plan.
    #[must_use]
    pub fn new(ambient: &'a Ambient, config: &'a Config, only: Option<&'a Path>) -> Self {
        Self {
            ambient,
            config,
            only,
            kept: None,
            newest: false,
        }
    }

    /// A component's path and bytes; `pin` says which one is meant where it is remote.
    ///
    /// # Errors
    /// What is wrong and what to do, without a place.
    pub fn component(
        &self,
        source: &str,
        dir: &Path,
        pin: Pin<'_>,
    ) -> Result<(PathBuf, Arc<[u8]>), Finding> {
        // Before the path: `https://…` would be one, too.
        if Place::is_meant(source) {
            return Remote::new(self.ambient, self.config).component(source, pin);
        }
        let path = self.component_path(source, dir)?;
        match self.ambient.read(&path, COMPONENT_BYTES_MAX) {
            Ok(bytes) => Ok((path, bytes.into())),
            Err(error) if error.is_missing() => Err(self.no_component(&path)),
            Err(error) => Err(Finding::from(&error)),
        }
    }

    /// As [`Sources::component`], looked at. A file that this process has looked at before is not read again
    /// while it stays as it is.
    ///
    /// # Errors
    /// As [`Sources::component`], and why inspection refuses it.
    pub(crate) fn inspected(
        &self,
        source: &str,
        dir: &Path,
        pin: Pin<'_>,
    ) -> Result<(PathBuf, Inspected), Finding> {
        let (path, component) = self.looked_at(source, dir, pin)?;
        let component = component.map_err(|error| self.of_no_use(&path, error))?;
        Ok((path, component))
    }

    /// The same, with what keeps a file that is meant from being a component.
    ///
    /// # Errors
    /// As [`Sources::component`], where no file is meant.
    pub(crate) fn looked_at(
        &self,
        source: &str,
        dir: &Path,
        pin: Pin<'_>,
    ) -> Result<(PathBuf, Result<Inspected, Unusable>), Finding> {
        if Place::is_meant(source) {
            let (path, bytes) = self.component(source, dir, pin)?;
            let component = self.ambient.inspect(bytes);
            return Ok((path, component.map_err(Unusable::Refused)));
        }
        let path = self.component_path(source, dir)?;
        let component = self.ambient.component(&path, COMPONENT_BYTES_MAX);
        Ok((path, component))
    }

    /// Why what stands there is of no use.
    pub(crate) fn of_no_use(&self, path: &Path, error: Unusable) -> Finding {
        self.unusable(path, error, || self.no_component(path))
    }

    /// The same of one that a person typed: it stands in no plan.
    pub(crate) fn of_no_use_as_typed(&self, path: &Path, error: Unusable) -> Finding {
        self.unusable(path, error, || {
            let here = self.ambient.cwd().display();
            let hint = format!("check the path: a relative one is looked for from `{here}`");
            self.no_component(path).cure(hint)
        })
    }

    fn no_component(&self, path: &Path) -> Finding {
        let message = format!("the component `{}` was not found", self.shown(path));
        Finding::new("", message).cure("check the path: it is relative to the plan")
    }

    fn component_path(&self, source: &str, dir: &Path) -> Result<PathBuf, Finding> {
        if let Some(name) = source.strip_prefix("builtin:") {
            return self.builtin(name);
        }
        if program_name(source).is_some() {
            return self.builtin(PROCESS_TOOL);
        }
        Ok(dir.join(source))
    }

    fn builtin(&self, name: &str) -> Result<PathBuf, Finding> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        // It becomes part of a path, in folders that are the operator's: no `..` and no `/` in it.
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Finding::new(
                "",
                format!("`builtin:{name}` is not a plugin's name"),
            ));
        }
        let folders = self.builtin_folders();
        let found = folders
            .iter()
            .map(|folder| folder.join(format!("{name}.wasm")));
        found
            .into_iter()
            .find(|path| self.ambient.is_file(path))
            .ok_or_else(|| {
                let searched: Vec<String> = folders
                    .iter()
                    .map(|folder| format!("`{}`", folder.display()))
                    .collect();
                let message = format!(
                    "the plugin `builtin:{name}` was not found in {}",
                    searched.join(", ")
                );
                let here = self.names_in(folders.iter().map(PathBuf::as_path), ".wasm");
                let near = flowhost_words::nearest(name, here.iter().map(String::as_str));
                let cure = match (how_it_is_built(name), near) {
                    (Some(cure), _) => cure,
                    (None, Some(near)) => format!("did you mean `builtin:{near}`?"),
                    (None, None) if here.is_empty() => {
                        "build them with `cargo xtask build-guests`, or set FLOWHOST_PLUGINS"
                            .to_owned()
                    }
                    (None, None) => format!("plugins that are there: {}", here.join(", ")),
                };
                Finding::new("", message).cure(cure)
            })
    }

    /// Folders of shipped components, in the order of search.
    #[must_use]
    pub fn builtin_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.config.plugins.clone();
        // After the configuration's: what a file says deliberately is not overruled by a variable that somebody left
        // in a shell.
        if let Some(list) = self.ambient.var("FLOWHOST_PLUGINS") {
            let named = list.split(':').filter(|folder| !folder.is_empty());
            folders.extend(named.map(|folder| self.ambient.resolve(Path::new(folder))));
        }
        // Beside the executable, and in a build's own output: target/<profile>/flowhost and
        // target/<profile>/deps/<test> both have target/plugins above them.
        let above = self
            .ambient
            .exe()
            .into_iter()
            // Three levels and no more: further up is not this installation, and may be a folder that others write
            // to.
            .flat_map(|exe| exe.ancestors().skip(1).take(3));
        folders.extend(above.map(|folder| folder.join("plugins")));
        // One that is named, too, is looked through, and told, once.
        let mut seen = BTreeSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// The names of the files with this ending in these folders, in the order of the alphabet.
    fn names_in<'f>(&self, folders: impl Iterator<Item = &'f Path>, ending: &str) -> Vec<String> {
        let mut names = BTreeSet::new();
        for folder in folders {
            // A folder that is not there, or cannot be read, offers nothing.
            let files = self.ambient.list(folder).unwrap_or_default();
            let stems = files.iter().filter_map(|file| file.strip_suffix(ending));
            names.extend(stems.map(str::to_owned));
        }
        names.into_iter().collect()
    }

    /// The lock beside a plan; none where there is no such file.
    ///
    /// # Errors
    /// When it is there and is not one, without a place.
    pub fn lock(&self, dir: &Path) -> Result<Option<Lock>, Finding> {
        let path = dir.join(LOCK_FILE);
        let Some((_, text)) = self.document(&path)? else {
            return Ok(None);
        };
        let lock = Lock::parse(&text, &path);
        lock.map(Some).map_err(|failure| finding_of(&failure))
    }

    /// A profile by name or path, with its text remembered.
    ///
    /// # Errors
    /// Everything that is wrong with it; not finding it is one thing, without a place.
    pub fn profile(
        &self,
        wanted: &str,
        dir: &Path,
        texts: &mut Texts,
    ) -> Result<(Profile, Whose), Vec<Finding>> {
        let found = self
            .profile_text(wanted, dir)
            .map_err(|finding| vec![finding])?;
        let ProfileText { file, text, whose } = found;
        texts.add(&file, text.as_str());
        Ok((read_profile(&text, &file)?, whose))
    }

    fn read_in(
        &self,
        folder: &Folder,
        wanted: &str,
        dir: &Path,
        path: &Path,
    ) -> Result<ProfileText, Finding> {
        match folder {
            Folder::Operators(_) => self.read(path, Whose::Operators),
            Folder::Plans(_) => self.named_below(wanted, dir, path),
        }
    }

    /// Refuses a file under the name of a shipped profile that is not a copy of it: to pass it over without a word
    /// would leave its author believing that it holds.
    fn refuse_another(&self, name: &str, folders: &[Folder], dir: &Path) -> Result<(), Finding> {
        for folder in folders {
            let path = folder.path().join(format!("{name}.toml"));
            if !self.ambient.is_file(&path) {
                continue;
            }
            if is_another(name, &self.read_in(folder, name, dir, &path)?.text) {
                return Err(Finding::new(self.shown(&path), taken(name)).cure(TAKEN_CURE));
            }
        }
        Ok(())
    }

    /// The file and the text of a profile by name or path, not yet read as one.
    ///
    /// # Errors
    /// When there is none, or it cannot be read; without a place.
    pub fn profile_text(&self, wanted: &str, dir: &Path) -> Result<ProfileText, Finding> {
        if is_path(wanted) {
            return self.named_by_path(wanted, dir);
        }
        let folders = self.profile_folders(dir);
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == wanted) {
            // Only where it is asked for: a file of that name that no plan uses misleads nobody.
            self.refuse_another(name, &folders, dir)?;
            return Ok(ProfileText {
                file: format!("policies/{name}.toml"),
                text: (*text).to_owned(),
                whose: Whose::Builds,
            });
        }
        let name = format!("{wanted}.toml");
        for folder in &folders {
            let path = folder.path().join(&name);
            if self.ambient.is_file(&path) {
                return self.read_in(folder, wanted, dir, &path);
            }
        }
        let searched: Vec<String> = folders
            .iter()
            .map(|folder| format!("`{}`", folder.path().display()))
            .collect();
        let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "the profile `{wanted}` was not found in {}",
            searched.join(", ")
        );
        let own = self.names_in(folders.iter().map(Folder::path), ".toml");
        let known = shipped
            .iter()
            .copied()
            .chain(own.iter().map(String::as_str));
        let near = flowhost_words::nearest(wanted, known)
            .map_or(String::new(), |near| format!("did you mean `{near}`?\n"));
        let cure = format!(
            "{near}shipped profiles: {}\na profile of your own is a file `{name}` in a folder named above",
            shipped.join(", ")
        );
        Err(Finding::new("", message).cure(cure))
    }

    /// A plan may bring a profile of its own, but the host reads (and quotes) nothing outside the
    /// plan's folder for it, and an operator who names a folder of profiles wants those alone.
    fn named_by_path(&self, wanted: &str, dir: &Path) -> Result<ProfileText, Finding> {
        if self.only.is_some() {
            let message = format!("`{wanted}` is a path, and `--policies` allows names only");
            return Err(Finding::new("", message).cure("name a profile of that folder"));
        }
        if Path::new(wanted).is_absolute() {
            let message = format!("cannot use the profile `{wanted}`: it leaves the plan's folder");
            return Err(Finding::new("", message));
        }
        self.named_below(wanted, dir, &dir.join(wanted))
    }

    /// Reads a profile of the plan's folder under the name that it has there: its links are followed to
    /// see that they stay, and name nothing.
    fn named_below(&self, wanted: &str, dir: &Path, path: &Path) -> Result<ProfileText, Finding> {
        // A path that is not below is refused by `below`.
        let relative = path.strip_prefix(dir).unwrap_or(path);
        match self.ambient.below(dir, relative) {
            Ok(_) => self.read(path, Whose::Plans),
            Err(error) => {
                let message = format!("cannot use the profile `{wanted}`: {}", error.source);
                Err(Finding::new("", message))
            }
        }
    }

    fn read(&self, path: &Path, whose: Whose) -> Result<ProfileText, Finding> {
        // Refused where others may write it: a profile is what a plugin may do.
        let text = self.ambient.read_rights(path, DOCUMENT_BYTES_MAX);
        Ok(ProfileText {
            file: self.shown(path),
            text: text.map_err(|error| Finding::from(&error))?,
            whose,
        })
    }

    /// The manifest of what `source` names: of a program the one beside the plan, which says what the program offers, and
    /// not that of the component before it.
    ///
    /// # Errors
    /// As [`Sources::manifest`], and when a program has none.
    pub fn described(
        &self,
        source: &str,
        dir: &Path,
        component: &Path,
        embedded: Option<&[u8]>,
    ) -> Result<Option<(String, String)>, Finding> {
        let Some(name) = program_name(source) else {
            return self.manifest(component, embedded);
        };
        let path = dir.join(format!("{name}.toml"));
        let found = self.document(&path)?;
        found.map(Some).ok_or_else(|| {
            let message = format!("`{}` was not found", self.shown(&path));
            let cure = "it says which tools the program offers: `kind = \"tool\"`, [[tools]] with their schemas, and \
                        `process = \"granted\"` under [needs]";
            Finding::new("", message).cure(cure)
        })
    }

    /// A component's manifest: its file and text. The embedded one counts, because the digest covers it;
    /// `NAME.toml` and `plugin.toml` beside the component are for toolchains that embed none.
    ///
    /// # Errors
    /// When one is there and cannot be read, and when the one beside says something else than the
    /// embedded one: a component must not get by with a manifest that nobody who looks beside it sees.
    pub fn manifest(
        &self,
        component: &Path,
        embedded: Option<&[u8]>,
    ) -> Result<Option<(String, String)>, Finding> {
        let beside = self.beside(component, embedded.is_some())?;
        let Some(embedded) = embedded else {
            return Ok(beside);
        };
        // Read as text whatever it is: what is no text is refused by the manifest's reader, with a place.
        let embedded = String::from_utf8_lossy(embedded).into_owned();
        let Some((file, text)) = beside else {
            let file = self.shown(&component.with_extension("toml"));
            return Ok(Some((file, embedded)));
        };
        // What an editor or a checkout changes without being asked (the last line feed, Windows' line ends) is no
        // difference in what is said.
        let lines = |text: &str| text.trim().replace("\r\n", "\n");
        if lines(&text) == lines(&embedded) {
            return Ok(Some((file, text)));
        }
        let component = self.shown(component);
        let message = format!("`{file}` is not the manifest that `{component}` carries inside");
        let cure = "embed it again, or remove the file: the one inside is what counts";
        Err(Finding::new("", message).cure(cure))
    }

    /// What stands beside a component for it; with a manifest inside, what may be another's does not count.
    fn beside(&self, component: &Path, has_one: bool) -> Result<Option<(String, String)>, Finding> {
        let own = component.with_extension("toml");
        if let Some(found) = self.document(&own)? {
            return Ok(Some(found));
        }
        let shared = component.with_file_name(PLUGIN_MANIFEST);
        let Some(found) = self.document(&shared)? else {
            return Ok(None);
        };
        let folder = component.parent().unwrap_or(Path::new("."));
        let names = self.ambient.list(folder);
        let names = names.map_err(|error| Finding::from(&error))?;
        // Beside one component alone it can be meant for no other; `plugin.toml` is what `flowhost plugin new` writes
        // into a plugin's own folder.
        let others = names.iter().filter(|name| name.ends_with(".wasm")).count() > 1;
        if !others {
            return Ok(Some(found));
        }
        // It has what counts inside, and need not care whose the other is.
        if has_one {
            return Ok(None);
        }
        let message = format!(
            "`{}` stands beside several components, and does not say whose it is",
            found.0
        );
        let cure = format!("name it after its component: `{}`", self.shown(&own));
        Err(Finding::new("", message).cure(cure))
    }

    fn document(&self, path: &Path) -> Result<Option<(String, String)>, Finding> {
        self.ambient
            .stays(path)
            .map_err(|error| Finding::from(&error))?;
        match self.ambient.read_text(path, DOCUMENT_BYTES_MAX) {
            Ok(text) => Ok(Some((self.shown(path), text))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(Finding::from(&error)),
        }
    }

    /// The text of the signature beside a component, if there is one.
    ///
    /// # Errors
    /// When it is there and cannot be read, without a place.
    pub fn signature(&self, component: &Path) -> Result<Option<Arc<str>>, Finding> {
        let found = self.document(&trust::signature_file(component))?;
        Ok(found.map(|(_, text)| text.into()))
    }

    /// Holds a component against what the operator asks of signatures, and gives the one that came with it.
    ///
    /// # Errors
    /// Why it must not be loaded, without a place.
    pub(crate) fn vouched(
        &self,
        source: &str,
        component: &Path,
        digest: &str,
        manifest: Option<&Manifest>,
    ) -> Result<Option<Arc<str>>, Finding> {
        if is_builtin(source) {
            return Ok(None);
        }
        let signature = self.signature(component)?;
        self.admits(source, component, digest, manifest, signature.as_deref())?;
        Ok(signature)
    }

    /// Holds a component and the signature that came with it against what the operator asks of signatures. Nobody has
    /// to vouch for what is part of the build. A manifest that stands in for one that is missing cannot be signed.
    ///
    /// # Errors
    /// Why it must not be loaded, without a place.
    pub(crate) fn admits(
        &self,
        source: &str,
        component: &Path,
        digest: &str,
        manifest: Option<&Manifest>,
        signature: Option<&str>,
    ) -> Result<(), Finding> {
        if is_builtin(source) {
            return Ok(());
        }
        let trust = Trust::find(self.ambient, self.config);
        let trust = trust.map_err(|failure| finding_of(&failure))?;
        let own = manifest.filter(|manifest| !manifest.is_stand_in());
        trust.admits(&self.shown(component), digest, own, signature)
    }

    /// What to say of a component without a manifest: where one was looked for, what stands in, and what is known of its
    /// tools.
    #[must_use]
    pub fn no_manifest(&self, component: &Path, tools: Option<&str>) -> String {
        let file = self.shown(component);
        let beside = self.shown(&component.with_extension("toml"));
        let tools = tools.map(|it| format!(", and {it}")).unwrap_or_default();
        format!(
            "no manifest was found: not in `{file}`, nor `{beside}` or `{PLUGIN_MANIFEST}` beside it; it asks for what \
             it imports{tools}"
        )
    }

    /// A path as a person would write it here.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let path: PathBuf = self.ambient.resolve(path).components().collect(); // without `/./`
        let here = self.ambient.cwd();
        let below = path.strip_prefix(here).ok();
        // Everything is below the root, where clients of MCP start servers: whoever reads it is elsewhere.
        let below = below.filter(|_| here.parent().is_some());
        below.unwrap_or(&path).display().to_string()
    }

    /// Where a profile of the user's own would go that begins with a shipped one: a file that is not there, under a
    /// name that none has and that is not `promised` to another plugin.
    #[must_use]
    pub fn own_profile(
        &self,
        name: &str,
        dir: &Path,
        promised: &mut BTreeSet<PathBuf>,
    ) -> OwnProfile {
        let folders = self.profile_folders(dir);
        let path = |folder: &Path, name: &str| folder.join(format!("{name}.toml"));
        // The last folder is the plan's, or the only one.
        let folder = folders.last().map_or(dir, Folder::path);
        let wanted = as_document_name(name);
        // Without an end, and `find` ends: there are not four billion files of that name.
        let more = (2_u32..).map(|count| format!("{wanted}-{count}"));
        let free = |name: &String| {
            let there = |folder: &Folder| self.ambient.is_file(&path(folder.path(), name));
            let is_promised = promised.contains(&path(folder, name));
            !is_shipped(name) && !is_promised && !folders.iter().any(there)
        };
        let name = std::iter::once(wanted.clone()).chain(more).find(free);
        let name = name.unwrap_or(wanted);
        let file = path(folder, &name);
        let shown = self.shown(&file);
        promised.insert(file);
        OwnProfile { name, file: shown }
    }

    fn profile_folders(&self, dir: &Path) -> Vec<Folder> {
        match self.only {
            Some(only) => vec![Folder::Operators(self.ambient.resolve(only))],
            None => {
                let own = self.config.policies.iter().cloned();
                own.map(Folder::Operators)
                    // Last: a plan must not stand in for what the operator's own folders say under the same name.
                    .chain([Folder::Plans(dir.join("policies"))])
                    .collect()
            }
        }
    }
}

/// A folder of profiles, by whose it is: links of a stranger's are followed no further than his plan.
enum Folder {
    Operators(PathBuf),
    Plans(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Operators(path) | Self::Plans(path) => path,
        }
    }
}

/// A failure as one thing that is wrong, without a place.
pub(crate) fn finding_of(failure: &Failure) -> Finding {
    let causes = failure.causes.join("; ");
    let finding = Finding::new("", format!("{}: {causes}", failure.message));
    finding.cure(failure.hints.join("; "))
}

fn is_path(profile: &str) -> bool {
    profile.contains('/')
        || Path::new(profile)
            .extension()
            .is_some_and(|it| it == "toml")
}

#[cfg(test)]
mod tests;
