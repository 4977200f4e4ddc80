//! How a provider's server is reached: whose word its certificate needs, and through which proxy.
//!
//! Reads what the configuration names through the host's ports, once, when the gateway is made: a file
//! that is not there must be told before the first call, not by it.

use std::sync::Arc;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    config::ConfigProblem,
    http::{HttpTransport, Through, mozilla},
    ports::{KeySource, ScriptFiles},
    settings::ProviderSettings,
};

/// A transport of the provider's own.
///
/// # Errors
/// What is wrong with `ca` or `system_roots`, by the key.
pub(crate) fn transport(
    provider: &ProviderSettings,
    keys: &Arc<dyn KeySource>,
    files: &dyn ScriptFiles,
) -> Result<HttpTransport, ConfigProblem> {
    let roots = roots(provider, files)?;
    let through = provider.proxy.clone().map(|proxy| Through {
        proxy,
        keys: Arc::clone(keys),
    });
    let (limit, idle) = (provider.connect_timeout, provider.parallel);
    HttpTransport::dialling(roots, limit, idle, through).map_err(|error| {
        let message = format!("TLS cannot be set up: {error}");
        problem(provider, "", "", message, "report this as a bug")
    })
}

fn roots(
    provider: &ProviderSettings,
    files: &dyn ScriptFiles,
) -> Result<RootCertStore, ConfigProblem> {
    if provider.ca.is_none() && !provider.system_roots {
        return Ok(mozilla());
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = &provider.ca {
        let wrong = |message: String| {
            let cure = "ca = \"company-ca.pem\", a file of `-----BEGIN CERTIFICATE-----` blocks";
            problem(provider, ".ca", path, message, cure)
        };
        let pem = files
            .authority(path)
            .map_err(|why| wrong(format!("cannot be read: {why}")))?;
        // A file of the operator's own is read to the last certificate: one that is refused is a
        // mistake to be told of.
        roots = authorities(&pem).map_err(wrong)?;
    }
    if provider.system_roots {
        let wrong = |message: String| {
            let cure = "install the system's certificates, or use ca = \"file.pem\"";
            problem(provider, ".system_roots", "true", message, cure)
        };
        let all = files.system_roots().map_err(wrong)?;
        // Systems hold a few that no longer parse; those that do are enough.
        let (added, _) = roots.add_parsable_certificates(all.into_iter().map(CertificateDer::from));
        if added == 0 {
            return Err(wrong("this system holds no certificates".to_owned()));
        }
    }
    Ok(roots)
}

/// The authorities of a PEM file; one at least.
pub(crate) fn authorities(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|why| format!("holds a certificate that is refused: {why}"))?;
    }
    Ok(roots)
}

/// The certificates of a PEM file; one at least.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|error| format!("is not PEM: {error}"))?;
    match all.is_empty() {
        true => Err("holds no certificate".to_owned()),
        false => Ok(all),
    }
}

fn problem(
    provider: &ProviderSettings,
    key: &str,
    value: &str,
    message: String,
    cure: &str,
) -> ConfigProblem {
    ConfigProblem {
        key: format!("models.providers.{}{key}", provider.name),
        value: value.to_owned(),
        message,
        cure: cure.to_owned(),
    }
}
