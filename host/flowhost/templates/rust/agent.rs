//! What the agent does, for whoever reads it next.

use flowhost_sdk as flowhost;

use flowhost::{Error, log, model};
use serde::{Deserialize, Serialize};

/// The step's input: `with:` in the plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    question: String,
}

#[derive(Serialize)]
struct Answered {
    answer: String,
}

struct {{type}};

#[flowhost::agent]
impl {{type}} {
    fn on_plan(input: Question) -> Result<Answered, Error> {
        if input.question.trim().is_empty() {
            return Err(Error::invalid("the question is empty"));
        }
        log::info("asking the model");
        let answer = model::ask("mock/any", &input.question)?;
        Ok(Answered { answer })
    }
}

#[cfg(test)]
mod tests {
    use flowhost::testing::Fakes;

    use super::*;

    fn ask(question: &str) -> Result<Answered, Error> {
        {{type}}::on_plan(Question {
            question: question.to_owned(),
        })
    }

    #[test]
    fn refuses_an_empty_question_before_it_costs_anything() {
        let fakes = Fakes::new().model("never given");
        assert!(matches!(fakes.run(|| ask(" ")), Err(Error::Invalid(_))));
        assert!(fakes.prompts().is_empty());
    }

    #[test]
    fn what_the_host_denies_stays_denied() {
        assert!(matches!(Fakes::new().run(|| ask("Why?")), Err(Error::Denied(_))));
    }

    #[test]
    fn hands_back_what_the_model_says() {
        let fakes = Fakes::new().model("Because.");
        assert_eq!(fakes.run(|| ask("Why?")).unwrap().answer, "Because.");
        assert_eq!(fakes.logged(), ["info: asking the model"]);
    }
}
