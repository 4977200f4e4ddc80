//! What an agent asks its model first, as far as the plan says it before the run.
//!
//! The words of `llm-agent` are known: it takes them from where this file does (`flowhost_words::first`). So what is said
//! to pay for its first call does, where the plan alone decides what that says. Of other agents nobody knows more than
//! what the plan hands to them. No template is rendered here: that is the agent's, in its sandbox.

use flowhost_flow::Plan;
use flowhost_flow::plan::{Step, Work};
use flowhost_models::{Speaker, Turn};
use flowhost_policy::decide_tool;
use flowhost_words::PluginKind;
use flowhost_words::first::{self, Rules};
use serde_json::{Map, Value, json};

use super::LLM_AGENT;
use crate::before::reached::{CODE, RUN};
use crate::given::project::{Member, Project};

/// Tokens that an agent may add of its own to what is known: what an input or a template comes to, or who it is and
/// its rules. `llm-agent` has about 150 of rules.
const OWN_TOKENS: u64 = 512;
/// Tokens of what it may call, described to the model: some dozen tools.
const TOOLS_TOKENS: u64 = 2_048;
/// Turns that `llm-agent` takes when its configuration does not say.
pub(super) const TURNS: u64 = 8;

/// A step that asks an agent, with what a plan says of it.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    pub(super) project: &'a Project,
    pub(super) plan: &'a Plan,
    /// What the keys of the plan's plugins begin with.
    pub(super) prefix: &'a str,
    pub(super) step: &'a Step,
    /// From the run's plan down to the step.
    pub(super) path: &'a str,
    /// The agent's name in the plan.
    pub(super) name: &'a str,
    pub(super) member: &'a Member,
    /// What the plan's inputs are, where that is known.
    pub(super) inputs: &'a Map<String, Value>,
}

/// What a model is sent.
pub(super) struct Sent {
    pub(super) turns: Vec<Turn>,
    /// Schema of the answer.
    pub(super) schema: Option<Value>,
}

/// The first request of an agent.
pub(super) struct Opening {
    /// What is in it whatever the run brings.
    pub(super) least: Sent,
    /// The same, and what only the run will know as the plan writes it.
    pub(super) likely: Sent,
    /// Tokens that may come on top of that; 0 where all of the request is known.
    pub(super) more: u64,
    /// Tokens of descriptions that are left out of it while there is no money for a second call; 0 without tools.
    pub(super) tools: u64,
}

impl Opening {
    pub(super) fn of(asks: Asks<'_>) -> Self {
        let config: Value = serde_json::from_str(&asks.member.config).unwrap_or_default();
        match asks.member.decl.source == LLM_AGENT {
            true => LlmAgent { asks, config }.opening(),
            false => foreign(asks, &config),
        }
    }
}

/// The prompt of the step, else that of the agent's configuration.
fn prompt<'a>(asks: &Asks<'a>, config: &'a Value) -> &'a str {
    let own = asks.plan.prompt_of(asks.step).map(|text| &**text);
    own.filter(|text| !text.trim().is_empty())
        .unwrap_or_else(|| said(config, "prompt"))
}

fn said<'a>(config: &'a Value, name: &str) -> &'a str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// By the names that agents use: `system` and `prompt` of their configuration.
fn foreign(asks: Asks<'_>, config: &Value) -> Opening {
    let (system, prompt) = (said(config, "system"), prompt(&asks, config));
    let text = format!("{system}\n{prompt}\n{}", asks.step.with.source());
    let sent = || Sent {
        turns: vec![Turn::new(Speaker::User, text.clone())],
        schema: None,
    };
    let more = match asks.member.effective.grants.tools.call.is_empty() {
        true => OWN_TOKENS,
        false => OWN_TOKENS + TOOLS_TOKENS,
    };
    Opening {
        least: sent(),
        likely: sent(),
        more,
        tools: 0,
    }
}

/// `llm-agent`, as a step asks it.
struct LlmAgent<'a> {
    asks: Asks<'a>,
    config: Value,
}

