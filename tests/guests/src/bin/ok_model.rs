//! Asks a model: `op` is complete (`model`, `prompt`, `schema`, `max_tokens`) or embed (`model`,
//! `texts`); takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::model::{self, Prompt, Speaker, Turn};
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    model: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    schema: String,
    #[serde(default = "few")]
    max_tokens: i32,
    #[serde(default)]
    texts: Vec<String>,
}

const fn few() -> i32 {
    256
}

fn work(input: Input) -> Result<Value, Error> {
    if input.op == "embed" {
        let made = model::embed(&input.model, &input.texts)?;
        return Ok(json!({ "vectors": made.vectors, "prompt_tokens": made.usage.prompt_tokens }));
    }
    let turn = Turn {
        speaker: Speaker::User,
        content: input.prompt,
        tool_calls: Vec::new(),
        answers: String::new(),
    };
    let made = model::complete(&Prompt {
        model: input.model,
        turns: vec![turn],
        tools: Vec::new(),
        answer_schema: input.schema,
        temperature: -1.0,
        max_tokens: input.max_tokens,
        seed: String::new(),
        stop: Vec::new(),
    })?;
    Ok(json!({
        "content": made.content, "model": made.model, "prompt_tokens": made.usage.prompt_tokens,
        "completion_tokens": made.usage.completion_tokens,
        "cost_micro_usd": made.usage.cost_micro_usd,
    }))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
