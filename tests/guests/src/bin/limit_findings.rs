//! A guardrail with as many findings as `findings` says.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Context, Error, Finding, Guardrail, Severity, Subject, Verdict, parse};

#[derive(serde::Deserialize)]
struct Config {
    findings: usize,
}

struct Guard;

impl Guardrail for Guard {
    fn check(_: &Context, _: &Subject, config: &str) -> Result<Verdict, Error> {
        let config: Config = parse(config)?;
        let finding = Finding {
            severity: Severity::Info,
            code: "one-of-many".to_owned(),
            message: String::new(),
            pointer: String::new(),
        };
        Ok(Verdict::pass_with(vec![finding; config.findings]))
    }
}

flowhost_test_guests::export_guardrail!(Guard);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
