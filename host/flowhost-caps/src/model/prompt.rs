//! From the guest's prompt to the gateway's, with everything in it checked and, where the plan wants
//! it, redacted. What is wrong with a prompt is the guest's mistake and costs nothing.

use flowhost_models::{ModelName, Prompt, Speaker, ToolCall, ToolSpec, Turn};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::host::wit;

/// Turns of one prompt: a conversation of hours has some hundreds.
pub(super) const TURNS_MAX: usize = 1_024;
/// Tools that one prompt offers; models get worse long before.
pub(super) const TOOLS_MAX: usize = 128;
/// Stop sequences; the common providers take no more.
pub(super) const STOPS_MAX: usize = 4;
/// Texts of one embedding call. Providers take as many in one request.
pub(super) const TEXTS_MAX: usize = 2_048;

/// The gateway's prompt, or what is wrong with the guest's.
pub(super) fn checked(prompt: wit::Prompt, model: ModelName, seed: u64) -> Result<Prompt, String> {
    bounded("turns", prompt.turns.len(), TURNS_MAX)?;
    bounded("tools", prompt.tools.len(), TOOLS_MAX)?;
    bounded("stop sequences", prompt.stop.len(), STOPS_MAX)?;
    if prompt.turns.is_empty() {
        return Err("the prompt has no turns".to_owned());
    }
    // Below 0 is told as 0 is: neither leaves room for an answer.
    let max_tokens = u32::try_from(prompt.max_tokens).unwrap_or(0);
    if max_tokens == 0 {
        return Err("`max-tokens` must be at least 1".to_owned());
    }
    let temperature = temperature(prompt.temperature)?;
    let seed = match prompt.seed.as_str() {
        "" => seed,
        text => text
            .parse()
            .map_err(|_| "`seed` is not a decimal number".to_owned())?,
    };
    let answer_schema = match prompt.answer_schema.as_str() {
        "" => None,
        text => Some(json(text, "the answer's schema")?),
    };
    Ok(Prompt {
        model,
        turns: prompt.turns.into_iter().map(turn).collect(),
        tools: prompt
            .tools
            .into_iter()
            .map(tool)
            .collect::<Result<_, _>>()?,
        answer_schema,
        temperature,
        max_tokens,
        seed: Some(seed),
        stop: prompt.stop,
    })
}

/// What a guest asks, in one hash: two prompts that differ in anything have two.
pub(super) fn hash(prompt: &wit::Prompt) -> String {
    let turns = prompt.turns.iter().flat_map(|turn| {
        // With the number of calls, so that no text can pass for the beginning of the next turn.
        let speaker = format!("{:?} {}", turn.speaker, turn.tool_calls.len());
        let calls = turn
            .tool_calls
            .iter()
            .flat_map(|it| [it.id.clone(), it.name.clone(), it.arguments.clone()]);
        [speaker, turn.content.clone(), turn.answers.clone()]
            .into_iter()
            .chain(calls)
    });
    let tools = prompt.tools.iter().flat_map(|it| {
        [
            it.name.clone(),
            it.description.clone(),
            it.input_schema.clone(),
        ]
    });
    let numbers = [
        format!("{} {}", prompt.turns.len(), prompt.tools.len()),
        format!("{} {}", prompt.temperature, prompt.max_tokens),
        prompt.seed.clone(),
        prompt.answer_schema.clone(),
    ];
    let parts = numbers
        .into_iter()
        .chain(turns)
        .chain(tools)
        .chain(prompt.stop.iter().cloned());
    format!("{} {}", prompt.model, hash_of(parts))
}

/// SHA-256 over texts, each with its length.
pub(super) fn hash_of(parts: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

pub(super) fn bounded(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count > max {
        return Err(format!("{count} {what}; {max} are allowed"));
    }
    Ok(())
}

/// Below 0 means the provider's own.
fn temperature(value: f64) -> Result<Option<f64>, String> {
    match value {
        value if value < 0.0 => Ok(None),
        value if value <= 2.0 => Ok(Some(value)),
        _ => Err("`temperature` is between 0 and 2, or below 0 for the provider's own".to_owned()),
    }
}

fn json(text: &str, what: &str) -> Result<Value, String> {
    flowhost_engine::parse_json(text, &flowhost_engine::JsonLimits::default())
        .map_err(|error| format!("{what}: {error}"))
}

fn turn(turn: wit::Turn) -> Turn {
    Turn {
        speaker: match turn.speaker {
            wit::Speaker::System => Speaker::System,
            wit::Speaker::User => Speaker::User,
            wit::Speaker::Assistant => Speaker::Assistant,
            wit::Speaker::Tool => Speaker::Tool,
        },
        content: turn.content,
        tool_calls: turn
            .tool_calls
            .into_iter()
            .map(|call| ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        answers: turn.answers,
    }
}

fn tool(tool: wit::ToolSpec) -> Result<ToolSpec, String> {
    let what = format!("the input schema of `{}`", tool.name);
    Ok(ToolSpec {
        input_schema: json(&tool.input_schema, &what)?,
        name: tool.name,
        description: tool.description,
    })
}

/// Takes keys and personal data out of everything that would leave, and counts them.
pub(super) fn redact(prompt: &mut Prompt) -> u64 {
    let mut found = 0;
    for turn in &mut prompt.turns {
        found += redact_text(&mut turn.content);
        for call in &mut turn.tool_calls {
            found += redact_text(&mut call.arguments);
            found += redact_text(&mut call.name);
        }
    }
    for tool in &mut prompt.tools {
        found += redact_text(&mut tool.description);
        found += flowhost_detect::redact_json(&mut tool.input_schema).total();
    }
    if let Some(schema) = &mut prompt.answer_schema {
        found += flowhost_detect::redact_json(schema).total();
    }
    for stop in &mut prompt.stop {
        found += redact_text(stop);
    }
    found
}

/// As [`redact`], for one text; JSON stays JSON.
pub(super) fn redact_text(text: &mut String) -> u64 {
    match flowhost_detect::redact_document(text) {
        Some((clean, counts)) => {
            *text = clean;
            counts.total()
        }
        None => 0,
    }
}

/// What the ledger keeps of a request.
pub(super) fn request(prompt: &Prompt) -> Value {
    let calls = |calls: &[ToolCall]| -> Vec<Value> {
        let call = |it: &ToolCall| json!({"id": it.id, "name": it.name, "arguments": it.arguments});
        calls.iter().map(call).collect()
    };
    let turns: Vec<Value> = prompt
        .turns
        .iter()
        .map(|turn| {
            json!({ "speaker": turn.speaker.as_str(), "content": turn.content,
                "tool_calls": calls(&turn.tool_calls), "answers": turn.answers })
        })
        .collect();
    let tools: Vec<Value> = prompt
        .tools
        .iter()
        .map(|tool| {
            json!({ "name": tool.name, "description": tool.description,
                "input_schema": tool.input_schema })
        })
        .collect();
    json!({ "turns": turns, "tools": tools, "answer_schema": prompt.answer_schema,
        "temperature": prompt.temperature, "max_tokens": prompt.max_tokens,
        "seed": prompt.seed, "stop": prompt.stop })
}
