//! `[[sources]]`: where components may be fetched from, which only the operator says.
//!
//! ```toml
//! [[sources]]
//! from = "oci://registry.example/team"   # everything below it
//! login = "REGISTRY"                     # a secret with the value NAME:PASSWORD
//! realm = "https://auth.example/token"   # who gives tokens for it, if that is another server
//! ca = "company-ca.pem"                  # who vouches for the server, instead of the Mozilla roots
//! ```

use std::path::{Path, PathBuf};

use flowhost_author::remote::{Listed, Place};
use serde::Deserialize;
use url::Url;

use crate::finding::Finding;

/// A line as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    from: String,
    login: Option<String>,
    realm: Option<String>,
    ca: Option<PathBuf>,
}

/// A place that components may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// What it covers.
    pub listed: Listed,
    /// The secret with name and password for it.
    pub login: Option<String>,
    /// The authority that gives tokens for it, where that is another server.
    pub realm: Option<String>,
    /// A PEM file with the authorities that vouch for it, instead of the Mozilla roots.
    pub ca: Option<PathBuf>,
}

impl SourceLine {
    /// The `from` of a line that would cover a place and little else.
    #[must_use]
    pub fn for_place(place: &Place) -> String {
        match place {
            Place::Web(url) => {
                let mut above = url.clone();
                above.set_query(None);
                let end = above.path().rfind('/').map_or(0, |at| at + 1);
                let path = above.path().get(..end).unwrap_or_default().to_owned();
                above.set_path(&path);
                above.to_string()
            }
            Place::Registry(it) => format!("oci://{}/{}", it.registry, it.repository),
        }
    }
}

/// The lines, with paths relative to `folder`; those that are wrong were told.
pub(super) fn lines(tables: Vec<SourceTable>, folder: &Path) -> Vec<SourceLine> {
    let read = |table: SourceTable| {
        Some(SourceLine {
            listed: Listed::parse(&table.from).ok()?,
            login: table.login,
            realm: table.realm,
            ca: table.ca.map(|path| folder.join(path)),
        })
    };
    tables.into_iter().filter_map(read).collect()
}

/// What is wrong with the lines.
pub(super) fn problems(tables: &[SourceTable], text: &str, file: &str) -> Vec<Finding> {
    let mut problems = Vec::new();
    for table in tables {
        if let Err(error) = Listed::parse(&table.from) {
            let message = format!("`from`: {error}");
            let finding = Finding::at_text(file, text, &table.from, message);
            problems.push(finding.cure("from = \"oci://HOST/NAME\" or \"https://HOST/FOLDER/\""));
        }
        if let Some(realm) = &table.realm {
            // Name and password go there.
            let sound = Url::parse(realm).is_ok_and(|url| url.scheme() == "https");
            let is_registry = table.from.starts_with("oci://");
            if !sound || !is_registry {
                let message = match is_registry {
                    true => format!("`realm = \"{realm}\"` is not an `https://` address"),
                    false => {
                        "`realm` is where a registry's tokens come from, and `from` does not name a registry"
                            .to_owned()
                    }
                };
                problems.push(Finding::at_text(file, text, realm, message));
            }
        }
    }
    problems
}
