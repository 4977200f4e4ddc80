//! Whether a profile grants what was refused all the same: then the plan's narrowing, the manifest
//! or an older version of the profile said no, and a line more would change nothing.

use crate::{
    decide::{
        Direction, decide_file, decide_model, decide_reveal, decide_secret, decide_state,
        decide_tool, decide_topic,
    },
    effective,
    egress::{Target, decide_http},
    grant::{Grants, MessagesGrant},
    suggest::Refusal,
};

pub(super) fn holds(grants: &Grants, plugin: &str, refusal: &Refusal<'_>) -> bool {
    let wanted = refusal.wanted;
    match refusal.right {
        "http" => wanted
            .split_once(' ')
            .and_then(|(method, url)| Target::parse(url, method).ok())
            .is_some_and(|target| decide_http(&grants.http, &target).is_ok()),
        "files" => wanted.split_once(' ').is_some_and(|(verb, guest)| {
            let access = super::amend::access_of(verb);
            decide_file(&grants.files, guest, access).is_ok()
        }),
        "tools.call" => decide_tool(&grants.tools, wanted).is_ok(),
        "model.allow" => decide_model(&grants.model, wanted).is_ok(),
        "state.namespaces" => decide_state(&grants.state, wanted).is_ok(),
        "secrets.names" => decide_secret(&grants.secrets, wanted).is_ok(),
        "secrets.reveal" => decide_reveal(&grants.secrets, wanted).is_ok(),
        "messages.publish" => hears(grants, plugin, Direction::Publish, wanted),
        "messages.subscribe" => hears(grants, plugin, Direction::Subscribe, wanted),
        _ => false,
    }
}

fn hears(grants: &Grants, plugin: &str, direction: Direction, wanted: &str) -> bool {
    let own = effective::own_token(plugin);
    let messages = MessagesGrant {
        publish: effective::resolved(&grants.messages.publish, &own),
        subscribe: effective::resolved(&grants.messages.subscribe, &own),
    };
    decide_topic(&messages, direction, wanted).is_ok()
}
