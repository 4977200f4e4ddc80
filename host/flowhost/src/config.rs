//! `flowhost.toml`: what an operator sets, and what a working folder may add to it.
//!
//! The operator's file is found in his own place and never by looking around: whoever wrote the folder
//! that a command is run in configures nothing of his (`folder.rs`). Owns the keys and their reading.
//! Must never hold a right: profiles do.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use flowhost_models::ProviderKind;
use serde::Deserialize;

use crate::ambient::{Ambient, FileError};
use crate::finding::Finding;
use crate::state::State;

pub(crate) use read::{document, place};
pub use sources::SourceLine;
pub use tls::{TlsLine, host_of};

mod folder;
mod providers;
mod read;
mod sources;
mod tls;

/// The file's name.
pub const CONFIG_FILE: &str = "flowhost.toml";
/// The variable that names the operator's file.
const CONFIG_VARIABLE: &str = "FLOWHOST_CONFIG";
/// The provider that is always there.
pub const MOCK: &str = "mock";
/// Bytes of a configuration file: thousands of keys fit.
pub(crate) const CONFIG_BYTES_MAX: u64 = 256 << 10;

/// How soon a record must be on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Intents before effects, results before reports: fsynced.
    #[default]
    Durable,
    /// Written in order, fsynced at checkpoints; a power cut may lose the last second.
    Relaxed,
}

/// What happens when telemetry does not reach its collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTelemetryFailure {
    /// One warning; the run goes on. The ledger has everything.
    #[default]
    Warn,
    /// The run ends with exit 1, and does not begin where nothing can be sent.
    Halt,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TelemetryTable {
    on_failure: Option<OnTelemetryFailure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct McpAdapterTable {
    enabled: Option<bool>,
    calls_per_minute: Option<NonZeroU32>,
}

/// Calls of one MCP server of one run in a minute, where the operator says nothing: more than a server of this machine
/// does for one agent, and an end to a loop that runs away.
const SERVER_CALLS_PER_MINUTE: NonZeroU32 = match NonZeroU32::new(60_000) {
    Some(calls) => calls,
    None => NonZeroU32::MIN, // never: a constant has no `expect`
};

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "where its value is, and not the value: `{ env = \"NAME\" }` or `{ file = \"path\" }`"
)]
pub struct SecretSource {
    /// A variable of the host's environment.
    pub env: Option<String>,
    /// A file, relative to the configuration; one line feed at its end is cut.
    pub file: Option<PathBuf>,
}

/// The files by which the host proves who it is, relative to the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySource {
    /// Its certificate in PEM, and behind it those that lead to the authority.
    pub certificate: PathBuf,
    /// The key in PEM, a file that only its owner may read.
    pub key: PathBuf,
    /// Whom the servers are vouched for by, instead of the web's authorities.
    pub authority: Option<PathBuf>,
}

