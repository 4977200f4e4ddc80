//! Scripted answers: which file, and which of its entries.
//!
//! A script is looked for by stage and agent, then by agent, then `default`; as `.json` (a list of
//! entries), `.jsonl` (an entry a line) or `.md` (one answer, the file itself). An entry with `when`
//! answers the calls that it describes; the entries without are the turns of a conversation in order,
//! chosen by how often the assistant has spoken, and the last of them repeats.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{Finish, Usage},
    error::ErrorClass,
    fault::Fault,
    ports::{ScriptFiles, Who},
    prompt::{Prompt, ToolCall},
    units,
};

/// Entries of one script. They are searched from the first on at each call.
const ENTRIES_MAX: usize = 10_000;

/// A script that was found.
pub(super) struct Script {
    path: String,
    entries: Arc<[Entry]>,
}

/// Scripts as they were read last. A file is read at each call, because a person may change it between two; what it
/// says is worked out only when it says something else.
#[derive(Default)]
pub(super) struct Shelf(Mutex<HashMap<String, Known>>);

struct Known {
    text: String,
    entries: Arc<[Entry]>,
}

impl Shelf {
    fn get(&self, path: &str, text: &str) -> Option<Arc<[Entry]>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(path).filter(|known| known.text == text)?;
        Some(known.entries.clone())
    }

    fn keep(&self, path: &str, text: String, entries: &Arc<[Entry]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.clone();
        known.insert(path.to_owned(), Known { text, entries });
    }
}

/// One answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Entry {
    when: Option<When>,
    content: Option<String>,
    /// An answer as JSON, instead of `content`.
    json: Option<Value>,
    tool_calls: Vec<ScriptedCall>,
    pub(super) finish: Option<ScriptedFinish>,
    error: Option<ScriptedError>,
    latency: Option<String>,
    pub(super) usage: Option<ScriptedUsage>,
}

