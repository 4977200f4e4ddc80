//! `[limits]`: the same reading for profiles, manifests and plans.

use std::collections::BTreeMap;

use super::{Fields, Reader};
use crate::{
    grant::Limits,
    limit::{LIMITS, LimitSpec},
};

/// Limits that a document names, by key. What is not in it is left to the other documents.
pub(crate) type Named = BTreeMap<&'static str, u64>;

/// Reads `[limits]` below `fields`.
pub(crate) fn named(reader: &mut Reader, fields: &Fields<'_>) -> Named {
    let Some(node) = fields.get("limits") else {
        return Named::new();
    };
    let keys: Vec<&str> = LIMITS.iter().map(|spec| spec.key).collect();
    let Some(table) = reader.fields(node, &fields.path_of("limits"), &keys) else {
        return Named::new();
    };
    let mut out = Named::new();
    for spec in &LIMITS {
        let value = reader.quantity(&table, spec.key, spec.unit, (spec.floor, spec.ceiling));
        out.extend(value.map(|value| (spec.key, value)));
    }
    out
}

/// The defaults with what a profile names.
pub(crate) fn over_defaults(named: &Named) -> Limits {
    let mut limits = Limits::default();
    for (key, value) in named {
        if let Some(spec) = LimitSpec::of(key) {
            spec.set(&mut limits, *value);
        }
    }
    limits
}
