//! Parts of a request that a server may refuse, and what a refusal says about them.
//!
//! "OpenAI-compatible" servers refuse fields that others require. A refusal that names such a part is
//! answered by the same request without it, at once, and what helped is kept for that model of that
//! provider. Pure: what was sent and what was said in, what to leave out next time out. Must never leave
//! out what the caller's result depends on without the codec doing it in another way (a schema goes
//! into the prompt, stop sequences are looked for by us).

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};

/// One part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `seed`.
    Seed,
    /// `stream_options`: usage at the end of a stream.
    StreamOptions,
    /// `stream`: an answer in pieces.
    Stream,
    /// `response_format`: the answer's schema; it is told in the prompt instead.
    Format,
    /// `response_format` beside `tools`; the schema is told in the prompt while there are tools.
    FormatWithTools,
    /// `tools`, where an answer's schema is asked for as well.
    ToolsWithFormat,
    /// `temperature`.
    Temperature,
    /// Stop sequences; the answer is cut at them by us.
    Stop,
    /// The name of the field that limits the answer: the other one is sent.
    OutputLimit,
    /// A tool that must be called (kind `anthropic`); the model is told to in the prompt.
    ToolChoice,
    /// Thinking (kind `anthropic`).
    Thinking,
    /// Marks for the prompt's cache (kind `anthropic`).
    Cache,
}

impl Feature {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Seed,
        Self::StreamOptions,
        Self::Stream,
        Self::Format,
        Self::FormatWithTools,
        Self::ToolsWithFormat,
        Self::Temperature,
        Self::Stop,
        Self::OutputLimit,
        Self::ToolChoice,
        Self::Thinking,
        Self::Cache,
    ];

    /// The word in records and in `leave_out`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::StreamOptions => "stream_options",
            Self::Stream => "stream",
            Self::Format => "response_format",
            Self::FormatWithTools => "response_format_with_tools",
            Self::ToolsWithFormat => "tools_with_response_format",
            Self::Temperature => "temperature",
            Self::Stop => "stop",
            Self::OutputLimit => "output_limit",
            Self::ToolChoice => "tool_choice",
            Self::Thinking => "thinking",
            Self::Cache => "cache",
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

impl Features {
    /// No part.
    pub const NONE: Self = Self(0);

    /// Whether the set holds no part.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set holds `feature`.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// The parts, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |it| self.has(*it))
    }

    pub(crate) fn add(&mut self, feature: Feature) {
        self.0 |= feature.bit();
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        let mut all = Self::NONE;
        features.into_iter().for_each(|it| all.add(it));
        all
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, feature) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", feature.as_str())?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        let known = |word: String| {
            Feature::ALL
                .into_iter()
                .find(|it| it.as_str() == word)
                .ok_or_else(|| {
                    let all: Vec<&str> = Feature::ALL.iter().map(|it| it.as_str()).collect();
                    D::Error::custom(format!(
                        "`{word}` cannot be left out; {} can",
                        all.join(", ")
                    ))
                })
        };
        words.into_iter().map(known).collect()
    }
}

/// What to leave out after a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) features: Features,
    /// The part was refused for what this one caller put in it (a schema of its own), which says
    /// nothing about other callers.
    pub(crate) only_here: bool,
}

/// Words for "I do not know this". A part that may also be refused for its value (a temperature above
/// a bound) is left out only where one of them stands beside it: leaving it out must not paper over a
/// caller's mistake.
const UNKNOWN: [&str; 20] = [
    "unsupported",
    "not support",
    "n't support",
    "unknown",
    "unrecognized",
    "unrecognised",
    "extra inputs",
    "extra_forbidden",
    "extra fields",
    "not permitted",
    "not allowed",
    "unexpected",
    "deprecated",
    "unavailable",
    "not available",
    "not implemented",
    "only the default",
    "must be verified",
    "incompatible",
    "instead",
];
const FORMAT: [&str; 12] = [
    "response_format",
    "response format",
    "responseformat",
    "text.format",
    "json_schema",
    "json schema",
    "json_object",
    "json mode",
    "structured output",
    "response mime type",
    "response_mime_type",
    "guided",
];
const TOOLS: [&str; 4] = ["tool", "function call", "function_call", "functions"];

