//! Which profile a plugin ran under, and where its text is now.
//!
//! The ledger has the name and the file as the run's user saw it; the file may have moved or changed
//! since, so whoever reads the answer must be told which text it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flowhost::kept::BUNDLE_BYTES_MAX;
use flowhost::project::OwnProfile;
use flowhost::sources::{DOCUMENT_BYTES_MAX, Sources, is_shipped};
use flowhost_evidence::runs::RecordEntry;
use flowhost_ledger::records::Record;
use flowhost_run::bundle::{BUNDLE, Bundle};

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
    pub(super) text: String,
    /// Of a shipped one, the first version of the user's own.
    pub(super) own: Option<OwnProfile>,
    /// Whether that is there already, as the command made it.
    pub(super) is_made: bool,
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

/// The text behind it; for a shipped one, the first version of the user's own, where a plan of the folder `dir`
/// finds it.
pub(super) fn find(loaded: &Loaded, dir: &Path, context: &Context) -> Option<Found> {
    let sources = Sources::new(&context.ambient, &context.config, None);
    let name = &loaded.name;
    if is_shipped(name) {
        let text = sources.profile_text(name, dir).ok()?.text;
        let mine = format!("my-{name}");
        // Whoever has typed the command asks once more, to have the patch applied; and the command has named a further
        // file where the first one was there and was another.
        let more = (2_u32..).map(|count| format!("{mine}-{count}"));
        let names = std::iter::once(mine.clone()).chain(more);
        let mut there =
            names.map_while(|name| Some((sources.profile_text(&name, dir).ok()?, name)));
        let begun = there.find(|(begun, name)| {
            let first = policy_show::renamed_text(&text, name);
            first.is_some_and(|first| first == begun.text)
        });
        let is_made = begun.is_some();
        let own = match begun {
            Some((begun, name)) => OwnProfile {
                name,
                file: begun.file,
            },
            None => sources.own_profile(&mine, dir, &mut BTreeSet::new()),
        };
        return Some(Found {
            file: own.file.clone(),
            text: policy_show::renamed_text(&text, &own.name)?,
            own: Some(own),
            is_made,
        });
    }
    let path = context.ambient.resolve(Path::new(&loaded.file));
    // Where it stood when the run was made, from here; else where a plan of that folder would find it now.
    let recorded = context.ambient.read_text(&path, DOCUMENT_BYTES_MAX);
    let (file, text) = match recorded {
        Ok(text) if !loaded.file.is_empty() => (loaded.file.clone(), text),
        _ => {
            let found = sources.profile_text(name, dir).ok()?;
            (found.file, found.text)
        }
    };
    Some(Found {
        file,
        text,
        own: None,
        is_made: false,
    })
}

/// The folder of a run's plan, as the run kept it in `run_dir`; here, where it kept none or has moved.
pub(super) fn folder_of_plan(run_dir: &Path, context: &Context) -> PathBuf {
    let ambient = &context.ambient;
    let here = ambient.cwd();
    let bytes = ambient.read(&run_dir.join(BUNDLE), BUNDLE_BYTES_MAX).ok();
    let bundle = bytes.and_then(|bytes| Bundle::read(&bytes).ok());
    let plan = bundle.map(|bundle| here.join(bundle.cwd).join(bundle.plan));
    let folder = plan.and_then(|plan| plan.parent().map(Path::to_owned));
    let folder = folder.filter(|folder| ambient.is_dir(folder));
    folder.unwrap_or_else(|| here.to_owned())
}
