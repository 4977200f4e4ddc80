//! From the tree to the plan. What does not fit has been reported by the walker and is left at its
//! default here, so that one mistake does not hide the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_words::PluginKind;
use serde_json::Value;

use crate::budget::{BudgetSpec, OnExceeded};
use crate::expr::{Expr, Template};
use crate::plan::defaults::{Defaults, RUN_TIMEOUT_MS, duration, thousandths};
use crate::plan::keys::{BODY_KEYS, KINDS, PLAN, Shape, is_name};
use crate::plan::tree::{Data, Node, read};
use crate::plan::walk::{money, number, walk};
use crate::plan::{
    Body, Faults, Guardrails, InputDecl, InputType, Plan, PluginDecl, Read, behavior, check,
    evidence, inputs, machine, steps, variants,
};
use crate::problem::{At, Problems};
use crate::units::parse_micro_usd;

/// Reads and checks the file. A plan comes back whenever there is one to speak of; it is good exactly
/// if no problem was added.
pub(super) fn parse(text: &str, file: &str, problems: &mut Problems) -> Option<Plan> {
    let root = read(text, problems)?;
    let kind = root.get("kind").and_then(Node::text);
    let named = |kind: &str| KINDS.iter().find(|(word, _)| *word == kind).copied();
    // A plan without a kind that is known is read as what its body is, or else as a workflow, so that the rest
    // of it is judged too.
    let body = BODY_KEYS.iter().find(|(key, _)| root.get(key).is_some());
    let (kind, section) = kind
        .and_then(named)
        .or_else(|| named(body?.1))
        .unwrap_or(("workflow", &PLAN));
    walk(&root, &Shape::Section(section), "the plan", problems);
    if !matches!(root.data, Data::Map(_)) {
        return None;
    }
    let mut plan = plan(&root, kind, file, problems);
    (plan.reads, plan.stated) = check::check(&plan, &root, problems);
    if !problems.is_empty() {
        plan.faults = Faults::of(&root, problems.places());
        // What such a step gives is not known.
        let reads = std::mem::take(&mut plan.reads);
        let sure = |read: &Read| !plan.gives_unsure_by_id(&read.step);
        plan.reads = reads.into_iter().filter(sure).collect();
    }
    Some(plan)
}

fn body(root: &Node, kind: &str, defaults: &Defaults, problems: &mut Problems) -> Body {
    match kind {
        "fsm" => Body::Fsm(machine::read(root, defaults, problems)),
        "behavior_tree" => Body::BehaviorTree(behavior::read(root, defaults, problems)),
        _ => {
            let mut steps: Vec<_> = members(root, "steps")
                .map(|(id, node)| Arc::new(steps::step(id, node, defaults, problems)))
                .collect();
            // Their order in the file means nothing, and must not change the plan's hash.
            steps.sort_by(|a, b| a.id.cmp(&b.id));
            evidence::check_remembered(root, &steps, problems);
            Body::Workflow { steps }
        }
    }
}

