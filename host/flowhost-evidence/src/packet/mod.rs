//! Packets of a spec: what somebody needs who goes on with it (the context kit), and what somebody needs who signs for it (the
//! audit packet).
//!
//! Made of evidence files, of the latest run of each stage, and of nothing that changes by itself: no time of making, no name of
//! a machine. So the same evidence gives the same packet, and its hash can be signed; whether a run here has on record what a reviewer is
//! said to have said is asked of a [`Witness`], whether it wrote a file by [`Wrote`], and how the newest run ended is told by whoever
//! knows it ([`Newest`]); all of it stands in the packet. Must never say that something holds which nobody says: what is not known is
//! written as `unknown`.

mod audit;
mod kit;
mod read;
mod security;
mod standing;
#[cfg(test)]
mod tests;
mod vouched;

use std::collections::BTreeMap;

use flowhost_flow::shell_word;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::text::one_line;

pub use audit::{Audit, Reconciled};
pub use read::{Dispute, Spec, StageState};
pub use security::{Finding, Item, Proof, Says, Witness, finding};
pub use standing::{Asked, Newest};
pub use vouched::Wrote;

/// Files by their names: those of a packet, or those of an evidence root by their paths below it.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of stages that runs have on record, by their paths below the evidence root, with the run of each; without those
/// that the next run takes the place of, and those that are in an archive and not among the files.
pub type Recorded = BTreeMap<String, String>;

/// A file of a packet with its hash.
#[derive(Debug, Serialize)]
struct Listed<'f> {
    name: &'f str,
    sha256: String,
    bytes: usize,
}

/// Adds `manifest.json`: every file with its hash, and what the packet was made of.
fn with_manifest(mut files: Files, spec: &Spec<'_>, kind: &str) -> Files {
    let listed = |files: &Files, name: &str| {
        let bytes = files.get(name)?;
        Some(json!({ "path": name, "sha256": sha256(bytes) }))
    };
    let made_from: Vec<_> = spec
        .sources()
        .into_iter()
        .filter_map(|path| listed(spec.files, path))
        .collect();
    let all: Vec<Listed<'_>> = files
        .iter()
        .map(|(name, bytes)| Listed {
            name,
            sha256: sha256(bytes),
            bytes: bytes.len(),
        })
        .collect();
    let manifest = json!({
        "packet": kind, "version": 1, "spec_id": spec.id, "files": all, "made_from": made_from,
    });
    let mut bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    bytes.push(b'\n');
    files.insert("manifest.json".to_owned(), bytes);
    files
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A table in Markdown; with one line that says so where it has no rows.
fn table(heads: &[&str], rows: &[Vec<String>], none: &str) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(heads.iter().map(|it| (*it).to_owned()).collect());
    text.push_str(&line(heads.iter().map(|_| "---".to_owned()).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(|it| cell(it)).collect()));
    }
    if rows.is_empty() {
        text.push_str(&format!("\n{none}\n"));
    }
    text
}

/// A text as a cell: on one line, and no end of the cell.
fn cell(text: &str) -> String {
    let flat: Vec<&str> = text.split_whitespace().collect();
    flat.join(" ").replace('\\', "\\\\").replace('|', "\\|")
}

/// A word of evidence in a command that a person is told to type: a model or a stranger has chosen it, and it must neither
/// begin another command nor another line.
fn typed(word: &str) -> String {
    shell_word(&one_line(word))
}

/// A number, or that it is not known.
fn known(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "unknown".to_owned(), |it| format!("{it:.places$}"))
}
