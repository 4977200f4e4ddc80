//! Where the lines of a cure belong in a profile that is there already.
//!
//! TOML has no key and no table twice, and a key after a table is that table's: lines that are added wherever there
//! is room are refused as often as not, or say something of another table. Places are told by keys and not by line
//! numbers, because one cure after the other moves the lines.

use crate::profile::Profile;
use crate::text::quoted;

impl Profile {
    /// `lines`, which grant something, after the place in `file` where they belong; without the head of a table that
    /// is there. `file` is this profile's, or that of a copy of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::Profile;
    ///
    /// let text = "version = 1\nname = \"p\"\n[tools]\ncall = [\"a/b\"]\n";
    /// let profile = Profile::parse(text, "p.toml").unwrap();
    /// assert_eq!(
    ///     profile.placed("p.toml", "budget = true"),
    ///     "below the line `name = …` of p.toml:\nbudget = true"
    /// );
    /// assert_eq!(
    ///     profile.placed("p.toml", "[tools]\ncall = [\"a/b\", \"c/d\"]"),
    ///     "under [tools] of p.toml, in the place of `call` there:\ncall = [\"a/b\", \"c/d\"]"
    /// );
    /// ```
    #[must_use]
    pub fn placed(&self, file: &str, lines: &str) -> String {
        let (head, rest) = lines.split_once('\n').unwrap_or((lines, ""));
        let table = head.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match table {
            // What the profile itself says stands above its tables, and `name` always does.
            None => {
                let there = self.there("", lines);
                match there.is_empty() {
                    true => format!("below the line `name = …` of {file}:\n{lines}"),
                    false => format!("in {file}, in the place of {there} there:\n{lines}"),
                }
            }
            Some(table) if self.position(table).is_some() => {
                let there = self.there(table, rest);
                match there.is_empty() {
                    true => format!("under [{table}] of {file}:\n{rest}"),
                    false => {
                        format!("under [{table}] of {file}, in the place of {there} there:\n{rest}")
                    }
                }
            }
            // A table more, or one more of a list of tables.
            Some(_) => format!("at the end of {file}:\n{lines}"),
        }
    }

    /// The same of several such lines, each of which was written as if it were alone: a table and a key once, with all
    /// that any of them lists.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::Profile;
    ///
    /// let profile = Profile::parse("version = 1\nname = \"p\"\n", "p.toml").unwrap();
    /// let lines = [
    ///     "log = true",
    ///     "[messages]\npublish = [\"agents.a.in\"]",
    ///     "config = true",
    ///     "[messages]\npublish = [\"agents.b.in\"]\nsubscribe = [\"agents.self.in\"]",
    /// ];
    /// assert_eq!(
    ///     profile.placed_together("p.toml", lines),
    ///     "below the line `name = …` of p.toml:\nlog = true\nconfig = true\n\
    ///      and at the end of p.toml:\n[messages]\npublish = [\"agents.a.in\", \"agents.b.in\"]\n\
    ///      subscribe = [\"agents.self.in\"]"
    /// );
    /// ```
    #[must_use]
    pub fn placed_together<'a>(
        &self,
        file: &str,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let mut blocks: Vec<Block> = Vec::new();
        for lines in lines {
            let block = Block::of(lines);
            match blocks.iter_mut().find(|it| it.takes(&block)) {
                Some(there) => there.add(block),
                None => blocks.push(block),
            }
        }
        // What belongs at one place is told as one.
        let mut places: Vec<(String, String)> = Vec::new();
        for block in blocks {
            let placed = self.placed(file, &block.text());
            let (place, lines) = placed.split_once(":\n").unwrap_or(("", placed.as_str()));
            match places.iter_mut().find(|(there, _)| there == place) {
                Some((_, all)) => {
                    all.push('\n');
                    all.push_str(lines);
                }
                None => places.push((place.to_owned(), lines.to_owned())),
            }
        }
        let told: Vec<String> = places
            .into_iter()
            .map(|(place, lines)| format!("{place}:\n{lines}"))
            .collect();
        told.join("\nand ")
    }

    /// The keys of `lines` that the profile has in a table, or by itself, for people.
    fn there(&self, table: &str, lines: &str) -> String {
        let path = |key: &str| match table {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        let keys = lines.lines().filter_map(|line| line.split_once(" = "));
        let there: Vec<String> = keys
            .filter(|(key, _)| self.position(&path(key)).is_some())
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        there.join(" and ")
    }
}

/// A table of a profile, or one of its words.
struct Block {
    /// `[model]`, `[[http]]`; a word has none.
    head: String,
    /// Its lines: the key, and what is said of it. What is no such line is a key alone.
    lines: Vec<(String, String)>,
}

impl Block {
    fn of(text: &str) -> Self {
        let (head, rest) = match text.starts_with('[') {
            true => text.split_once('\n').unwrap_or((text, "")),
            false => ("", text),
        };
        let lines = rest.lines().map(|line| {
            let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
            (key.to_owned(), value.to_owned())
        });
        Self {
            head: head.to_owned(),
            lines: lines.collect(),
        }
    }

    /// Whether another is a part of it: a table is there once, a list of tables may have another one, and of words
    /// each is by itself.
    fn takes(&self, other: &Self) -> bool {
        let is_table = self.head.starts_with('[') && !self.head.starts_with("[[");
        self.head == other.head && (is_table || self.lines == other.lines)
    }

    fn add(&mut self, other: Self) {
        for (key, value) in other.lines {
            match self.lines.iter_mut().find(|(there, _)| *there == key) {
                Some((_, there)) => *there = with_all(there, &value),
                None => self.lines.push((key, value)),
            }
        }
    }

