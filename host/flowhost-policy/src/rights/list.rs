//! Rights that hold a list of texts: `[tools] call = ["files/*"]`. An empty list allows nothing.

use crate::{
    ask::Ask,
    canonical::Lines,
    decision::{Allowed, Denied, Verdict},
    narrow::Raised,
    rights::Asks,
    suggest::{Amendment, Outcome, Refusal},
    text::{quoted, shown},
    walk::{Kind, List, Walk},
};

/// Longest name that a denial repeats, in characters: a guest chooses the name, and a denial is
/// recorded for every call.
pub(crate) const SHOWN_MAX: usize = 256;

/// A list of texts in a profile: where it stands, what may be asked for, and what its texts match.
#[derive(Clone, Copy)]
pub(crate) struct Texts {
    /// `tools.call`.
    pub(crate) path: &'static str,
    /// `tools`.
    pub(crate) table: &'static str,
    /// `call`.
    pub(crate) key: &'static str,
    /// A text of it, for the first line of a profile that has none.
    pub(crate) example: &'static str,
    /// What a table must say as well, a line each; empty where the list is enough.
    pub(crate) beside: &'static str,
    /// Whether a text can be asked for at all.
    pub(crate) is_name: fn(&str) -> bool,
    /// Whether a text of the list stands for what is asked for.
    pub(crate) matches: fn(&str, &str) -> bool,
    /// What two texts both stand for.
    pub(crate) overlap: fn(&str, &str) -> Option<String>,
}

impl Texts {
    /// Whether one of `list` allows `wanted`; the first that does is named.
    pub(crate) fn decide<'a>(&self, list: &'a [String], wanted: &str) -> Verdict<'a, String> {
        if !(self.is_name)(wanted) {
            // Without a cure: what is no name can be written into no profile.
            return Err(self.deny(".name", wanted, None));
        }
        let found = list
            .iter()
            .enumerate()
            .find(|(_, pattern)| (self.matches)(pattern, wanted));
        match found {
            Some((index, grant)) => Ok(Allowed { index, grant }),
            None => Err(self.deny("#none", wanted, Some(self.line(list, wanted)))),
        }
    }

    /// The rule that decides, for a table of cases: `tools.call[0]`.
    pub(crate) fn rule(&self, list: &[String], wanted: &str) -> Result<String, Denied> {
        self.decide(list, wanted)
            .map(|allowed| format!("{}[{}]", self.path, allowed.index))
    }

    fn deny(&self, why: &str, wanted: &str, cure: Option<String>) -> Denied {
        Denied {
            right: self.path,
            wanted: shown(wanted, SHOWN_MAX),
            rule: format!("{}{why}", self.path),
            cure,
        }
    }

    /// The whole line as it would have to stand, with its table.
    pub(crate) fn line(&self, list: &[String], wanted: &str) -> String {
        let all: Vec<String> = list
            .iter()
            .map(String::as_str)
            .chain([wanted])
            .map(quoted)
            .collect();
        format!("[{}]\n{} = [{}]", self.table, self.key, all.join(", "))
    }

    /// As [`Texts::line`], for a profile that may not have the table: with all that the table must say.
    fn table_with(&self, list: &[String], wanted: &str) -> String {
        let line = self.line(list, wanted);
        match list.is_empty() && !self.beside.is_empty() {
            true => format!("{line}\n{}", self.beside),
            false => line,
        }
    }

    /// Meets the granted texts with those of every document, and sorts what is left.
    pub(crate) fn narrow<T: 'static>(
        &self,
        walk: &mut Walk<'_>,
        granted: &[String],
        pick: fn(&Asks) -> &Ask<T>,
        texts: fn(&T) -> &Vec<String>,
    ) -> Vec<String> {
        let pick = |asks| List::of(pick(asks), |asked| texts(asked).as_slice());
        sorted(walk.items(granted, pick, self))
    }

    /// Reports every text that no granted one covers whole.
    pub(crate) fn raises(&self, raised: &mut Raised<'_>, wanted: &[String], granted: &[String]) {
        let covered = |text: &String| {
            let mut met = granted.iter().map(|had| (self.overlap)(had, text));
            met.any(|met| met.as_ref() == Some(text))
        };
        raised.items(self.path, wanted, covered, String::clone);
    }

    pub(crate) fn write(&self, lines: &mut Lines, granted: &[String]) {
        lines.list(self.path, granted);
    }

    /// Adds what was refused to the list, as it was asked for: a wildcard is never made.
    pub(crate) fn amend(&self, amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        Outcome::written(self.add(amendment, refusal))
    }

    /// As [`Texts::amend`], for those that write more beside it.
    pub(crate) fn add(&self, amendment: &mut Amendment, refusal: &Refusal<'_>) -> Option<()> {
        let is_mine = refusal.right == self.path && refusal.rule.ends_with("#none");
        // A refusal for its form is not cured by a longer list.
        is_mine.then_some(())?;
        amendment.push(self.table, self.key, refusal.wanted)
    }

    /// Whether the list allows what was refused.
    pub(crate) fn allows(&self, granted: &[String], refusal: &Refusal<'_>) -> bool {
        refusal.right == self.path && self.decide(granted, refusal.wanted).is_ok()
    }
}

impl Kind<String, String> for Texts {
    fn right(&self) -> &'static str {
        self.path
    }

    fn meet(&self, granted: &String, asked: &String) -> Option<String> {
        (self.overlap)(granted, asked)
    }

    fn show(&self, text: &String) -> String {
        quoted(text)
    }

    fn show_ask(&self, text: &String) -> String {
        quoted(text)
    }

    fn cure(&self, granted: &[String], asked: &String) -> String {
        self.table_with(granted, asked)
    }

    fn first(&self) -> String {
        self.table_with(&[], self.example)
    }
}

/// What both of two names without patterns stand for.
pub(crate) fn same(granted: &str, asked: &str) -> Option<String> {
    (granted == asked).then(|| granted.to_owned())
}

/// In order and each once: the order of a list of texts decides nothing.
pub(crate) fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

/// A check of a text that keeps it as it is.
pub(crate) fn one_of(
    good: fn(&str) -> bool,
    rule: &'static str,
) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if good(text) {
            Ok(text.to_owned())
        } else {
            Err(rule.to_owned())
        }
    }
}
