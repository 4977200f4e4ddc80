//! What capabilities need from this process: secrets, log lines, time, entropy, variables.
//!
//! Each is a few lines over [`crate::ambient`]; none decides a right.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flowhost_caps::clock::TimeSource;
use flowhost_caps::env::HostVariables;
use flowhost_caps::log::{Level, LogLine, LogSink, ProgressLine};
use flowhost_caps::random::Entropy;
use flowhost_caps::secrets::SecretStore;
use flowhost_flow::Exit;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::config::{Config, SecretSource};
use crate::failure::Failure;
use crate::project::Project;
use crate::run::Observer;

/// Bytes of a secret in a file: keys and tokens are far smaller.
const SECRET_BYTES_MAX: u64 = 64 << 10;

struct Secrets(BTreeMap<String, Zeroizing<String>>);

impl SecretStore for Secrets {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        self.0.get(name).cloned()
    }
}

/// The secrets that the project's profiles name, and no others: what nobody may use is not read.
///
/// # Errors
/// A source that is configured and cannot be read.
pub fn secrets(
    ambient: &Ambient,
    config: &Config,
    project: &Project,
) -> Result<Arc<dyn SecretStore>, Failure> {
    let mut values = BTreeMap::new();
    let grants = project
        .members
        .values()
        .map(|member| &member.effective.grants.secrets);
    for name in grants.flat_map(|secrets| secrets.names.iter().chain(&secrets.reveal)) {
        if let Some(value) = secret(ambient, config.secrets.get(name), name)? {
            values.insert(name.clone(), value);
        }
    }
    Ok(Arc::new(Secrets(values)))
}

pub(crate) fn secret(
    ambient: &Ambient,
    source: Option<&SecretSource>,
    name: &str,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let variable = format!("FLOWHOST_SECRET_{name}");
    let from = |variable: &str| {
        ambient
            .var(variable)
            .map(|value| Zeroizing::new(value.to_owned()))
    };
    match source {
        None => Ok(from(&variable)),
        Some(SecretSource {
            file: Some(file), ..
        }) => {
            let text = ambient.read_text(file, SECRET_BYTES_MAX).map_err(|error| {
                Failure::new(
                    Exit::Internal,
                    format!("the secret `{name}` cannot be read"),
                )
                .caused_by(&error)
            })?;
            let text = Zeroizing::new(text);
            Ok(Some(Zeroizing::new(
                text.strip_suffix('\n').unwrap_or(&text).to_owned(),
            )))
        }
        Some(SecretSource { env, .. }) => Ok(env.as_deref().and_then(from)),
    }
}

/// Log lines of plugins become log lines of the host, under the plugin's name.
pub struct Logs {
    /// Whether keys and personal data are taken out.
    pub redacts: bool,
    /// Hears how far calls are.
    pub observer: Arc<dyn Observer>,
}

impl LogSink for Logs {
    fn line(&self, line: LogLine) {
        let LogLine {
            plugin,
            step,
            level,
            message,
            fields,
            ..
        } = line;
        let fields: String = fields
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let mut text = format!("{message}{fields}");
        if self.redacts {
            text = flowhost_detect::redact(&text).into_owned();
        }
        match level {
            Level::Trace => tracing::trace!(target: "plugin", %plugin, %step, "{text}"),
            Level::Debug => tracing::debug!(target: "plugin", %plugin, %step, "{text}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, %step, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, %step, "{text}"),
            Level::Error => tracing::error!(target: "plugin", %plugin, %step, "{text}"),
        }
    }

    fn progress(&self, mut progress: ProgressLine) {
        if self.redacts {
            progress.message = flowhost_detect::redact(&progress.message).into_owned();
        }
        self.observer.progress(&progress);
    }
}

/// The host's clock, for profiles that say `wall = "real"`.
pub struct HostTime(pub Ambient);

impl TimeSource for HostTime {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}

/// The system's randomness, for profiles that say `source = "os"`.
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    }
}

/// Variables that a profile takes with `from`.
pub struct Variables(pub Ambient);

impl HostVariables for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.var(name).map(ToOwned::to_owned)
    }
}

/// Addresses of this machine's interfaces: a plugin must not reach the host through its own public
/// address (NETIP-028).
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .map(|interface| interface.ip())
        .collect()
}
