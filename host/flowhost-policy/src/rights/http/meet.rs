//! What a granted rule and one that another document allows have in common.
//!
//! The result is never more than either; a property test holds it to that.

use super::{
    egress::rule,
    grant::{HttpAsk, HttpRule},
};

pub(super) fn meet(granted: &HttpRule, ask: &HttpAsk) -> Option<HttpRule> {
    let url = rule::overlap(&granted.url, &ask.url)?;
    let both = |method: &&String| ask.methods.contains(method);
    let methods: Vec<String> = granted.methods.iter().filter(both).cloned().collect();
    // A rule without a method allows nothing, but would still be the first to match.
    (!methods.is_empty()).then_some(HttpRule {
        url,
        methods,
        inject: ask.inject.of(&granted.inject),
        identity: ask.identity.of(&granted.identity),
        response_bytes: granted.response_bytes.min(ask.response_bytes),
        request_bytes: granted.request_bytes.min(ask.request_bytes),
        private_network: granted.private_network && ask.private_network,
    })
}

/// Drops rules that no request can reach, because an earlier one matches all of theirs.
pub(super) fn pruned(rules: Vec<HttpRule>) -> Vec<HttpRule> {
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
