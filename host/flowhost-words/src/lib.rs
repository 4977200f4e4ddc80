//! The words that several documents share, each written down once.
//!
//! A plan, a manifest and a component all say what a plugin is, and all of them are read by crates
//! that must not know each other. What they have in common stands here, with what a wrong word was
//! probably meant to be, and what an agent is told first. This crate is pure, knows no other crate of ours,
//! and holds words only: what a word means, and what follows from it, is the business of whoever reads it.

mod article;
mod challenge;
pub mod first;
mod kind;
pub mod meant;
mod near;
mod second_key;
mod shell;

pub use article::with_article;
pub use challenge::{Challenge, challenges};
pub use kind::PluginKind;
pub use near::{WORDS_MAX, nearest};
pub use second_key::{
    PRIVATE_NETWORK_OPTION, PROCESS_OPTION, SECOND_KEYS, is_second_key, with_keys,
};
pub use shell::{filled, shell_word};
