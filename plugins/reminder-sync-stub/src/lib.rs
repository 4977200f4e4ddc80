//! The tool `reminder-sync-stub`: accepts reminders the way a calendar service would.
//!
//! Its memory is the host's state, so it holds across instances and steps; its ids come from the
//! step's seed, so a replay gives the same ones. It sends nothing anywhere.

mod id;

use flowhost_sdk::host::state;
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const NAMESPACE: &str = "reminders";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sync {
    device_id: String,
    scenario_id: String,
    title: String,
    due: Option<String>,
}

#[derive(Serialize)]
struct Accepted {
    id: String,
    status: &'static str,
    device_id: String,
    scenario_id: String,
    due: Option<String>,
}

/// Refuses what no service would take.
fn check(input: &Sync) -> Result<(), Error> {
    for (name, text) in [
        ("device_id", &input.device_id),
        ("scenario_id", &input.scenario_id),
        ("title", &input.title),
    ] {
        if text.trim().is_empty() {
            return Err(Error::invalid(format_args!("`{name}` is empty")));
        }
    }
    match &input.due {
        Some(due) => OffsetDateTime::parse(due, &Rfc3339)
            .map(drop)
            .map_err(|error| Error::invalid(format_args!("`due` is no RFC 3339 time: {error}"))),
        None => Ok(()),
    }
}

fn sync(ctx: &Context, input: Sync) -> Result<Accepted, Error> {
    check(&input)?;
    let key = id::key(&input.scenario_id, &input.device_id);
    let id = id::from_seed(&ctx.seed, &key)
        .ok_or_else(|| Error::failed("the host gave no seed of 64 hexadecimal digits"))?;
    // The step that wrote it may write it again: a retry after a lost answer is no duplicate.
    let owner = format!("{}/{}", ctx.run, ctx.step);
    if state::compare_and_swap(NAMESPACE, &key, "", owner.as_bytes())?.is_none() {
        let held = state::get(NAMESPACE, &key)?.map(|entry| entry.value);
        if held.as_deref() != Some(owner.as_bytes()) {
            return Err(Error::invalid(format_args!(
                "scenario `{}` already has a reminder on device `{}`",
                input.scenario_id, input.device_id
            )));
        }
    }
    let Sync {
        device_id,
        scenario_id,
        due,
        ..
    } = input;
    Ok(Accepted {
        id,
        status: "accepted",
        device_id,
        scenario_id,
        due,
    })
}

struct Reminders;

impl Tool for Reminders {
    fn call(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "sync" => answer(&sync(ctx, parse(input)?)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(Reminders);

#[cfg(test)]
mod tests {
    use super::*;

    fn input(due: Option<&str>) -> Sync {
        Sync {
            device_id: "dev-1".to_owned(),
            scenario_id: "S-1".to_owned(),
            title: "water the plants".to_owned(),
            due: due.map(str::to_owned),
        }
    }

    #[test]
    fn refuses_a_time_that_is_not_rfc_3339_as_invalid() {
        for due in [
            "tomorrow",
            "2026-13-01T00:00:00Z",
            "2026-03-01",
            "2026-03-01T25:00:00Z",
            "",
        ] {
            assert!(
                matches!(check(&input(Some(due))), Err(Error::Invalid(_))),
                "{due}"
            );
        }
    }

    #[test]
    fn refuses_a_blank_title() {
        let blank = Sync {
            title: "  ".to_owned(),
            ..input(None)
        };
        assert!(matches!(check(&blank), Err(Error::Invalid(_))));
    }

    #[test]
    fn takes_times_with_and_without_offset_fractions_and_none_at_all() {
        for due in [
            None,
            Some("2026-03-01T09:00:00Z"),
            Some("2026-03-01T09:00:00.5+02:00"),
        ] {
            assert!(check(&input(due)).is_ok(), "{due:?}");
        }
    }
}
