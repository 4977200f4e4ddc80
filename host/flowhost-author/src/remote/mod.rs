//! Components that are somewhere else: how a place is written, which places an operator's list covers, and
//! the words that a registry speaks.
//!
//! The attack: a plan comes from a stranger, a server answers what it likes, and a name that looks like one
//! below the list is read by the server as one above it. So a place is parsed once, in one form, and what two
//! readers could read differently is refused.

mod challenge;
mod manifest;
mod papers;
mod place;

pub use challenge::{Challenge, token};
pub use manifest::{
    Artifact, Layer, MANIFEST_BYTES_MAX, MANIFEST_TYPE, ManifestError as ArtifactError, Published,
    WASM_TYPE,
};
pub use papers::{EMPTY, EMPTY_DIGEST, INDEX_TYPE, Paper, list_tag, listed};
pub use place::{Listed, Place, PlaceError, Reference};
