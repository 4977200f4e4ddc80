//! What agents are asked, written out for whoever looks at a plan before a run.
//!
//! How a prompt is rendered is known of the shipped agent alone, and this is its way: the same engine, the same settings,
//! the same names. The agent does it in its sandbox, where a template ends nobody but itself. Here nothing holds it, so what
//! could make a large value out of small ones stays as the plan has it, and the rest is bounded.

use std::io;

use flowhost_flow::Plan;
use flowhost_flow::plan::{Step, Work};
use flowhost_words::first;
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Shape};
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::{Value, json};

use super::asked::{INPUT, is_plain};
use super::{agents_of, is_shipped, names};
use crate::given::project::{Member, Project};

/// Most instructions of one rendering, as the agent has it.
const FUEL: u64 = 200_000;
/// Bytes that one rendering may look at: each instruction may look at all of the input, and a second is enough for it.
const LOOKED_AT_MAX: u64 = 1 << 30;
/// Bytes of a prompt that is written out; a longer one would not be read.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// What agents of a step are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPrompt {
    /// Who of them, by the plan's names.
    pub agents: Vec<String>,
    /// The prompt with the step's values in it, or as the plan has it.
    pub text: String,
    /// Why it is as the plan has it; none where the values are in it.
    pub as_written: Option<String>,
}

/// A step that may ask agents, with what is known of it before a run.
#[derive(Clone, Copy)]
pub struct StepToAsk<'a> {
    /// Whose agents they are.
    pub project: &'a Project,
    /// The plan that the step is of.
    pub plan: &'a Plan,
    /// What the keys of that plan's plugins begin with.
    pub prefix: &'a str,
    /// The step.
    pub step: &'a Step,
    /// From the run's plan down to the step, its item with it; none where only the run will know.
    pub path: Option<&'a str>,
    /// What the step hands to its agents; none where only the run will know.
    pub input: Option<&'a Value>,
}

impl StepToAsk<'_> {
    /// The prompts of a step; agents that are asked the same are named together.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownPrompt> {
        let mut all: Vec<ShownPrompt> = Vec::new();
        for name in agents_of(self.step) {
            let key = format!("{}{name}", self.prefix);
            let member = self.project.members.get(&key);
            let Some((text, as_written)) = member.and_then(|member| self.prompt(name, member))
            else {
                continue; // it is asked nothing but its input, or it is no agent
            };
            let mut same = all.iter_mut();
            match same.find(|it| it.text == text && it.as_written == as_written) {
                Some(same) => same.agents.push(name.clone()),
                None => all.push(ShownPrompt {
                    agents: vec![name.clone()],
                    text,
                    as_written,
                }),
            }
        }
        all
    }

    fn prompt(&self, name: &str, member: &Member) -> Option<(String, Option<String>)> {
        let own = self.plan.prompt_of(self.step).map(|text| &**text);
        let own = own.filter(|text| !text.trim().is_empty());
        if !is_shipped(member) {
            let why = format!("`{name}` fills it in, in a way of its own");
            return own.map(|text| (text.to_owned(), Some(why)));
        }
        let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
        let source = own.unwrap_or_else(|| text_of(&config, "prompt"));
        if source.trim().is_empty() {
            return None; // its input is all that it is asked
        }
        Some(match self.rendered(source, name, &config) {
            Ok(text) => (text, None),
            Err(why) => (source.to_owned(), Some(why)),
        })
    }

    /// The prompt with its values, or why they are not in it.
    fn rendered(&self, source: &str, name: &str, config: &Value) -> Result<String, String> {
        if !is_plain(source) || may_grow(source) {
            let why =
                "it is filled in by the agent alone, in its sandbox: it has parts that can grow";
            return Err(why.to_owned());
        }
        let asks = names(source).map_err(|fault| fault.what)?;
        // What the host puts beside the input of agents that answer together, the agent takes out of it again.
        let nothing = json!({});
        let input = match (&self.step.work, self.input) {
            (Work::Consensus(_), Some(Value::Null)) => Some(&nothing),
            (_, input) => input,
        };
        // The engine does not look for names in what is cut out of a text or list.
        let shows_input = asks.contains(INPUT) || has_word(source, INPUT);
        if shows_input && input.is_none() {
            return Err("it shows the step's input, which the run will know".to_owned());
        }
        if asks.contains("step") && self.path.is_none() {
            return Err(
                "it names its step, and only the run will know which item it is".to_owned(),
            );
        }
        let of_step = self.step.prompt.as_ref();
        let of_step = of_step.and_then(|prompt| prompt.version.as_deref());
        let version = match text_of(config, "prompt_version") {
            "" => of_step.unwrap_or_default(),
            own => own,
        };
        let input = input.filter(|_| shows_input);
        let values = json!({
            "agent": name, "input": input, "prompt_version": version, "role": text_of(config, "role"),
            "step": self.path,
        });
        filled_in(source, &values)
    }
}

fn text_of<'a>(config: &'a Value, name: &str) -> &'a str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a tag of the template has this word.
fn has_word(source: &str, word: &str) -> bool {
    let tokens = tokenize(source, false, SyntaxConfig::default()).map_while(Result::ok);
    let mut words = tokens.map(|(token, _)| matches!(token, Token::Ident(it) if it == word));
    words.any(|is_it| is_it)
}

