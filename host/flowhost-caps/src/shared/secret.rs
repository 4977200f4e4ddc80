//! Where values of secrets come from: what is injected, what is told, and what is taken out of all that a
//! plugin writes.

use zeroize::Zeroizing;

/// Where secret values come from.
pub trait SecretStore: Send + Sync + 'static {
    /// The value of `name`, if this host has one.
    fn get(&self, name: &str) -> Option<Zeroizing<String>>;

    /// A guest is about to be told this value: whoever keeps what guests write can look for it from now on.
    fn revealed(&self, _name: &str, _value: &str) {}
}
