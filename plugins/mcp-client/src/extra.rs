//! What a server has beside its tools, as tools: resources to read, and prompts to fill in. So a plan and an agent
//! reach them under the rules that tools have (pins, `tools.call`, guardrails, schemas, records), and a server gets
//! nothing by having them. A plan asks for them in its `config`.

use flowhost_sdk::{Annotations, Answer, Body, Descriptor, Effects, Error, Part, parse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Extra;
use crate::content;
use crate::exchange::{Server, said};
use crate::session::State;

/// A tool of this adapter's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    ListResources,
    ReadResource,
    ListPrompts,
    GetPrompt,
}

const ALL: [Own; 4] = [
    Own::ListResources,
    Own::ReadResource,
    Own::ListPrompts,
    Own::GetPrompt,
];

/// A page of a list, as a caller asks for it.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    templates: bool,
}

#[derive(Deserialize)]
struct Read {
    uri: String,
}

#[derive(Deserialize, Serialize)]
struct Get {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Own {
    /// The tool with this name, if the plan wants it.
    pub(crate) fn named(name: &str, wanted: &[Extra]) -> Option<Self> {
        let mut all = ALL.into_iter();
        all.find(|own| own.name() == name && wanted.contains(&own.of()))
    }

    fn of(self) -> Extra {
        match self {
            Self::ListResources | Self::ReadResource => Extra::Resources,
            Self::ListPrompts | Self::GetPrompt => Extra::Prompts,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ListResources => "resources.list",
            Self::ReadResource => "resources.read",
            Self::ListPrompts => "prompts.list",
            Self::GetPrompt => "prompts.get",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::ListResources => {
                "Lists what the server has to read, a page at a time; with `templates` the addresses that take values."
            }
            Self::ReadResource => "Reads what stands at an address of the server's.",
            Self::ListPrompts => {
                "Lists the server's prompts and the values that they take, a page at a time."
            }
            Self::GetPrompt => "Gives a prompt of the server's with its values filled in.",
        }
    }