impl IdentitySource {
    fn below(self, folder: &Path) -> Self {
        Self {
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
            authority: self.authority.map(|path| folder.join(path)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    policies: Option<PathBuf>,
    #[serde(default)]
    plugins: Vec<PathBuf>,
    durability: Option<Durability>,
    tenant: Option<String>,
    host: Option<String>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretSource>,
    #[serde(default)]
    identities: BTreeMap<String, IdentitySource>,
    #[serde(default)]
    tls: Vec<TlsLine>,
    #[serde(default)]
    models: flowhost_models::Config,
    #[serde(default)]
    telemetry: TelemetryTable,
    #[serde(default)]
    sources: Vec<sources::SourceTable>,
    #[serde(default)]
    mcp_adapter: McpAdapterTable,
}

/// The configuration with paths made absolute; the default is that of a missing file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the operator's file is looked for; none without a home folder.
    pub own_path: Option<PathBuf>,
    /// The operator's file, if there is one.
    pub file: Option<PathBuf>,
    /// The nearest file at or above the working directory, if there is one.
    pub folder_file: Option<PathBuf>,
    /// `policies`: a folder of profiles, searched before the plan's own.
    pub policies: Option<PathBuf>,
    /// `plugins`: folders of components, searched first for `builtin:` sources.
    pub plugins: Vec<PathBuf>,
    /// `durability`.
    pub durability: Durability,
    /// `tenant`: first token of subjects and of paths below the state root.
    pub tenant: String,
    /// `host`: the name in checkpoints' origin, taken when the key is made; random by default.
    pub host: Option<String>,
    /// `[secrets]`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `[identities]`.
    pub identities: BTreeMap<String, IdentitySource>,
    /// `[[tls]]`: servers that authorities of the operator's own vouch for.
    pub tls: Vec<TlsLine>,
    /// `[models]`.
    pub models: flowhost_models::Config,
    /// `[telemetry] on_failure`.
    pub on_telemetry_failure: OnTelemetryFailure,
    /// `[[sources]]`: where components may be fetched from.
    pub sources: Vec<SourceLine>,
    /// Where fetched components are kept; none where nothing of the state folder is known yet.
    pub fetched: Option<PathBuf>,
    /// Where logins at MCP servers are kept; none where nothing of the state folder is known yet.
    pub logins: Option<State>,
    /// `[mcp_adapter] enabled`: whether plans may use MCP servers.
    pub mcp_adapters: bool,
    /// `[mcp_adapter] calls_per_minute`: how often one server of one run is called.
    pub server_calls_per_minute: NonZeroU32,
    /// The folder of the file that describes a `mock` provider, the working folder's before the
    /// operator's: their scripts are there.
    pub scripts: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            own_path: None,
            file: None,
            folder_file: None,
            policies: None,
            plugins: Vec::new(),
            durability: Durability::default(),
            tenant: "default".to_owned(),
            host: None,
            secrets: BTreeMap::new(),
            identities: BTreeMap::new(),
            tls: Vec::new(),
            models: flowhost_models::Config::default(),
            on_telemetry_failure: OnTelemetryFailure::default(),
            sources: Vec::new(),
            fetched: None,
            logins: None,
            mcp_adapters: true,
            server_calls_per_minute: SERVER_CALLS_PER_MINUTE,
            scripts: None,
        }
    }
}

impl Config {
    /// The operator's configuration, and what the nearest file at or above the working directory adds
    /// to it.
    ///
    /// # Errors
    /// Everything that is wrong with the two files.
    pub fn find(ambient: &Ambient) -> Result<Self, Vec<Finding>> {
        let own = Self::own(ambient)?;
        for folder in ambient.cwd().ancestors() {
            let file = folder.join(CONFIG_FILE);
            if !ambient.is_file(&file) {
                continue;
            }
            // A shared parent (`/tmp`, `/srv`) is anybody's: what another user left there neither narrows nor
            // stops what is run below it.
            if folder != ambient.cwd() && !ambient.same_owner(&file, ambient.cwd()) {
                break;
            }
            // The operator's own file in his own folder is not held to what a folder may say.
            if own.is_read_from(ambient, &file) {
                let folder_file = Some(file);
                return Ok(Self { folder_file, ..own });
            }
            // Whatever is wrong with it is quoted: a link must not make that another file's text.
            let stays = ambient.stays(&file);
            let text = stays.and_then(|()| ambient.read_rights(&file, CONFIG_BYTES_MAX));
            let text = text.map_err(unreadable)?;
            return own.within(&text, &file);
        }
        Ok(own)
    }

    /// What the operator says: the file that `FLOWHOST_CONFIG` names, else `flowhost/flowhost.toml` in
    /// `$XDG_CONFIG_HOME`, else in `~/.config`.
    fn own(ambient: &Ambient) -> Result<Self, Vec<Finding>> {
        let named = ambient.var(CONFIG_VARIABLE).map(Path::new);
        let path = match named {
            Some(path) => Some(ambient.resolve(path)),
            None => own_place(ambient),
        };
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let own = match ambient.read_rights(&path, CONFIG_BYTES_MAX) {
            Ok(text) => Self::parse(&text, &path)?,
            // One that was named and is not there is a slip: without it the defaults would rule in its place.
            Err(error) if error.is_missing() && named.is_none() => Self::default(),
            Err(error) => return Err(unreadable(error)),
        };
        let own_path = Some(path);
        Ok(Self { own_path, ..own })
    }

