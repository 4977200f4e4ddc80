//! What capabilities need from this process: secrets, and the addresses that are its own.
//!
//! Each is a few lines over [`crate::ambient`]; none decides a right.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flowhost_caps::secrets::SecretStore;
use flowhost_flow::Exit;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::config::{Config, SecretSource};
use crate::failure::Failure;
use flowhost_run::Project;

/// Bytes of a secret in a file: keys and tokens are far smaller.
const SECRET_BYTES_MAX: u64 = 64 << 10;

struct Secrets(BTreeMap<String, Zeroizing<String>>);

impl SecretStore for Secrets {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        self.0.get(name).cloned()
    }
}

/// The secrets that the project's profiles name, and no others. One that a profile does not give is read
/// to be found in what the run leaves; no capability hands it out.
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
    let given = grants.flat_map(|secrets| secrets.names.iter().chain(&secrets.reveal));
    // Each is read anew for each run, so that a rotated secret counts from the next one on.
    for name in given.chain(&project.withheld) {
        if let Some(value) = secret(ambient, config.secrets.get(name), name)? {
            values.insert(name.clone(), value);
        }
    }
    Ok(Arc::new(Secrets(values)))
}

/// The variable that has a secret's value where the configuration says nothing of it.
pub(crate) fn variable(name: &str) -> String {
    format!("FLOWHOST_SECRET_{name}")
}

pub(crate) fn secret(
    ambient: &Ambient,
    source: Option<&SecretSource>,
    name: &str,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let variable = variable(name);
    let from = |variable: &str| {
        ambient
            .var(variable)
            .map(|value| Zeroizing::new(value.to_owned()))
    };
    match source {
        // By its own name where the configuration says nothing: a plan then runs in a CI job that sets one variable
        // and writes no file.
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
                // One line feed, which editors and `echo` put there. No more: a key may end in white space of its
                // own.
                text.strip_suffix('\n').unwrap_or(&text).to_owned(),
            )))
        }
        Some(SecretSource { env, .. }) => Ok(env.as_deref().and_then(from)),
    }
}

/// Addresses of this machine's interfaces: a plugin must not reach the host through its own public
/// address (NETIP-028).
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    // Some sandboxes forbid the question (netlink). A run that sends nothing must go there all the same, and one that
    // sends is kept from private addresses without it; what it might reach then is told.
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(
            %error,
            "the addresses of this machine cannot be listed: a plugin that may send requests is not kept from those of \
             them that are public"
        );
        Vec::new()
    });
    interfaces
        .into_iter()
        .map(|interface| interface.ip())
        .collect()
}