    fn input(self) -> Value {
        let text = json!({ "type": "string" });
        let (properties, required) = match self {
            Self::ListResources => (
                json!({ "cursor": text, "templates": { "type": "boolean" } }),
                json!([]),
            ),
            Self::ListPrompts => (json!({ "cursor": text }), json!([])),
            Self::ReadResource => (json!({ "uri": text }), json!(["uri"])),
            Self::GetPrompt => (
                json!({ "name": text, "arguments": { "type": "object", "additionalProperties": text } }),
                json!(["name"]),
            ),
        };
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    fn descriptor(self) -> Descriptor {
        Descriptor {
            name: self.name().to_owned(),
            title: String::new(),
            description: self.description().to_owned(),
            input_schema: self.input().to_string(),
            output_schema: String::new(),
            // Reading is what the protocol means by these; what a server does then is its own affair (MCP-006).
            effects: Effects::Once,
            annotations: Annotations {
                read_only: Some(true),
                destructive: None,
                idempotent: None,
                open_world: None,
            },
        }
    }

    /// Asks the server.
    pub(crate) fn call(
        self,
        server: &Server,
        state: &mut State,
        input: &str,
    ) -> Result<Answer, Error> {
        let mut ask = |method, params: Value| {
            let params = params.as_object().cloned().unwrap_or_default();
            server.ask(state, method, params, &[])
        };
        match self {
            Self::ListResources => {
                let page: Page = parse(input)?;
                let (method, key) = match page.templates {
                    true => ("resources/templates/list", "resourceTemplates"),
                    false => ("resources/list", "resources"),
                };
                Ok(listed(&ask(method, from(&page))?, key))
            }
            Self::ListPrompts => Ok(listed(
                &ask("prompts/list", from(&parse(input)?))?,
                "prompts",
            )),
            Self::ReadResource => {
                let Read { uri } = parse(input)?;
                read(&ask("resources/read", json!({ "uri": uri }))?)
            }
            Self::GetPrompt => {
                let wanted: Get = parse(input)?;
                let params = serde_json::to_value(&wanted).map_err(|error| {
                    Error::failed(format_args!("the question cannot be written: {error}"))
                })?;
                filled_in(&ask("prompts/get", params)?)
            }
        }
    }
}

/// The tools that the plan wants beside the server's.
pub(crate) fn descriptors(wanted: &[Extra]) -> impl Iterator<Item = Descriptor> {
    let all = ALL
        .into_iter()
        .filter(move |own| wanted.contains(&own.of()));
    all.map(Own::descriptor)
}

/// Refuses what the plan wants and the server does not have.
pub(crate) fn check(wanted: &[Extra], capabilities: &Value) -> Result<(), Error> {
    for extra in wanted {
        let word = extra.word();
        if capabilities.get(word).is_none_or(|it| !it.is_object()) {
            return Err(Error::failed(format_args!(
                "the server has no {word}: remove `{word}` from `offer` of the config"
            )));
        }
    }
    Ok(())
}

fn from(page: &Page) -> Value {
    match page.cursor.as_str() {
        "" => json!({}),
        cursor => json!({ "cursor": cursor }),
    }
}

/// A page, as the server says it; the host bounds it like any answer.
fn listed(result: &Value, key: &str) -> Answer {
    let items = result.get(key).filter(|it| it.is_array());
    let next = result.get("nextCursor").and_then(Value::as_str);
    let value = json!({ key: items.cloned().unwrap_or_else(|| json!([])), "next": next.unwrap_or_default() });
    Answer {
        value: value.to_string(),
        parts: Vec::new(),
    }
}

/// Each thing that was read is a part of its own, with its address.
fn read(result: &Value) -> Result<Answer, Error> {
    let contents = result.get("contents").and_then(Value::as_array);
    let Some(contents) = contents else {
        return Err(Error::failed("the server's answer has no contents"));
    };
    let parts: Result<Vec<Part>, Error> = contents
        .iter()
        .map(|item| {
            let body = Body::EmbeddedResource(content::resource(item)?);
            Ok(Part { body, hints: None })
        })
        .collect();
    Ok(Answer {
        value: "null".to_owned(),
        parts: parts?,
    })
}

/// A prompt's turns: who speaks in the value, what they say in the parts.
fn filled_in(result: &Value) -> Result<Answer, Error> {
    let turns = result.get("messages").and_then(Value::as_array);
    let Some(turns) = turns else {
        return Err(Error::failed("the server's answer has no messages"));
    };
    let (mut speakers, mut parts) = (Vec::new(), Vec::new());
    for turn in turns {
        match turn.get("role").and_then(Value::as_str) {
            Some(role @ ("user" | "assistant")) => speakers.push(role),
            other => {
                let other = said(other.unwrap_or_default());
                return Err(Error::failed(format_args!("nobody speaks as `{other}`")));
            }
        }
        parts.push(content::part(turn.get("content").unwrap_or(&Value::Null))?);
    }
    let description = result.get("description").and_then(Value::as_str);
    let value = json!({ "description": description.unwrap_or_default(), "speakers": speakers });
    Ok(Answer {
        value: value.to_string(),
        parts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plan_does_not_want_is_no_tool() {
        assert_eq!(Own::named("resources.read", &[]), None);
        assert_eq!(Own::named("resources.read", &[Extra::Prompts]), None);
        let found = Own::named("resources.read", &[Extra::Resources]);
        assert_eq!(found, Some(Own::ReadResource));
        assert_eq!(descriptors(&[]).count(), 0);
        let names: Vec<String> = descriptors(&[Extra::Prompts]).map(|it| it.name).collect();
        assert_eq!(names, ["prompts.list", "prompts.get"]);
    }

    #[test]
    fn what_the_server_does_not_have_is_told_at_once() {
        let capabilities = json!({ "tools": {}, "prompts": {} });
        assert!(check(&[Extra::Prompts], &capabilities).is_ok());
        assert!(
            matches!(check(&[Extra::Resources], &capabilities), Err(Error::Failed(text)) if text.contains("`offer`"))
        );
    }

    #[test]
    fn a_resource_and_a_turn_that_cannot_be_read_spoil_the_answer() {
        for result in [
            json!({}),
            json!({ "contents": [{ "uri": "a:b" }] }),
            json!({ "contents": [{ "text": "x" }] }),
        ] {
            assert!(read(&result).is_err(), "{result}");
        }
        let turn = |role: &str, content: Value| json!({ "messages": [{ "role": role, "content": content }] });
        let text = json!({ "type": "text", "text": "Hello" });
        assert!(filled_in(&turn("system", text.clone())).is_err());
        assert!(filled_in(&turn("user", json!("Hello"))).is_err());
        let answer = filled_in(&turn("user", text)).unwrap();
        assert_eq!(answer.value, r#"{"description":"","speakers":["user"]}"#);
        assert_eq!(answer.parts.len(), 1);
    }

    #[test]
    fn a_page_says_where_it_goes_on() {
        let page = listed(
            &json!({ "prompts": [{ "name": "a" }], "nextCursor": "2" }),
            "prompts",
        );
        assert_eq!(page.value, r#"{"next":"2","prompts":[{"name":"a"}]}"#);
        assert_eq!(
            listed(&json!({}), "resources").value,
            r#"{"next":"","resources":[]}"#
        );
    }
}
