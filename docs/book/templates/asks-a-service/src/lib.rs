//! {{purpose}}

use flowhost_sdk as flowhost;

use flowhost::{Error, http};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the service is.
const SERVICE: &str = "{{service}}";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What the service is asked for.
    name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Answer {
    text: String,
}

/// {{purpose}}
#[flowhost::tool(effects = "{{effects}}", open_world)]
fn ask(input: Wanted) -> Result<Answer, Error> {
    let answer = http::get(format!("{SERVICE}{}", input.name))?.success()?;
    Ok(Answer {
        text: answer.text()?.to_owned(),
    })
}

flowhost::export_tools!(ask);

#[cfg(test)]
mod tests {
    use flowhost::testing::Fakes;

    use super::*;

    #[test]
    fn an_answer_is_handed_on_and_a_refusal_is_an_error() {
        let fakes = Fakes::new().respond("GET", &format!("{SERVICE}one"), 200, "first");
        let asked = |name: &str| {
            fakes.run(|| {
                ask(Wanted {
                    name: name.to_owned(),
                })
            })
        };
        assert_eq!(asked("one").unwrap().text, "first");
        assert!(asked("another").is_err());
    }
}
