//! Answers a message with one model call, so that agents can talk. No tools and no history: what must
//! be remembered belongs into a step.

use flowhost_sdk::host::model::Prompt;
use flowhost_sdk::{Context, Error, Message, Outgoing};

use crate::answer::{Wanted, told};
use crate::config::Config;
use crate::host::Host;
use crate::prompt;

/// The answer, to the sender's own topic. A message that answers another one (it has a correlation) gets
/// none: two agents would otherwise thank each other until the budget ends.
///
/// # Errors
/// As the model's call; [`Error::Failed`] when the answer is empty or too large.
pub(crate) fn answer(
    host: &impl Host,
    config: &Config,
    ctx: &Context,
    message: &Message,
) -> Result<Vec<Outgoing>, Error> {
    if !message.correlation.is_empty() {
        return Ok(Vec::new());
    }
    let prompt = Prompt {
        turns: prompt::message(config, ctx, message)?,
        ..crate::work::request(config)
    };
    let completion = host.complete(&prompt)?;
    let content = Wanted::Text
        .read(&completion)
        .map_err(|faults| Error::failed(format_args!("the model's answer: {}", told(&faults))))?;
    Ok(vec![Outgoing {
        topic: topic(&message.sender),
        correlation: message.id.clone(),
        payload: content.to_string(),
    }])
}

/// `agents.<name>.in`, the mailbox of `tenant/name`.
fn topic(sender: &str) -> String {
    let key = sender.split_once('/').map_or(sender, |(_, key)| key);
    mailbox(key.rsplit("::").next().unwrap_or(key))
}

/// The mailbox of an agent of the same plan.
pub(crate) fn mailbox(name: &str) -> String {
    format!("agents.{name}.in")
}

#[cfg(test)]
mod tests {
    use super::topic;

    #[test]
    fn an_answer_goes_to_the_mailbox_of_who_asked() {
        assert_eq!(topic("default/auditor"), "agents.auditor.in");
        assert_eq!(topic("default/sub.yaml::auditor"), "agents.auditor.in");
    }
}
