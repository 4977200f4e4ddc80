//! What is offered, and how the runs of its calls begin: the part that the binary brings.

use flowhost_run::{Failure, Run};
use serde_json::{Map, Value};

/// Bytes of a document that is handed to a client: it travels as one JSON string. The run of a session ends before its
/// evidence has more.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// Something that a client can call.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its name, unique on the shelf.
    pub name: String,
    /// Its name for people; empty for none.
    pub title: String,
    /// What a model reads to choose it.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub input: Value,
    /// JSON Schema of its structured result, where it has one.
    pub output: Option<Value>,
    /// What people and models are told of its effects.
    pub hints: Hints,
    /// How what it comes to becomes an answer.
    pub kind: Kind,
    /// Of a tool, the step that a call asks for in the run of tools; empty for a plan.
    pub step: String,
}

/// MCP's annotations of a tool. None: not said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// What it changes may be lost.
    pub destructive: Option<bool>,
    /// Repeating it with the same input changes nothing more.
    pub idempotent: Option<bool>,
    /// It meets things outside of what the host knows.
    pub open_world: Option<bool>,
}

/// What an offer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plan, each call of which is a run: the answer has its outputs, the run and what it cost.
    Plan,
    /// A tool of a component, a call of which is a step of the session's run: the answer is the tool's own.
    Tool,
}

/// A prompt of a plan, as clients list and read it.
#[derive(Debug, Clone)]
pub struct PromptText {
    /// `plan/prompt`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it says.
    pub text: String,
}

/// What can be read of a run that is at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The report as JSON.
    Report,
    /// The report as a page.
    Page,
    /// All of its evidence in one file, as `flowhost evidence export` writes it.
    Evidence,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Report, Self::Page, Self::Evidence];

    /// The last part of its address.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Report => "report.json",
            Self::Page => "report.html",
            Self::Evidence => "evidence.tar",
        }
    }

    /// What it is.
    #[must_use]
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Report => "application/json",
            Self::Page => "text/html",
            Self::Evidence => "application/x-tar",
        }
    }

    /// Whether it is a text. An archive of small files may be one byte by byte, and is none to who reads its type.
    #[must_use]
    pub const fn is_text(self) -> bool {
        match self {
            Self::Report | Self::Page => true,
            Self::Evidence => false,
        }
    }

    /// What it holds, for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Report => "What the run did and cost",
            Self::Page => "The run as a page for people",
            Self::Evidence => "The signed evidence; `flowhost verify FILE` checks it",
        }
    }
}

/// A document as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whether its run is over for good, so that the document stays as it is. One of a run that waits, or was
    /// interrupted, is another once somebody has gone on with it.
    pub is_final: bool,
}

/// What is offered. The same for as long as the process serves.
pub trait Shelf: Send + Sync + 'static {
    /// What can be called, in a stable order.
    fn offers(&self) -> &[Offer];

    /// What can be read as a prompt, in a stable order.
    fn prompts(&self) -> &[PromptText];

    /// Begins the run of a call of a plan. Called on a thread that may wait for the disk, inside of the runtime.
    ///
    /// # Errors
    /// Arguments that the offer does not take, and whatever else keeps the run from starting.
    fn start(&self, offer: &Offer, arguments: Map<String, Value>) -> Result<Run, Failure>;

    /// Begins a run of the tools, which is open to requests for [`Offer::step`]. Called as [`Shelf::start`] is.
    ///
    /// # Errors
    /// Whatever keeps the run from starting.
    fn open(&self) -> Result<Run, Failure>;

    /// A document of a run that does not go on in this process. May wait for the disk.
    ///
    /// # Errors
    /// When it cannot be read, or is too large to be handed out.
    fn document(&self, run: &str, document: Document) -> Result<Handed, Failure>;
}
