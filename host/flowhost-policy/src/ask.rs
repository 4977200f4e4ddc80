//! What one document says about a right, when it is not the one that grants.
//!
//! A manifest asks, a plan narrows, a caller passes on: all three only ever take away from what the
//! profile grants, so all three have this shape. The two starting points differ: a manifest that
//! names nothing asks for nothing, a plan that names nothing narrows nothing.

/// What a document says about one right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ask<T> {
    /// Not this right.
    #[default]
    None,
    /// `"granted"`: as much of it as the profile grants.
    Granted,
    /// No more of it than this.
    Only(T),
}

impl<T> Ask<T> {
    /// What is named, if anything is.
    pub(crate) fn only(&self) -> Option<&T> {
        match self {
            Self::Only(value) => Some(value),
            Self::None | Self::Granted => None,
        }
    }
}

/// What every right's part of such a document can be: none of it, all of it, or something between.
pub(crate) trait Asked {
    /// Not this right.
    fn nothing() -> Self;
    /// As much of it as is granted.
    fn everything() -> Self;
    /// Whether it is left standing, if only by its name.
    fn stands(&self) -> bool;
}

impl Asked for bool {
    fn nothing() -> Self {
        false
    }

    fn everything() -> Self {
        true
    }

    fn stands(&self) -> bool {
        *self
    }
}

impl<T> Asked for Ask<T> {
    fn nothing() -> Self {
        Self::None
    }

    fn everything() -> Self {
        Self::Granted
    }

    fn stands(&self) -> bool {
        !matches!(self, Self::None)
    }
}
