//! What a plan takes away from the profiles that it uses.
//!
//! A plan is written by whoever runs it, the profile by whoever is answerable. So a plan can only
//! lower and leave out; what would raise is a problem that is reported, not a wish that is ignored.

use std::collections::BTreeMap;

use crate::{
    limit::LIMITS,
    problem::{Position, Problem},
    profile::Profile,
    read::{Author, Reader, limits, node::from_json},
    rights::{self, Asks, RIGHTS},
    unit::{self, Unit},
};

/// The narrowing of one plugin's rights by a plan.
///
/// `limits` and `grants`, both with the keys of a profile. A right that is not named stays as the
/// profile has it; one that is named is exactly what is listed and no more, so an empty list takes
/// it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The plugin's name in the plan; `self` in topics stands for it.
    pub plugin: String,
    /// Lower limits, by key.
    pub limits: BTreeMap<&'static str, u64>,
    /// What stays of the rights.
    pub asks: Asks,
    file: String,
    at: Position,
    places: BTreeMap<String, Position>,
}

impl Narrowing {
    /// Narrows nothing.
    #[must_use]
    pub fn none(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            limits: BTreeMap::new(),
            asks: Asks::everything(),
            file: String::new(),
            at: Position::START,
            places: BTreeMap::new(),
        }
    }

    /// Reads the narrowing that a plan has for `plugin`; `file` and `at` say where it stands.
    ///
    /// # Errors
    ///
    /// Every problem, all at `at`.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::{Narrowing, Position};
    ///
    /// let json = serde_json::json!({ "limits": { "memory": "16MiB" }, "grants": { "http": [] } });
    /// let narrowing = Narrowing::from_json("reader", &json, "plan.yaml", Position::START).unwrap();
    /// assert_eq!(narrowing.limits["memory"], 16 << 20);
    /// ```
    pub fn from_json(
        plugin: &str,
        json: &serde_json::Value,
        file: &str,
        at: Position,
    ) -> Result<Self, Vec<Problem>> {
        Self::from_placed_json(plugin, json, file, &|_| at)
    }

    /// [`Narrowing::from_json`] with a place for every value: `place` is asked with JSON Pointers
    /// (RFC 6901), the empty one for the whole.
    ///
    /// # Errors
    ///
    /// Every problem, at the key or item that has it.
    pub fn from_placed_json(
        plugin: &str,
        json: &serde_json::Value,
        file: &str,
        place: &dyn Fn(&str) -> Position,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file);
        let node = from_json(json, place);
        let parts = reader
            .fields(&node, "", &["limits", "grants"])
            .map(|fields| {
                let limits = limits::named(&mut reader, &fields);
                let inner = fields
                    .get("grants")
                    .and_then(|node| reader.fields(node, "grants", &rights::KEYS));
                let asks = inner.map(|inner| Asks::read(&mut reader, &inner, Author::Plan));
                (limits, asks.unwrap_or_else(Asks::everything))
            });
        let places = reader.finish()?;
        // Never taken: what could not be read is a problem, and then `finish` has returned.
        let (limits, asks) = parts.unwrap_or_else(|| (BTreeMap::new(), Asks::everything()));
        Ok(Self {
            plugin: plugin.to_owned(),
            limits,
            asks,
            file: file.to_owned(),
            at: node.at,
            places,
        })
    }

    /// Where it stands, for traces.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}:{}", self.file, self.at.line)
    }

    /// Where it speaks of a right such as `model.tokens` or `tools.call[1]`: the nearest key that it has.
    #[must_use]
    pub fn source_of(&self, right: &str) -> String {
        let bare = right.split('[').next().unwrap_or(right);
        let table = bare.split('.').next().unwrap_or(bare);
        let paths = [
            bare.to_owned(),
            format!("grants.{bare}"),
            format!("grants.{table}"),
        ];
        let at = paths.iter().find_map(|path| self.places.get(path));
        match at {
            Some(at) => format!("{}:{}", self.file, at.line),
            None => self.source(),
        }
    }

    /// What in it would raise what `profile` grants, each with the profile line that would have to
    /// change.
    #[must_use]
    pub fn check(&self, profile: &Profile) -> Vec<Problem> {
        let mut raised = Raised {
            narrowing: self,
            profile,
            problems: Vec::new(),
        };
        raised.limits();
        for right in &RIGHTS {
            (right.steps.raises)(&mut raised, &self.asks, &profile.grants);
        }
        raised.problems
    }
}

/// What a plan would raise, while it is collected.
pub(crate) struct Raised<'a> {
    narrowing: &'a Narrowing,
    profile: &'a Profile,
    problems: Vec<Problem>,
}

impl Raised<'_> {
    fn limits(&mut self) {
        for spec in &LIMITS {
            let had = spec.get(&self.profile.limits);
            let Some(wanted) = self
                .narrowing
                .limits
                .get(spec.key)
                .filter(|wanted| **wanted > had)
            else {
                continue;
            };
            let what = format!("limits.{} = {}", spec.key, spec.show(*wanted));
            self.report(&what, &spec.show(had), &format!("limits.{}", spec.key));
        }
    }

    /// An amount over the one that is granted: `(wanted, had)`. One that is not named is the ceiling and
    /// is not reported.
    pub(crate) fn amount(
        &mut self,
        right: &str,
        unit: Unit,
        (wanted, had): (u64, u64),
        unnamed: u64,
    ) {
        if wanted > had && wanted != unnamed {
            let what = format!("{right} = {}", unit::show(unit, wanted));
            self.report(&what, &unit::show(unit, had), right);
        }
    }

    /// Every item that is not covered whole by what is granted.
    pub(crate) fn items<T>(
        &mut self,
        right: &str,
        items: &[T],
        covered: impl Fn(&T) -> bool,
        show: impl Fn(&T) -> String,
    ) {
        for (index, item) in items.iter().enumerate() {
            if !covered(item) {
                self.report_item(&format!("{right} `{}`", show(item)), right, index);
            }
        }
    }

    fn report_item(&mut self, what: &str, right: &str, index: usize) {
        let at = self.place(&format!("{right}[{index}]"), right);
        self.report_at(at, what, "nothing that covers it", right);
    }

    /// Where the plan has `path`, else where it has what `path` is a part of.
    fn place(&self, path: &str, part_of: &str) -> Position {
        let narrowing = self.narrowing;
        let table = part_of.split('.').next().unwrap_or(part_of);
        let paths = [path, part_of, table].map(|path| format!("grants.{path}"));
        std::iter::once(path)
            .chain(paths.iter().map(String::as_str))
            .filter_map(|path| narrowing.places.get(path))
            .next()
            .copied()
            .unwrap_or(narrowing.at)
    }

    /// Something that is not an item of a list, with what the profile has of it.
    pub(crate) fn report(&mut self, what: &str, had: &str, path: &str) {
        let at = self.place(path, path);
        self.report_at(at, what, had, path);
    }

    fn report_at(&mut self, at: Position, what: &str, had: &str, path: &str) {
        let plugin = &self.narrowing.plugin;
        let source = self.profile.source(path);
        self.problems.push(Problem {
            file: self.narrowing.file.clone(),
            line: at.line,
            column: at.column,
            message: format!(
                "the plan gives `{plugin}` {what}, but the profile `{}` has {had}: a plan only lowers",
                self.profile.name,
            ),
            cure: Some(format!("lower it here, or change {source}")),
        });
    }
}
