//! The walk through the documents that take away, with its trace.
//!
//! Generic over what is met: an item, a flag, a step on a ladder, an amount. It knows no right by
//! name. Nothing here can add: an item of the result is the meeting of an item of the profile with
//! one item of each other document, and the trace is made in the same walk, so that it cannot say
//! something else than what is effective.

use crate::{
    ask::Ask,
    grant::{Effective, Limits},
    limit::LIMITS,
    manifest::Manifest,
    narrow::Narrowing,
    profile::Profile,
    rights::{Asks, Right},
    trace::{Layer, Outcome, TraceEntry},
    unit::{self, Unit},
};

/// A document that takes away, and where it stands.
pub(crate) struct Source<'a> {
    pub(crate) layer: Layer,
    pub(crate) asks: &'a Asks,
    pub(crate) at: String,
}

/// What one document says about a right that is a list.
pub(crate) enum List<'a, A> {
    None,
    Granted,
    Only(&'a [A]),
}

impl<'a, A> List<'a, A> {
    /// The list within what a document says about a right.
    pub(crate) fn of<T>(ask: &'a Ask<T>, items: impl FnOnce(&'a T) -> &'a [A]) -> Self {
        match ask {
            Ask::None => List::None,
            Ask::Granted => List::Granted,
            Ask::Only(value) => List::Only(items(value)),
        }
    }

    /// All of what a document says.
    pub(crate) fn whole(ask: &'a Ask<Vec<A>>) -> Self {
        Self::of(ask, Vec::as_slice)
    }
}

/// How items of one right are met, named, shown and asked for.
pub(crate) trait Kind<T, A> {
    /// Where the list stands in a profile: `http`, `tools.call`.
    fn right(&self) -> &'static str;

    /// What both allow.
    fn meet(&self, granted: &T, asked: &A) -> Option<T>;

    /// Where the `index`th item stands in the profile: `http[0]`.
    fn path(&self, index: usize, _item: &T) -> String {
        format!("{}[{index}]", self.right())
    }

    /// A granted item, for people.
    fn show(&self, item: &T) -> String;

    /// An item that is asked for, for people.
    fn show_ask(&self, asked: &A) -> String;

    /// The profile lines that would grant what is asked, given all that is granted.
    fn cure(&self, granted: &[T], asked: &A) -> String;

    /// The profile lines that would grant a first, small piece of it.
    fn first(&self) -> String {
        Right::of_path(self.right()).map_or(String::new(), |right| right.lines.to_owned())
    }
}