fn plan(root: &Node, kind: &str, file: &str, problems: &mut Problems) -> Plan {
    let defaults = Defaults::read(root.get("defaults"), problems);
    let body = body(root, kind, &defaults, problems);
    let handlers = members(root, "handlers")
        .map(|(id, node)| {
            let handler = steps::step(id, node, &defaults, problems);
            (id.to_owned(), Arc::new(handler))
        })
        .collect();
    let mut inputs: BTreeMap<String, InputDecl> = BTreeMap::new();
    for (name, node) in members(root, "inputs") {
        inputs.insert(name.to_owned(), input(name, node, problems));
    }
    let plugins = members(root, "plugins")
        .map(|(name, node)| (name.to_owned(), plugin(name, node, problems)));
    let plugins: BTreeMap<String, PluginDecl> = plugins.collect();
    let name = text(root, "name");
    let mut labels = templates(root, "labels", problems);
    let variants = variants::read(root, &name, &mut inputs, &mut labels, problems);
    Plan {
        file: file.to_owned(),
        body,
        name,
        description: text(root, "description"),
        description_at: place_of(root, "description"),
        plugins,
        labels,
        inputs,
        variants,
        budget: budget(root.get("budget")).unwrap_or_else(BudgetSpec::unstated),
        budget_at: place_of(root, "budget"),
        evidence_bytes: root
            .get("budget")
            .and_then(|budget| budget.get("evidence")?.text())
            .and_then(|text| crate::units::parse_bytes(text).ok()),
        timeout_ms: duration(Some(root), "timeout").unwrap_or(RUN_TIMEOUT_MS),
        handlers,
        guardrails: Guardrails {
            before: defaults.before,
            after: defaults.after,
        },
        outputs: templates(root, "outputs", problems),
        reads: Vec::new(),
        stated: Vec::new(),
        faults: Faults::default(),
        children: BTreeMap::new(),
        schemas: BTreeMap::new(),
        prompts: BTreeMap::new(),
        redact: defaults.redact,
        unsealed: defaults.unsealed,
        evidence: root
            .get("evidence")
            .map(|node| evidence::read(node, problems)),
    }
}

/// Where the value of `key` stands; nowhere, where it is not there.
fn place_of(root: &Node, key: &str) -> At {
    root.get(key).map(|node| node.at).unwrap_or_default()
}

/// The members of the map under `key`, with their names.
pub(super) fn members<'n>(
    node: &'n Node,
    key: &str,
) -> impl Iterator<Item = (&'n str, &'n Node)> + use<'n> {
    let members = node.get(key).map(Node::members).unwrap_or_default();
    members.iter().map(|(key, node)| (key.text.as_str(), node))
}

/// The text under `key`, empty when there is none.
pub(super) fn text(node: &Node, key: &str) -> String {
    node.get(key)
        .and_then(Node::text)
        .unwrap_or_default()
        .to_owned()
}

