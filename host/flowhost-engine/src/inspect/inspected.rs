//! A component with what inspection found in it. The two are made together and cannot come apart, so that
//! whoever is handed one neither hashes nor inspects the bytes again.

use std::ops::Deref;
use std::sync::Arc;

use super::{InspectError, Inspection, ShapeLimits, inspect};

/// A component that was inspected. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Inspected(Arc<Inner>);

struct Inner {
    bytes: Arc<[u8]>,
    inspection: Inspection,
    /// What it was held against: an engine with other limits looks again.
    limits: ShapeLimits,
    /// An earlier process looked at it.
    recalled: bool,
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
            recalled: false,
        })))
    }

    /// `bytes` with what an earlier process found in them under `limits`.
    pub(super) fn recalled(bytes: Arc<[u8]>, inspection: Inspection, limits: &ShapeLimits) -> Self {
        Self(Arc::new(Inner {
            bytes,
            inspection,
            limits: *limits,
            recalled: true,
        }))
    }

    /// Whether an earlier process looked at it, and this one has not.
    #[must_use]
    pub(crate) fn was_recalled(&self) -> bool {
        self.0.recalled
    }

    /// What it was held against.
    pub(super) fn limits(&self) -> &ShapeLimits {
        &self.0.limits
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

/// Who looked at it makes no other component of it; the digest in the inspection stands for the bytes.
impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.inspection == other.inspection && self.limits == other.limits
    }
}

impl Eq for Inner {}

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