pub(crate) struct Walk<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) profile: &'a Profile,
    pub(crate) narrowing: &'a Narrowing,
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) trace: Vec<TraceEntry>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        manifest: &'a Manifest,
        profile: &'a Profile,
        narrowing: &'a Narrowing,
    ) -> Self {
        let own = match manifest.is_stand_in() {
            true => Layer::Component,
            false => Layer::Manifest,
        };
        let sources = vec![
            Source {
                layer: own,
                asks: &manifest.needs,
                at: manifest.file.clone(),
            },
            Source {
                layer: Layer::Plan,
                asks: &narrowing.asks,
                at: narrowing.source(),
            },
        ];
        Self {
            manifest,
            profile,
            narrowing,
            sources,
            trace: Vec::new(),
        }
    }

    pub(crate) fn add_caller(&mut self, caller: &Effective, asks: &'a Asks) {
        let at = format!("plugin {}", caller.plugin);
        self.sources.push(Source {
            layer: Layer::Caller,
            asks,
            at,
        });
    }

    pub(crate) fn limits(&mut self, caller: Option<&Effective>) -> Limits {
        let mut limits = self.profile.limits.clone();
        for spec in &LIMITS {
            let had = spec.get(&self.profile.limits);
            let wishes = [
                (Layer::Manifest, self.manifest.limits.get(spec.key).copied()),
                (Layer::Plan, self.narrowing.limits.get(spec.key).copied()),
                (Layer::Caller, caller.map(|caller| spec.get(&caller.limits))),
            ];
            let (value, by) = lowest(had, &wishes);
            spec.set(&mut limits, value);
            self.number(&format!("limits.{}", spec.key), spec.unit, had, value, by);
        }
        limits
    }

    /// Meets every granted item with what `pick` finds in every document.
    pub(crate) fn items<T: Clone + PartialEq, A: 'a>(
        &mut self,
        granted: &[T],
        pick: impl Fn(&'a Asks) -> List<'a, A>,
        kind: &impl Kind<T, A>,
    ) -> Vec<T> {
        let lists = self
            .sources
            .iter()
            .map(|source| pick(source.asks))
            .collect();
        self.met(granted, lists, kind)
    }

    /// Meets every granted item with every document in turn, and says what became of it.
    pub(crate) fn met<T: Clone + PartialEq, A>(
        &mut self,
        granted: &[T],
        lists: Vec<List<'_, A>>,
        kind: &impl Kind<T, A>,
    ) -> Vec<T> {
        let mut out: Vec<T> = Vec::new();
        for (index, item) in granted.iter().enumerate() {
            let mut left = vec![item.clone()];
            let mut by = None;
            for (source, list) in self.sources.iter().zip(&lists) {
                let next = take(&left, list, kind);
                // Who takes from what is gone already has taken nothing.
                if next != left && !left.is_empty() {
                    by = Some((source.layer, self.at(source, kind.right())));
                }
                left = next;
            }
            let right = kind.path(index, item);
            let outcome = outcome(&left, by, |item| kind.show(item));
            let source = self.profile.source(&right);
            self.trace.push(TraceEntry {
                right,
                value: kind.show(item),
                source,
                outcome,
            });
            for item in left {
                // Two items of a profile may meet in one and the same.
                if !out.contains(&item) {
                    out.push(item);
                }
            }
        }
        self.missing(granted, lists.first(), kind);
        out
    }

    /// What the manifest (the first document) asks for and the profile has nothing of.
    fn missing<T, A>(
        &mut self,
        granted: &[T],
        asked: Option<&List<'_, A>>,
        kind: &impl Kind<T, A>,
    ) {
        let path = kind.right();
        match asked {
            Some(List::Only(asked)) => {
                for (index, ask) in asked.iter().enumerate() {
                    if granted.iter().any(|item| kind.meet(item, ask).is_some()) {
                        continue;
                    }
                    let (value, cure) = (kind.show_ask(ask), kind.cure(granted, ask));
                    self.miss(format!("needs.{path}[{index}]"), value, cure);
                }
            }
            // Who asks for secrets asks to have them injected: a value that is not handed out is not
            // missing.
            Some(List::Granted) if granted.is_empty() && !path.ends_with(".reveal") => {
                // `call = []` is a word and not a gap: what is linked answers that nothing is granted.
                if self.profile.position(path).is_some() {
                    return self.trace.push(TraceEntry {
                        right: path.to_owned(),
                        value: "[]".to_owned(),
                        source: self.profile.source(path),
                        outcome: Outcome::Kept,
                    });
                }
                let cure = kind.first();
                self.miss(format!("needs.{path}"), "granted".to_owned(), cure);
            }
            _ => {}
        }
    }

    fn miss(&mut self, right: String, value: String, cure: String) {
        let source = self.manifest.source(&right);
        self.trace.push(TraceEntry {
            right,
            value,
            source,
            outcome: Outcome::Missing { cure },
        });
    }

    pub(crate) fn flag(&mut self, key: &str, granted: bool, pick: fn(&Asks) -> &bool) -> bool {
        let gone = self.sources.iter().find(|source| !*pick(source.asks));
        let outcome = match (granted, gone) {
            (true, None) => Outcome::Kept,
            (true, Some(gone)) => Outcome::Removed {
                by: gone.layer,
                at: self.at(gone, key),
            },
            (false, _) if *pick(&self.manifest.needs) => {
                self.miss(
                    format!("needs.{key}"),
                    "true".to_owned(),
                    format!("{key} = true"),
                );
                return false;
            }
            (false, _) => return false,
        };
        let kept = outcome == Outcome::Kept;
        let source = self.profile.source(key);
        let (right, value) = (key.to_owned(), "true".to_owned());
        self.trace.push(TraceEntry {
            right,
            value,
            source,
            outcome,
        });
        kept
    }

    /// A right that is a step on a ladder: the lowest step wins.
    pub(crate) fn mode<T: Copy + Ord + Default>(
        &mut self,
        key: &str,
        granted: T,
        pick: fn(&Asks) -> &Ask<T>,
        word: impl Fn(T) -> &'static str,
    ) -> T {
        let mut value = granted;
        let mut by = None;
        for source in &self.sources {
            let most = match pick(source.asks) {
                Ask::None => T::default(),
                Ask::Granted => value,
                Ask::Only(most) => *most,
            };
            if most < value {
                value = most;
                by = Some((source.layer, self.at(source, key)));
            }
        }
        let asked = !matches!(pick(&self.manifest.needs), Ask::None);
        if granted == T::default() {
            if asked {
                let right = Right::of_path(key);
                debug_assert!(right.is_some(), "a ladder is a right");
                let (key, cure) = right.map_or((key, ""), |right| (right.key, right.lines));
                self.miss(format!("needs.{key}"), "asked".to_owned(), cure.to_owned());
            }
            return value;
        }
        let left = if value == T::default() {
            Vec::new()
        } else {
            vec![value]
        };
        let outcome = outcome(&left, by, |value| word(*value).to_owned());
        let source = self.profile.source(key);
        let (right, value_word) = (key.to_owned(), word(granted).to_owned());
        self.trace.push(TraceEntry {
            right,
            value: value_word,
            source,
            outcome,
        });
        value
    }

    /// An amount that belongs to a list: without the list there is none of it.
    pub(crate) fn amount(
        &mut self,
        right: &str,
        unit: Unit,
        had: u64,
        empty: bool,
        pick: impl Fn(&Asks) -> Option<u64>,
    ) -> u64 {
        if empty {
            return 0;
        }
        let wishes: Vec<(Layer, Option<u64>)> = self
            .sources
            .iter()
            .map(|source| (source.layer, pick(source.asks)))
            .collect();
        let (value, by) = lowest(had, &wishes);
        self.number(right, unit, had, value, by);
        value
    }

    fn number(&mut self, right: &str, unit: Unit, had: u64, value: u64, by: Option<Layer>) {
        let outcome = match by {
            None => Outcome::Kept,
            Some(by) => {
                let source = self.sources.iter().find(|source| source.layer == by);
                let at = source
                    .map(|source| self.at(source, right))
                    .unwrap_or_default();
                Outcome::Narrowed {
                    by,
                    at,
                    to: unit::show(unit, value),
                }
            }
        };
        let source = self.profile.source(right);
        let (right, value) = (right.to_owned(), unit::show(unit, had));
        self.trace.push(TraceEntry {
            right,
            value,
            source,
            outcome,
        });
    }

    /// Where a document speaks of a right: the manifest's line, if it has one for it.
    fn at(&self, source: &Source<'_>, right: &str) -> String {
        let key = right.split(['.', '[']).next().unwrap_or(right);
        match source.layer {
            Layer::Manifest if right.starts_with("limits.") => self.manifest.source(right),
            Layer::Manifest => self.manifest.source(&format!("needs.{key}")),
            Layer::Plan => self.narrowing.source_of(right),
            _ => source.at.clone(),
        }
    }
}