/// The text under `key`, if there is one.
pub(super) fn optional(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

/// The template in `node`; its faulty expressions are reported.
pub(super) fn template(node: Option<&Node>, problems: &mut Problems) -> Template {
    let Some(node) = node else {
        return Template::fixed(Value::Null);
    };
    match Template::compile(node.json()) {
        Ok(template) => template,
        Err(errors) => {
            let places = node.value_places();
            for (pointer, message) in errors {
                let at = places.get(&pointer).copied().unwrap_or(node.at);
                problems.add(at, message, "");
            }
            Template::fixed(Value::Null)
        }
    }
}

/// The expression in `node`; a faulty one is reported.
pub(super) fn expr(node: Option<&Node>, problems: &mut Problems) -> Option<Expr> {
    let node = node?;
    let source = match &node.data {
        Data::Text(text) if !text.trim().is_empty() => text.clone(),
        Data::Bool(value) => value.to_string(),
        _ => return None,
    };
    Expr::compile(&source)
        .map_err(|message| problems.add(node.at, message, ""))
        .ok()
}

fn templates(root: &Node, key: &str, problems: &mut Problems) -> BTreeMap<String, Template> {
    members(root, key)
        .map(|(name, node)| (name.to_owned(), template(Some(node), problems)))
        .collect()
}

/// A budget; `None` when the key is missing.
pub(super) fn budget(node: Option<&Node>) -> Option<BudgetSpec> {
    let node = node?;
    let amount = |key| node.get(key).and_then(|node| node.json().as_u64());
    let micro_usd = node
        .get("usd")
        .and_then(money)
        .and_then(|text| parse_micro_usd(&text).ok());
    let unstated = BudgetSpec::unstated();
    let warn_at_milli = node.get("warn_at").map_or(unstated.warn_at_milli, |node| {
        let mut shares: Vec<u32> = node
            .elements()
            .iter()
            .filter_map(number)
            .map(thousandths)
            .collect();
        // An account warns from the least to the most, and of each once.
        shares.sort_unstable();
        shares.dedup();
        shares
    });
    Some(BudgetSpec {
        limits: [amount("calls"), amount("fuel"), amount("tokens"), micro_usd],
        warn_at_milli,
        on_exceeded: match node.get("on_exceeded").and_then(Node::text) {
            Some("warn") => OnExceeded::Warn,
            _ => OnExceeded::Halt,
        },
    })
}

fn input(name: &str, node: &Node, problems: &mut Problems) -> InputDecl {
    let ty = node
        .get("type")
        .and_then(Node::text)
        .and_then(InputType::named);
    let allowed = node.get("enum").map(Node::elements).unwrap_or_default();
    let input = InputDecl {
        name: name.to_owned(),
        ty: ty.unwrap_or(InputType::String),
        default: node.get("default").map(Node::json),
        allowed: allowed.iter().map(Node::json).collect(),
        path: optional(node, "path"),
        sha256: optional(node, "sha256"),
        description: text(node, "description"),
        at: node.at,
    };
    // What else an input may have follows from its type. A type that is missing or not known is a problem
    // that the walk has told, and what is guessed from it would only mislead.
    if ty.is_some() {
        inputs::check_decl(&input, node, problems);
    }
    input
}

fn plugin(name: &str, node: &Node, problems: &mut Problems) -> PluginDecl {
    let plugin = PluginDecl {
        name: name.to_owned(),
        // A wrong word is a problem that the walk has told; the rest of the plan is read all the same.
        kind: node
            .get("kind")
            .and_then(Node::text)
            .and_then(PluginKind::named)
            .unwrap_or(PluginKind::Tool),
        source: text(node, "source"),
        profile: text(node, "profile"),
        config: template(node.get("config"), problems),
        release: optional(node, "release"),
        sha256: optional(node, "sha256"),
        narrow: node.get("narrow").map(Node::raw),
        at: node.at,
        places: node.places(),
    };
    if let Some(source) = node.get("source") {
        check_source(&plugin, source, problems);
    }
    plugin
}

fn check_source(plugin: &PluginDecl, node: &Node, problems: &mut Problems) {
    let source = plugin.source.as_str();
    if let Some(name) = source.strip_prefix("process:") {
        return check_process(plugin, name, node, problems);
    }
    let local = ["builtin:", "./", "../"].iter().any(|start| {
        source
            .strip_prefix(start)
            .is_some_and(|rest| !rest.is_empty())
    });
    let remote = ["https://", "oci://"]
        .iter()
        .any(|start| source.starts_with(start));
    if !local && !remote && !source.is_empty() {
        let message = format!("source: `{source}` is not a place for a component");
        let cure = match source {
            name if is_name(name) => {
                format!("write `builtin:{name}` for a plugin that is shipped, else `./{name}.wasm`")
            }
            path if path.ends_with(".wasm") && !path.starts_with('/') && !path.contains(':') => {
                format!("write `./{path}`")
            }
            _ => "write `builtin:NAME`, `process:NAME`, `./path.wasm`, `https://…` or `oci://…`"
                .to_owned(),
        };
        problems.add(node.at, message, cure);
    }
}

/// A native program, whose manifest stands beside the plan.
fn check_process(plugin: &PluginDecl, name: &str, node: &Node, problems: &mut Problems) {
    if !is_name(name) {
        let message = format!("source: `{name}` is not the name of a program's manifest");
        let cure = "write `process:NAME` for the manifest `NAME.toml` beside the plan";
        problems.add(node.at, message, cure);
    }
    if plugin.kind != PluginKind::Tool {
        let message = "source: a program behind `process:` is a tool, and nothing else";
        let cure = "write `kind: tool`; a program that speaks MCP is `kind: mcp_adapter` with `source: builtin:mcp-client`";
        problems.add(node.at, message, cure);
    }
}
