//! Asks `model` the same `prompt` until the host says no, at most `calls`, and tells how many were
//! answered and what stopped it.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::model::{self, Prompt, Speaker, Turn};
use flowhost_test_guests::{Answer, Context, Error, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    model: String,
    prompt: String,
    calls: usize,
}

fn ask(input: &Input) -> Result<(), Error> {
    let turn = Turn {
        speaker: Speaker::User,
        content: input.prompt.clone(),
        tool_calls: Vec::new(),
        answers: String::new(),
    };
    model::complete(&Prompt {
        model: input.model.clone(),
        turns: vec![turn],
        tools: Vec::new(),
        answer_schema: String::new(),
        temperature: 0.0,
        max_tokens: 64,
        seed: String::new(),
        stop: Vec::new(),
    })
    .map(|_| ())
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    for answered in 0..input.calls {
        if let Err(error) = ask(&input) {
            return answer(&json!({ "answered": answered, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "answered": input.calls, "stopped": null }))
}

flowhost_test_guests::guest!(run);
