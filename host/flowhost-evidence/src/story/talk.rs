//! Who talked to whom: the plan to plugins, plugins to tools, agents to agents, agents to models.

use std::collections::{BTreeMap, HashMap};

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::lent::{Record, ToolCall};

use super::stored::{plugin_name, plugin_of, short, text};
use super::{Plugin, Shown};

/// Nodes of the graph: more are a carpet, not a picture.
const NODES_MAX: usize = 40;
/// Edges of the graph. A larger graph shows a surface and no lines.
const EDGES_MAX: usize = 120;
/// Different edges that are kept while reading. Every topic and every peer that a guest makes up is one.
const KEPT_MAX: usize = 5_000;
/// The one who performs the plan.
const HOST: &str = "host";

/// Who talked to whom.
#[derive(Debug, Clone, Default)]
pub struct Talk {
    /// Who talked; those who talked most.
    pub nodes: Shown<Node>,
    /// To whom; the busiest.
    pub edges: Shown<Edge>,
}

/// Someone who talked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The plugin's name, the model's, or `host`.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// The host, which performs the plan.
    Host,
    /// An agent.
    Agent,
    /// A tool or an MCP adapter.
    Tool,
    /// A guardrail.
    Guardrail,
    /// A model of a provider.
    Model,
}

/// From whom to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Who spoke first.
    pub from: String,
    /// To whom.
    pub to: String,
    /// About what.
    pub kind: EdgeKind,
    /// How many times.
    pub count: u64,
}

/// What passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// A step of the plan and its answer.
    Step,
    /// A tool called through the host.
    Tool,
    /// A message on a topic.
    Message,
    /// A try of a model call.
    Model,
}

#[derive(Default)]
pub(super) struct TalkOf {
    edges: BTreeMap<(String, String, EdgeKind), u64>,
    /// Who is at work on the plan's calls, by their numbers.
    asked: HashMap<u64, String>,
    /// Who waits for the answer to a message, by the message's id.
    waits: HashMap<String, String>,
}

impl TalkOf {
    pub(super) fn record(&mut self, record: &LentRecord<'_>, said: &Record<'_>) {
        if said.is_denial() {
            return;
        }
        let me = || plugin_of(record);
        match said {
            // A step's answer stands for the order and the answer. Older hosts recorded the envelope.
            Record::Message(message) if message.r#type == "step.end" => {
                self.count(HOST.to_owned(), me(), EdgeKind::Step);
            }
            // An answer goes to who asked, past every mailbox: no delivery of it is recorded.
            Record::Message(message) if message.r#type == "message.reply" => {
                let asker = message
                    .cause
                    .as_ref()
                    .and_then(|id| self.waits.remove(&**id));
                if let Some(asker) = asker {
                    self.count(me(), asker, EdgeKind::Message);
                }
            }
            Record::PlannerEvent(event) if event.took_us.is_some() => {
                let own = event.call.and_then(|call| self.asked.remove(&call));
                if let Some(plugin) = event.plugin.as_deref().map(short).or(own) {
                    self.count(HOST.to_owned(), plugin, EdgeKind::Step);
                }
            }
            Record::ToolCall(call) => self.call(record, call),
            Record::ModelIntent(intent) => {
                self.count(me(), text(intent.of_try.model.as_ref()), EdgeKind::Model);
            }
            _ => {}
        }
    }

    /// A call that delivers a message is the message's edge: its own record names no receiver.
    fn call(&mut self, record: &LentRecord<'_>, call: &ToolCall<'_>) {
        let number = call.call_of.call.as_deref().and_then(|it| it.parse().ok());
        if let Some(number) = number.filter(|_| self.asked.len() < KEPT_MAX) {
            self.asked.insert(number, plugin_of(record));
        }
        let sender = call.sender.as_deref().filter(|_| call.id.is_some());
        match (sender, call.caller.as_deref()) {
            (Some(sender), _) => {
                let sender = plugin_name(&record.tenant, sender);
                if let Some(id) = call.id.as_ref().filter(|_| call.asked == Some(true))
                    && self.waits.len() < KEPT_MAX
                {
                    self.waits.insert(id.to_string(), sender.clone());
                }
                self.count(sender, plugin_of(record), EdgeKind::Message);
            }
            (None, Some(caller)) if !caller.is_empty() => {
                self.count(short(caller), plugin_of(record), EdgeKind::Tool);
            }
            (None, _) => {}
        }
    }

    fn count(&mut self, from: String, to: String, kind: EdgeKind) {
        let key = (from, to, kind);
        // Whether one beyond the bound is new nobody can say without keeping it, so those are not among the total.
        if self.edges.len() < KEPT_MAX || self.edges.contains_key(&key) {
            *self.edges.entry(key).or_default() += 1;
        }
    }

    pub(super) fn finish(self, plugins: &[Plugin]) -> Talk {
        let mut nodes: BTreeMap<(NodeKind, String), u64> = BTreeMap::new();
        let mut edges = Vec::new();
        for ((from, to, kind), count) in self.edges {
            *nodes
                .entry((kind_of(&from, None, plugins), from.clone()))
                .or_default() += count;
            *nodes
                .entry((kind_of(&to, Some(kind), plugins), to.clone()))
                .or_default() += count;
            edges.push(Edge {
                from,
                to,
                kind,
                count,
            });
        }
        let total = nodes.len() as u64;
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        nodes.truncate(NODES_MAX);
        // Back to their names, so that a run that talked a little more is not drawn otherwise.
        nodes.sort();
        let items: Vec<Node> = nodes
            .into_iter()
            .map(|((kind, name), _)| Node { name, kind })
            .collect();
        let edges_total = edges.len() as u64;
        let has = |name: &str| items.iter().any(|node| node.name == name);
        edges.retain(|edge| has(&edge.from) && has(&edge.to));
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.count));
        edges.truncate(EDGES_MAX);
        Talk {
            nodes: Shown { items, total },
            edges: Shown {
                items: edges,
                total: edges_total,
            },
        }
    }
}

fn kind_of(name: &str, reached_by: Option<EdgeKind>, plugins: &[Plugin]) -> NodeKind {
    if reached_by == Some(EdgeKind::Model) {
        return NodeKind::Model;
    }
    if name == HOST {
        return NodeKind::Host;
    }
    let plugin = plugins.iter().find(|plugin| plugin.name == name);
    match plugin.map_or("", |plugin| plugin.role.as_str()) {
        "agent" => NodeKind::Agent,
        "guardrail" => NodeKind::Guardrail,
        _ => NodeKind::Tool,
    }
}
