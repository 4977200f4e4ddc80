//! Who the host says that it is, to servers that ask for a client certificate.
//!
//! Owns the check of what an operator names: certificate, key, and the authorities that vouch for servers. They are looked
//! at before a run begins, so that a wrong pair or a certificate that has expired is told with its cure, and not found in
//! the middle of a run as an alert of somebody else's server. Pure: the files' bytes and the time come in.

use std::{collections::BTreeMap, time::Duration};

use rustls::{
    InconsistentKeys, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
};
use webpki::{EndEntityCert, KeyUsage};

use super::tls::Tls;

/// The identities of a run by the names that profiles call them by.
pub type Identities = BTreeMap<String, Tls>;

/// How servers are checked that authorities of the operator's own vouch for, by their host: a name in lower case, or an
/// address.
pub type Roots = BTreeMap<String, Tls>;

const SECONDS_OF_A_DAY: u64 = 24 * 3_600;

/// The files of one identity, each in PEM.
#[derive(Clone, Copy)]
pub struct IdentityFiles<'a> {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: &'a [u8],
    /// Its key, not encrypted.
    pub key: &'a [u8],
    /// Whom servers are to be vouched for by, instead of the web's authorities.
    pub authority: Option<&'a [u8]>,
}

/// Why files are no identity. Says which of the operator's keys is at fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No such block.
    #[error("`{0}` holds no {1} in PEM")]
    Missing(&'static str, &'static str),
    /// A block that is not what it says.
    #[error("`{0}` cannot be used: {1}")]
    Unreadable(&'static str, String),
    /// Of two different pairs.
    #[error("`key` is not the key of `certificate`")]
    Pair,
    /// Too late, by whole days.
    #[error("`certificate` expired {} ago", days(.0))]
    Expired(u64),
    /// Too early, by whole days.
    #[error("`certificate` begins to be valid in {}", days(.0))]
    NotYet(u64),
    /// A server's, as a rule.
    #[error("`certificate` is not for clients")]
    Purpose,
}

impl Unfit {
    /// What to do about it.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Missing("key", _) => {
                "it begins with `-----BEGIN PRIVATE KEY-----`; one that is encrypted is to be decrypted first: \
                 openssl pkey -in FILE -out FILE"
            }
            Self::Missing(..) => "it begins with `-----BEGIN CERTIFICATE-----`",
            Self::Unreadable(..) => "ask whoever issued it for the file in PEM",
            Self::Pair => {
                "name the two files that were issued together, the certificate of the host before those of its \
                 authorities"
            }
            Self::Expired(_) => "ask whoever issued it for a new one",
            Self::NotYet(_) => "look at the clock of this machine, and at the file",
            Self::Purpose => "its extended key usage has to name client authentication",
        }
    }
}

/// Reads an identity.
///
/// # Errors
/// The first thing that keeps the files from being one at `now_ms`, in milliseconds since the Unix epoch.
pub fn read_identity(files: IdentityFiles<'_>, now_ms: u64) -> Result<Tls, Unfit> {
    let chain = certificates("certificate", files.certificate)?;
    let own = |pem| authorities("authority", pem);
    let roots = files.authority.map(own).transpose()?;
    let key = PrivateKeyDer::from_pem_slice(files.key)
        .map_err(|_| Unfit::Missing("key", "private key"))?;
    // There is one: `certificates` refuses a file without any. Only the first is the host's; the
    // others lead to an authority that the server chooses to believe.
    if let Some(own) = chain.first() {
        check_validity(
            own,
            UnixTime::since_unix_epoch(Duration::from_millis(now_ms)),
        )?;
    }
    Tls::showing(roots, chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unfit::Pair,
        rustls::Error::InvalidCertificate(_) => Unfit::Unreadable("certificate", error.to_string()),
        _ => Unfit::Unreadable("key", error.to_string()),
    })
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| Unfit::Unreadable(what, error.to_string()))?;
    match all.is_empty() {
        true => Err(Unfit::Missing(what, "certificate")),
        false => Ok(all),
    }
}

/// Reads a file of authorities, which vouch for servers instead of the web's.
///
/// # Errors
/// When it holds none, or one that cannot be used.
pub fn read_authorities(pem: &[u8]) -> Result<Tls, Unfit> {
    const KEY: &str = "ca";
    Tls::with_roots(authorities(KEY, pem)?)
        .map_err(|error| Unfit::Unreadable(KEY, error.to_string()))
}

fn authorities(what: &'static str, pem: &[u8]) -> Result<RootCertStore, Unfit> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| Unfit::Unreadable(what, error.to_string()))?;
    }
    Ok(roots)
}

/// Whether it is in its time and meant for clients. webpki looks at both before it looks for an authority; it is given
/// none here, because whose certificates a server accepts is the server's to say.
fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Unfit> {
    let certificate = EndEntityCert::try_from(certificate)
        .map_err(|error| Unfit::Unreadable("certificate", error.to_string()))?;
    let usage = KeyUsage::client_auth();
    let looked = certificate.verify_for_usage(&[], &[], &[], now, usage, None, None);
    match looked.err() {
        Some(webpki::Error::CertExpired { not_after, .. }) => {
            Err(Unfit::Expired(between(not_after, now)))
        }
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => {
            Err(Unfit::NotYet(between(now, not_before)))
        }
        Some(webpki::Error::RequiredEkuNotFoundContext(_)) => Err(Unfit::Purpose),
        // That no authority vouches for it, as none was given, and whatever else webpki wants of a
        // server's certificate.
        _ => Ok(()),
    }
}

/// Whole days.
fn between(earlier: UnixTime, later: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / SECONDS_OF_A_DAY
}

fn days(count: &u64) -> String {
    match count {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        more => format!("{more} days"),
    }
}
