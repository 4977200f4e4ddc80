//! Tools as components and servers describe them, and as they are described to those who may call them.
//!
//! A descriptor is a stranger's text: it is held to the rules of a manifest before anyone goes by it.

use flowhost_engine::{Annotations, Descriptor, Effects, neutralise};
use flowhost_flow::OutputSchema;
use flowhost_policy::{ToolAnnotations, ToolDescriptor, descriptor_faults};
use serde_json::Value;

/// What is told at once of descriptors that are refused: a component may have as many as its output holds, and the text
/// is a stranger's.
const FAULTS_MAX: usize = 5;
/// Characters of what is wrong with a schema, which may repeat a reference of it.
const FAULT_CHARS: usize = 300;

/// Tools that a component or a server says it has, if they keep the rules of a manifest.
pub(crate) fn checked(described: &[Descriptor]) -> Result<Vec<ToolDescriptor>, String> {
    let tools: Result<Vec<ToolDescriptor>, String> = described.iter().map(declared).collect();
    let tools = tools?;
    let faults = descriptor_faults(&tools);
    match faults.is_empty() {
        true => Ok(tools),
        false => Err(refused(&faults)),
    }
}

fn refused(faults: &[String]) -> String {
    let told = faults.iter().take(FAULTS_MAX).map(String::as_str);
    let told: Vec<&str> = told.collect();
    let more = match faults.len().saturating_sub(FAULTS_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "what it says of its tools is refused: {}{more}",
        told.join("; ")
    )
}

/// The checker of each tool's input. A server's tools are called with an object, and what no call could be held against is
/// refused with the list: at a call it would be told of the plan, which gave what the tool wants.
///
/// # Errors
/// The tools of which there is none, and why.
pub(crate) fn inputs_of(tools: &[ToolDescriptor]) -> Result<Vec<OutputSchema>, String> {
    let mut faults = Vec::new();
    let mut inputs = Vec::new();
    for tool in tools {
        let input = match takes_object(&tool.input) {
            true => OutputSchema::compile(tool.input.clone()),
            false => {
                Err("its `type` is not object, and a tool of a server takes an object".to_owned())
            }
        };
        match input {
            Ok(input) => inputs.push(input),
            // A name keeps the rules by now; what is wrong may repeat words of the schema.
            Err(why) => faults.push(format!(
                "the tool `{}`: `input` is not usable: {}",
                tool.name,
                neutralise(&why, FAULT_CHARS)
            )),
        }
    }
    match faults.is_empty() {
        true => Ok(inputs),
        false => Err(refused(&faults)),
    }
}

/// Whether a schema lets an object be, as far as its `type` says.
fn takes_object(schema: &Value) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    }
}

/// A descriptor that a component gave, read as one of a manifest would be. Whether it may be shown to
/// anyone is another question: [`descriptor_faults`].
///
/// # Errors
/// When one of its schemas is not JSON.
pub fn declared(given: &Descriptor) -> Result<ToolDescriptor, String> {
    use flowhost_policy::Effects as Declared;
    let schema = |what: &str, text: &str| {
        serde_json::from_str::<Value>(text)
            .map_err(|error| format!("the {what} schema of one of its tools: {error}"))
    };
    let output = match given.output_schema.as_str() {
        "" => None,
        text => Some(schema("output", text)?),
    };
    let input = match given.input_schema.as_str() {
        "" => Value::Object(serde_json::Map::new()),
        text => schema("input", text)?,
    };
    Ok(ToolDescriptor {
        name: given.name.clone(),
        title: given.title.clone(),
        description: given.description.clone(),
        input,
        output,
        effects: match given.effects {
            Effects::None => Declared::None,
            Effects::Idempotent => Declared::Idempotent,
            Effects::Keyed => Declared::Keyed,
            Effects::Once => Declared::Once,
        },
        annotations: ToolAnnotations {
            read_only: given.annotations.read_only,
            destructive: given.annotations.destructive,
            idempotent: given.annotations.idempotent,
            open_world: given.annotations.open_world,
        },
    })
}

/// A tool as a call of an agent or a program is shown it: under its plugin's name.
pub(crate) fn describe(key: &str, tool: &ToolDescriptor) -> Descriptor {
    use flowhost_policy::Effects as Declared;
    let name = key.rsplit("::").next().unwrap_or(key);
    Descriptor {
        name: format!("{name}/{}", tool.name),
        title: tool.title.clone(),
        description: tool.description.clone(),
        input_schema: tool.input.to_string(),
        output_schema: tool
            .output
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        effects: match tool.effects {
            Declared::None => Effects::None,
            Declared::Idempotent => Effects::Idempotent,
            Declared::Keyed => Effects::Keyed,
            Declared::Once => Effects::Once,
        },
        annotations: Annotations {
            read_only: tool.annotations.read_only,
            destructive: tool.annotations.destructive,
            idempotent: tool.annotations.idempotent,
            open_world: tool.annotations.open_world,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(input: Value) -> ToolDescriptor {
        ToolDescriptor {
            name: "echo".to_owned(),
            title: String::new(),
            description: String::new(),
            input,
            output: None,
            effects: Default::default(),
            annotations: Default::default(),
        }
    }

    #[test]
    fn a_schema_that_no_call_could_be_held_against_is_refused_with_its_tool() {
        // MCP-007
        let mut bomb = json!({});
        for level in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            bomb[format!("d{level}")] = json!({ "allOf": [next, next] });
        }
        bomb["d40"] = json!({ "type": "string" });
        let bomb = json!({ "type": "object", "$defs": bomb, "properties": { "x": { "$ref": "#/$defs/d0" } } });
        let tree = json!({ "type": "object", "properties": { "child": { "$ref": "#" } } });
        for (input, says) in [
            (bomb, "parts"),
            (tree, "comes back to itself"),
            (json!({ "type": "array" }), "its `type` is not object"),
            (
                json!({ "type": ["array", "null"] }),
                "its `type` is not object",
            ),
            (json!({ "type": "object", "properties": 7 }), "input"),
        ] {
            let told = inputs_of(&[tool(input)]).unwrap_err();
            let of_tool = told.contains("the tool `echo`: `input` is not usable: ");
            assert!(of_tool && told.contains(says), "{told}");
        }
    }

    #[test]
    fn a_schema_that_says_nothing_of_its_type_takes_an_object() {
        for input in [
            json!({}),
            json!({ "type": "object", "properties": { "x": { "type": "array" } } }),
            json!({ "type": ["object", "null"] }),
        ] {
            assert_eq!(inputs_of(&[tool(input)]).unwrap().len(), 1);
        }
    }
}
