//! Keeps a conversation within its bound: the oldest tool results become a note of their size. The rules
//! and the task are never touched, nor what the model itself has said.

use flowhost_sdk::host::model::{Speaker, ToolSpec, Turn};

/// Bytes that make a token, about, in English text and JSON.
pub(crate) const BYTES_PER_TOKEN: usize = 4;
/// Tokens that a turn takes beside its text.
const TURN_TOKENS: u64 = 4;
/// Results up to this size stay: the note would be as long.
const SMALL_TOKENS: u64 = 16;

/// What was left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) results: u64,
    pub(crate) tokens: u64,
}

/// Tokens of a text, estimated: no provider's own count is known here.
pub(crate) fn tokens(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// Tokens of a whole request, estimated.
pub(crate) fn request(turns: &[Turn], tools: &[ToolSpec], schema: &str) -> u64 {
    let tools = tools
        .iter()
        .map(|tool| tokens(&tool.name) + tokens(&tool.description) + tokens(&tool.input_schema));
    turns.iter().map(turn).sum::<u64>() + tools.sum::<u64>() + tokens(schema)
}

fn turn(turn: &Turn) -> u64 {
    let calls = turn
        .tool_calls
        .iter()
        .map(|call| tokens(&call.name) + tokens(&call.arguments));
    TURN_TOKENS + tokens(&turn.content) + calls.sum::<u64>()
}

/// Leaves out tool results, oldest first, until `surplus` tokens are gone or there are none left.
pub(crate) fn trim(turns: &mut [Turn], surplus: u64) -> Trimmed {
    let mut trimmed = Trimmed::default();
    for turn in turns
        .iter_mut()
        .filter(|turn| turn.speaker == Speaker::Tool)
    {
        let had = tokens(&turn.content);
        if trimmed.tokens >= surplus {
            break;
        }
        if had <= SMALL_TOKENS {
            continue;
        }
        turn.content = format!("[trimmed: {had} tokens]");
        trimmed.results += 1;
        trimmed.tokens += had - tokens(&turn.content);
    }
    trimmed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{answered, says};

    fn talk() -> Vec<Turn> {
        vec![
            says(Speaker::System, "s".repeat(4_000)),
            says(Speaker::User, "u".repeat(4_000)),
            answered("1", "a".repeat(400)),
            answered("2", "tiny".to_owned()),
            answered("3", "b".repeat(400)),
        ]
    }

    #[test]
    fn the_rules_and_the_task_are_never_trimmed() {
        let mut turns = talk();
        let trimmed = trim(&mut turns, u64::MAX);
        assert_eq!(trimmed.results, 2);
        let kept: Vec<usize> = turns
            .iter()
            .map(|turn| turn.content.len())
            .take(2)
            .collect();
        assert_eq!(kept, [4_000, 4_000]);
        assert_eq!(trim(&mut turns, u64::MAX), Trimmed::default());
    }

    #[test]
    fn the_oldest_result_goes_first_and_no_more_than_needed() {
        let mut turns = talk();
        let before = request(&turns, &[], "");
        let trimmed = trim(&mut turns, 50);
        assert_eq!(
            (trimmed.results, before - request(&turns, &[], "")),
            (1, trimmed.tokens)
        );
        let said: Vec<&str> = turns
            .iter()
            .skip(2)
            .map(|turn| turn.content.get(..4).unwrap_or(""))
            .collect();
        assert_eq!(said, ["[tri", "tiny", "bbbb"]);
    }

    #[test]
    fn what_is_left_out_is_named_with_its_size() {
        let mut turns = talk();
        trim(&mut turns, 1);
        assert_eq!(
            turns.get(2).map(|turn| turn.content.as_str()),
            Some("[trimmed: 100 tokens]")
        );
    }
}