impl LlmAgent<'_> {
    fn opening(&self) -> Opening {
        let (plan, step) = (self.asks.plan, self.asks.step);
        let source = prompt(&self.asks, &self.config);
        let input = self.input();
        let words = Words::of(source, &self.values(input.as_ref()));
        let tools = self.has_tools();
        // What agents are asked together says more than the step, and their answers may have another form.
        let alone = matches!(step.work, Work::Call { .. });
        let schema = plan.schema_of(step).map(|it| Value::clone(&it.source()));
        let below = match (&input, words.shows_input) {
            (Some(input), Some(false)) => shown(input),
            _ => None,
        };
        let least = self.sent(
            &words.text,
            below.as_deref(),
            tools == Some(true),
            schema.clone().filter(|_| alone),
        );
        let is_whole = alone && words.whole && input.is_some() && tools.is_some();
        let likely = match is_whole {
            true => Sent {
                turns: least.turns.clone(),
                schema: least.schema.clone(),
            },
            false => {
                let (text, shows_input) = match words.whole {
                    true => (words.text.as_str(), words.shows_input == Some(true)),
                    false => (source, false),
                };
                let below = shown(input.as_ref().unwrap_or_else(|| step.with.source()));
                let below = below.filter(|_| !shows_input);
                self.sent(text, below.as_deref(), tools != Some(false), schema)
            }
        };
        let described = match tools {
            Some(false) => 0,
            _ => TOOLS_TOKENS,
        };
        Opening {
            least,
            likely,
            more: if is_whole { 0 } else { OWN_TOKENS + described },
            tools: described,
        }
    }

    fn sent(&self, prompt: &str, input: Option<&str>, tools: bool, schema: Option<Value>) -> Sent {
        let rules = Rules {
            tools,
            code: tools && self.writes_programs(),
            schema: schema.is_some(),
        };
        let (role, own) = (said(&self.config, "role"), said(&self.config, "system"));
        let mut turns = vec![Turn::new(
            Speaker::System,
            first::system(self.asks.name, role, own, rules),
        )];
        turns.extend(first::task(prompt, input).map(|text| Turn::new(Speaker::User, text)));
        Sent { turns, schema }
    }

    /// What the step hands to the agent; none where only the run will know, or a guardrail may change it.
    fn input(&self) -> Option<Value> {
        let Asks {
            plan, step, inputs, ..
        } = self.asks;
        plan.known(&step.with, inputs)
            .filter(|_| step.before.is_empty())
    }

    /// What a prompt may ask for, by the names that `llm-agent` gives.
    fn values(&self, input: Option<&Value>) -> Value {
        let Asks {
            step, path, name, ..
        } = self.asks;
        let own = said(&self.config, "prompt_version");
        let of_step = step.prompt.as_ref().and_then(|it| it.version.as_deref());
        let version = match own {
            "" => of_step.unwrap_or_default(),
            own => own,
        };
        let mut values = json!({
            "agent": name, "role": said(&self.config, "role"), "prompt_version": version,
        });
        if let (Some(values), Some(input)) = (values.as_object_mut(), input) {
            values.insert("input".to_owned(), input.clone());
        }
        if let (Some(values), None) = (values.as_object_mut(), &step.foreach) {
            values.insert("step".to_owned(), json!(path));
        }
        values
    }

    fn writes_programs(&self) -> bool {
        said(&self.config, "tool_mode") == CODE
    }

    /// Whether it has tools to offer; none where only the run will know.
    fn has_tools(&self) -> Option<bool> {
        let turns = self.config.get("max_turns").and_then(Value::as_u64);
        if turns.unwrap_or(TURNS) < 2 {
            return Some(false); // there is no turn left to use a tool's answer in
        }
        let peers = self.config.get("peers").and_then(Value::as_array);
        if peers.is_some_and(|peers| !peers.is_empty()) {
            return Some(true);
        }
        let grant = &self.asks.member.effective.grants.tools;
        let chosen = self.config.get("tools").and_then(Value::as_array);
        if grant.call.is_empty() || chosen.is_some_and(Vec::is_empty) {
            return Some(false);
        }
        let is_offered = |tool: &str| match (self.writes_programs(), chosen) {
            (true, _) => tool.split_once('/') == Some((CODE, RUN)),
            (false, None) => true,
            (false, Some(chosen)) => chosen.iter().filter_map(Value::as_str).any(|wanted| {
                match wanted.strip_suffix("/*") {
                    Some(plugin) => tool.split_once('/').is_some_and(|(of, _)| of == plugin),
                    None => tool == wanted,
                }
            }),
        };
        let mut is_known = true;
        for (key, other) in &self.asks.project.members {
            let name = key.strip_prefix(self.asks.prefix);
            let Some(name) = name.filter(|name| !name.contains("::")) else {
                continue; // of another plan
            };
            match other.decl.kind {
                PluginKind::Tool if !other.manifest.tools.is_empty() => {}
                PluginKind::Tool | PluginKind::McpAdapter => {
                    is_known = false;
                    continue;
                }
                _ => continue,
            }
            let tools = other.manifest.tools.iter();
            let mut tools = tools.map(|tool| format!("{name}/{}", tool.name));
            if tools.any(|tool| decide_tool(grant, &tool).is_ok() && is_offered(&tool)) {
                return Some(true);
            }
        }
        is_known.then_some(false)
    }
}

