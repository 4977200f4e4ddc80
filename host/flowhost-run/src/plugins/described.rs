//! Tools as components and servers describe them, and as they are described to those who may call them.
//!
//! A descriptor is a stranger's text: it is held to the rules of a manifest before anyone goes by it.

use flowhost_engine::{Annotations, Descriptor, Effects};
use flowhost_policy::{ToolAnnotations, ToolDescriptor, descriptor_faults};
use serde_json::Value;

/// What is told at once of descriptors that are refused: a component may have as many as its output holds, and the text
/// is a stranger's.
const FAULTS_MAX: usize = 5;

/// Tools that a component or a server says it has, if they keep the rules of a manifest.
pub(crate) fn checked(described: &[Descriptor]) -> Result<Vec<ToolDescriptor>, String> {
    let tools: Result<Vec<ToolDescriptor>, String> = described.iter().map(declared).collect();
    let tools = tools?;
    let faults = descriptor_faults(&tools);
    if faults.is_empty() {
        return Ok(tools);
    }
    let told = faults.iter().take(FAULTS_MAX).map(String::as_str);
    let told: Vec<&str> = told.collect();
    let more = match faults.len().saturating_sub(FAULTS_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Err(format!(
        "what it says of its tools is refused: {}{more}",
        told.join("; ")
    ))
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
