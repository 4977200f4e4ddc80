//! A guardrail that does what its configuration says: `{"action": "pass|rewrite|deny"}`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{
    Context, Error, Finding, Guardrail, Phase, Severity, Subject, Verdict, json, parse,
};

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    action: String,
}

struct Guard;

impl Guardrail for Guard {
    fn check(_: &Context, subject: &Subject, config: &str) -> Result<Verdict, Error> {
        let config: Config = parse(config)?;
        let phase = if subject.phase == Phase::Before {
            "before"
        } else {
            "after"
        };
        let finding = Finding {
            severity: Severity::Warning,
            code: "asked-to".to_owned(),
            message: format!("{phase} {}", subject.step),
            pointer: String::new(),
        };
        match config.action.as_str() {
            "deny" => Ok(Verdict::deny(vec![finding])),
            "rewrite" => {
                let value = json!({ "rewritten": true }).to_string();
                Ok(Verdict::rewrite(value, vec![finding]))
            }
            "pass" | "" => Ok(Verdict::pass()),
            other => Err(Error::invalid(format_args!("no action `{other}`"))),
        }
    }
}

flowhost_test_guests::export_guardrail!(Guard);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