    fn is_read_from(&self, ambient: &Ambient, file: &Path) -> bool {
        let place = |file: &Path| ambient.canonical(file).ok();
        let own = self.file.as_deref().and_then(place);
        own.is_some() && own == place(file)
    }

    /// With what a folder's file says.
    fn within(self, text: &str, file: &Path) -> Result<Self, Vec<Finding>> {
        let name = file.display().to_string();
        let document = checked(text, &name)?;
        let problems = folder::problems(&document, text, &name, &self);
        match problems.is_empty() {
            true => Ok(folder::narrowed(self, document, file)),
            false => Err(problems),
        }
    }

    /// Reads a configuration; its paths are relative to its folder.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Vec<Finding>> {
        let document = checked(text, &file.display().to_string())?;
        Ok(Self::from_document(document, file))
    }

    fn from_document(document: Document, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let defaults = Self::default();
        let mut secrets = document.secrets;
        for source in secrets.values_mut() {
            source.file = source.file.take().map(|path| folder.join(path));
        }
        Self {
            own_path: Some(file.to_owned()),
            file: Some(file.to_owned()),
            folder_file: None,
            policies: document.policies.map(|path| folder.join(path)),
            plugins: document
                .plugins
                .into_iter()
                .map(|path| folder.join(path))
                .collect(),
            durability: document.durability.unwrap_or_default(),
            tenant: document.tenant.unwrap_or(defaults.tenant),
            host: document.host,
            secrets,
            identities: document
                .identities
                .into_iter()
                .map(|(name, files)| (name, files.below(folder)))
                .collect(),
            tls: tls::lines(document.tls, folder),
            scripts: has_mock(&document.models).then(|| folder.to_owned()),
            models: document.models,
            on_telemetry_failure: document.telemetry.on_failure.unwrap_or_default(),
            sources: sources::lines(document.sources, folder),
            fetched: None,
            logins: None,
            mcp_adapters: document
                .mcp_adapter
                .enabled
                .unwrap_or(defaults.mcp_adapters),
            server_calls_per_minute: document
                .mcp_adapter
                .calls_per_minute
                .unwrap_or(defaults.server_calls_per_minute),
        }
    }

    /// The root of all state: `--state`, else `FLOWHOST_STATE`, else `.flowhost/` beside the folder's
    /// configuration, else in the working directory.
    #[must_use]
    pub fn state_root(&self, ambient: &Ambient, option: Option<&Path>) -> PathBuf {
        let beside = self
            .folder_file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(ambient.cwd());
        option
            .or_else(|| ambient.var("FLOWHOST_STATE").map(Path::new))
            .map_or_else(|| beside.join(".flowhost"), |path| ambient.resolve(path))
    }
}