    fn text(&self) -> String {
        let head = Some(self.head.clone()).filter(|head| !head.is_empty());
        let lines = self
            .lines
            .iter()
            .map(|(key, value)| match value.is_empty() {
                true => key.clone(),
                false => format!("{key} = {value}"),
            });
        let all: Vec<String> = head.into_iter().chain(lines).collect();
        all.join("\n")
    }
}

/// A list with what another one of the same key has as well. Of what is no list of texts the first stands: the lines
/// that grant a right are the same for every plugin.
fn with_all(list: &str, other: &str) -> String {
    let texts = |list: &str| serde_json::from_str::<Vec<String>>(list).ok();
    let Some((mut all, more)) = texts(list).zip(texts(other)) else {
        return list.to_owned();
    };
    for text in more {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what a cure says, word by word.
    fn followed(text: &str, told: &str) -> String {
        let (place, lines) = told.split_once(":\n").unwrap();
        let mut out: Vec<String> = text.lines().map(str::to_owned).collect();
        let find = |out: &[String], what: &str| {
            let at = out.iter().position(|line| line.starts_with(what));
            at.unwrap_or_else(|| panic!("{told}: no `{what}`"))
        };
        let from = match place
            .strip_prefix("under ")
            .and_then(|it| it.split_once(' '))
        {
            Some((table, _)) => find(&out, table) + 1,
            None => 0,
        };
        if let Some((_, there)) = place.split_once("in the place of ") {
            let keys = there.trim_end_matches(" there");
            for key in keys.split(" and ").map(|key| key.trim_matches('`')) {
                let at = from + find(&out[from..], &format!("{key} ="));
                out.remove(at);
            }
        }
        let at = match place {
            place if place.starts_with("at the end of ") => out.len(),
            place if place.starts_with("below the line `name = …`") => find(&out, "name = ") + 1,
            _ => from,
        };
        out.insert(at, lines.to_owned());
        out.join("\n")
    }

    const BARE: &str = "version = 1\nname = \"p\"\n";

    #[test]
    fn the_first_lines_of_every_right_can_be_written_where_it_is_told() {
        let full = "version = 1\nname = \"p\"\nlog = false\n[limits]\nfuel = 1_000_000\n[tools]\ncall = []\n\
                    [messages]\nsubscribe = [\"a\"]\n[env]\nTZ = \"UTC\"\n[clock]\nwall = \"denied\"\n\
                    [secrets]\nnames = [\"A\"]\n[model]\nallow = []\ntokens = 1\nusd = 0.1\n";
        for start in [BARE, full] {
            for right in &crate::RIGHTS {
                let profile = Profile::parse(start, "p.toml").unwrap();
                let told = profile.placed("p.toml", right.lines);
                let text = followed(start, &told);
                let mended = Profile::parse(&text, "p.toml")
                    .unwrap_or_else(|problems| panic!("{told}\n{text}\n{problems:?}"));
                assert!((right.steps.holds)(&mended.grants), "{told}\n{text}");
            }
        }
    }

    #[test]
    fn every_cure_may_be_followed_after_all_others() {
        let mut text = "version = 1\nname = \"p\"\n[limits]\nfuel = 1_000_000\n".to_owned();
        let profile = Profile::parse(&text, "p.toml").unwrap();
        for right in &crate::RIGHTS {
            text = followed(&text, &profile.placed("p.toml", right.lines));
        }
        let mended = Profile::parse(&text, "p.toml")
            .unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        for right in &crate::RIGHTS {
            assert!((right.steps.holds)(&mended.grants), "{}\n{text}", right.key);
        }
    }

    #[test]
    fn a_table_and_a_key_are_written_once_and_a_list_of_tables_as_often_as_it_differs() {
        let text =
            "version = 1\nname = \"p\"\n[model]\nallow = [\"mock/a\"]\ntokens = 1\nusd = 0.1\n";
        let profile = Profile::parse(text, "p.toml").unwrap();
        let page = "[[http]]\nurl = \"https://a.test/\"\nmethods = [\"GET\"]";
        let other = page.replace("a.test", "b.test");
        let lines = [
            page,
            "log = true",
            "[model]\nallow = [\"mock/a\", \"mock/b\"]",
            page,
            "log = true",
            &other,
            "[model]\nallow = [\"mock/a\", \"mock/c\"]",
        ];
        let told = profile.placed_together("p.toml", lines);
        assert_eq!(
            told,
            format!(
                "at the end of p.toml:\n{page}\n{other}\nand below the line `name = …` of p.toml:\nlog = true\nand \
                 under [model] of p.toml, in the place of `allow` there:\nallow = [\"mock/a\", \"mock/b\", \"mock/c\"]"
            )
        );
        let one = profile.placed_together("p.toml", ["log = true"]);
        assert_eq!(one, profile.placed("p.toml", "log = true"));
    }

    #[test]
    fn a_value_that_may_be_read_is_named_in_the_same_breath() {
        let text = "version = 1\nname = \"p\"\n[secrets]\nnames = [\"A\"]\n";
        let profile = Profile::parse(text, "p.toml").unwrap();
        let denied = crate::decide_reveal(&profile.grants.secrets, "B").unwrap_err();
        let told = profile.placed("p.toml", &denied.cure.unwrap());
        let mended = Profile::parse(&followed(text, &told), "p.toml").unwrap();
        assert!(crate::decide_reveal(&mended.grants.secrets, "B").is_ok());
    }
}
