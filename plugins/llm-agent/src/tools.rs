//! The tools of one task: which are offered, under which names, and what the model reads of each call.
//!
//! Whether a call is allowed, and whether its arguments fit, the host decides; here a refusal becomes a
//! text that the model can act on, and a model that repeats itself is stopped.

use std::collections::BTreeMap;

use flowhost_sdk::host::model::{ToolCall, ToolSpec};
use flowhost_sdk::{Answer, Body, Descriptor, Error, ResourceData};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::code::{self, Program};
use crate::host::Host;
use crate::text::{cut, line};

/// Most tools that a model takes.
const TOOLS_MAX: usize = 128;
/// Longest name of a tool that is told again, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Longest address that a model is told, in characters.
const URI_CHARS_MAX: usize = 2_048;
/// Largest tool result that goes to the model, in bytes.
const RESULT_BYTES_MAX: usize = 64 << 10;
/// Largest arguments of one call, in bytes.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;
/// Longest error text that goes to the model, in characters.
const ERROR_CHARS_MAX: usize = 1_000;
/// How often the same call is made; the next one is told, the one after ends the task.
const SAME_CALLS_MAX: usize = 2;

/// Of the tools that the host lists those that the configuration wants; without a list all of them.
///
/// # Errors
/// [`Error::Invalid`] when the configuration names a tool that there is not.
pub(crate) fn offered(
    listed: Vec<Descriptor>,
    wanted: Option<&[String]>,
) -> Result<Vec<Descriptor>, Error> {
    let Some(wanted) = wanted else {
        return Ok(listed);
    };
    for pattern in wanted {
        if !listed.iter().any(|tool| covers(pattern, &tool.name)) {
            return Err(Error::invalid(format_args!(
                "config: `tools` lists `{pattern}`, which is not among those that the profile grants: {}",
                shown(listed.iter().map(|tool| tool.name.as_str()))
            )));
        }
    }
    let chosen = listed
        .into_iter()
        .filter(|tool| wanted.iter().any(|pattern| covers(pattern, &tool.name)));
    Ok(chosen.collect())
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(plugin) => name.split_once('/').is_some_and(|(of, _)| of == plugin),
        None => pattern == name,
    }
}

fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// What became of one call that the model asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// What the model reads.
    pub(crate) text: String,
    /// `plugin/tool`, if it was called.
    pub(crate) tool: Option<String>,
    pub(crate) worked: bool,
    /// What it did, if it was a program.
    pub(crate) program: Option<Program>,
}

/// The tool by which the model asks another agent. A plugin `agents` with a tool `ask` would be another one,
/// and is refused beside it.
pub(crate) const ASK: &str = "agents/ask";
/// How long an answer of another agent is waited for: a model call and its repairs.
const ASK_MS: f64 = 120_000.0;
/// Longest question to another agent, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    to: String,
    text: String,
}

/// How the model is told of the agents that it may ask.
fn ask_spec(peers: &[String]) -> ToolSpec {
    ToolSpec {
        name: ASK.to_owned(),
        description:
            "Asks another agent a question in words and gives its answer. It sees the text alone, \
                      nothing of this conversation."
                .to_owned(),
        input_schema: json!({
            "type": "object", "required": ["to", "text"], "additionalProperties": false,
            "properties": { "to": { "enum": peers }, "text": { "type": "string", "minLength": 1 } },
        })
        .to_string(),
    }
}

/// The tools of one task.
pub(crate) struct Toolbox {
    specs: Vec<ToolSpec>,
    /// Agents that may be asked.
    peers: Vec<String>,
    /// How often each call was asked for.
    asked: BTreeMap<(String, String), usize>,
}

