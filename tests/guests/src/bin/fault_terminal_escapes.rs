//! Puts terminal escapes, bidirectional and invisible characters into its log, its text and its error
//! (DOS-026).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::log::{Field, Level, write};
use flowhost_test_guests::{Answer, Context, Error, Part, parse};

const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]52;c;aGk=\u{7}\u{202e}evil\u{200b}\r\nforged line\u{0}\u{9b}31m";

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default)]
    fail: bool,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let field = Field {
        key: HOSTILE.to_owned(),
        value: HOSTILE.to_owned(),
    };
    write(Level::Warn, HOSTILE, &[field]);
    if input.fail {
        return Err(Error::failed(HOSTILE));
    }
    Ok(Answer {
        value: "null".to_owned(),
        parts: vec![Part::text(HOSTILE)],
    })
}

flowhost_test_guests::guest!(run);