fn filled_in(source: &str, values: &Value) -> Result<String, String> {
    // A text that the template itself has can be looked at as often as one of the input.
    let bytes = source.len().saturating_add(values.to_string().len());
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let mut engine = engine();
    engine.set_fuel(Some(FUEL.min(LOOKED_AT_MAX / bytes.max(1))));
    let mut text = Bounded::default();
    let done = engine.template_from_str(source).and_then(|template| {
        let values = Shape::from(Serde(values));
        template.render_captured_to(values, &mut text).map(|_| ())
    });
    match done {
        Ok(()) => Ok(text.text()),
        Err(_) if text.is_full => Err(too_long()),
        Err(error) => {
            let what = error.detail().map(str::to_owned);
            let what = what.unwrap_or_else(|| error.kind().to_string());
            Err(format!("it cannot be filled in: {what}"))
        }
    }
}

fn too_long() -> String {
    format!("filled in it has more than {SHOWN_BYTES_MAX} bytes")
}

/// As the agent has it.
fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_formatter(write);
    engine.add_filter("data", data);
    engine
}

fn data(value: Shape) -> Result<String, minijinja::Error> {
    // Refuses what is not there, as the agent does.
    value.get_attr("")?;
    Ok(first::data(&json_of(&value)?))
}

/// Texts as they are, everything else as JSON.
fn write(out: &mut Output, _: &mut State, value: &Shape) -> Result<(), minijinja::Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None => out.write_str(&json_of(value)?),
    };
    written.map_err(minijinja::Error::from)
}

fn json_of(value: &Shape) -> Result<String, minijinja::Error> {
    let mut text = Bounded::default();
    let written = serde_json::to_writer(&mut text, value);
    match written {
        _ if text.is_full => Err(minijinja::Error::new(ErrorKind::WriteFailure, too_long())),
        Ok(()) => Ok(text.text()),
        // A value that has no form in JSON: the agent writes the same.
        Err(_) => Ok("null".to_owned()),
    }
}

