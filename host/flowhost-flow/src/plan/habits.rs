//! What somebody means who writes a plan by the habits of another tool: its word for a key, a short form, a name in an
//! expression. A list of all keys is no cure for `if:`; the key that does the same is.
//!
//! Holds words only, and decides nothing: whatever stands here has been found wrong already.

use crate::plan::tree::{Data, Node};

/// A section of the plan, the words that other tools have, and what to write here.
type Habit = (&'static str, &'static [&'static str], &'static str);

const KEYS: [Habit; 23] = [
    ("step", &["if", "condition", "only_if"], "write `when`"),
    (
        "step",
        &["depends_on", "depends", "requires", "after", "dependencies"],
        "write `needs`",
    ),
    (
        "step",
        &[
            "args",
            "arguments",
            "input",
            "inputs",
            "params",
            "parameters",
        ],
        "write `with`",
    ),
    (
        "step",
        &["for_each", "loop", "matrix", "with_items", "for"],
        "write `foreach: { items: …, as: … }`",
    ),
    (
        "step",
        &["retries", "attempts", "max_attempts"],
        "write `retry: { max_attempts: … }`",
    ),
    (
        "step",
        &["catch", "on_error", "rescue"],
        "write `on_failure: { run: HANDLER, then: continue }`, or `continue_on_error: true`",
    ),
    (
        "step",
        &["tool", "agent", "plugin", "action", "call", "function"],
        "write `uses: plugin`, or `uses: plugin/function`",
    ),
    (
        "step",
        &["run", "script", "shell", "command", "cmd", "exec"],
        "a step runs a plugin, and no command line: write `uses: plugin/function`",
    ),
    (
        "step",
        &["env", "environment", "secrets"],
        "what a plugin has of the environment its profile says, under `[env]` and `[secrets]`",
    ),
    (
        "step",
        &["id", "name"],
        "the key above it is the step's name: leave it out",
    ),
    (
        "step",
        &["system", "temperature"],
        "write it in the `config` of the agent, under `plugins:`",
    ),
    ("state", &["next", "then"], "write `on_success`"),
    (
        "foreach",
        &["in", "list", "over", "each", "values"],
        "write `items`",
    ),
    (
        "foreach",
        &["parallel", "concurrency"],
        "write `max_parallel`",
    ),
    (
        "retry",
        &["attempts", "max", "count", "times", "limit"],
        "write `max_attempts`",
    ),
    (
        "budget",
        &["dollars", "cost", "money", "max_usd", "max_cost"],
        "write `usd`",
    ),
    ("plugin", &["type"], "write `kind`"),
    (
        "plugin",
        &["path", "file", "image", "component", "from"],
        "write `source`",
    ),
    (
        "plugin",
        &["policy", "rights", "permissions"],
        "write `profile`",
    ),
    (
        "plugin",
        &["with", "settings", "options"],
        "write `config`; of a guardrail `with` stands where it is used",
    ),
    ("plan", &["jobs", "tasks", "stages"], "write `steps`"),
    (
        "plan",
        &["tools", "agents", "components"],
        "write `plugins`",
    ),
    (
        "input",
        &["required", "optional"],
        "an input without `default` is required, and one with it is not: leave it out",
    ),
];

/// What to write in the place of a key that is not known here, where another tool has it.
pub(super) fn key(section: &str, word: &str) -> Option<&'static str> {
    let mut all = KEYS.iter();
    let found = all.find(|(name, words, _)| *name == section && words.contains(&word));
    found.map(|(_, _, cure)| *cure)
}

/// A value written out, where a short form stands that other tools take.
pub(super) fn written_out(section: &str, node: &Node) -> Option<String> {
    if section.ends_with("plan") || section == "behavior tree" {
        return Some("`flowhost new NAME` makes a plan that runs, to begin with".to_owned());
    }
    let value = match &node.data {
        Data::Text(text) if text.len() <= 200 && !text.contains('\n') => text.clone(),
        Data::Integer(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        _ => return None,
    };
    let quoted = Value(&value);
    let form = match section {
        "retry" => format!("{{ max_attempts: {value} }}"),
        "guardrail" => format!("{{ uses: {value} }}"),
        "foreach" => format!("{{ items: {quoted} }}"),
        "on_failure" => format!("{{ then: {quoted} }}"),
        "check" => format!("{{ id: NAME, that: {quoted} }}"),
        "input" => format!("{{ type: string, default: {quoted} }}"),
        "budget" | "step budget" => format!("{{ usd: {value} }}"),
        "barrier" => format!("{{ require: {quoted} }}"),
        "plugin" => format!("{{ kind: tool, source: {quoted}, profile: deny-all }}"),
        _ => return None,
    };
    Some(format!("write `{form}`"))
}

/// A text as YAML has it within `{ }`, where more than a plain word wants quotes.
struct Value<'a>(&'a str);

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        match self.0.chars().all(plain) {
            true => f.write_str(self.0),
            false => write!(f, "{:?}", self.0),
        }
    }
}

/// How a plan gets what other tools have under this name in their expressions.
pub(super) fn name(word: &str) -> Option<&'static str> {
    Some(match word {
        "env" | "environ" | "ENV" => {
            "the environment is never in reach: declare an input, and give it by `--input NAME=\"$VALUE\"`"
        }
        "secrets" | "secret" => {
            "a secret is never in reach: its profile injects it into requests, or reveals it to a plugin ([secrets])"
        }
        "github" | "vars" | "variables" | "params" | "parameters" | "args" => {
            "what comes from outside is an input: declare it under `inputs:`"
        }
        "matrix" | "each" => "within a `foreach` it is `item`, or the name after `as`",
        "result" | "response" => {
            "what a step hands on is `steps.ID.output`, and `output` in its own checks"
        }
        _ => return None,
    })
}
