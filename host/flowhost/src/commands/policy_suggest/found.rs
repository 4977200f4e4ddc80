//! Which profile a plugin ran under, and where its text is now.
//!
//! The ledger has the name and the file as the run's user saw it; the file may have moved or changed
//! since, so whoever reads the answer must be told which text it is about.

use std::collections::BTreeMap;
use std::path::Path;

use flowhost::sources::{DOCUMENT_BYTES_MAX, Sources, is_shipped};
use flowhost_evidence::runs::RecordEntry;
use flowhost_ledger::records::Record;

use crate::commands::{Context, policy_show};

/// A profile as a run loaded it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loaded {
    pub(super) name: String,
    file: String,
}

/// A profile's text as it stands.
pub(super) struct Found {
    /// The file to change.
    pub(super) file: String,
    /// The name that a plan calls it by.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) shipped: bool,
}

/// The profile of each plugin, by the plugin's key.
pub(super) fn loaded(records: &[RecordEntry]) -> BTreeMap<&str, Loaded> {
    records.iter().filter_map(entry).collect()
}

fn entry(record: &RecordEntry) -> Option<(&str, Loaded)> {
    let Some(Record::PolicyLoad(load)) = &record.said else {
        return None;
    };
    let loaded = Loaded {
        name: load.name.clone(),
        file: load.file.clone().unwrap_or_default(),
    };
    Some((&load.plugin, loaded))
}

/// The text behind it; for a shipped one, the first version of the user's own.
pub(super) fn find(loaded: &Loaded, context: &Context) -> Option<Found> {
    let here = context.ambient.cwd();
    let sources = Sources::new(&context.ambient, &context.config, None);
    let name = loaded.name.clone();
    if is_shipped(&name) {
        let text = sources.profile_text(&name, here).ok()?.text;
        let own = format!("my-{name}");
        return Some(Found {
            file: format!("policies/{own}.toml"),
            text: policy_show::renamed_text(&text, &own)?,
            name: own,
            shipped: true,
        });
    }
    let path = context.ambient.resolve(Path::new(&loaded.file));
    let recorded = context.ambient.read_text(&path, DOCUMENT_BYTES_MAX);
    let (file, text) = match recorded {
        Ok(text) if !loaded.file.is_empty() => (loaded.file.clone(), text),
        _ => {
            let found = sources.profile_text(&name, here).ok()?;
            (found.file, found.text)
        }
    };
    Some(Found {
        file,
        name,
        text,
        shipped: false,
    })
}
