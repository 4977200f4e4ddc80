//! What a caller asks of a model, and the bounds within which it may ask.
//!
//! Values only. What a provider cannot express (names of tools, schemas) is the codecs' business.

use serde_json::Value;

use crate::{
    error::{ErrorClass, ModelError},
    name::ModelName,
};

/// Tokens that one call may ask for: beyond every model's window.
pub const MAX_TOKENS_MAX: u32 = 1_000_000;
/// Turns of one conversation. A loop of an agent ends far before; it bounds what is hashed and written down for
/// each call.
pub const TURNS_MAX: usize = 4_096;
/// Tools offered in one call; providers refuse more than 128.
pub const TOOLS_MAX: usize = 128;
/// Bytes of all texts of one prompt together, schemas included. As long as a payload of the ledger may be, in
/// which it is kept.
pub const PROMPT_BYTES_MAX: usize = 16 << 20;
/// Stop sequences; providers refuse more.
pub const STOPS_MAX: usize = 4;
/// Texts of one embedding call. Providers take as many in one request.
pub const EMBED_TEXTS_MAX: usize = 2_048;

/// One conversation to complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Which model is asked.
    pub model: ModelName,
    /// The conversation so far, oldest first.
    pub turns: Vec<Turn>,
    /// What the model may ask to be called.
    pub tools: Vec<ToolSpec>,
    /// JSON Schema of the answer; none for free text.
    pub answer_schema: Option<Value>,
    /// 0 to 2; none for the provider's own.
    pub temperature: Option<f64>,
    /// Tokens of the answer at most, what the model thinks in silence included.
    pub max_tokens: u32,
    /// For providers that sample repeatably.
    pub seed: Option<u64>,
    /// The answer ends before any of these.
    pub stop: Vec<String>,
}

/// Who says a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

impl Speaker {
    /// The word in requests and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Who says it.
    pub speaker: Speaker,
    /// What is said.
    pub content: String,
    /// What the model asked to be called (speaker `Assistant`).
    pub tool_calls: Vec<ToolCall>,
    /// The id of the call that this answers (speaker `Tool`), else empty.
    pub answers: String,
}

impl Turn {
    /// A turn of text alone.
    #[must_use]
    pub fn new(speaker: Speaker, content: impl Into<String>) -> Self {
        Self {
            speaker,
            content: content.into(),
            tool_calls: Vec::new(),
            answers: String::new(),
        }
    }
}

/// A tool call that a model asks for. Nothing about it is to be trusted: the name may be of no
/// tool, and the arguments may be no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Names this call in the turn that answers it.
    pub id: String,
    /// The tool's name as the prompt gave it, or whatever the model made up.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// A tool that a model may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// As the caller names it; codecs translate what a provider would refuse.
    pub name: String,
    /// What the model reads about it.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}

impl Prompt {
    /// A conversation in free text without tools.
    #[must_use]
    pub fn new(model: ModelName, turns: Vec<Turn>, max_tokens: u32) -> Self {
        Self {
            model,
            turns,
            tools: Vec::new(),
            answer_schema: None,
            temperature: None,
            max_tokens,
            seed: None,
            stop: Vec::new(),
        }
    }

    /// The turns that the model has said so far.
    pub(crate) fn answers_so_far(&self) -> usize {
        let own = |turn: &&Turn| turn.speaker == Speaker::Assistant;
        self.turns.iter().filter(own).count()
    }

