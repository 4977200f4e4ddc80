//! Steps and handlers: what one of them says, and what within one step does not go together.
//! What steps say about each other is checked in `check.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowhost_words::nearest;

use crate::plan::defaults::{Defaults, duration, guards, on_fail, retry};
use crate::plan::foresight::ITEMS_FORESEEN_MAX;
use crate::plan::keys::{STEP, is_name};
use crate::plan::parse::{budget, expr, template, text};
use crate::plan::tree::{Data, Node};
use crate::plan::walk::{is_part, require};
use crate::plan::{
    Barrier, Check, Consensus, Effects, Foreach, Gate, Guard, OnFailure, OnTimeout, Prompt,
    Require, SchemaSource, Step, Then, TokenRange, Wants, Work,
};
use crate::problem::{Places, Problems};
use crate::retry::RetryPolicy;
use crate::schema_check::OutputSchema;

/// Items at work at once when a `foreach` does not say: half of the instances that a plugin has by default,
/// so that another step finds room.
const FOREACH_PARALLEL: u32 = 4;

/// A step of a workflow, or a handler.
pub(super) fn step(id: &str, node: &Node, defaults: &Defaults, problems: &mut Problems) -> Step {
    together(id, node, problems);
    work_of(id, node, defaults, problems)
}

/// What works: a step, a state that uses something, an action.
pub(super) fn work_of(id: &str, node: &Node, defaults: &Defaults, problems: &mut Problems) -> Step {
    let guardrails = node.get("guardrails");
    let calls = node.get("uses").is_some() || node.get("consensus").is_some();
    let mut guard_list = |key: &str, default: &[Guard]| match guardrails.and_then(|g| g.get(key)) {
        Some(list) => guards(Some(list), problems),
        None if !calls => Vec::new(),
        None => default.to_vec(),
    };
    let (before, after) = (
        guard_list("before", &defaults.before),
        guard_list("after", &defaults.after),
    );
    let mut needs: Vec<String> = node
        .get("needs")
        .map(Node::listed)
        .unwrap_or_default()
        .iter()
        .filter_map(|node| node.text().map(str::to_owned))
        .collect();
    // Their order means nothing, and must not change the plan's hash.
    needs.sort_unstable();
    needs.dedup();
    Step {
        id: id.to_owned(),
        at: node.at,
        places: places(node),
        needs,
        when: expr(node.get("when"), problems),
        foreach: node.get("foreach").map(|node| foreach(node, problems)),
        work: work(id, node, defaults, problems),
        with: template(node.get("with"), problems),
        timeout_ms: duration(Some(node), "timeout").unwrap_or(defaults.timeout_ms),
        retry: match calls {
            true => retry(node.get("retry"), &defaults.retry),
            // What waits or tells is not tried again: a default for plugins says nothing of it.
            false => RetryPolicy::default(),
        },
        before,
        after,
        output_schema: node
            .get("output")
            .and_then(|node| schema(node.get("schema")?, problems)),
        output_tokens: node
            .get("output")
            .and_then(|node| tokens(node.get("tokens")?, problems)),
        checks: checks(node.get("checks"), problems),
        on_failure: on_failure(node.get("on_failure")),
        continue_on_error: matches!(
            node.get("continue_on_error").map(|node| &node.data),
            Some(Data::Bool(true))
        ),
        stage: node.get("stage").and_then(Node::text).map(str::to_owned),
        remember: node
            .get("remember")
            .map(|node| crate::plan::evidence::remember(id, node, problems)),
        prompt: prompt(id, node, problems),
        budget: budget(node.get("budget")),
        effects: match node.get("effects").and_then(Node::text) {
            Some("idempotent") => Effects::Idempotent,
            Some("once") => Effects::Once,
            _ => Effects::Keyed,
        },
        compensate: node
            .get("compensate")
            .map(|node| Arc::new(work_of("compensate", node, defaults, problems))),
    }
}

