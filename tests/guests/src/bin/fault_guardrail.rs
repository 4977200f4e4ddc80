//! A guardrail that breaks as its configuration says: `{"how": "error|not-json|empty|panic"}`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Context, Error, Guardrail, Subject, Verdict, parse};

#[derive(serde::Deserialize)]
struct Config {
    how: String,
}

struct Guard;

impl Guardrail for Guard {
    #[expect(
        clippy::panic,
        reason = "panicking is one of the ways this guest breaks"
    )]
    fn check(_: &Context, _: &Subject, config: &str) -> Result<Verdict, Error> {
        let config: Config = parse(config)?;
        match config.how.as_str() {
            "not-json" => Ok(Verdict::rewrite("{ not json".to_owned(), Vec::new())),
            "empty" => Ok(Verdict::rewrite(String::new(), Vec::new())),
            "panic" => panic!("the guardrail gave up"),
            _ => Err(Error::failed("the guardrail could not look")),
        }
    }
}

flowhost_test_guests::export_guardrail!(Guard);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