/// The input as it stands below a prompt; an empty one does not.
fn shown(input: &Value) -> Option<String> {
    let is_empty = input.is_null() || input.as_object().is_some_and(Map::is_empty);
    (!is_empty).then(|| input.to_string())
}

/// A prompt as far as it is known.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    /// What it certainly says.
    text: String,
    /// Whether that is all of it.
    whole: bool,
    /// Whether it shows the step's input itself; none where that is not known.
    shows_input: Option<bool>,
}

impl Words {
    /// Fills in names, and works out nothing else.
    fn of(source: &str, values: &Value) -> Self {
        let nothing = Self {
            text: String::new(),
            whole: false,
            shows_input: None,
        };
        if source.contains("{%") || source.contains("{#") {
            return nothing; // any of it may stand in a branch that is not taken
        }
        let (mut text, mut whole) = (String::new(), true);
        let mut shows_input = Some(false);
        let mut rest = source;
        while let Some((plain, more)) = rest.split_once("{{") {
            let Some((name, behind)) = more.split_once("}}") else {
                return nothing; // the preflight has told of it
            };
            text.push_str(plain);
            rest = behind;
            match (path(name), shows_input) {
                (Some(path), _) if path.first() == Some(&"input") => shows_input = Some(true),
                (None, Some(false)) => shows_input = None,
                _ => {}
            }
            match path(name).and_then(|path| value(values, &path)) {
                Some(value) => text.push_str(&value),
                None => whole = false,
            }
        }
        text.push_str(rest);
        Self {
            text,
            whole,
            shows_input,
        }
    }
}

/// The names between dots; none for anything else that can stand in a template.
fn path(name: &str) -> Option<Vec<&str>> {
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let parts: Vec<&str> = name.trim().split('.').collect();
    parts.iter().all(plain).then_some(parts)
}

/// Texts as they are, everything else as JSON.
fn value(values: &Value, path: &[&str]) -> Option<String> {
    let found = path
        .iter()
        .try_fold(values, |value, part| value.get(*part))?;
    Some(match found.as_str() {
        Some(text) => text.to_owned(),
        None => found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Words {
        let input = json!({ "place": "Hull", "list": [1, "two"] });
        Words::of(source, &json!({ "role": "clerk", "input": input }))
    }

    #[test]
    fn what_may_not_be_said_is_no_part_of_the_least() {
        for source in [
            "{% if input.x %}Long.{% endif %}",
            "{# Long. #}",
            "{{ input",
        ] {
            let words = words(source);
            assert_eq!((words.text.as_str(), words.whole), ("", false), "{source}");
            assert_eq!(words.shows_input, None, "{source}");
        }
        let words = words("Say {{ input.place | data }} and {{ step }}.");
        assert_eq!((words.text.as_str(), words.whole), ("Say  and .", false));
        assert_eq!(words.shows_input, None);
    }

    #[test]
    fn names_are_filled_in() {
        let words = words("{{ role }} of {{input.place}}: {{ input.list }}");
        assert_eq!(words.text, "clerk of Hull: [1,\"two\"]");
        assert_eq!((words.whole, words.shows_input), (true, Some(true)));
    }

    #[test]
    fn a_text_without_names_is_what_it_is() {
        let words = words("Say it.\n");
        assert_eq!(words.text, "Say it.\n");
        assert_eq!((words.whole, words.shows_input), (true, Some(false)));
    }

    #[test]
    fn an_input_that_is_empty_is_not_shown() {
        assert_eq!(shown(&Value::Null), None);
        assert_eq!(shown(&json!({})), None);
        assert_eq!(shown(&json!({ "a": 1 })).as_deref(), Some("{\"a\":1}"));
    }
}
