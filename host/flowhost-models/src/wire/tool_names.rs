//! Tools as a provider can name them: letters, digits, `_` and `-`, up to 64.
//!
//! Ours hold slashes and dots (`files/read`). The translation follows from the prompt alone, so that a
//! conversation that is sent again names its tools as before.

use std::collections::BTreeMap;

use crate::prompt::Prompt;

/// Characters that both providers accept. A longer name is cut and numbered, and known by its whole name on our
/// side.
const CHARS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct ToolNames {
    to_wire: BTreeMap<String, String>,
    from_wire: BTreeMap<String, String>,
}

impl ToolNames {
    /// Names for the tools of a prompt, and for those that its turns remember.
    pub(super) fn new(prompt: &Prompt) -> Self {
        let mut names = Self::default();
        let offered = prompt.tools.iter().map(|tool| &tool.name);
        let remembered = prompt.turns.iter().flat_map(|turn| &turn.tool_calls);
        // Those that are right already keep their names, whatever the others become.
        let all: Vec<&String> = offered.chain(remembered.map(|call| &call.name)).collect();
        let (right, wrong): (Vec<&String>, Vec<&String>) =
            all.into_iter().partition(|name| wire(name) == **name);
        for name in right.into_iter().chain(wrong) {
            names.add(name);
        }
        names
    }

    fn add(&mut self, name: &str) {
        if self.to_wire.contains_key(name) {
            return;
        }
        let mut wired = wire(name);
        let mut number = 2_usize;
        while self.from_wire.contains_key(&wired) {
            let suffix = format!("_{number}");
            // Anew from the whole name each time: the numbers differ in length.
            wired = wire(name);
            wired.truncate(CHARS_MAX - suffix.len());
            wired.push_str(&suffix);
            number += 1;
        }
        self.from_wire.insert(wired.clone(), name.to_owned());
        self.to_wire.insert(name.to_owned(), wired);
    }

    /// The name for the provider.
    pub(super) fn wire<'a>(&'a self, name: &'a str) -> &'a str {
        self.to_wire.get(name).map_or(name, String::as_str)
    }

    /// Whether the provider was offered a tool of this name.
    pub(super) fn knows(&self, wired: &str) -> bool {
        self.from_wire.contains_key(wired)
    }

    /// Whether a tool's name begins so.
    pub(super) fn starts(&self, wired: &str) -> bool {
        self.from_wire
            .range(wired.to_owned()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(wired))
    }

    /// The caller's name; what the model made up stays as it is.
    pub(super) fn original<'a>(&'a self, wired: &'a str) -> &'a str {
        self.from_wire.get(wired).map_or(wired, String::as_str)
    }
}

/// ASCII throughout, so it can be cut anywhere.
fn wire(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let wired: String = name
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .take(CHARS_MAX)
        .collect();
    if wired.is_empty() {
        "_".to_owned()
    } else {
        wired
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::prompt::{Speaker, ToolSpec, Turn};

    use super::*;

    fn names(tools: &[&str]) -> ToolNames {
        let mut prompt = Prompt::new(
            "a/b".parse().unwrap(),
            vec![Turn::new(Speaker::User, "")],
            1,
        );
        prompt.tools = tools
            .iter()
            .map(|name| ToolSpec {
                name: (*name).to_owned(),
                description: String::new(),
                input_schema: json!({}),
            })
            .collect();
        ToolNames::new(&prompt)
    }

    #[test]
    fn a_right_name_is_kept_and_others_give_way() {
        let names = names(&["files/read", "files.read", "files_read"]);
        assert_eq!(names.wire("files_read"), "files_read");
        assert_eq!(names.wire("files/read"), "files_read_2");
        assert_eq!(names.wire("files.read"), "files_read_3");
        assert_eq!(names.original("files_read_3"), "files.read");
        assert_eq!(names.original("made_up"), "made_up");
    }

    proptest! {
        #[test]
        fn every_name_comes_back(tools in prop::collection::btree_set(".{1,80}", 1..8)) {
            let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
            let names = names(&tools);
            for tool in tools {
                let wired = names.wire(tool);
                prop_assert!(wired.len() <= CHARS_MAX);
                prop_assert!(wired.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
                prop_assert_eq!(names.original(wired), tool);
            }
        }
    }
}
