//! What two documents both allow, item by item.
//!
//! Each function takes what is granted so far and one thing that another document allows, and
//! returns what both allow, or nothing. The result is never more than either; a property test holds
//! every one of them to that.

use crate::{
    ask::{EnvAsk, FileAsk, HttpAsk, InjectAsk},
    egress::rule,
    grant::{Access, EnvValue, FileGrant, HttpRule},
    pattern::path,
};

pub(crate) fn http(granted: &HttpRule, ask: &HttpAsk) -> Option<HttpRule> {
    let url = rule::overlap(&granted.url, &ask.url)?;
    let both = |method: &&String| ask.methods.contains(method);
    let methods: Vec<String> = granted.methods.iter().filter(both).cloned().collect();
    let inject = match &ask.inject {
        InjectAsk::Keep => granted.inject.clone(),
        InjectAsk::Same(theirs) if *theirs == granted.inject => granted.inject.clone(),
        InjectAsk::Same(_) => None,
    };
    (!methods.is_empty()).then_some(HttpRule {
        url,
        methods,
        inject,
        response_bytes: granted.response_bytes.min(ask.response_bytes),
        request_bytes: granted.request_bytes.min(ask.request_bytes),
        private_network: granted.private_network && ask.private_network,
    })
}

/// Drops rules that no request can reach, because an earlier one matches all of theirs.
pub(crate) fn prune_http(rules: Vec<HttpRule>) -> Vec<HttpRule> {
    let mut kept: Vec<HttpRule> = Vec::with_capacity(rules.len());
    for rule in rules {
        let hidden = kept.iter().any(|earlier| hides(earlier, &rule));
        if !hidden {
            kept.push(rule);
        }
    }
    kept
}

fn hides(earlier: &HttpRule, later: &HttpRule) -> bool {
    rule::overlap(&earlier.url, &later.url).as_deref() == Some(later.url.as_str())
        && later
            .methods
            .iter()
            .all(|method| earlier.methods.contains(method))
}

pub(crate) fn file(granted: &FileGrant, ask: &FileAsk) -> Option<FileGrant> {
    let guest = deeper(&granted.guest, &ask.guest)?;
    let ours = rebased(&granted.host, &granted.guest, guest)?;
    let host = match &ask.host {
        None => ours,
        Some(host) => {
            let theirs = rebased(host, &ask.guest, guest)?;
            deeper_host(&ours, &theirs)?.to_owned()
        }
    };
    let access = granted.access.min(ask.access);
    let quota = |a: u64, b: u64| if access == Access::Write { a.min(b) } else { 0 };
    Some(FileGrant {
        guest: guest.to_owned(),
        host,
        access,
        quota_bytes: quota(granted.quota_bytes, ask.quota_bytes),
        quota_entries: quota(granted.quota_entries, ask.quota_entries),
    })
}

/// The deeper of two guest paths, if one lies at or below the other.
fn deeper<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    if path::below(a, b).is_some() {
        Some(b)
    } else {
        path::below(b, a).map(|_| a)
    }
}

/// The host folder behind `guest`, when `host` stands at `mount`, which is `guest` or above it.
fn rebased(host: &str, mount: &str, guest: &str) -> Option<String> {
    let depth = path::below(mount, guest)?;
    let rest: Vec<&str> = path::segments(guest)?.skip(depth).collect();
    Some(match (host, rest.is_empty()) {
        (host, true) => host.to_owned(),
        (".", false) => rest.join("/"),
        (host, false) => format!("{host}/{}", rest.join("/")),
    })
}

/// The deeper of two host folders, if one lies at or below the other. Texts only: links and the
/// plan's own folder above an absolute one are not looked through.
fn deeper_host<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    let below = |upper: &str, lower: &str| {
        let inside = |rest: &str| rest.is_empty() || rest.starts_with('/');
        (upper == "." && !lower.starts_with('/')) || lower.strip_prefix(upper).is_some_and(inside)
    };
    if below(a, b) {
        Some(b)
    } else if below(b, a) {
        Some(a)
    } else {
        None
    }
}

/// A variable, by name and, where the other side knows it, by value.
pub(crate) fn env(granted: &(String, EnvValue), ask: &EnvAsk) -> Option<(String, EnvValue)> {
    let same = granted.0 == ask.name && ask.value.as_ref().is_none_or(|value| *value == granted.1);
    same.then(|| granted.clone())
}

/// Names without patterns.
pub(crate) fn name(granted: &str, ask: &str) -> Option<String> {
    (granted == ask).then(|| granted.to_owned())
}
