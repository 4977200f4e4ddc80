//! Answers with the content that it is asked for: `value`, `texts` and an image of `image` bytes; or
//! fails with `error`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Body, Context, Error, Media, Part, Value, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default)]
    value: Value,
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    image: usize,
    #[serde(default)]
    error: String,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    if !input.error.is_empty() {
        return Err(Error::Failed(input.error));
    }
    let mut parts: Vec<Part> = input.texts.into_iter().map(Part::text).collect();
    if input.image > 0 {
        let image = Media {
            mime_type: "image/png".to_owned(),
            data: vec![0; input.image],
        };
        parts.push(Part {
            body: Body::Image(image),
            hints: None,
        });
    }
    Ok(Answer {
        value: input.value.to_string(),
        parts,
    })
}

flowhost_test_guests::guest!(run);
