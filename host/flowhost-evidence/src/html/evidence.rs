//! What took part, and how anyone can check that all of this is what the host recorded.

use maud::{Markup, html};

use super::head::when;
use super::parts::{Column, hash, more, numbers_in, table, words_in};
use super::{FILE, words};
use crate::story::{Plugin, Story, Swap};

const COLUMNS: [Column; 8] = [
    words_in("Plugin"),
    words_in("Role"),
    words_in("Component"),
    numbers_in("Size"),
    words_in("Profile"),
    words_in("Effective profile"),
    words_in("Imports"),
    words_in("Folders"),
];

const SWAP_COLUMNS: [Column; 7] = [
    words_in("Plugin"),
    numbers_in("Revision"),
    words_in("When"),
    words_in("Component before"),
    words_in("Component from then on"),
    words_in("Rights"),
    numbers_in("Record"),
];

/// The section on plugins.
pub(super) fn plugins(story: &Story) -> Markup {
    let all = &story.plugins;
    html! {
        @if all.items.is_empty() {
            p.none { "No component was admitted." }
        } @else {
            (table(
                "Components with their digests and the profiles they ran under",
                &COLUMNS,
                &html! { @for plugin in &all.items { (row(plugin)) } },
            ))
            (more(&story.head.run, all, "plugin", "plugins"))
        }
        @if !story.swaps.items.is_empty() {
            p.summary {
                "These were swapped while the run went on. A call that was at work ended on the component "
                "that it began with; each later one took the new one."
            }
            (table(
                "Plugins that were swapped while the run went on",
                &SWAP_COLUMNS,
                &html! { @for swap in &story.swaps.items { (swapped(swap)) } },
            ))
            (more(&story.head.run, &story.swaps, "swap", "swaps"))
        }
    }
}

fn row(plugin: &Plugin) -> Markup {
    html! {
        tr {
            th scope="row" {
                code { (plugin.name) }
                @if !plugin.source.is_empty() { " " span.of { (plugin.source) } }
            }
            td { (plugin.role) }
            td {
                (hash(&plugin.digest))
                @if let Some(revision) = plugin.revision { " " span.of { "revision " (revision) } }
            }
            td.n { (words::bytes(plugin.size)) }
            td {
                code { (plugin.profile) }
                @if !plugin.profile_file.is_empty() { " " span.of { (plugin.profile_file) } }
            }
            td { (hash(&plugin.profile_hash)) }
            td { (lines(&plugin.imports)) }
            td { (lines(&plugin.files)) }
        }
    }
}

fn swapped(swap: &Swap) -> Markup {
    html! {
        tr {
            th scope="row" { code { (swap.plugin) } }
            td.n { (swap.revision) }
            td { (when(&swap.at)) }
            td { (hash(&swap.before)) }
            td { (hash(&swap.after)) }
            td { @if swap.rights_differ { "narrower" } @else { "the same" } }
            td.n { (swap.seq) }
        }
    }
}

fn lines(all: &[String]) -> Markup {
    html! {
        @if all.is_empty() { span.of { "none" } }
        @else { ul.plain { @for line in all { li { code { (line) } } } } }
    }
}

/// The section on evidence.
pub(super) fn body(story: &Story) -> Markup {
    let (head, seal) = (&story.head, &story.seal);
    html! {
        p.summary {
            "Everything above was read from the run's ledger: an append-only log in which each record "
            "holds the hash of the one before, signed by the host. This page itself proves nothing. "
            "The commands below do."
        }
        dl.seal {
            dt { "Evidence id" } dd { code { (seal.origin) } }
            dt { "Run" } dd { code { (head.run) } }
            dt { "Plan hash" } dd { code { (head.plan_hash) } }
            dt { "First record" } dd { (when(&head.started)) }
            dt { "Records read" }
            dd { (words::count(seal.records)) "; a page that the run leaves is named by one more, which comes after it" }
            @match &seal.checkpoint {
                Some(checkpoint) => {
                    dt { "Checkpoint" }
                    dd { "covers " (words::count(checkpoint.size)) " records, root " code { (checkpoint.root) } }
                }
                None => { dt { "Checkpoint" } dd { "none was signed yet" } }
            }
            dt { (if seal.keys.len() == 1 { "Signing key" } else { "Signing keys" }) }
            dd { @for key in &seal.keys { code { (key) } " " } }
            @if seal.erased > 0 {
                dt { "Erased" }
                dd { (words::plural(seal.erased, "payload", "payloads")) }
            }
            @for view in head.views.iter().filter(|view| view.path != FILE) {
                dt { (view.path) }
                dd { "SHA-256 " code { (view.sha256) } " in record " (view.seq) }
            }
        }
        p {
            "The last checkpoint of a run also covers the record that holds the SHA-256 of this file, so "
            "it cannot stand in the file. It is in " code { "checkpoint" } " beside the ledger."
        }
        (commands(story))
        details {
            summary { "Records by kind" }
            (table("Records by kind", &[words_in("Kind"), numbers_in("Records")], &html! {
                @for (kind, count) in &seal.kinds {
                    tr { th scope="row" { code { (kind) } } td.n { (words::count(*count)) } }
                }
            }))
        }
    }
}

fn commands(story: &Story) -> Markup {
    let run = &story.head.run;
    let key = story.seal.keys.last().map_or("KEY", String::as_str);
    let all = [
        (
            "Check the whole ledger, on the host that wrote it",
            format!("flowhost verify {run}"),
        ),
        (
            "The same on another machine, from a copy of the run's folder. Take the key from someone you trust, not from this page",
            format!("flowhost verify ./{run} --key '{key}'"),
        ),
        (
            "Check that this file is the one that the ledger names: both must print the same SHA-256",
            format!(
                "sha256sum {FILE}\nflowhost runs show {run} --json | jq -r '.records[] | select(.kind == \"view.write\" and .fields.path == \"{FILE}\") | .fields.sha256' | tail -n 1"
            ),
        ),
        (
            "Prove one record, here the first, to someone who does not have the others",
            format!("flowhost evidence prove 0 --run {run}"),
        ),
        ("Read every record", format!("flowhost runs show {run}")),
    ];
    html! {
        h3 { "How to check it" }
        ol.commands {
            @for (why, command) in &all {
                li { p { (why) ":" } pre { (command) } }
            }
        }
    }
}
