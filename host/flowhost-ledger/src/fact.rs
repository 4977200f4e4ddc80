//! What callers hand to the ledger, before it becomes a record: a kind, an actor and string fields.

use std::collections::BTreeMap;

macro_rules! kinds {
    ($($variant:ident $text:literal $doc:literal,)*) => {
        /// Every kind of record there is. The book's table is made from this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $doc] $variant,)* }

        impl Kind {
            /// All kinds with what each one says, in the order of the book's table.
            pub const ALL: &'static [(Kind, &'static str, &'static str)] =
                &[$((Kind::$variant, $text, $doc),)*];

            /// The word in the record's `kind` field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $text,)* }
            }

            /// The kind of this word, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Kind::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    RunStart "run.start" "A run began: plan hash, seed, host.",
    RunEnd "run.end" "A run ended: status and totals.",
    StepStart "step.start" "A step was asked for.",
    StepEnd "step.end" "A step ended: status, attempts, what it used.",
    AttemptStart "attempt.start" "One attempt at a step began.",
    AttemptEnd "attempt.end" "One attempt ended: outcome, owner of a failure, used and allowed.",
    PlannerEvent "planner.event" "An event, written before the planner is fed it, in the order in which it is fed.",
    ComponentLoad "component.load" "A component was admitted: digest, size, imports.",
    PolicyLoad "policy.load" "An effective profile was fixed for a plugin.",
    HostCall "host.call" "A guest used a granted interface, or was refused.",
    NetDecision "net.decision" "A request to the network was decided: rule and address.",
    FsOp "fs.op" "A guest touched a granted folder, or was refused.",
    SecretUse "secret.use" "A secret was injected, revealed or redacted; never its value.",
    ToolList "tool.list" "The tools of a plugin, pinned by hash.",
    ToolCall "tool.call" "A tool was called: name and arguments' commitment.",
    ToolResult "tool.result" "What a tool handed back.",
    ModelIntent "model.intent" "A model is about to be called.",
    ModelResult "model.result" "What the model answered and what it cost.",
    GuardVerdict "guard.verdict" "A guardrail or check spoke.",
    ConsensusVote "consensus.vote" "An agent's vote.",
    ConsensusVerdict "consensus.verdict" "What the agents agreed on.",
    Budget "budget" "A reservation, a settlement, a warning or a refusal.",
    Gate "gate" "A gate opened, closed or timed out.",
    Message "message" "An envelope passed the bus.",
    Reload "reload" "A plugin was swapped.",
    Erasure "erasure" "A payload and its salt were erased.",
    Recovery "recovery" "A torn tail was cut.",
    KeyRotate "key.rotate" "The signing key changed.",
    ViewWrite "view.write" "A view was written: its path and SHA-256.",
}

/// A field's value: the format has strings, objects of strings and arrays of strings only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An array of strings.
    List(Vec<String>),
    /// An object of strings.
    Map(BTreeMap<String, String>),
}

impl Value {
    /// The string, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[String]> {
        match self {
            Self::List(items) => Some(items),
            Self::Text(_) | Self::Map(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::Map(map)
    }
}

/// One fact of a run.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::{Fact, Kind};
/// let fact = Fact::new(Kind::HostCall, "default/notes")
///     .with("interface", "flowhost:state/state@0.1.0")
///     .with("decision", "allow")
///     .payload(br#"{"key":"a"}"#.to_vec());
/// assert_eq!(fact.kind.as_str(), "host.call");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What kind of record this becomes.
    pub kind: Kind,
    /// Who did it: `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    /// The kind's own fields; the reserved names (`v`, `seq`, `ts`, …) are refused on append.
    pub fields: BTreeMap<String, Value>,
    /// Bytes that stay out of the record: it holds a salted commitment, the payload is erasable.
    pub payload: Option<Vec<u8>>,
}

impl Fact {
    /// A fact without fields.
    #[must_use]
    pub fn new(kind: Kind, actor: impl Into<String>) -> Self {
        Self {
            kind,
            actor: actor.into(),
            fields: BTreeMap::new(),
            payload: None,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Attaches a payload: anything personal, secret or large.
    #[must_use]
    pub fn payload(mut self, bytes: Vec<u8>) -> Self {
        self.payload = Some(bytes);
        self
    }
}
