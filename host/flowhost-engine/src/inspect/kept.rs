//! What inspection found in components, kept on disk beside their code and believed by the same MAC: the next
//! process reads a component, hashes it, and need not look through it again.
//!
//! What is kept is what a profile is held against, so an entry counts only for the bytes whose digest it is
//! kept under, for the same bounds and for the same build of the program, because another one may look
//! closer. Refusals are not kept: whoever changes a file looks at it anew anyway.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flowhost_words::PluginKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Import, InspectError, Inspected, Inspection, InterfaceName, ShapeLimits, digest};
use crate::cache::{Cache, CacheConfig, CacheError, Entry};

/// First bytes of what is hashed; changes when the form of an entry does.
const DOMAIN: &[u8] = b"flowhost inspected component 1\n";

/// What an entry's file ends with.
const SUFFIX: &str = "inspected";

/// The inspections of a host.
pub struct Inspections(Cache);

impl std::fmt::Debug for Inspections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inspections")
    }
}

/// An inspection without what its component's bytes say of themselves: digest and size.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    role: PluginKind,
    foreign: bool,
    /// Names with what is taken from there.
    imports: Vec<(String, Vec<String>)>,
    exports: Vec<String>,
    /// In base64: nobody has said that it is a text.
    manifest: Option<String>,
    functions: u64,
}

impl Kept {
    fn of(inspection: &Inspection) -> Self {
        let imports = inspection.imports.iter();
        Self {
            role: inspection.role,
            foreign: inspection.foreign,
            imports: imports
                .map(|import| (import.name.full.clone(), import.items.clone()))
                .collect(),
            exports: inspection.exports.clone(),
            manifest: inspection.manifest.as_ref().map(|it| BASE64.encode(it)),
            functions: inspection.functions,
        }
    }

    /// None where the manifest is no base64, which nothing under our MAC can be.
    fn inspection(self, digest: &str, size: u64) -> Option<Inspection> {
        let imports = self.imports.into_iter();
        Some(Inspection {
            digest: digest.into(),
            size,
            role: self.role,
            foreign: self.foreign,
            imports: imports
                .map(|(name, items)| Import {
                    name: InterfaceName::parse(&name),
                    items,
                })
                .collect(),
            exports: self.exports,
            manifest: match self.manifest {
                Some(text) => Some(BASE64.decode(text).ok()?),
                None => None,
            },
            functions: self.functions,
        })
    }
}

impl Inspections {
    /// Those that are kept where compiled code is.
    ///
    /// # Errors
    /// As for compiled code: the folder cannot be opened, or others may write to it.
    pub fn open(config: &CacheConfig) -> Result<Self, CacheError> {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        let (engine, ours) = (crate::ENGINE_VERSION, env!("CARGO_PKG_VERSION"));
        for part in [engine, ours, config.program.as_str()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Cache::of(config, hash.finalize().into(), SUFFIX).map(Self)
    }

    /// The component with what an earlier process found in it; where none has looked, it is inspected now.
    ///
    /// # Errors
    /// Any [`InspectError`].
    pub fn inspect(
        &self,
        bytes: Arc<[u8]>,
        limits: &ShapeLimits,
    ) -> Result<Inspected, InspectError> {
        match self.recall(&bytes, limits) {
            Some(inspection) => Ok(Inspected::recalled(bytes, inspection, limits)),
            None => Inspected::new(bytes, limits),
        }
    }

    fn recall(&self, bytes: &[u8], limits: &ShapeLimits) -> Option<Inspection> {
        let digest = digest(bytes);
        let kept = self
            .0
            .get(&self.entry(&digest, limits))?
            .into_bytes()
            .ok()?;
        let kept: Kept = serde_json::from_slice(&kept)
            .inspect_err(
                |error| tracing::warn!(%error, "an inspection that was kept cannot be read"),
            )
            .ok()?;
        kept.inspection(&digest, bytes.len() as u64)
    }

    /// Keeps what was found in a component, for processes to come.
    pub(crate) fn keep(&self, inspected: &Inspected) {
        let entry = self.entry(&inspected.digest, inspected.limits());
        if self.0.has(&entry) {
            return;
        }
        match serde_json::to_vec(&Kept::of(inspected)) {
            Ok(kept) => self.0.put(&entry, &kept),
            Err(error) => tracing::warn!(%error, "an inspection was not kept"),
        }
    }

    fn entry(&self, digest: &str, limits: &ShapeLimits) -> Entry {
        self.0.entry(&format!("{limits:?} {digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str) -> Arc<[u8]> {
        let text = format!(
            "(component ${name} (import \"a:b/c@0.1.0\" (instance $c (export \"f\" (func)))) \
             (component $t) (instance $i (instantiate $t)) \
             (export \"flowhost:roles/tool@0.1.0\" (instance $i)))"
        );
        wat::parse_str(text).unwrap().into()
    }

    fn inspections(dir: &std::path::Path, key: u8, program: &str) -> Inspections {
        let config = CacheConfig {
            dir: dir.to_owned(),
            key: [key; 32],
            program: program.to_owned(),
        };
        Inspections::open(&config).unwrap()
    }

    #[test]
    fn what_was_kept_is_what_inspection_finds() {
        let dir = tempfile::tempdir().unwrap();
        let kept = inspections(dir.path(), 1, "p");
        let limits = ShapeLimits::default();
        let first = kept.inspect(component("a"), &limits).unwrap();
        assert!(!first.was_recalled());
        kept.keep(&first);
        let again = inspections(dir.path(), 1, "p");
        let again = again.inspect(component("a"), &limits).unwrap();
        assert!(again.was_recalled());
        assert_eq!(*again, *first, "all that it says");
        assert_eq!(again.imports.len(), 1);
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test tampers with its own folder"
    )]
    fn sup_011_nothing_is_recalled_for_another_component_program_bound_or_host() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let kept = inspections(&own, 1, "p");
        let limits = ShapeLimits::default();
        kept.keep(&kept.inspect(component("a"), &limits).unwrap());
        let recalls = |kept: &Inspections, name: &str, limits: &ShapeLimits| {
            kept.inspect(component(name), limits)
                .unwrap()
                .was_recalled()
        };
        assert!(recalls(&kept, "a", &limits));
        assert!(!recalls(&kept, "b", &limits));
        assert!(!recalls(&inspections(&own, 1, "q"), "a", &limits));
        assert!(!recalls(&inspections(&own, 2, "p"), "a", &limits));
        let wider = ShapeLimits {
            functions: limits.functions + 1,
            ..limits
        };
        assert!(!recalls(&kept, "a", &wider));
        // One component's entry under another's name, and one with a bit changed.
        let place = |name: &str| {
            let entry = kept.entry(&digest(&component(name)), &limits);
            kept.0.path(&entry)
        };
        let mut bytes = std::fs::read(place("a")).unwrap();
        std::fs::write(place("b"), &bytes).unwrap();
        assert!(!recalls(&kept, "b", &limits));
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(place("a"), &bytes).unwrap();
        assert!(!recalls(&kept, "a", &limits));
    }
}
