//! The tool `reminder-sync-stub`: accepts reminders the way a sync service would.
//!
//! Its memory is the host's state, so it holds across instances and steps; its ids come from the
//! step's seed, so a replay gives the same ones. It sends nothing anywhere.

mod id;
mod request;

use flowhost_sdk::host::{config, state};
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};

use crate::request::Request;

const NAMESPACE: &str = "reminders";

/// What a service of this kind takes to reach a device, made up: the answer's form needs a number, and
/// the same one each time.
const LATENCY_MS: u32 = 250;
const LATENCY_HIGH_MS: u32 = 50;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    scope: Scope,
}

/// Within what a second reminder of a scenario and device is a duplicate.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// The run: the same plan can be run again.
    #[default]
    Run,
    /// The scenario, over all runs that share the state.
    Scenario,
}

#[derive(Serialize)]
struct Accepted {
    status: &'static str,
    sync_id: String,
    estimated_latency_ms: u32,
}

/// Class 409.
fn conflict(request: &Request) -> Error {
    Error::conflict(format_args!(
        "409 conflict: scenario `{}` already has a reminder on device `{}`",
        request.scenario_id, request.device_id
    ))
}

/// Class 500: what was accepted could not be kept, and may be the next time. A denial or a limit is the
/// host's own word and stays as it is.
fn unavailable(error: Error) -> Error {
    match error {
        Error::Failed(why) | Error::Transient(why) => {
            Error::transient(format_args!("500 telemetry unavailable: {why}"))
        }
        other => other,
    }
}

fn scope(config: &str) -> Result<Scope, Error> {
    if config.trim().is_empty() {
        return Ok(Scope::default());
    }
    let config: Option<Config> = parse(config)?;
    Ok(config.unwrap_or_default().scope)
}

fn sync(ctx: &Context, input: &str) -> Result<Accepted, Error> {
    let request = request::read(&parse(input)?)?;
    let within = match scope(&config::all())? {
        Scope::Run => ctx.run.as_str(),
        Scope::Scenario => "",
    };
    let key = id::key(within, &request.scenario_id, &request.device_id);
    let sync_id = id::from_seed(&ctx.seed, &key)
        .ok_or_else(|| Error::failed("the host gave no seed of 64 hexadecimal digits"))?;
    // The call that wrote it may write it again: a retry after a lost answer is no duplicate. Another call of the same
    // step has another key, and is one.
    let owner = ctx.key.as_bytes();
    let written = state::compare_and_swap(NAMESPACE, &key, "", owner);
    if written.map_err(unavailable)?.is_none() {
        let entry = state::get(NAMESPACE, &key).map_err(unavailable)?;
        if entry.is_none_or(|entry| entry.value != owner) {
            return Err(conflict(&request));
        }
    }
    Ok(Accepted {
        status: "accepted",
        sync_id,
        estimated_latency_ms: if request.high_priority {
            LATENCY_HIGH_MS
        } else {
            LATENCY_MS
        },
    })
}

struct Reminders;

impl Tool for Reminders {
    fn call(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "sync" => answer(&sync(ctx, input)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(Reminders);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_not_known_is_refused() {
        assert!(matches!(
            scope(r#"{"scope":"world"}"#),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(scope(r#"{"scop":"run"}"#), Err(Error::Invalid(_))));
    }

    #[test]
    fn duplicates_are_those_of_the_run_unless_the_configuration_says_otherwise() {
        assert_eq!(scope("").expect("a scope"), Scope::Run);
        assert_eq!(scope("null").expect("a scope"), Scope::Run);
        assert_eq!(scope("{}").expect("a scope"), Scope::Run);
        let config = r#"{"scope":"scenario"}"#;
        assert_eq!(scope(config).expect("a scope"), Scope::Scenario);
    }

    #[test]
    fn errors_carry_their_number_and_the_class_that_the_host_acts_on() {
        let request = Request {
            device_id: "d".to_owned(),
            scenario_id: "s".to_owned(),
            high_priority: false,
        };
        assert!(
            matches!(conflict(&request), Error::Conflict(text) if text.starts_with("409 conflict: "))
        );
        let full = unavailable(Error::failed("the disk is full"));
        assert!(
            matches!(full, Error::Transient(text) if text == "500 telemetry unavailable: the disk is full")
        );
    }
}
