//! From what an author's toolchain made to a component that a stranger can judge: wrapped, with its
//! manifest inside and held against what it imports; packed, vouched for, and named where it is published.
//!
//! Pure: bytes and texts in, bytes and texts out. It must never start a compiler, read a file or run a
//! component; whoever calls it does, so that the product and the house tasks make the same components.

mod component;
mod manifest;
mod pack;
pub mod remote;
mod sbom;
mod statement;

pub use component::{
    Mismatch, NotAComponent, WrapError, check_manifest, component, first_manifest, needs_no_right,
    with_manifest,
};
pub use manifest::{ManifestError, with_tools};
pub use pack::{Pack, PackError};
pub use sbom::{Ingredient, sbom};
pub use statement::{STATEMENT_TYPE, statement};