/// A document that is sound in itself, whoever's it is.
fn checked(text: &str, name: &str) -> Result<Document, Vec<Finding>> {
    if let Some(at) = flowhost_policy::toml_too_deep_at(text) {
        let finding = Finding::at_offset(name, text, Some(at..at), "it is nested too deeply");
        return Err(vec![
            finding.cure("no key of this file needs more than a table in a table"),
        ]);
    }
    let (document, read) = read::problems::<Document>(name, text);
    let mut problems = Vec::new();
    for (key, value) in [("tenant", &document.tenant), ("host", &document.host)] {
        if let Some(value) = value.as_deref().filter(|value| !is_name(value)) {
            problems.push(
                Finding::at_text(
                    name,
                    text,
                    value,
                    format!("`{key} = \"{value}\"` is not a name: it stands in paths and subjects"),
                )
                .cure("use up to 64 of a-z, 0-9, `-`, `_`, and for `host` also `.`"),
            );
        }
    }
    for (secret, source) in &document.secrets {
        if source.env.is_some() == source.file.is_some() {
            problems.push(
                Finding::at_text(
                    name,
                    text,
                    secret,
                    format!("the secret `{secret}` needs one source"),
                )
                .cure(format!(
                    "{secret} = {{ env = \"NAME\" }} or {{ file = \"path\" }}"
                )),
            );
        }
    }
    problems.extend(sources::problems(&document.sources, text, name));
    problems.extend(tls::problems(&document.tls, text, name));
    if read.is_empty() && problems.is_empty() {
        return Ok(document);
    }
    // What only a run would refuse of providers is told here because something else stops the command anyway: a file
    // that is sound but for a provider that nobody asks must not stop what needs none.
    let mut all = providers::complete(read, &document.models, text, name);
    all.append(&mut problems);
    all.sort_by_key(|problem| (problem.line, problem.column));
    Err(all)
}

