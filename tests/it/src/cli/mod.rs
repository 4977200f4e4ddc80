//! The built executable as a user meets it: what is typed, what is printed, how it ends.

pub(crate) mod again;
mod altered;
mod analysis;
mod at_once;
mod audit;
mod author_mistakes;
pub(crate) mod authors;
mod bad_input;
mod bad_plans;
mod begin;
mod budgets;
mod by_hand;
mod by_word;
mod code;
mod consensus;
mod content;
mod contract;
mod crash;
mod cures;
mod dashboard;
mod dev;
mod doubts;
mod early;
mod endings;
mod erased;
mod estimates;
mod evidence;
pub(crate) mod examples;
mod flow;
mod foreign;
mod foreseen;
mod forked;
mod gates;
mod golden;
mod graphs;
mod interrupted;
mod kept;
mod kinds;
mod kit;
mod limits;
mod lives;
mod locked;
mod members;
mod messages;
mod network;
mod not_resumed;
mod offered;
mod packets;
pub(crate) mod pipeline;
mod plugins;
mod preflight;
mod progress;
mod prompts;
mod providers;
mod put_away;
mod python;
mod reached;
mod readiness;
mod remote;
mod replayed;
mod report;
mod resumed;
mod retained;
mod script;
mod scripted;
mod second_keys;
mod shared;
mod shown;
mod spec_kit;
mod stage_files;
mod stopped;
mod stranger;
mod stretch;
mod suggest;
mod surface;
mod telemetry;
mod templates;
mod trials;
mod trust;
mod typescript;
mod vouched;
mod withheld;

use crate::support::{Home, stable};

/// A plan with these plugins and steps.
pub(crate) fn plan(plugins: &str, steps: &str) -> String {
    format!(
        "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n{plugins}\nsteps:\n{steps}\n"
    )
}

/// A line that names a tool guest of the folder, under a profile.
pub(crate) fn tool(guest: &str, profile: &str) -> String {
    format!("  {guest}: {{ kind: tool, source: ./{guest}.wasm, profile: {profile} }}\n")
}

/// A line that names a guardrail guest of the folder.
pub(crate) fn guardrail(guest: &str) -> String {
    format!("  {guest}: {{ kind: guardrail, source: ./{guest}.wasm, profile: deny-all }}\n")
}

/// A folder with this plan, and these guests under `deny-all`, guardrails by their name.
pub(crate) fn home(guests: &[&str], steps: &str) -> Home {
    let home = Home::new();
    let line = |guest: &&str| {
        home.guest(guest);
        if guest.contains("guardrail") {
            guardrail(guest)
        } else {
            tool(guest, "deny-all")
        }
    };
    let plugins: String = guests.iter().map(line).collect();
    home.file("plan.yaml", plan(&plugins, steps));
    home
}

/// Runs a command and gives what a user sees, made stable.
pub(crate) fn seen(home: &Home, arguments: &[&str]) -> String {
    stable(&home.flowhost(arguments).all(), home)
}
