//! Filters and tests that a template names and nobody knows: the template engine says so only where it comes to them, after
//! everything that a run did before. Which there are is asked of the engine; a list of ours only says what was meant.
//!
//! Must be right of the shipped agent alone: another one may add its own.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind};

/// Words behind which `is` is a name and no question.
const BEFORE_NAMES: [&str; 10] = [
    "and", "elif", "else", "for", "if", "in", "not", "or", "set", "with",
];

/// What a template can name beside variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Filter,
    Test,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Test => "test",
        }
    }

    /// All that there are.
    pub(super) const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Filter => &["data", "e", "escape", "safe"],
            Self::Test => &["defined", "escaped", "none", "safe", "undefined"],
        }
    }

    /// Whether the engine knows it, which it says when it comes to one.
    fn knows(self, engine: &Environment<'_>, name: &str) -> bool {
        let (asks, unknown) = match self {
            Self::Filter => (format!("{{{{ '' | {name} }}}}"), ErrorKind::UnknownFilter),
            Self::Test => (format!("{{{{ '' is {name} }}}}"), ErrorKind::UnknownTest),
        };
        let said = engine.render_str(&asks, ());
        // One that is there may miss its arguments.
        said.err().is_none_or(|error| error.kind() != unknown)
    }
}

/// A filter or test that a template names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The line of the template, from 1.
    pub(super) line: usize,
}

/// Those that nobody knows, each where it stands first. The template is one that the engine can read.
pub(super) fn unknown(text: &str) -> Vec<Word> {
    let engine = engine();
    let mut unknown: Vec<Word> = Vec::new();
    for word in words(text) {
        let mut told = unknown.iter();
        let is_told = told.any(|it| it.kind == word.kind && it.name == word.name);
        if !is_told && !word.kind.knows(&engine, &word.name) {
            unknown.push(word);
        }
    }
    unknown
}

/// As the shipped agent has it: with the one filter that it adds.
fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.add_filter("data", |text: String| text);
    engine
}

fn words(text: &str) -> Vec<Word> {
    let tokens = tokenize(text, false, SyntaxConfig::default());
    let tokens: Vec<(Token<'_>, usize)> = tokens
        .map_while(Result::ok)
        .map(|(token, span)| (token, usize::from(span.start_line)))
        .collect();
    let at = |place: usize| tokens.get(place).map(|(token, _)| token);
    let mut words = Vec::new();
    for (place, (token, _)) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(at);
        let (kind, mut named) = match token {
            Token::Pipe => (Kind::Filter, place + 1),
            Token::Ident("filter") if matches!(before, Some(Token::BlockStart)) => {
                (Kind::Filter, place + 1)
            }
            Token::Ident("is") if before.is_some_and(is_value) => (Kind::Test, place + 1),
            _ => continue,
        };
        if kind == Kind::Test && matches!(at(named), Some(Token::Ident("not"))) {
            named += 1;
        }
        let Some((Token::Ident(first), line)) = tokens.get(named) else {
            continue; // no name, which the engine has refused
        };
        let mut name = (*first).to_owned();
        while let (Some(Token::Dot), Some(Token::Ident(part))) = (at(named + 1), at(named + 2)) {
            name.push('.');
            name.push_str(part);
            named += 2;
        }
        words.push(Word {
            kind,
            name,
            line: *line,
        });
    }
    words
}

/// Whether a value can end here, so that `is` asks about it.
fn is_value(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => !BEFORE_NAMES.contains(word),
        Token::Str(_)
        | Token::String(_)
        | Token::Int(_)
        | Token::Int128(_)
        | Token::Float(_)
        | Token::BracketClose
        | Token::ParenClose
        | Token::BraceClose => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let unknown = unknown(text).into_iter();
        let told = unknown.map(|it| format!("{} {} {}", it.line, it.kind.word(), it.name));
        told.collect()
    }

    #[test]
    fn filters_and_tests_that_the_engine_does_not_know_are_told_with_their_lines() {
        let text = "{{ input.x | uper }}\n{% if input.x is not defind %}{% endif %}\n\
                    {% filter loud %}{{ input.y | uper | a.b }}{% endfilter %}{{ (1) is odd }}";
        assert_eq!(
            told(text),
            [
                "1 filter uper",
                "2 test defind",
                "3 filter loud",
                "3 filter a.b",
                "3 test odd"
            ]
        );
    }

    #[test]
    fn what_it_knows_and_what_is_no_filter_or_test_is_not_told() {
        for text in [
            "{{ input.x | data }}{{ input.x|e|safe }}{% if input.x is defined and role is none %}{% endif %}",
            "a | uper, and this is odd {# input | uper #}{% raw %}{{ x | uper }}{% endraw %}",
            "{{ input.is }}{{ ' | uper' }}{% for is in input.all %}{{ is }}{% endfor %}",
        ] {
            assert_eq!(told(text), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn what_is_listed_is_what_the_engine_has() {
        let shown = format!("{:?}", engine());
        let (_, rest) = shown
            .split_once("tests: ")
            .expect("the engine shows its tests");
        let (tests, rest) = rest.split_once("filters: ").expect("and its filters");
        let (filters, _) = rest.split_once("templates: ").expect("and templates");
        let names = |shown: &str| -> Vec<String> {
            let names = shown.split('"').skip(1).step_by(2);
            names.map(str::to_owned).collect()
        };
        assert_eq!(names(tests), Kind::Test.known());
        assert_eq!(names(filters), Kind::Filter.known());
    }
}
