//! What the model gateway needs from this process: keys, scripts of `mock`, the hour.
//!
//! Must never hold a key longer than it takes to hand it over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_models::{Clock, Gateway, KeySource, ProviderConfig, ProviderKind, ScriptFiles};
use flowhost_policy::decide_model;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::config::{CONFIG_BYTES_MAX, CONFIG_FILE, Config, MOCK, place};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::project::{Member, Project};
use crate::services;

/// Bytes of a script: a conversation of hours fits.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a file of authorities: whole systems have some hundred kilobytes.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;

/// The folder of the scripts of `mock` where nothing is said.
const SCRIPTS: &str = "scripts";

/// The run's gateway.
///
/// # Errors
/// Everything that is wrong with `[models]`.
pub fn gateway(ambient: &Ambient, config: &Config, project: &Project) -> Result<Gateway, Failure> {
    let keys = Keys {
        ambient: ambient.clone(),
        config: config.clone(),
    };
    let scripts = Scripts {
        ambient: ambient.clone(),
        folder: scripts_folder(config, project),
        beside: config
            .file
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_owned),
    };
    let hour = Hour(ambient.clone());
    let mut models = config.models.clone();
    let mock = models.providers.entry(MOCK.to_owned());
    // `mock` is there without being configured: an example has to run on a machine where nothing is.
    let mock = mock.or_insert_with(|| ProviderConfig::new(ProviderKind::Mock));
    if mock.kind == ProviderKind::Mock {
        mock.scripts.get_or_insert_with(|| SCRIPTS.to_owned());
    }
    Gateway::new(models, Arc::new(keys), Arc::new(scripts), Arc::new(hour)).map_err(|problems| {
        let files = config.file.iter().chain(&config.folder_file);
        let files: BTreeSet<String> = files.map(|it| it.display().to_string()).collect();
        // Read again for their lines alone; one that has gone meanwhile costs a problem its place, and not its words.
        let texts: Vec<(&String, String)> = files
            .iter()
            .filter_map(|file| {
                let text = ambient.read_text(Path::new(file), CONFIG_BYTES_MAX).ok()?;
                Some((file, text))
            })
            .collect();
        let all = match files.is_empty() {
            true => CONFIG_FILE.to_owned(),
            false => files.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        let findings = problems.into_iter().map(|problem| {
            let message = format!("{}: {}", problem.key, problem.message);
            let mut places = texts.iter();
            let found = places.find_map(|(file, text)| {
                let span = place(text, &problem.key)?;
                Some(Finding::at_offset(file, text, Some(span), &message))
            });
            found
                .unwrap_or_else(|| Finding::new(&all, message))
                .cure(problem.cure)
        });
        Failure::findings("the configuration", findings.collect())
    })
}

/// Why a call of this model would end before anything is sent: its provider needs a key, and the key has no value.
/// Nothing is asked of anybody.
#[must_use]
pub fn lacks_key(ambient: &Ambient, config: &Config, model: &str) -> Option<String> {
    let provider = model.split('/').next().unwrap_or(model);
    let name = config.models.providers.get(provider)?.key.as_ref()?;
    match services::secret(ambient, config.secrets.get(name), name) {
        // An empty file is a secret somebody forgot to write: a provider would answer it with a refusal that says
        // nothing of that.
        Ok(Some(key)) if !key.is_empty() => None,
        Ok(_) => Some(format!(
            "the secret {name} of provider `{provider}` has no value; set the variable or file that [secrets] of \
             your flowhost.toml names for {name}; without such a line, FLOWHOST_SECRET_{name}"
        )),
        Err(failure) => Some(format!(
            "{}: {}",
            failure.message,
            failure.causes.join(": ")
        )),
    }
}

/// The first model that a call would go to instead: one that [models.failover] names, the plugin's profile allows, and
/// whose key is there if it needs one.
#[must_use]
pub fn stand_in<'a>(
    ambient: &Ambient,
    config: &'a Config,
    member: &Member,
    model: &str,
) -> Option<&'a str> {
    let granted = &member.effective.grants.model;
    let others = config.models.failover.get(model)?.iter();
    let mut able = others.filter(|other| {
        decide_model(granted, other).is_ok() && lacks_key(ambient, config, other).is_none()
    });
    able.next().map(String::as_str)
}

/// Scripts are beside the configuration that names them, the folder's before the operator's, else beside
/// the plan: an example then runs from any working directory.
pub(crate) fn scripts_folder(config: &Config, project: &Project) -> PathBuf {
    config
        .scripts
        .clone()
        .unwrap_or_else(|| project.dir.clone())
}

struct Keys {
    ambient: Ambient,
    config: Config,
}

impl KeySource for Keys {
    fn key(&self, name: &str) -> Option<Zeroizing<String>> {
        let source = self.config.secrets.get(name);
        match services::secret(&self.ambient, source, name) {
            Ok(value) => value,
            Err(failure) => {
                // Not an error here: the call then fails for want of a key, as that provider's and no other's.
                tracing::warn!(secret = name, message = %failure.message, "a key cannot be read");
                None
            }
        }
    }
}

struct Scripts {
    ambient: Ambient,
    folder: PathBuf,
    /// The folder of the operator's configuration; none without a file.
    beside: Option<PathBuf>,
}

impl ScriptFiles for Scripts {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        // Below, because a script is looked for by the names of a plan's stages and agents, and a plan must not have
        // any file read.
        let wanted = match self.ambient.below(&self.folder, Path::new(path)) {
            Ok(wanted) => wanted,
            // No script is an answer: `mock` then says what it says without one.
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match self.ambient.read_text(&wanted, SCRIPT_BYTES_MAX) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn authority(&self, path: &str) -> Result<String, String> {
        let path = match &self.beside {
            // Beside the file that names it, so that it means the same from every working folder.
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        };
        // Whoever may write it decides who is handed the key.
        let text = self.ambient.read_rights(&path, AUTHORITIES_BYTES_MAX);
        text.map_err(|error| format!("{error}: {}", error.source))
    }

    fn system_roots(&self) -> Result<Vec<Vec<u8>>, String> {
        self.ambient.system_certificates()
    }
}

struct Hour(Ambient);

impl Clock for Hour {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
}
