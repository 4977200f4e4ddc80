//! `flowhost policy suggest RUN`: the change to each profile that a run lacked, for a person to judge.
//!
//! Reads refusals from the ledger, so it says what happened, not what a component might want. Where
//! the profile is found the answer is a patch of it; what was refused is never granted here.

mod found;
mod patch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::report::problems::unreadable_of;
use flowhost::state::FindRuns as _;
use flowhost_evidence::runs::{self, RecordEntry};
use flowhost_flow::Exit;
use flowhost_policy::suggest::{Refusal, Suggestion, amend, suggest};
use serde_json::json;

use crate::commands::Context;
use crate::commands::runs_show::warn_of_cut;
use found::{Found, Loaded};

pub(crate) fn perform(run: &str, context: &Context) -> Result<Exit, Failure> {
    let files = context.state.files_of_run(&context.ambient, run)?;
    let run = &files.run;
    warn_of_cut(run, &*files.source, &files.dir, context);
    let records = runs::show_in(&*files.source, &files.dir).map_err(unreadable_of(run))?;
    let refusals: Vec<(&str, Refusal<'_>)> = records.iter().filter_map(refusal).collect();
    let dir = found::folder_of_plan(&files.dir, context);
    let changes = changes(&records, &refusals, &dir, context);
    if context.output.json {
        context.output.document(&document(run, &refusals, &changes));
    } else {
        let remarks = remarks(refusals.len(), &changes);
        context.output.message(&remarks);
        let shown: Vec<String> = changes.iter().map(Change::shown).collect();
        context.output.result(&neutral(&shown.concat()));
    }
    Ok(Exit::Ok)
}

/// What one profile lacked, and for whom.
struct Change {
    profile: String,
    plugins: BTreeSet<String>,
    found: Option<Found>,
    suggestion: Suggestion,
}

impl Change {
    /// A patch of the profile; the bare tables when the profile is not there to be changed.
    fn shown(&self) -> String {
        match &self.found {
            Some(found) => patch::of(&found.file, &found.text, &self.suggestion.text),
            None => self.suggestion.text.clone(),
        }
    }

    fn plugins(&self) -> String {
        let plugins: Vec<String> = self.plugins.iter().map(|it| format!("`{it}`")).collect();
        plugins.join(", ")
    }
}

/// Who was refused, and what.
fn refusal(record: &RecordEntry) -> Option<(&str, Refusal<'_>)> {
    let said = record.said.as_ref().filter(|said| said.is_denial())?;
    let (decided, asked) = (said.decided()?, record.asked.as_ref()?);
    let refusal = Refusal {
        right: decided.right.as_deref()?,
        wanted: &asked.wanted,
        rule: decided.rule.as_deref()?,
        cure: asked.cure.as_deref().unwrap_or_default(),
    };
    // The actor is `tenant/plugin`.
    let actor = record.actor.split_once('/');
    Some((actor.map_or("", |(_, plugin)| plugin), refusal))
}

fn changes(
    records: &[RecordEntry],
    refusals: &[(&str, Refusal<'_>)],
    dir: &Path,
    context: &Context,
) -> Vec<Change> {
    let loaded = found::loaded(records);
    let mut by_profile: BTreeMap<Loaded, BTreeMap<&str, Vec<Refusal<'_>>>> = BTreeMap::new();
    for (plugin, refusal) in refusals {
        let loaded = loaded.get(plugin).cloned().unwrap_or_default();
        let plugins = by_profile.entry(loaded).or_default();
        plugins.entry(plugin).or_default().push(*refusal);
    }
    let change = |(loaded, plugins)| change(loaded, &plugins, dir, context);
    by_profile.into_iter().map(change).collect()
}

fn change(
    loaded: Loaded,
    refusals: &BTreeMap<&str, Vec<Refusal<'_>>>,
    dir: &Path,
    context: &Context,
) -> Change {
    let found = found::find(&loaded, dir, context);
    let amended = found
        .as_ref()
        .and_then(|found| amended(&found.text, refusals));
    let all = || refusals.values().flatten().copied().collect::<Vec<_>>();
    let (found, suggestion) = match amended {
        Some(suggestion) => (found, suggestion),
        None => (None, suggest(&all())),
    };
    Change {
        profile: loaded.name,
        plugins: refusals.keys().map(|key| (*key).to_owned()).collect(),
        found,
        suggestion,
    }
}

/// Plugin after plugin, because each has its own name for `self`.
fn amended(text: &str, refusals: &BTreeMap<&str, Vec<Refusal<'_>>>) -> Option<Suggestion> {
    let mut all = Suggestion {
        text: text.to_owned(),
        ..Suggestion::default()
    };
    // What the profile held before is told; what an earlier plugin brought in is not.
    for (plugin, refused) in refusals {
        let before = amend(text, plugin, refused)?;
        let after = amend(&all.text, plugin, refused)?;
        all.text = after.text;
        all.never.extend(before.never);
        all.held.extend(before.held);
        all.options.extend(before.options);
    }
    Some(all)
}

fn document(run: &str, refusals: &[(&str, Refusal<'_>)], changes: &[Change]) -> serde_json::Value {
    let change = |change: &Change| {
        json!({
            "profile": change.profile,
            "file": change.found.as_ref().map(|found| &found.file),
            "shipped": change.found.as_ref().is_some_and(|found| found.own.is_some()),
            "plugins": change.plugins,
            "lines": change.shown(),
            "options": change.suggestion.options,
            "never": change.suggestion.never,
            "held": change.suggestion.held,
        })
    };
    let changes: Vec<_> = changes.iter().map(change).collect();
    json!({ "run_id": run, "refusals": refusals.len(), "changes": changes })
}

fn remarks(refusals: usize, changes: &[Change]) -> String {
    let mut remarks = match refusals {
        0 => "nothing was refused in this run\n".to_owned(),
        1 => "1 refusal; judge each line before you add it\n".to_owned(),
        n => format!("{n} refusals; judge each line before you add it\n"),
    };
    for change in changes {
        remarks.push_str(&about(change));
    }
    if changes
        .iter()
        .any(|change| change.found.is_some() && !change.shown().is_empty())
    {
        remarks.push_str("`patch -p0` applies what is printed, here\n");
    }
    remarks
}

fn about(change: &Change) -> String {
    let (profile, plugins) = (&change.profile, change.plugins());
    let mut lines = Vec::new();
    match &change.found {
        _ if change.shown().is_empty() => {}
        Some(Found {
            own: Some(own),
            is_made,
            ..
        }) => {
            let name = &own.name;
            lines.push(match is_made {
                true => format!(
                    "`{profile}` is shipped and stays as it is; write `profile: {name}` for {plugins} in the plan"
                ),
                false => format!(
                    "`{profile}` is shipped and stays as it is; make your own first, and write `profile: {name}` for \
                     {plugins} in the plan:\n  {}",
                    own.command(profile)
                ),
            });
        }
        Some(_) => {}
        None => lines.push(format!(
            "the profile `{profile}` of {plugins} is not found from here; these are its new tables"
        )),
    }
    for option in &change.suggestion.options {
        lines.push(format!("the run needs the option {option} as well"));
    }
    for held in &change.suggestion.held {
        lines.push(format!(
            "the profile `{profile}` grants it: {held}; the plan's `narrow` or the plugin's manifest took it \
             away, or the profile has changed since: `flowhost policy explain PLAN PLUGIN`"
        ));
    }
    for never in &change.suggestion.never {
        lines.push(format!("no profile allows: {never}"));
    }
    lines.iter().map(|line| neutral(line) + "\n").collect()
}