/// Which calls an entry answers; all that is written must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    /// The number of the call among the caller's, from 1.
    call: Option<u64>,
    /// How often the assistant has spoken in this prompt.
    turn: Option<usize>,
    /// Text in the last turn.
    contains: Option<String>,
    /// Text in any turn.
    mentions: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedCall {
    id: Option<String>,
    name: String,
    /// JSON, or a text that is passed on as it is, to script a model that writes no JSON.
    #[serde(default)]
    arguments: Value,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScriptedFinish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl From<ScriptedFinish> for Finish {
    fn from(finish: ScriptedFinish) -> Self {
        match finish {
            ScriptedFinish::Stop => Self::Stop,
            ScriptedFinish::Length => Self::Length,
            ScriptedFinish::ToolCalls => Self::ToolCalls,
            ScriptedFinish::ContentFilter => Self::ContentFilter,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedError {
    class: String,
    #[serde(default)]
    message: String,
    retry_after: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScriptedUsage {
    prompt_tokens: u64,
    cached_tokens: u64,
    completion_tokens: u64,
    reasoning_tokens: u64,
}

impl From<ScriptedUsage> for Usage {
    fn from(usage: ScriptedUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            cache_write_tokens: 0,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        }
    }
}

/// A line of a script: an entry, or its text alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Entry(Value),
}

impl Script {
    /// The caller's script, if there is one.
    pub(super) fn find(
        files: &dyn ScriptFiles,
        shelf: &Shelf,
        folder: &str,
        who: &Who<'_>,
    ) -> Result<Option<Self>, Fault> {
        let (stage, agent) = (file_name(who.stage), file_name(who.agent));
        let stems = [
            format!("{folder}/{stage}/{agent}"),
            format!("{folder}/{agent}"),
            format!("{folder}/default"),
        ];
        for stem in stems {
            for kind in ["json", "jsonl", "md"] {
                let path = format!("{stem}.{kind}");
                let text = files.read(&path).map_err(|why| wrong(&path, &why))?;
                let Some(text) = text else { continue };
                // By the text itself and not by a time stamp, which two writes within one tick
                // share.
                if let Some(entries) = shelf.get(&path, &text) {
                    return Ok(Some(Self { path, entries }));
                }
                let script = Self::read(path, kind, &text)?;
                shelf.keep(&script.path, text, &script.entries);
                return Ok(Some(script));
            }
        }
        Ok(None)
    }

    fn read(path: String, kind: &str, text: &str) -> Result<Self, Fault> {
        let entries = match kind {
            "md" => Ok(vec![Entry {
                content: Some(text.to_owned()),
                ..Entry::default()
            }]),
            "jsonl" => text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| serde_json::from_str(line).map_err(|error| error.to_string()))
                .map(|line| line.and_then(entry))
                .collect(),
            _ => serde_json::from_str::<Vec<Line>>(text)
                .map_err(|error| error.to_string())
                .and_then(|lines| lines.into_iter().map(entry).collect()),
        };
        let entries: Vec<Entry> = entries.map_err(|why| wrong(&path, &why))?;
        if entries.len() > ENTRIES_MAX {
            return Err(wrong(&path, &format!("more than {ENTRIES_MAX} entries")));
        }
        let entries = entries.into();
        Ok(Self { path, entries })
    }

    /// The entry that answers this prompt.
    pub(super) fn entry(self, prompt: &Prompt, who: &Who<'_>) -> Result<Chosen, Fault> {
        let turn = prompt.answers_so_far();
        let described = |entry: &&Entry| {
            entry
                .when
                .as_ref()
                .is_some_and(|when| when.holds(prompt, who, turn))
        };
        let in_turn: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.when.is_none())
            .collect();
        let found = self
            .entries
            .iter()
            .find(described)
            .or_else(|| in_turn.get(turn).or(in_turn.last()).copied());
        match found {
            Some(entry) => entry.checked().map_err(|why| wrong(&self.path, &why)),
            None => Err(wrong(&self.path, "no entry answers this call")),
        }
    }
}

fn entry(line: Line) -> Result<Entry, String> {
    match line {
        Line::Text(text) => Ok(Entry {
            content: Some(text),
            ..Entry::default()
        }),
        Line::Entry(value) => serde_json::from_value(value).map_err(|error| error.to_string()),
    }
}

fn wrong(path: &str, why: &str) -> Fault {
    let message = format!("the mock's script {path} cannot be used: {why}");
    let hint = format!("mend {path}; docs/models.md says how a script is written");
    Fault::new(ErrorClass::Script, message, hint)
}

/// A stage or agent as a file's name: it cannot leave its folder.
fn file_name(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = text
        .chars()
        // File systems end at 255 bytes, and the ending comes on top.
        .take(128)
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    // So that `..` is no way out and no script is a hidden file.
    match name.trim_matches('.') {
        "" => "_".to_owned(),
        name => name.to_owned(),
    }
}

impl When {
    fn holds(&self, prompt: &Prompt, who: &Who<'_>, turn: usize) -> bool {
        let last = prompt.turns.last().map_or("", |turn| &turn.content);
        let mentioned = |text: &String| {
            let mut turns = prompt.turns.iter();
            turns.any(|turn| turn.content.contains(text.as_str()))
        };
        self.call.is_none_or(|call| call == who.call)
            && self.turn.is_none_or(|wanted| wanted == turn)
            && self
                .contains
                .as_ref()
                .is_none_or(|text| last.contains(text.as_str()))
            && self.mentions.as_ref().is_none_or(mentioned)
    }
}

/// An entry whose units have been read.
pub(super) struct Chosen {
    pub(super) entry: Entry,
    pub(super) latency: Option<Duration>,
    /// The scripted failure, if this is one.
    pub(super) fault: Option<Fault>,
}

impl Entry {
    fn checked(&self) -> Result<Chosen, String> {
        // Read with the entry that is chosen, not with the file: one wrong unit must not silence
        // the other answers.
        let read = |text: &String| {
            units::duration(text).ok_or_else(|| format!("\"{text}\" is not a duration"))
        };
        let latency = self.latency.as_ref().map(read).transpose()?;
        let fault = self.error.as_ref().map(ScriptedError::fault).transpose()?;
        if self.content.is_some() && self.json.is_some() {
            return Err("an entry has both `content` and `json`".to_owned());
        }
        Ok(Chosen {
            entry: self.clone(),
            latency,
            fault,
        })
    }

    /// The scripted text.
    pub(super) fn content(self) -> String {
        match (self.content, self.json) {
            (Some(text), _) => text,
            (None, Some(value)) => value.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The scripted calls; `turn` makes their ids differ between turns.
    pub(super) fn tool_calls(&self, turn: usize) -> Vec<ToolCall> {
        self.tool_calls
            .iter()
            .enumerate()
            .map(|(number, call)| ToolCall {
                id: call
                    .id
                    .clone()
                    .unwrap_or_else(|| format!("call-{turn}-{number}")),
                name: call.name.clone(),
                arguments: match &call.arguments {
                    Value::String(text) => text.clone(),
                    Value::Null => "{}".to_owned(),
                    value => value.to_string(),
                },
            })
            .collect()
    }
}

impl ScriptedError {
    fn fault(&self) -> Result<Fault, String> {
        let class = ErrorClass::parse(&self.class)
            .ok_or_else(|| format!("\"{}\" is not a class of errors", self.class))?;
        let message = match self.message.as_str() {
            "" => "the script says so",
            message => message,
        };
        let mut fault = Fault::new(class, message, "");
        if let Some(text) = &self.retry_after {
            let after = units::duration(text);
            fault.retry_after = Some(after.ok_or_else(|| format!("\"{text}\" is not a duration"))?);
        }
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::prompt::{Speaker, Turn};

    use super::*;

    struct Files(BTreeMap<&'static str, &'static str>);

    impl ScriptFiles for Files {
        fn read(&self, path: &str) -> Result<Option<String>, String> {
            Ok(self.0.get(path).map(|text| (*text).to_owned()))
        }
    }

    fn who<'a>(stage: &'a str, agent: &'a str, call: u64) -> Who<'a> {
        Who {
            stage,
            agent,
            step: "s",
            seed: 1,
            call,
            traceparent: "",
        }
    }

    fn prompt(turns: &[(Speaker, &str)]) -> Prompt {
        let turns = turns.iter().map(|(who, text)| Turn::new(*who, *text));
        Prompt::new("mock/m".parse().unwrap(), turns.collect(), 100)
    }

    fn said(files: &[(&'static str, &'static str)], prompt: &Prompt, who: &Who<'_>) -> String {
        said_with(&Shelf::default(), files, prompt, who)
    }

    fn said_with(
        shelf: &Shelf,
        files: &[(&'static str, &'static str)],
        prompt: &Prompt,
        who: &Who<'_>,
    ) -> String {
        let files = Files(files.iter().copied().collect());
        let script = Script::find(&files, shelf, "s", who);
        match script.and_then(|script| script.unwrap().entry(prompt, who)) {
            Ok(chosen) => chosen.entry.content(),
            Err(fault) => fault.error.to_string(),
        }
    }

    #[test]
    fn refuses_a_script_that_cannot_be_read() {
        let ask = prompt(&[(Speaker::User, "x")]);
        for (text, why) in [
            ("[", "EOF"),
            ("[{\"text\": \"x\"}]", "unknown field `text`"),
            (
                "[{\"error\": {\"class\": \"odd\"}}]",
                "\"odd\" is not a class",
            ),
            ("[{\"latency\": \"soon\"}]", "\"soon\" is not a duration"),
            ("[{\"content\": \"\", \"json\": 1}]", "both"),
            ("[]", "no entry answers this call"),
            ("[{\"when\": {\"call\": 2}}]", "no entry answers this call"),
        ] {
            let text: &'static str = text;
            let error = said(&[("s/default.json", text)], &ask, &who("a", "b", 1));
            assert!(
                error.starts_with("script: ") && error.contains(why),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_script_that_somebody_changes_between_two_calls_says_something_else() {
        let ask = prompt(&[(Speaker::User, "x")]);
        let (shelf, who) = (Shelf::default(), who("a", "b", 1));
        for text in ["[\"one\"]", "[\"two\"]", "[\"two\"]", "[\"one\"]"] {
            let said = said_with(&shelf, &[("s/default.json", text)], &ask, &who);
            assert_eq!(format!("[\"{said}\"]"), text);
        }
        let broken = said_with(&shelf, &[("s/default.json", "[")], &ask, &who);
        assert!(broken.contains("EOF"), "{broken}");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for (name, file) in [
            ("../../etc", "_.._etc"),
            ("..", "_"),
            ("a/b", "a_b"),
            ("", "_"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }

    #[test]
    fn the_nearest_script_is_taken() {
        let ask = prompt(&[(Speaker::User, "x")]);
        let files = [
            ("s/audit/writer.md", "both\n"),
            ("s/writer.jsonl", "\"agent\"\n"),
            ("s/default.json", "[\"default\"]"),
        ];
        assert_eq!(said(&files, &ask, &who("audit", "writer", 1)), "both\n");
        assert_eq!(said(&files, &ask, &who("other", "writer", 1)), "agent");
        assert_eq!(said(&files, &ask, &who("other", "reader", 1)), "default");
    }

    #[test]
    fn entries_follow_the_conversation_and_the_last_repeats() {
        let files = [("s/default.jsonl", "\"one\"\n\n{\"content\": \"two\"}\n")];
        let turn = [
            (Speaker::User, "x"),
            (Speaker::Assistant, "one"),
            (Speaker::User, "y"),
        ];
        let long = [turn.as_slice(), &turn].concat();
        let who = who("a", "b", 9);
        assert_eq!(said(&files, &prompt(&turn[..1]), &who), "one");
        assert_eq!(said(&files, &prompt(&turn), &who), "two");
        assert_eq!(said(&files, &prompt(&long), &who), "two");
    }

    #[test]
    fn an_entry_that_describes_the_call_comes_first() {
        let files = [(
            "s/default.json",
            r#"["else",
                {"when": {"mentions": "guide.md", "turn": 1}, "json": {"n": 1}},
                {"when": {"contains": "guide.md"}, "content": "read"},
                {"when": {"call": 3}, "content": "third"}]"#,
        )];
        let first = prompt(&[(Speaker::User, "guide.md")]);
        let second = prompt(&[
            (Speaker::User, "guide.md"),
            (Speaker::Assistant, "read"),
            (Speaker::User, "text"),
        ]);
        let other = prompt(&[(Speaker::User, "other.md")]);
        assert_eq!(said(&files, &first, &who("a", "b", 1)), "read");
        assert_eq!(said(&files, &second, &who("a", "b", 2)), "{\"n\":1}");
        assert_eq!(said(&files, &other, &who("a", "b", 3)), "third");
        assert_eq!(said(&files, &other, &who("a", "b", 4)), "else");
    }
}
