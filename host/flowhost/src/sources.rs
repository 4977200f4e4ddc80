//! Where components and profiles are found.
//!
//! A component's source is `builtin:NAME` or a path relative to its plan; nothing is fetched. A
//! profile's name is looked up among the shipped ones and in the operator's and the plan's folders;
//! a shipped name cannot be taken by another file, so that `deny-all` means the same everywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_policy::{Manifest, Profile};
use flowhost_run::State;
use flowhost_run::bundle::{Bundle, Kept, component_path};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::finding::Finding;
use crate::plugin::trust::{self, Trust};
use crate::report::problems::Texts;

/// Bytes of a component: above the engine's own limit, which gives the better message.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a profile, a manifest or a case table.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// A manifest by the name that authors give it in the plugin's own folder.
const PLUGIN_MANIFEST: &str = "plugin.toml";

/// The profiles that are part of this build, deny-all first.
pub const SHIPPED: &[(&str, &str)] = &[
    ("deny-all", include_str!("../../../policies/deny-all.toml")),
    (
        "guardrail-pure",
        include_str!("../../../policies/guardrail-pure.toml"),
    ),
    (
        "tool-pure",
        include_str!("../../../policies/tool-pure.toml"),
    ),
    (
        "tool-readonly",
        include_str!("../../../policies/tool-readonly.toml"),
    ),
    (
        "tool-workspace",
        include_str!("../../../policies/tool-workspace.toml"),
    ),
    (
        "networked-tool",
        include_str!("../../../policies/networked-tool.toml"),
    ),
    (
        "agent-model",
        include_str!("../../../policies/agent-model.toml"),
    ),
    (
        "agent-any-model",
        include_str!("../../../policies/agent-any-model.toml"),
    ),
    (
        "mcp-local",
        include_str!("../../../policies/mcp-local.toml"),
    ),
];

/// Whether a plan that names this profile means a shipped one.
#[must_use]
pub fn is_shipped(wanted: &str) -> bool {
    SHIPPED.iter().any(|(name, _)| *name == wanted)
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
}

/// What a run was made of: it stands in for the files that it was read from, which may have changed or gone.
#[derive(Debug, Clone)]
pub struct KeptRun {
    /// Texts and plugins.
    pub bundle: Bundle,
    /// Where components lie by digest.
    pub state: State,
}

impl KeptRun {
    /// The text that the run had under this name.
    pub(crate) fn text(&self, file: &str) -> Result<&str, Finding> {
        let text = self.bundle.files.get(file).map(String::as_str);
        text.ok_or_else(|| {
            let message = format!("`{file}` is not among the files that the run kept");
            Finding::new("", message).cure("`bundle.json` in the run's folder lists them")
        })
    }

    /// What the run kept of a plugin.
    pub(crate) fn plugin(&self, key: &str) -> Result<&Kept, Finding> {
        let plugin = self.bundle.plugins.get(key);
        plugin.ok_or_else(|| Finding::new("", format!("the run had no plugin `{key}`")))
    }
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