/// What is left of `items` after one document has taken its part.
fn take<T: Clone + PartialEq, A>(
    items: &[T],
    list: &List<'_, A>,
    kind: &impl Kind<T, A>,
) -> Vec<T> {
    let asked = match list {
        List::None => return Vec::new(),
        List::Granted => return items.to_vec(),
        List::Only(asked) => asked,
    };
    let mut out = Vec::new();
    for met in items
        .iter()
        .flat_map(|item| asked.iter().filter_map(|ask| kind.meet(item, ask)))
    {
        if !out.contains(&met) {
            out.push(met);
        }
    }
    out
}

/// What became of one right, from what is left of it and who took last.
fn outcome<T>(left: &[T], by: Option<(Layer, String)>, show: impl Fn(&T) -> String) -> Outcome {
    match by {
        None => Outcome::Kept,
        Some((by, at)) if left.is_empty() => Outcome::Removed { by, at },
        Some((by, at)) => {
            let shown: Vec<String> = left.iter().map(show).collect();
            Outcome::Narrowed {
                by,
                at,
                to: shown.join(", "),
            }
        }
    }
}

/// The smallest of what the profile has and what the others name, and who named it.
fn lowest(had: u64, wishes: &[(Layer, Option<u64>)]) -> (u64, Option<Layer>) {
    let mut lowest = (had, None);
    for (layer, wish) in wishes {
        if let Some(wish) = wish.filter(|wish| *wish < lowest.0) {
            lowest = (wish, Some(*layer));
        }
    }
    lowest
}