    /// Checks the bounds of this file.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        self.wrong_shape()
            .or_else(|| self.wrong_tools())
            .or_else(|| self.wrong_turn())
            .map_or(Ok(()), |why| {
                Err(ModelError::new(
                    ErrorClass::Invalid,
                    why,
                    "change the prompt",
                ))
            })
    }

    fn wrong_shape(&self) -> Option<String> {
        if self.turns.is_empty() {
            return Some("the prompt has no turns".to_owned());
        }
        if self.turns.len() > TURNS_MAX {
            return Some(format!("the prompt has more than {TURNS_MAX} turns"));
        }
        if self.max_tokens == 0 || self.max_tokens > MAX_TOKENS_MAX {
            return Some(format!("max_tokens is outside 1 to {MAX_TOKENS_MAX}"));
        }
        if let Some(value) = self.temperature.filter(|it| !(0.0..=2.0).contains(it)) {
            return Some(format!("the temperature {value} is outside 0 to 2"));
        }
        if self.stop.len() > STOPS_MAX || self.stop.iter().any(String::is_empty) {
            return Some(format!("stop takes up to {STOPS_MAX} texts, none empty"));
        }
        (self.bytes() > PROMPT_BYTES_MAX)
            .then(|| format!("the prompt is larger than {PROMPT_BYTES_MAX} bytes"))
    }

    fn wrong_tools(&self) -> Option<String> {
        if self.tools.len() > TOOLS_MAX {
            return Some(format!("the prompt offers more than {TOOLS_MAX} tools"));
        }
        let mut names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        // Sorted: a hundred names compared in pairs would be thousands of comparisons at every
        // call.
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Some("two tools have one name".to_owned());
        }
        let bad = self
            .tools
            .iter()
            .any(|tool| tool.name.is_empty() || !tool.input_schema.is_object());
        bad.then(|| "a tool needs a name and an object as its schema".to_owned())
    }

    fn wrong_turn(&self) -> Option<String> {
        self.turns.iter().find_map(|turn| {
            if !turn.tool_calls.is_empty() && turn.speaker != Speaker::Assistant {
                return Some("only the assistant's turns hold tool calls".to_owned());
            }
            (turn.answers.is_empty() == (turn.speaker == Speaker::Tool))
                .then(|| "a tool's turn, and no other, names the call that it answers".to_owned())
        })
    }

    fn bytes(&self) -> usize {
        let turns = self.turns.iter().map(|turn| {
            let calls = turn
                .tool_calls
                .iter()
                .map(|call| call.id.len() + call.name.len() + call.arguments.len());
            turn.content.len() + turn.answers.len() + calls.sum::<usize>()
        });
        let tools = self.tools.iter().map(|tool| {
            tool.name.len() + tool.description.len() + tool.input_schema.to_string().len()
        });
        let schema = self
            .answer_schema
            .as_ref()
            .map_or(0, |schema| schema.to_string().len());
        let stops = self.stop.iter().map(String::len);
        turns.sum::<usize>() + tools.sum::<usize>() + schema + stops.sum::<usize>()
    }
}

/// Checks the bounds of an embedding call.
pub(crate) fn check_texts(texts: &[String]) -> Result<(), ModelError> {
    let bytes = texts.iter().map(String::len).sum::<usize>();
    let why = if texts.is_empty() || texts.len() > EMBED_TEXTS_MAX {
        format!("an embedding call takes 1 to {EMBED_TEXTS_MAX} texts")
    } else if texts.iter().any(String::is_empty) {
        "an empty text cannot be embedded".to_owned()
    } else if bytes > PROMPT_BYTES_MAX {
        format!("the texts are larger than {PROMPT_BYTES_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(ModelError::new(
        ErrorClass::Invalid,
        why,
        "change the texts",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt() -> Prompt {
        let model = "mock/x".parse().unwrap();
        Prompt::new(model, vec![Turn::new(Speaker::User, "hi")], 10)
    }

    fn tool(name: &str) -> ToolSpec {
        ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
        }
    }

    #[test]
    fn refuses_a_prompt_outside_its_bounds() {
        let changes: [fn(&mut Prompt); 11] = [
            |it| it.turns.clear(),
            |it| it.max_tokens = 0,
            |it| it.max_tokens = MAX_TOKENS_MAX + 1,
            |it| it.temperature = Some(f64::NAN),
            |it| it.temperature = Some(2.1),
            |it| it.stop = vec![String::new()],
            |it| it.tools = vec![tool("a"), tool("a")],
            |it| it.turns[0].answers = "c1".to_owned(),
            |it| it.turns[0].content = "x".repeat(PROMPT_BYTES_MAX + 1),
            |it| it.answer_schema = Some(json!({"title": "x".repeat(PROMPT_BYTES_MAX)})),
            |it| it.stop = vec!["x".repeat(PROMPT_BYTES_MAX)],
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut prompt = prompt();
            change(&mut prompt);
            let error = prompt.check().unwrap_err();
            assert_eq!(error.class, ErrorClass::Invalid, "change {number}");
        }
        assert!(prompt().check().is_ok());
    }

    #[test]
    fn refuses_texts_that_cannot_be_embedded() {
        assert!(check_texts(&[]).is_err());
        assert!(check_texts(&[String::new()]).is_err());
        assert!(check_texts(&["a".to_owned()]).is_ok());
    }
}