/// Takes what is written until it is too much.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Bounded {
    fn text(self) -> String {
        // Texts and JSON are all that is written, each part whole.
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > SHOWN_BYTES_MAX - self.bytes.len() {
            self.is_full = true;
            return Err(io::Error::other(too_long()));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a template can make a value that is larger than those it is given: by joining texts, by keeping what a block
/// wrote, by a list or map with a variable in it, which can hold the same one again and again, or by writing what was written
/// as data as data once more. Or one that is a part of a part of a part: each is a level to go down in, and there would be no
/// end of them. Or whether it calls something: nothing that a prompt shows has to be called.
fn may_grow(source: &str) -> bool {
    /// Words behind which a bracket opens a list, and is no place in one.
    const BEFORE_LISTS: [&str; 8] = ["and", "elif", "else", "if", "in", "is", "not", "or"];
    let mut tag = "";
    let (mut opens, mut keeps, mut in_list) = (false, false, false);
    let mut is_value = false; // whether what stands before is one, so that a bracket behind it is a place in it
    let mut made = Made::default();
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let Ok((token, _)) = token else {
            return false; // nobody reads on behind it, and that it cannot be read is told by whoever does
        };
        let was_value = std::mem::replace(&mut is_value, false);
        let at_name = std::mem::replace(&mut opens, false);
        if made.is_too_much(&token, tag) {
            return true;
        }
        match token {
            Token::BlockStart => (opens, tag, in_list) = (true, "", false),
            Token::VariableStart => (tag, in_list) = ("", false),
            Token::BlockEnd | Token::Pipe if keeps => return true,
            Token::Plus | Token::Mul | Token::Pow | Token::Tilde | Token::BraceOpen => return true,
            Token::Ident("filter" | "macro" | "call") if at_name => return true,
            Token::Ident("recursive") => return true,
            Token::Ident(name) if at_name => (tag, keeps) = (name, name == "set"),
            Token::Ident("true" | "false" | "none") => {}
            Token::Ident(_) if in_list => return true,
            Token::Ident("in") if tag == "for" => tag = "",
            Token::Ident(name) => is_value = !BEFORE_LISTS.contains(&name),
            Token::Assign => keeps = false,
            Token::BracketOpen if in_list => return true,
            Token::BracketOpen => in_list = !was_value,
            Token::BracketClose => (in_list, is_value) = (false, true),
            // A call, such as `loop.cycle()`, of which the engine panics where it is given nothing.
            Token::ParenOpen if was_value => return true,
            Token::ParenClose => is_value = true,
            // What a `for` counts by may be two names; elsewhere it would be a list without brackets.
            Token::Comma if !in_list && tag != "for" => return true,
            _ => {}
        }
    }
    false
}

/// What one tag makes of a value by the ways that are bounded once, and not when each takes what the one before it made.
#[derive(Default)]
struct Made {
    has_data: bool,
    /// Whether the tag has a part of a text or list, from one place up to another.
    has_part: bool,
}

impl Made {
    /// Takes the next token of a tag with this name, or of one without a name. What a tag keeps under a name, the next one
    /// could take up.
    fn is_too_much(&mut self, token: &Token<'_>, tag: &str) -> bool {
        let keeps = ["set", "with"].contains(&tag);
        match token {
            Token::BlockStart | Token::VariableStart => {
                *self = Self::default();
                false
            }
            Token::Ident("data") => std::mem::replace(&mut self.has_data, true) || keeps,
            // The second may be that of another part or of a step, and the engine panics of the least step there is.
            Token::Colon => std::mem::replace(&mut self.has_part, true) || keeps,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Value {
        let input = json!({ "path": "a.md", "evil": "{{ role }}", "list": [1, "two"] });
        json!({ "agent": "a", "input": input, "prompt_version": "", "role": "auditor", "step": "s" })
    }

    #[test]
    fn values_are_written_as_the_agent_writes_them() {
        for (source, text) in [
            ("{{ role }} {{ input.path }}\n", "auditor a.md"),
            ("{{ input.list }}", "[1,\"two\"]"),
            ("[{{ input.evil }}]", "[{{ role }}]"),
            ("{{ input.path | data }}", "```json\n\"a.md\"\n```"),
            (
                "{% if input.x is defined %}x{% else %}{{ input.list[1] }}{% endif %}",
                "two",
            ),
            ("{% for it in input.list %}-{{ it }}{% endfor %}", "-1-two"),
            ("{% if step in [\"s\", \"t\"] %}here{% endif %}", "here"),
            ("{% set p = input.path %}{{ p }}", "a.md"),
        ] {
            assert!(!may_grow(source), "{source}");
            assert_eq!(
                filled_in(source, &values()).as_deref(),
                Ok(text),
                "{source}"
            );
        }
    }

    #[test]
    fn the_input_is_asked_for_where_a_part_of_it_is_cut_out_too() {
        assert!(has_word("{{ input.path[:3] }}", INPUT));
        assert!(!has_word(
            "input {{ role }} {% raw %}{{ input }}{% endraw %}",
            INPUT
        ));
    }

    #[test]
    fn what_is_not_there_is_no_prompt() {
        let told = filled_in("{{ input.x }}", &values()).expect_err("no value");
        assert!(told.starts_with("it cannot be filled in: "), "{told}");
    }

    #[test]
    fn a_template_that_can_grow_stays_with_the_agent() {
        for source in [
            "{{ role ~ role }}",
            "{{ role * 9 }}",
            "{{ input.list + input.list }}",
            "{% set x %}{{ role }}{% endset %}",
            "{% set x | data %}{{ role }}{% endset %}",
            "{% filter data %}{{ role }}{% endfilter %}",
            "{% set x = [role, role] %}",
            "{% set x = [[1], 2] %}",
            "{% set x = (role, role) %}",
            "{% set x = {\"a\": role} %}",
            "{% for x in [role and role] %}{% endfor %}",
            "{% for x in input.list recursive %}{% endfor %}",
            "{% set x = role | data %}{% set x = x | data %}",
            "{{ role | data | data }}",
            "{% set x = input.list[:] %}{% set x = x[:] %}",
            "{% with x = role[1:] %}{% endwith %}",
            "{{ input.list[1:][1:] }}",
            "{{ role[::-9223372036854775808] }}",
            "{% for x in input.list %}{{ loop.cycle() }}{% endfor %}",
        ] {
            assert!(may_grow(source), "{source}");
        }
        for source in [
            "{% for k, v in input.list %}{% endfor %}",
            "{{ input.list[0] }}, {{ input[role] }}",
            "{{ role | data }}, {{ input.path[:1] | data }}",
            "{% if not (role == step) and (role) %}{% endif %}{% for x in (input.list) %}{% endfor %}",
            "{% set x = input.path %}{% for y in input.list[1:] %}{{ y | data }}{% endfor %}",
            "a, b + c * [d, e]",
        ] {
            assert!(!may_grow(source), "{source}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_as_such_and_one_that_takes_too_long_is_given_up() {
        let long = json!({ "input": "x".repeat(600_000) });
        let told = filled_in("{{ input }}{{ input }}", &long).expect_err("too long");
        assert!(told.contains("more than 1048576 bytes"), "{told}");
        let wide = json!({ "input": vec!["x".repeat(300_000); 4] });
        let told = filled_in("{{ input }}", &wide).expect_err("too long");
        assert!(told.contains("more than 1048576 bytes"), "{told}");
        let nested = "{% for a in input %}{% for b in input %}x{% endfor %}{% endfor %}";
        let told = filled_in(nested, &json!({ "input": vec![0; 2_000] })).expect_err("fuel");
        assert!(told.contains("fuel"), "{told}");
        // Also where the template brought the text itself.
        let own = format!(
            "{{% set p = \"{}\" %}}{}",
            "x".repeat(200_000),
            "{% if p in p %}{% endif %}".repeat(2_000)
        );
        let told = filled_in(&own, &json!({})).expect_err("fuel");
        assert!(told.contains("fuel"), "{told}");
    }
}
