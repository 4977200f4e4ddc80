//! `secrets`: values that the host holds so that a guest need not.

mod redact;

use zeroize::Zeroizing;

pub use redact::{REDACTED, Redacted, Redactor};

/// Where secret values come from.
pub trait SecretStore: Send + Sync + 'static {
    /// The value of `name`, if this host has one.
    fn get(&self, name: &str) -> Option<Zeroizing<String>>;
}