/// What of `sent` a refusal names, by all the words that it said.
pub(crate) fn refused(said: &str, sent: Features) -> Dropped {
    let said = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let unknown = any(&UNKNOWN);
    let mut features = Features::NONE;
    let mut named = |feature: Feature, is: bool| {
        if is && sent.has(feature) {
            features.add(feature);
        }
    };
    // Whatever is wrong with it: a call without a seed is less repeatable and nothing else.
    named(Feature::Seed, has_word(&said, "seed"));
    let options = any(&["stream_options", "include_usage"]);
    named(Feature::StreamOptions, options);
    let stream = has_word(&said, "stream") || has_word(&said, "streaming");
    // `stream_options` is refused with the word `stream` beside it; streaming itself is not at
    // fault then.
    named(Feature::Stream, stream && unknown && !options);
    named(
        Feature::Temperature,
        has_word(&said, "temperature") && unknown,
    );
    let stop = any(&["stop_sequence", "stop sequence"]) || has_word(&said, "stop");
    named(Feature::Stop, stop && unknown);
    let limit = any(&["max_tokens", "max_completion_tokens"]);
    named(Feature::OutputLimit, limit && unknown);
    named(Feature::ToolChoice, any(&["tool_choice", "tool choice"]));
    // By the name alone, as the two around it: the host put them there, so no mistake of a caller
    // is papered over.
    named(Feature::Thinking, has_word(&said, "thinking"));
    named(Feature::Cache, any(&["cache_control"]));
    let (format, tools) = (any(&FORMAT), any(&TOOLS));
    // Both at once is the narrower complaint: the schema moves into the prompt and the tools stay. A
    // server that then still complains of both has tools in mind.
    let both = format && tools;
    if sent.has(Feature::FormatWithTools) {
        named(Feature::FormatWithTools, both);
    } else {
        named(Feature::ToolsWithFormat, both && !sent.has(Feature::Format));
    }
    if !(both && sent.has(Feature::FormatWithTools)) {
        named(Feature::Format, format);
    }
    Dropped {
        features,
        // That a server does not take this schema says nothing of the next one.
        only_here: any(&[
            "invalid schema",
            "invalid_json_schema",
            "invalid json schema",
        ]),
    }
}

/// Whether `word` stands in `text` between characters that belong to no name.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Features {
        Feature::ALL.into_iter().collect()
    }

    fn named(said: &str, sent: Features) -> String {
        refused(said, sent).features.to_string()
    }

    #[test]
    fn a_refusal_of_something_else_leaves_nothing_out() {
        for said in [
            "",
            "messages must alternate",
            "prompt is too long: 1284668 tokens > 1000000 maximum",
            "max_tokens is too large: 900000",
            "temperature must be at most 1",
            "the model stopped",
            "seeds and proceedings",
        ] {
            assert_eq!(named(said, all()), "", "{said}");
        }
        assert_eq!(
            named("seed is not supported", Features::NONE),
            "",
            "what was not sent"
        );
    }

    #[test]
    fn a_refusal_names_what_to_leave_out() {
        let table = [
            ("body.seed: Extra inputs are not permitted", "seed"),
            ("Unrecognized request argument supplied: seed", "seed"),
            (
                "body.stream_options: extra; body.seed: extra",
                "seed, stream_options",
            ),
            (
                "Your organization must be verified to stream this model.",
                "stream",
            ),
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                "output_limit",
            ),
            (
                "Unsupported value: 'temperature' does not support 0.5 with this model",
                "temperature",
            ),
            (
                "Unsupported parameter: 'stop' is not supported with this model.",
                "stop",
            ),
            (
                "json mode cannot be combined with tool/function calling",
                "response_format_with_tools",
            ),
            (
                "Function calling with a response mime type: 'application/json' is unsupported",
                "response_format_with_tools",
            ),
            (
                "This response_format type is unavailable now",
                "response_format",
            ),
            (
                "`json_schema` is not supported by this model",
                "response_format",
            ),
            (
                "Thinking may not be enabled when tool_choice forces tool use.",
                "tool_choice, thinking",
            ),
        ];
        for (said, features) in table {
            assert_eq!(named(said, all()), features, "{said}");
        }
    }

    #[test]
    fn tools_go_only_when_the_format_is_gone_already() {
        let said = "json mode cannot be combined with tool/function calling";
        let sent = [Feature::ToolsWithFormat].into_iter().collect();
        assert_eq!(named(said, sent), "tools_with_response_format");
        assert_eq!(named("tools are not supported", sent), "");
    }

    #[test]
    fn a_callers_own_schema_says_nothing_about_others() {
        let said = "Invalid schema for response_format 'answer': pattern is not permitted";
        let dropped = refused(said, all());
        assert!(dropped.features.has(Feature::Format) && dropped.only_here);
        assert!(!refused("response_format is unknown", all()).only_here);
    }
}