impl Toolbox {
    /// The tools, named `plugin/tool` as the host names them.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than a model takes.
    pub(crate) fn new(tools: Vec<Descriptor>, peers: &[String]) -> Result<Self, Error> {
        if !peers.is_empty() && tools.iter().any(|tool| tool.name == ASK) {
            return Err(Error::invalid(format_args!(
                "config: with `peers` no plugin of the plan may be called `agents`: `{ASK}` is how they are asked"
            )));
        }
        if tools.len() + usize::from(!peers.is_empty()) > TOOLS_MAX {
            return Err(Error::invalid(format_args!(
                "the profile grants {} tools, and a model takes {TOOLS_MAX}: name fewer in `tools` of the `config:`",
                tools.len()
            )));
        }
        let specs = tools.into_iter().map(spec);
        let asks = (!peers.is_empty()).then(|| ask_spec(peers));
        Ok(Self {
            specs: specs.chain(asks).collect(),
            peers: peers.to_vec(),
            asked: BTreeMap::new(),
        })
    }

    pub(crate) fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Makes one call, or says why not.
    ///
    /// # Errors
    /// [`Error::Failed`] when the model asks for the same thing again and again.
    pub(crate) fn call(&mut self, host: &impl Host, call: &ToolCall) -> Result<Called, Error> {
        let tool = &call.name;
        if !self.specs.iter().any(|spec| spec.name == *tool) {
            let known = shown(self.specs.iter().map(|spec| spec.name.as_str()));
            let name = line(tool, NAME_CHARS_MAX);
            return Ok(refused(&format!(
                "the tool `{name}` is unknown; known tools: {known}"
            )));
        }
        let arguments = match arguments(&call.arguments) {
            Ok(arguments) => arguments,
            Err(why) => return Ok(refused(&why)),
        };
        let times = self
            .asked
            .entry((tool.clone(), arguments.clone()))
            .or_default();
        *times += 1;
        if *times > SAME_CALLS_MAX + 1 {
            return Err(Error::failed(format_args!(
                "the model asks for `{tool}` with the same arguments again and again"
            )));
        }
        if *times > SAME_CALLS_MAX {
            return Ok(refused(&format!(
                "`{tool}` was called {SAME_CALLS_MAX} times with these arguments and is not called again; use what \
                 it gave, or answer"
            )));
        }
        if tool == ASK {
            return Ok(self.ask(host, &arguments));
        }
        let outcome = host.call(tool, &arguments);
        let worked = outcome.is_ok();
        let ran = outcome.as_ref().ok().filter(|_| tool == code::RUN);
        Ok(Called {
            program: ran.and_then(code::program),
            text: outcome.map_or_else(|error| refused(&why(&error)).text, |outcome| read(&outcome)),
            tool: Some(tool.clone()),
            worked,
        })
    }
}

impl Toolbox {
    /// Puts a question to another agent. What it says is material like a tool's answer.
    fn ask(&self, host: &impl Host, arguments: &str) -> Called {
        let question: Question = match serde_json::from_str(arguments) {
            Ok(question) => question,
            Err(error) => return refused(&format!("`{ASK}` takes `to` and `text`: {error}")),
        };
        let Question { to, text } = question;
        if !self.peers.contains(&to) {
            let known = shown(self.peers.iter().map(String::as_str));
            let name = line(&to, NAME_CHARS_MAX);
            return refused(&format!(
                "the agent `{name}` is unknown; agents that can be asked: {known}"
            ));
        }
        let payload = json!({ "text": cut(&text, QUESTION_BYTES_MAX) }).to_string();
        let answer = host.ask(&to, &payload, ASK_MS);
        let worked = answer.is_ok();
        Called {
            text: match answer {
                Ok(answer) => cut(&answer, RESULT_BYTES_MAX),
                Err(error) => refused(&why(&error)).text,
            },
            tool: Some(format!("{ASK} {to}")),
            worked,
            program: None,
        }
    }
}

/// A call that stays undone.
pub(crate) fn refused(why: &str) -> Called {
    Called {
        text: format!("error: {}", line(why, ERROR_CHARS_MAX)),
        tool: None,
        worked: false,
        program: None,
    }
}

/// A tool as a model is told of it.
pub(crate) fn spec(tool: Descriptor) -> ToolSpec {
    ToolSpec {
        name: tool.name,
        description: tool.description,
        input_schema: object(tool.input_schema),
    }
}

