//! Interface names as components carry them: `namespace:package/interface@version`.

use std::fmt;

/// A released version. Pre-releases and build metadata are not versions of a frozen contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Breaks.
    pub major: u64,
    /// Breaks while `major` is 0, adds afterwards.
    pub minor: u64,
    /// Adds while `major` is 0.
    pub patch: u64,
}

impl Version {
    /// The part that must be equal for two versions to be compatible, as the component model's
    /// linker applies semver: `1`, `0.2`, `0.0.3`.
    #[must_use]
    pub const fn track(self) -> (u64, u64, u64) {
        match self {
            Self {
                major: 0,
                minor: 0,
                patch,
            } => (0, 0, patch),
            Self {
                major: 0, minor, ..
            } => (0, minor, 0),
            Self { major, .. } => (major, 0, 0),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self {
            major,
            minor,
            patch,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// An import's or export's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    /// As it stands in the component.
    pub full: String,
    /// `flowhost:files`; empty for a plain name.
    pub package: String,
    /// `files`; the whole name for a plain one.
    pub interface: String,
    /// The version, if it carries a released one.
    pub version: Option<Version>,
}

impl InterfaceName {
    /// Takes a name apart; a name of another form is kept whole as the interface.
    #[must_use]
    pub fn parse(full: &str) -> Self {
        let (name, version) = full.split_once('@').unwrap_or((full, ""));
        let (package, interface) = name.split_once('/').unwrap_or(("", name));
        Self {
            full: full.to_owned(),
            package: package.to_owned(),
            interface: interface.to_owned(),
            version: Version::parse(version),
        }
    }

    /// Whether an implementation of `served` answers this import: the same name, or the same
    /// interface on the same semver track. It mirrors the linker's rule, which then checks every
    /// function's type: one that the implementation lacks is an error that names it, never a stub
    /// (CAP-002).
    #[must_use]
    pub fn answered_by(&self, served: &Self) -> bool {
        if self.full == served.full {
            return true;
        }
        let same = self.package == served.package && self.interface == served.interface;
        let tracks = self.version.zip(served.version);
        same && tracks.is_some_and(|(ours, theirs)| ours.track() == theirs.track())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(import: &str, served: &str) -> bool {
        InterfaceName::parse(import).answered_by(&InterfaceName::parse(served))
    }

    #[test]
    fn another_track_is_another_interface() {
        assert!(!answered("wasi:io/poll@0.3.0", "wasi:io/poll@0.2.6"));
        assert!(!answered("a:b/c@1.0.0", "a:b/c@2.0.0"));
        assert!(!answered("a:b/c@0.0.1", "a:b/c@0.0.2"));
        assert!(!answered("a:b/c", "a:b/c@0.1.0"));
        assert!(!answered("a:b/d@0.1.0", "a:b/c@0.1.0"));
        assert!(!answered("a:b/c@0.1.0-rc.1", "a:b/c@0.1.0"));
    }

    #[test]
    fn the_same_track_is_answered() {
        assert!(answered("wasi:io/poll@0.2.0", "wasi:io/poll@0.2.6"));
        assert!(answered("a:b/c@1.9.0", "a:b/c@1.2.0"));
        assert!(answered("plain", "plain"));
    }
}
