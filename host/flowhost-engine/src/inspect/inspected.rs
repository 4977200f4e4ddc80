//! A component with what inspection found in it. The two are made together and cannot come apart, so that
//! whoever is handed one neither hashes nor inspects the bytes again.

use std::ops::Deref;
use std::sync::Arc;

use super::{InspectError, Inspection, ShapeLimits, inspect};

/// A component that was inspected. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Inspected(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    bytes: Arc<[u8]>,
    inspection: Inspection,
    /// What it was held against: an engine with other limits looks again.
    limits: ShapeLimits,
}

impl Inspected {
    /// Inspects `bytes` under `limits`.
    ///
    /// # Errors
    /// Any [`InspectError`].
    pub fn new(bytes: Arc<[u8]>, limits: &ShapeLimits) -> Result<Self, InspectError> {
        let inspection = inspect(&bytes, limits)?;
        Ok(Self(Arc::new(Inner {
            bytes,
            inspection,
            limits: *limits,
        })))
    }

    /// The component.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.0.bytes
    }

    /// Whether it was held against these limits.
    pub(crate) fn was_within(&self, limits: &ShapeLimits) -> bool {
        self.0.limits == *limits
    }
}

impl Deref for Inspected {
    type Target = Inspection;

    fn deref(&self) -> &Inspection {
        &self.0.inspection
    }
}

impl std::fmt::Debug for Inspected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.inspection.fmt(f)
    }
}
