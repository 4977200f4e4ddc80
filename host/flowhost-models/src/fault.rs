//! How one try fails, with what the decision about the next one needs.

use std::time::Duration;

use crate::{
    compat::Dropped,
    error::{ErrorClass, ModelError},
};

/// A failed try.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Boxed, so that a result is small where nothing fails.
    pub(crate) error: Box<ModelError>,
    /// The same request would end the same way.
    pub(crate) hopeless: bool,
    /// What the provider asked for.
    pub(crate) retry_after: Option<Duration>,
    /// The provider's own words where it refused, to look for the part of the request that it does not
    /// know.
    pub(crate) said: Option<String>,
    /// What of the request to leave out, by those words.
    pub(crate) dropped: Dropped,
}

impl Fault {
    pub(crate) fn new(class: ErrorClass, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        Self {
            error: Box::new(ModelError::new(class, message, hint)),
            hopeless: false,
            retry_after: None,
            said: None,
            dropped: Dropped::default(),
        }
    }

    /// Marks that trying again is of no use.
    pub(crate) fn hopeless(mut self) -> Self {
        self.hopeless = true;
        self
    }

    // Not marked hopeless: its class ends the call whatever the mark says.
    pub(crate) fn deadline() -> Self {
        Self::new(
            ErrorClass::Deadline,
            "no answer within the call's deadline",
            "raise `timeout` of [models] or the step's, or ask for less",
        )
    }
}