/// A schema as models take it: `true`, which takes everything, is an object there.
fn object(schema: String) -> String {
    if schema.trim_start().starts_with('{') {
        schema
    } else {
        r#"{"type":"object"}"#.to_owned()
    }
}

/// The call as it is told again: a provider may refuse a request that repeats its own model's broken
/// JSON or endless name.
pub(crate) fn echoed(call: &ToolCall) -> ToolCall {
    ToolCall {
        id: call.id.clone(),
        name: line(&call.name, NAME_CHARS_MAX),
        arguments: arguments(&call.arguments).unwrap_or_else(|_| "{}".to_owned()),
    }
}

/// The arguments in one form, so that the same call is seen to be the same.
fn arguments(json: &str) -> Result<String, String> {
    if json.len() > ARGUMENTS_BYTES_MAX {
        return Err(format!(
            "the arguments have {} bytes, and {ARGUMENTS_BYTES_MAX} are allowed",
            json.len()
        ));
    }
    let json = if json.trim().is_empty() { "{}" } else { json };
    serde_json::from_str::<Value>(json)
        .map(|value| value.to_string())
        .map_err(|error| format!("the arguments are not JSON: {error}"))
}

/// What a model can take of a result: its value, its texts but for one that repeats the value, where
/// links lead, and what else there is by its kind and size, so that it does not ask again for it.
fn read(outcome: &Answer) -> String {
    let value = outcome.value.trim();
    let mut read = if value == "null" {
        Vec::new()
    } else {
        vec![value.to_owned()]
    };
    for part in &outcome.parts {
        match &part.body {
            Body::Text(text) if repeats(text, value) => {}
            Body::Text(text) => read.push(text.clone()),
            Body::Image(media) | Body::Audio(media) => {
                read.push(unshown(&media.mime_type, media.data.len()));
            }
            Body::ResourceLink(link) => read.push(format!(
                "[{}: {}]",
                line(&link.name, NAME_CHARS_MAX),
                line(&link.uri, URI_CHARS_MAX)
            )),
            Body::EmbeddedResource(found) => read.push(match &found.data {
                ResourceData::Text(text) => {
                    format!("[{}]\n{text}", line(&found.uri, URI_CHARS_MAX))
                }
                ResourceData::Blob(bytes) => unshown(&found.mime_type, bytes.len()),
            }),
        }
    }
    cut(&read.join("\n\n"), RESULT_BYTES_MAX)
}

/// Whether a text is the value once more, as servers send it for readers that know no values.
fn repeats(text: &str, value: &str) -> bool {
    let json = |text| serde_json::from_str::<Value>(text).ok();
    json(text).is_some_and(|text| json(value) == Some(text))
}

fn unshown(mime_type: &str, bytes: usize) -> String {
    format!(
        "[{}, {bytes} bytes, not shown]",
        line(mime_type, NAME_CHARS_MAX)
    )
}