/// Where an operator's file is without a word of his. A relative `XDG_CONFIG_HOME` counts as none, as the
/// XDG base directory specification wants it: it would be a folder's again.
fn own_place(ambient: &Ambient) -> Option<PathBuf> {
    let named = ambient.var("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || Some(Path::new(ambient.var("HOME")?).join(".config"));
    let base = named.filter(|path| path.is_absolute()).or_else(home)?;
    Some(base.join("flowhost").join(CONFIG_FILE))
}

fn has_mock(models: &flowhost_models::Config) -> bool {
    let mut providers = models.providers.values();
    providers.any(|it| it.kind == ProviderKind::Mock)
}

fn unreadable(error: FileError) -> Vec<Finding> {
    vec![Finding::from(&error)]
}

fn is_name(text: &str) -> bool {
    let ok = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    // A token of a subject and a part of a path: no dot in front, which hides a folder and leads out of one, and
    // short enough for every file system beside what stands around it.
    !text.is_empty() && text.len() <= 64 && !text.starts_with('.') && text.bytes().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Config::parse(text, Path::new("/w/flowhost.toml")).unwrap_err();
        found.iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn refuses_an_unknown_key_with_its_place() {
        let found = problems("durability = \"durable\"\npolicy = \"x\"\n");
        assert!(
            found[0].starts_with("/w/flowhost.toml:2:1: unknown key `policy`"),
            "{found:?}"
        );
    }

    #[test]
    fn what_a_provider_lacks_and_has_wrong_is_told_at_once() {
        let text = "[models.providers.mine]\nmodel = \"x\"\n[models.providers.other]\nkind = \"openai\"\n\
                    parallel = 0\n";
        let found = Config::parse(text, Path::new("/w/flowhost.toml")).unwrap_err();
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        for (line, part) in [
            (1, "the keys `kind` and `url` are missing"),
            (2, "unknown key `model`"),
            (
                3,
                "models.providers.other.url: the server's address is missing",
            ),
            (5, "models.providers.other.parallel: 0 is outside"),
        ] {
            let place = format!("/w/flowhost.toml:{line}:");
            let is_it = |it: &String| it.starts_with(&place) && it.contains(part);
            assert!(told.iter().any(is_it), "{part}: {told:#?}");
        }
        assert_eq!(told.len(), 4, "{told:#?}");
        // What is told may be written as it stands.
        let lines = |at: usize| {
            let (_, lines) = found[at].hint.split_once(":\n").unwrap();
            lines.to_owned()
        };
        let mended = format!("[models.providers.mine]\n{}\n", lines(0));
        let config = Config::parse(&mended, Path::new("/w/flowhost.toml")).unwrap();
        assert!(config.models.problems().is_empty(), "{mended}");
        assert!(config.models.providers["mine"].unpriced);
    }

    #[test]
    fn refuses_nesting_that_would_overflow_the_parsers_stack() {
        for deep in [
            "tenant = { a = 1 [x]\n".repeat(10_000),
            format!("a = {}", "[".repeat(99_000)),
        ] {
            let found = problems(&deep);
            assert!(found[0].contains("nested too deeply"), "{found:?}");
        }
    }

    #[test]
    fn refuses_a_tenant_that_would_leave_its_folder() {
        assert_eq!(problems("tenant = \"../x\"\nhost = \"a b\"\n").len(), 2);
        assert_eq!(problems("tenant = \"..\"\n").len(), 1);
    }

    #[test]
    fn refuses_a_secret_without_exactly_one_source() {
        assert_eq!(
            problems("[secrets]\nA = {}\nB = { env = \"B\", file = \"b\" }\n").len(),
            2
        );
    }

    fn found(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let env = env.iter().map(|(name, value)| {
            let value = value.replace("[root]", &root.display().to_string());
            ((*name).to_owned(), value)
        });
        let ambient = Ambient::with(env.collect(), root.join("work/deep"), None);
        ambient.create_dir(&root.join("work/deep")).unwrap();
        for (name, text) in files {
            let path = root.join(name);
            ambient.create_dir(path.parent().unwrap()).unwrap();
            ambient.write(&path, text.as_bytes()).unwrap();
        }
        Config::find(&ambient).map_err(|found| found[0].to_string())
    }

    #[test]
    fn the_operators_file_is_found_in_his_own_place_and_never_by_looking_around() {
        let says = |tenant: &str| format!("tenant = \"{tenant}\"\n");
        let (home, xdg, named) = (says("home"), says("xdg"), says("named"));
        let files = [
            ("home/.config/flowhost/flowhost.toml", home.as_str()),
            ("xdg/flowhost/flowhost.toml", &xdg),
            ("work/deep/own.toml", &named),
        ];
        let place = ("HOME", "[root]/home");
        let tenant = |env: &[(&str, &str)]| found(&files, env).unwrap().tenant;
        assert_eq!(tenant(&[]), "default");
        assert_eq!(tenant(&[place]), "home");
        assert_eq!(tenant(&[place, ("XDG_CONFIG_HOME", "[root]/xdg")]), "xdg");
        assert_eq!(tenant(&[place, ("XDG_CONFIG_HOME", "xdg")]), "home");
        assert_eq!(tenant(&[place, ("FLOWHOST_CONFIG", "own.toml")]), "named");
        let missing = found(&files, &[("FLOWHOST_CONFIG", "none.toml")]).unwrap_err();
        assert!(missing.contains("none.toml"), "{missing}");
    }

    #[test]
    fn a_file_around_the_working_directory_is_the_operators_only_if_he_names_it() {
        let files = [("work/flowhost.toml", "tenant = \"mine\"\n")];
        let refused = found(&files, &[]).unwrap_err();
        assert!(refused.contains("the operator's to say"), "{refused}");
        let named = [("FLOWHOST_CONFIG", "../flowhost.toml")];
        assert_eq!(found(&files, &named).unwrap().tenant, "mine");
    }

    #[test]
    fn finds_state_by_option_then_variable_then_configuration_then_folder() {
        let cwd = PathBuf::from("/work/deep");
        let bare = Ambient::with(BTreeMap::new(), cwd.clone(), None);
        let env = BTreeMap::from([("FLOWHOST_STATE".to_owned(), "s".to_owned())]);
        let with_var = Ambient::with(env, cwd, None);
        let own = Config::default();
        let config = own.within("", Path::new("/work/flowhost.toml")).unwrap();
        let root = |config: &Config, ambient, option: Option<&str>| {
            config
                .state_root(ambient, option.map(Path::new))
                .display()
                .to_string()
        };
        assert_eq!(root(&config, &with_var, Some("/x")), "/x");
        assert_eq!(root(&config, &with_var, None), "/work/deep/s");
        assert_eq!(root(&config, &bare, None), "/work/.flowhost");
        assert_eq!(
            root(&Config::default(), &bare, None),
            "/work/deep/.flowhost"
        );
    }
}