    /// The run whose files these are, if they are one's.
    pub(crate) fn kept(&self) -> Option<&'a KeptRun> {
        self.kept
    }

    /// A component that a run kept: its path and bytes.
    ///
    /// # Errors
    /// When it has gone.
    pub(crate) fn kept_component(
        &self,
        kept: &KeptRun,
        plugin: &str,
    ) -> Result<(PathBuf, Arc<[u8]>), Finding> {
        let digest = &kept.plugin(plugin)?.component;
        let path = component_path(&kept.state, digest);
        match self.ambient.read(&path, COMPONENT_BYTES_MAX) {
            Ok(bytes) => Ok((path, bytes.into())),
            Err(error) if error.is_missing() => {
                let message = format!("the component {digest} is not kept any more");
                let cure = format!("put it back as `{}`", path.display());
                Err(Finding::new("", message).cure(cure))
            }
            Err(error) => Err(Finding::from(&error)),
        }
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
        }
    }

    /// A component's path and bytes.
    ///
    /// # Errors
    /// What is wrong and what to do, without a place.
    pub fn component(&self, source: &str, dir: &Path) -> Result<(PathBuf, Arc<[u8]>), Finding> {
        let path = self.component_path(source, dir)?;
        match self.ambient.read(&path, COMPONENT_BYTES_MAX) {
            Ok(bytes) => Ok((path, bytes.into())),
            Err(error) if error.is_missing() => {
                let message = format!("there is no component `{}`", self.shown(&path));
                Err(Finding::new("", message).cure("check the path: it is relative to the plan"))
            }
            Err(error) => Err(Finding::from(&error)),
        }
    }

    fn component_path(&self, source: &str, dir: &Path) -> Result<PathBuf, Finding> {
        if let Some(name) = source.strip_prefix("builtin:") {
            return self.builtin(name);
        }
        if source.contains("://") {
            let message = format!("`{source}` is remote, and this build fetches nothing");
            let cure =
                "download the component, put it beside the plan and write `source: ./NAME.wasm`";
            return Err(Finding::new("", message).cure(cure));
        }
        Ok(dir.join(source))
    }

    fn builtin(&self, name: &str) -> Result<PathBuf, Finding> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
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
                    "there is no plugin `builtin:{name}` in {}",
                    searched.join(", ")
                );
                Finding::new("", message)
                    .cure("build them with `cargo xtask build-guests`, or set FLOWHOST_PLUGINS")
            })
    }

    /// Folders of shipped components, in the order of search.
    #[must_use]
    pub fn builtin_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.config.plugins.clone();
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
            .flat_map(|exe| exe.ancestors().skip(1).take(3));
        folders.extend(above.map(|folder| folder.join("plugins")));
        folders
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

    /// The file and the text of a profile by name or path, not yet read as one.
    ///
    /// # Errors
    /// When there is none, or it cannot be read; without a place.
    pub fn profile_text(&self, wanted: &str, dir: &Path) -> Result<ProfileText, Finding> {
        if is_path(wanted) {
            return self.named_by_path(wanted, dir);
        }
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == wanted) {
            return Ok(ProfileText {
                file: format!("policies/{name}.toml"),
                text: (*text).to_owned(),
                whose: Whose::Builds,
            });
        }
        let folders = self.profile_folders(dir);
        let name = format!("{wanted}.toml");
        for folder in &folders {
            let path = folder.path().join(&name);
            if self.ambient.is_file(&path) {
                return match folder {
                    Folder::Operators(_) => self.read(&path, Whose::Operators),
                    Folder::Plans(_) => self.named_below(wanted, dir, &path),
                };
            }
        }
        let searched: Vec<String> = folders
            .iter()
            .map(|folder| format!("`{}`", folder.path().display()))
            .collect();
        let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        let message = format!("there is no profile `{wanted}` in {}", searched.join(", "));
        Err(Finding::new("", message).cure(format!("shipped profiles: {}", shipped.join(", "))))
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
        let text = self.ambient.read_rights(path, DOCUMENT_BYTES_MAX);
        Ok(ProfileText {
            file: self.shown(path),
            text: text.map_err(|error| Finding::from(&error))?,
            whose,
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
        let embedded = String::from_utf8_lossy(embedded).into_owned();
        let Some((file, text)) = beside else {
            let file = self.shown(&component.with_extension("toml"));
            return Ok(Some((file, embedded)));
        };
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
        let others = names.iter().filter(|name| name.ends_with(".wasm")).count() > 1;
        if !others {
            return Ok(Some(found));
        }
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

    /// Holds a component, with its signature beside it, against what the operator asks of signatures.
    ///
    /// # Errors
    /// Why it must not be loaded, without a place.
    pub fn admits(
        &self,
        component: &Path,
        digest: &str,
        manifest: Option<&Manifest>,
    ) -> Result<(), Finding> {
        let trust = Trust::find(self.ambient, self.config).map_err(|failure| {
            let causes = failure.causes.join("; ");
            let finding = Finding::new("", format!("{}: {causes}", failure.message));
            finding.cure(failure.hints.join("; "))
        })?;
        if trust.file.is_none() {
            return Ok(());
        }
        let signature = self.document(&trust::signature_file(component))?;
        let signature = signature.as_ref().map(|(_, text)| text.as_str());
        trust.admits(&self.shown(component), digest, manifest, signature)
    }

    /// What to say of a component without a manifest: where one was looked for, and what stands in.
    #[must_use]
    pub fn no_manifest(&self, component: &Path) -> String {
        format!(
            "no manifest was found: not in `{}`, nor `{}` or `{PLUGIN_MANIFEST}` beside it; it asks for \
             what it imports, and its tools are what it says they are",
            self.shown(component),
            self.shown(&component.with_extension("toml")),
        )
    }

    /// A path as a person would write it here.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let path: PathBuf = self.ambient.resolve(path).components().collect(); // without `/./`
        path.strip_prefix(self.ambient.cwd())
            .unwrap_or(&path)
            .display()
            .to_string()
    }

    fn profile_folders(&self, dir: &Path) -> Vec<Folder> {
        match self.only {
            Some(only) => vec![Folder::Operators(self.ambient.resolve(only))],
            None => {
                let own = self.config.policies.iter().cloned();
                own.map(Folder::Operators)
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

/// Reads a profile, and refuses one under another name than its file's, or under a shipped one: a record
/// or a report that says `deny-all` means the profile that this build brings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_profile(text: &str, file: &str) -> Result<Profile, Vec<Finding>> {
    let profile = Profile::parse(text, file);
    let profile = profile.map_err(|problems| -> Vec<Finding> {
        problems.into_iter().map(Finding::from).collect()
    })?;
    let name = profile.name.as_str();
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    let refused = |message: String, cure: String| {
        let at = profile.position("name");
        let (line, column) = at.map_or((0, 0), |at| (at.line, at.column));
        Err(vec![
            Finding::new(file, message).at(line, column).cure(cure),
        ])
    };
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    if shipped.is_some_and(|(_, shipped)| *shipped != text) {
        let message = format!("`{name}` is the name of a shipped profile, and this is another");
        return refused(
            message,
            "give the file, and the profile in it, another name".to_owned(),
        );
    }
    if stem != Some(name) {
        let stem = stem.unwrap_or_default();
        let message = format!("a profile has the name of its file, and this is not `{name}`");
        return refused(
            message,
            format!("write `name = \"{stem}\"`, or call the file `{name}.toml`"),
        );
    }
    Ok(profile)
}

fn is_path(profile: &str) -> bool {
    profile.contains('/')
        || Path::new(profile)
            .extension()
            .is_some_and(|it| it == "toml")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn with<T>(files: &[(&str, &str)], test: impl Fn(&Sources<'_>, &Path) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let env = BTreeMap::from([("FLOWHOST_PLUGINS".to_owned(), "more".to_owned())]);
        let ambient = Ambient::with(env, root.to_owned(), Some(root.join("t/debug/flowhost")));
        for (name, text) in files {
            ambient
                .create_dir(root.join(name).parent().unwrap())
                .unwrap();
            ambient.write(Path::new(name), text.as_bytes()).unwrap();
        }
        let config = Config::default();
        test(&Sources::new(&ambient, &config, None), root)
    }

    #[test]
    fn refuses_remote_sources_and_names_that_climb() {
        with(&[], |sources, dir| {
            assert!(sources.component("https://x.example/a.wasm", dir).is_err());
            assert!(sources.component("builtin:../x", dir).is_err());
            let missing = sources.component("./a.wasm", dir).unwrap_err();
            assert!(
                missing.message.contains("there is no component"),
                "{missing}"
            );
        });
    }

    #[test]
    fn a_file_beside_the_plan_cannot_take_a_shipped_name() {
        let wide = "version = 1\nname = \"deny-all\"\nlog = true\n";
        with(&[("policies/deny-all.toml", wide)], |sources, dir| {
            let profile = sources
                .profile("deny-all", dir, &mut Texts::default())
                .unwrap();
            assert!(!profile.0.grants.log);
            assert_eq!(profile.1, Whose::Builds);
        });
    }

    #[test]
    fn a_profile_cannot_call_itself_otherwise_than_its_file_or_as_a_shipped_one() {
        let profile = |file: &str, name: &str| {
            let text = format!("version = 1\nname = \"{name}\"\nlog = true\n");
            with(&[(file, &text)], |sources, dir| {
                let wanted = match file.strip_prefix("policies/") {
                    Some(name) => name.trim_end_matches(".toml").to_owned(),
                    None => format!("./{file}"),
                };
                sources.profile(&wanted, dir, &mut Texts::default())
            })
        };
        for (file, name, said) in [
            ("policies/p.toml", "deny-all", "shipped"),
            ("deny-all.toml", "deny-all", "shipped"),
            ("policies/p.toml", "q", "not `q`"),
            ("sub/p.toml", "q", "not `q`"),
        ] {
            let refused = profile(file, name).unwrap_err();
            assert!(
                refused[0].message.contains(said),
                "{file} {name}: {refused:?}"
            );
            assert_eq!(refused[0].line, 2);
        }
        assert!(profile("policies/p.toml", "p").is_ok());
        assert!(profile("sub/p.toml", "p").is_ok());
    }

    #[test]
    fn a_link_beside_a_plan_leads_to_nothing_that_is_read_or_quoted() {
        use std::os::unix::fs::symlink;
        let files = [
            ("elsewhere", "token = s3cret\n"),
            ("plan/policies/own.toml", ""),
            ("plan/a.wasm", ""),
        ];
        with(&files, |sources, dir| {
            let plan = dir.join("plan");
            symlink("../../elsewhere", plan.join("policies/leak.toml")).unwrap();
            symlink("../elsewhere", plan.join("a.toml")).unwrap();
            let found = sources
                .profile("leak", &plan, &mut Texts::default())
                .unwrap_err();
            assert!(
                found[0].message.contains("leaves the plan's folder"),
                "{found:?}"
            );
            let found = sources.manifest(&plan.join("a.wasm"), None).unwrap_err();
            assert!(found.message.contains("leaves its folder"), "{found:?}");
            symlink("../elsewhere", plan.join("plugin.toml")).unwrap();
            let found = sources.manifest(&plan.join("b.wasm"), None).unwrap_err();
            assert!(found.message.contains("leaves its folder"), "{found:?}");
        });
    }

    #[test]
    fn a_profile_that_everybody_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let text = "version = 1\nname = \"mine\"\n";
        with(&[("policies/mine.toml", text)], |sources, dir| {
            let open = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(dir.join("policies/mine.toml"), open).unwrap();
            let found = sources
                .profile("mine", dir, &mut Texts::default())
                .unwrap_err();
            assert!(found[0].message.contains("chmod o-w"), "{found:?}");
        });
    }

    #[test]
    fn a_path_leads_neither_out_of_the_plans_folder_nor_around_the_operators() {
        let text = "version = 1\nname = \"mine\"\nlog = true\n";
        with(&[("mine.toml", text), ("a/b", "")], |sources, dir| {
            let texts = &mut Texts::default();
            assert!(sources.profile("./mine.toml", dir, texts).is_ok());
            assert!(
                sources
                    .profile("../mine.toml", &dir.join("a"), texts)
                    .is_err()
            );
            assert!(sources.profile("/etc/passwd", dir, texts).is_err());
            let strict = Sources {
                only: Some(dir),
                ..sources.clone()
            };
            assert!(strict.profile("./mine.toml", dir, texts).is_err());
        });
    }

    #[test]
    fn an_operators_folder_hides_what_stands_beside_the_plan() {
        let text = "version = 1\nname = \"mine\"\nlog = true\n";
        with(&[("policies/mine.toml", text)], |sources, dir| {
            let only = dir.join("elsewhere");
            let strict = Sources {
                only: Some(&only),
                ..sources.clone()
            };
            assert!(strict.profile("mine", dir, &mut Texts::default()).is_err());
            let mine = sources.profile("mine", dir, &mut Texts::default());
            assert_eq!(mine.unwrap().1, Whose::Plans);
        });
    }

    #[test]
    fn finds_shipped_plugins_in_the_variable_and_in_the_builds_own_output() {
        with(
            &[("more/a.wasm", ""), ("t/plugins/b.wasm", "")],
            |sources, dir| {
                assert!(sources.component("builtin:a", dir).is_ok());
                assert!(sources.component("builtin:b", dir).is_ok());
            },
        );
    }

    fn manifest(
        sources: &Sources<'_>,
        component: &Path,
        embedded: Option<&str>,
    ) -> Result<Option<String>, Finding> {
        let found = sources.manifest(component, embedded.map(str::as_bytes))?;
        Ok(found.map(|(_, text)| text))
    }

    #[test]
    fn refuses_a_manifest_beside_that_differs_from_the_one_inside() {
        for beside in ["a.toml", "plugin.toml"] {
            with(&[("a.wasm", ""), (beside, "name = 1\n")], |sources, dir| {
                let component = dir.join("a.wasm");
                let other = manifest(sources, &component, Some("name = 2\n")).unwrap_err();
                assert!(other.message.contains("carries inside"), "{other}");
                let same = manifest(sources, &component, Some("name = 1\r\n\r\n"));
                assert!(same.is_ok(), "{same:?}");
            });
        }
    }

    #[test]
    fn refuses_a_plugin_toml_that_could_be_anybodys() {
        let files = [
            ("a.wasm", ""),
            ("b.wasm", ""),
            ("plugin.toml", "x"),
            ("b.toml", "y"),
        ];
        with(&files, |sources, dir| {
            let whose = manifest(sources, &dir.join("a.wasm"), None).unwrap_err();
            assert!(whose.hint.contains("a.toml"), "{whose:?}");
            let own = manifest(sources, &dir.join("b.wasm"), None);
            assert_eq!(own.unwrap().as_deref(), Some("y"));
            let inside = manifest(sources, &dir.join("a.wasm"), Some("z"));
            assert_eq!(inside.unwrap().as_deref(), Some("z"));
        });
    }

    #[test]
    fn finds_a_manifest_inside_by_the_components_name_and_as_plugin_toml() {
        with(&[("a.wasm", "")], |sources, dir| {
            let component = dir.join("a.wasm");
            assert_eq!(manifest(sources, &component, None).unwrap(), None);
            let inside = manifest(sources, &component, Some("x")).unwrap();
            assert_eq!(inside.as_deref(), Some("x"));
        });
        for beside in ["a.toml", "plugin.toml"] {
            with(&[("a.wasm", ""), (beside, "x")], |sources, dir| {
                let found = manifest(sources, &dir.join("a.wasm"), None).unwrap();
                assert_eq!(found.as_deref(), Some("x"));
            });
        }
    }

    #[test]
    fn every_shipped_profile_is_valid_and_has_the_name_it_is_found_by() {
        for (name, text) in SHIPPED {
            assert_eq!(Profile::parse(text, name).unwrap().name, *name);
        }
    }
}