fn why(error: &Error) -> String {
    match error {
        Error::Denied(denial) => format!(
            "denied: `{}` is not allowed ({})",
            denial.wanted, denial.right
        ),
        Error::Limit(limit) => format!(
            "the limit `{}` was reached: {} of {}",
            limit.name, limit.used, limit.allowed
        ),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Transient(text) => format!("it may work later: {text}"),
        Error::Failed(text) => format!("failed: {text}"),
        Error::Conflict(text) => format!("conflict: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use flowhost_sdk::{Effects, Media, Part, ResourceContents};

    use super::*;

    fn tool(name: &str) -> Descriptor {
        Descriptor {
            name: name.to_owned(),
            title: String::new(),
            description: String::new(),
            input_schema: "{}".to_owned(),
            output_schema: String::new(),
            effects: Effects::None,
            annotations: flowhost_sdk::ToolSpec::any("t").annotations,
        }
    }

    fn names(wanted: Option<&[&str]>) -> Result<Vec<String>, Error> {
        let listed = ["files/list", "files/read", "markdown/links"].map(tool);
        let wanted: Option<Vec<String>> =
            wanted.map(|all| all.iter().map(|it| (*it).to_owned()).collect());
        let offered = offered(listed.into(), wanted.as_deref())?;
        Ok(offered.into_iter().map(|tool| tool.name).collect())
    }

    #[test]
    fn refuses_a_tool_in_the_configuration_that_there_is_not() {
        for pattern in ["files/reed", "file/*", "files/rea"] {
            let Err(Error::Invalid(text)) = names(Some(&[pattern])) else {
                panic!("{pattern} was taken");
            };
            assert!(
                text.contains(pattern) && text.contains("`files/read`"),
                "{text}"
            );
        }
    }

    #[test]
    fn offers_a_subset_and_without_a_list_everything() {
        assert_eq!(
            names(Some(&["files/*"])).expect("names"),
            ["files/list", "files/read"]
        );
        assert_eq!(
            names(Some(&["markdown/links"])).expect("names"),
            ["markdown/links"]
        );
        assert!(names(Some(&[])).expect("names").is_empty());
        assert_eq!(names(None).expect("names").len(), 3);
    }

    #[test]
    fn refuses_more_tools_than_a_model_takes() {
        let many = |count: usize| {
            (0..count)
                .map(|number| tool(&format!("a/t{number}")))
                .collect()
        };
        assert!(matches!(
            Toolbox::new(many(TOOLS_MAX + 1), &[]),
            Err(Error::Invalid(_))
        ));
        assert!(Toolbox::new(many(TOOLS_MAX), &[]).is_ok());
    }

    #[test]
    fn a_schema_that_takes_everything_is_told_as_an_object() {
        let mut any = tool("a/b");
        any.input_schema = "true".to_owned();
        let toolbox = Toolbox::new(vec![any], &[]).expect("a toolbox");
        assert_eq!(toolbox.specs()[0].input_schema, r#"{"type":"object"}"#);
    }

    #[test]
    fn what_is_told_again_is_json_and_has_bounds() {
        let call = ToolCall {
            id: "1".to_owned(),
            name: "x".repeat(900),
            arguments: "{".to_owned(),
        };
        let echo = echoed(&call);
        assert_eq!(
            (echo.name.chars().count(), echo.arguments.as_str()),
            (NAME_CHARS_MAX + 1, "{}")
        );
    }

    #[test]
    fn the_order_of_keys_makes_no_other_call() {
        assert_eq!(
            arguments(r#"{"b":1,"a":2}"#),
            arguments(r#"{ "a": 2, "b": 1 }"#)
        );
        assert_eq!(arguments(""), Ok("{}".to_owned()));
    }

    fn outcome(value: &str, parts: Vec<Part>) -> Answer {
        Answer {
            value: value.to_owned(),
            parts,
        }
    }

    #[test]
    fn a_result_is_its_value_and_its_texts_but_none_twice() {
        let texts = |texts: &[&str]| texts.iter().map(|text| Part::text(*text)).collect();
        assert_eq!(read(&outcome("null", texts(&["done"]))), "done");
        let both = outcome("{\"a\":1}", texts(&["{ \"a\": 1 }", "one"]));
        assert_eq!(read(&both), "{\"a\":1}\n\none");
        let long = outcome(&"x".repeat(RESULT_BYTES_MAX + 1), Vec::new());
        assert!(read(&long).ends_with("bytes are missing]"));
    }

    #[test]
    fn what_a_model_cannot_take_is_named() {
        let part = |body| Part { body, hints: None };
        let image = Media {
            mime_type: "image/png".to_owned(),
            data: vec![0; 12],
        };
        let found = ResourceContents {
            uri: "file:///a".to_owned(),
            mime_type: String::new(),
            data: ResourceData::Text("words".to_owned()),
        };
        let parts = vec![
            part(Body::Image(image)),
            part(Body::EmbeddedResource(found)),
        ];
        assert_eq!(
            read(&outcome("null", parts)),
            "[image/png, 12 bytes, not shown]\n\n[file:///a]\nwords"
        );
    }
}