fn prompt(id: &str, node: &Node, problems: &mut Problems) -> Option<Prompt> {
    let version = node.get("prompt_version").and_then(Node::text);
    let Some(file) = node.get("prompt") else {
        if let Some(version) = node.get("prompt_version") {
            let message = format!("step `{id}`: `prompt_version` without `prompt`");
            problems.add(version.at, message, "name the prompt's file");
        }
        return None;
    };
    Some(Prompt {
        file: file.text()?.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// What a step must have, and what does not go together.
fn together(id: &str, node: &Node, problems: &mut Problems) {
    // The walk has told that a step is a map.
    let Data::Map(members) = &node.data else {
        return;
    };
    let has = |key| node.get(key).is_some();
    // The walk has told of a part that stands where a step should, and of a misspelt word.
    let told = is_part(&STEP, id, node)
        || members
            .iter()
            .any(|(key, _)| nearest(&key.text, WORKS).is_some());
    if !told && !WORKS.iter().any(|key| has(key)) {
        let message = format!("step `{id}` says nothing of what it does");
        problems.add(node.at, message, WORKS_CURE);
    }
    beside(id, "step", node, problems);
    if has("barrier") {
        const BESIDES: [&str; 5] = [
            "needs",
            "barrier",
            "when",
            "continue_on_error",
            "on_failure",
        ];
        for (key, _) in members
            .iter()
            .filter(|(key, _)| !BESIDES.contains(&key.text.as_str()))
        {
            let message = format!("step `{id}`: `{}` has no meaning for a barrier", key.text);
            problems.add(
                key.at,
                message,
                "a barrier only waits; give the rest to another step",
            );
        }
    }
    if let Some(policy) = node.get("on_failure")
        && has("continue_on_error")
        && let Some(then) = policy.get("then")
    {
        let message =
            format!("step `{id}`: `then` and `continue_on_error` say the same thing twice");
        problems.add(then.at, message, "keep one of them");
    }
}

/// The keys that say what a step does: one of them.
const WORKS: [&str; 5] = ["uses", "consensus", "barrier", "wait_for", "emit"];
/// What to write where a step has none of them.
const WORKS_CURE: &str = "write `uses: plugin`, `uses: plugin/function`, `uses: plan:…`, `consensus: …`, `barrier: …`, `wait_for: approval` or \
     `emit: …`";
/// What means something beside `wait_for` or `emit`; ways out are a state's own.
const WAITS_BESIDE: [&str; 13] = [
    "type",
    "id",
    "needs",
    "when",
    "stage",
    "continue_on_error",
    "on_failure",
    "checks",
    "transitions",
    "on_success",
    "on_error",
    "timeout",
    "on_timeout",
];

/// What a step, state or action that waits or tells must have and must not have.
pub(super) fn beside(id: &str, part: &str, node: &Node, problems: &mut Problems) {
    let has = |key: &str| node.get(key).is_some();
    let Some(key) = ["wait_for", "emit"].into_iter().find(|key| has(key)) else {
        if let Some(place) = node.get("on_timeout") {
            let message = format!("{part} `{id}`: `on_timeout` has no meaning without `wait_for`");
            problems.add(
                place.at,
                message,
                "say what happens to a failure with `on_failure` or `on_error`",
            );
        }
        return;
    };
    for (other, _) in node.members() {
        let known = other.text == key || WAITS_BESIDE.contains(&other.text.as_str());
        let timed = key == "wait_for" || !["timeout", "on_timeout"].contains(&other.text.as_str());
        if !known || !timed {
            let message = format!(
                "{part} `{id}`: `{}` has no meaning beside `{key}`",
                other.text
            );
            problems.add(other.at, message, "give it to another one");
        }
    }
    if key == "wait_for" && !has("timeout") {
        let message = format!("{part} `{id}` waits for ever: a gate needs a `timeout`");
        problems.add(node.at, message, "for example `timeout: 4h`");
    }
    if let Some(subject) = node.get("emit").and_then(|emit| emit.get("subject"))
        && let Some(text) = subject.text()
        && !is_topic(text)
    {
        let message = format!("subject: `{text}` is not a topic");
        problems.add(
            subject.at,
            message,
            "words of letters, digits, `-` and `_` with dots between",
        );
    }
}

fn is_topic(text: &str) -> bool {
    let word = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !word.is_empty() && word.chars().all(plain)
    };
    text.len() <= 200 && text.split('.').all(word)
}

fn gate(wants: &str, node: &Node, defaults: &Defaults) -> Work {
    let state = node.get("on_timeout").and_then(Node::text);
    let is_state = STATES_OWN.iter().any(|key| node.get(key).is_some());
    Work::Gate(Gate {
        wants: match wants {
            "signal" => Wants::Signal,
            _ => Wants::Approval,
        },
        timeout_ms: duration(Some(node), "timeout").unwrap_or(defaults.timeout_ms),
        on_timeout: match state {
            Some("halt") | None => OnTimeout::Halt,
            Some(_) => OnTimeout::Continue,
        },
        // A state goes where its transitions lead, also after a no; a step has no other way.
        rejection_fails: !is_state,
    })
}

/// Keys that only a state has.
const STATES_OWN: [&str; 3] = ["transitions", "on_success", "on_error"];

fn work(id: &str, node: &Node, defaults: &Defaults, problems: &mut Problems) -> Work {
    if let Some(wants) = node.get("wait_for").and_then(Node::text) {
        return gate(wants, node, defaults);
    }
    if let Some(emit) = node.get("emit") {
        return Work::Emit {
            subject: text(emit, "subject"),
            payload: template(emit.get("payload"), problems),
        };
    }
    if let Some(barrier) = node.get("barrier") {
        return Work::Barrier(Barrier {
            require: barrier
                .get("require")
                .map_or(Some(Require::All), require)
                .unwrap_or(Require::All),
            timeout_ms: duration(Some(barrier), "timeout").unwrap_or(defaults.timeout_ms),
            on_timeout: match barrier.get("on_timeout").and_then(Node::text) {
                Some("continue") => OnTimeout::Continue,
                _ => OnTimeout::Halt,
            },
        });
    }
    if let Some(consensus) = node.get("consensus") {
        let spec = Consensus::read(consensus, defaults.consensus.as_ref());
        return Work::Consensus(Arc::new(spec));
    }
    let uses = text(node, "uses");
    if let Some(reference) = uses.strip_prefix("plan:") {
        sub_plan(id, node, reference, problems);
        return Work::Plan {
            reference: reference.to_owned(),
        };
    }
    let (plugin, function) = match uses.split_once('/') {
        Some((plugin, function)) => (plugin, Some(function.to_owned())),
        None => (uses.as_str(), None),
    };
    if let Some(node) = node.get("uses")
        && (!uses.is_empty() && (!is_name(plugin) || function.as_deref() == Some("")))
    {
        let message = format!("uses: `{uses}` names no plugin");
        problems.add(
            node.at,
            message,
            "`uses: plugin`, `uses: plugin/function` or `uses: plan:…`",
        );
    }
    Work::Call {
        plugin: plugin.to_owned(),
        function,
    }
}

fn sub_plan(id: &str, node: &Node, reference: &str, problems: &mut Problems) {
    let at = node.get("uses").map_or(node.at, |node| node.at);
    if reference.is_empty() || reference.starts_with('/') || reference.contains("://") {
        let message = format!("uses: `plan:{reference}` is not a path relative to this plan");
        problems.add(at, message, "for example `uses: plan:audit.yaml`");
    }
    if let Some(with) = node.get("with")
        && !matches!(with.data, Data::Map(_))
    {
        let message = format!("step `{id}`: `with` of a sub-plan is a map of its inputs");
        problems.add(with.at, message, "for example `with: { name: value }`");
    }
}

/// The places of a step's parts, and of the items that its `foreach` has written out.
fn places(node: &Node) -> Places {
    let mut places = node.places();
    let items = node.get("foreach").and_then(|it| it.get("items"));
    let items = items.into_iter().flat_map(Node::elements).enumerate();
    for (index, item) in items.take(ITEMS_FORESEEN_MAX) {
        places.insert(format!("/foreach/items/{index}"), item.at);
    }
    places
}

fn foreach(node: &Node, problems: &mut Problems) -> Foreach {
    let parallel = node
        .get("max_parallel")
        .and_then(|node| node.json().as_u64());
    Foreach {
        items: template(node.get("items"), problems),
        name: node
            .get("as")
            .and_then(Node::text)
            .unwrap_or("item")
            .to_owned(),
        max_parallel: parallel
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(FOREACH_PARALLEL),
        fail_fast: !matches!(
            node.get("fail_fast").map(|node| &node.data),
            Some(Data::Bool(false))
        ),
    }
}

fn schema(node: &Node, problems: &mut Problems) -> Option<SchemaSource> {
    match &node.data {
        Data::Text(path) => Some(SchemaSource::File(path.clone())),
        Data::Map(_) => match OutputSchema::compile(node.json()) {
            Ok(schema) => Some(SchemaSource::Inline(schema)),
            Err(message) => {
                problems.add(node.at, message, "");
                None
            }
        },
        _ => None,
    }
}

fn tokens(node: &Node, problems: &mut Problems) -> Option<TokenRange> {
    let number = |key: &str| node.get(key).and_then(|node| node.json().as_u64());
    let (min, max) = (
        number("min").unwrap_or(0),
        number("max").unwrap_or(u64::MAX),
    );
    if min > max {
        let message = format!("tokens: `min` is {min} and `max` is {max}");
        problems.add(node.at, message, "no output would fit");
        return None;
    }
    Some(TokenRange {
        min,
        // What JSON carries, so that the plan has a hash.
        max: max.min(crate::units::INTEGER_MAX),
        on_fail: on_fail(node),
    })
}

fn checks(node: Option<&Node>, problems: &mut Problems) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    let mut seen = BTreeSet::new();
    for node in node.map(Node::elements).unwrap_or_default() {
        let id = text(node, "id");
        if !id.is_empty() && !seen.insert(id.clone()) {
            problems.add(
                node.at,
                format!("the check `{id}` is given twice"),
                "rename one of them",
            );
        }
        if let Some(that) = expr(node.get("that"), problems) {
            checks.push(Check {
                id,
                that,
                on_fail: on_fail(node),
            });
        }
    }
    checks
}

fn on_failure(node: Option<&Node>) -> OnFailure {
    let then = match node.and_then(|node| node.get("then")).and_then(Node::text) {
        Some("continue") => Then::Continue,
        Some(text) => match text.strip_prefix("goto:") {
            Some(step) => Then::Goto(step.to_owned()),
            None => Then::Halt,
        },
        None => Then::Halt,
    };
    let run = node
        .and_then(|node| node.get("run"))
        .and_then(Node::text)
        .map(str::to_owned);
    OnFailure { run, then }
}
