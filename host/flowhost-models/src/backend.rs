//! What every provider does, whatever it speaks: one ask in, one raw answer or one fault out.

use serde_json::Value;

use crate::{
    answer::{Answer, Completion, Embeddings, Finish, Spent},
    compat::Features,
    fault::Fault,
    mock::Mock,
    name::ModelName,
    ports::{Operation, Who},
    progress::Progress,
    prompt::{Prompt, ToolCall},
    remote::Remote,
};

/// What is asked of a model. The prompt's own model is not looked at: `model` may be one that stands
/// in for it.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    Complete {
        model: &'a ModelName,
        prompt: &'a Prompt,
    },
    Embed {
        model: &'a ModelName,
        texts: &'a [String],
    },
}

impl<'a> Ask<'a> {
    /// The same of another model.
    pub(crate) fn of(self, model: &'a ModelName) -> Self {
        match self {
            Self::Complete { prompt, .. } => Self::Complete { model, prompt },
            Self::Embed { texts, .. } => Self::Embed { model, texts },
        }
    }

    pub(crate) fn model(self) -> &'a ModelName {
        match self {
            Self::Complete { model, .. } | Self::Embed { model, .. } => model,
        }
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Complete { .. } => Operation::Complete,
            Self::Embed { .. } => Operation::Embed,
        }
    }
}

/// What a provider wants to be told again with a call of an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    /// The call's id.
    pub(crate) call: String,
    pub(crate) value: Value,
}

/// An answer without its price.
#[derive(Debug)]
pub(crate) enum Raw {
    Completion {
        content: String,
        tool_calls: Vec<ToolCall>,
        finish: Finish,
        answered_by: String,
        /// Whether the text was taken out of a longer one.
        taken_out: bool,
        kept: Vec<Kept>,
    },
    Embeddings {
        vectors: Vec<Vec<f64>>,
        answered_by: String,
    },
}

impl Raw {
    /// What the provider wants to be told again.
    pub(crate) fn take_kept(&mut self) -> Vec<Kept> {
        match self {
            Self::Completion { kept, .. } => std::mem::take(kept),
            Self::Embeddings { .. } => Vec::new(),
        }
    }

    /// Every text of the answer.
    pub(crate) fn texts(&mut self, mut each: impl FnMut(&mut String)) {
        match self {
            Self::Completion {
                content,
                tool_calls,
                answered_by,
                ..
            } => {
                each(content);
                each(answered_by);
                for call in tool_calls {
                    each(&mut call.id);
                    each(&mut call.name);
                    each(&mut call.arguments);
                }
            }
            // `kept` is not among them: it goes back to the same provider alone, and a signature
            // that is changed is refused there.
            Self::Embeddings { answered_by, .. } => each(answered_by),
        }
    }

    pub(crate) fn priced(self, model: &ModelName, spent: Spent) -> Answer {
        let model = model.clone();
        match self {
            Self::Completion {
                content,
                tool_calls,
                finish,
                answered_by,
                taken_out,
                kept: _,
            } => Answer::Completion(Completion {
                content,
                taken_out,
                tool_calls,
                finish,
                spent,
                model,
                answered_by,
            }),
            Self::Embeddings {
                vectors,
                answered_by,
            } => Answer::Embeddings(Embeddings {
                vectors,
                spent,
                model,
                answered_by,
            }),
        }
    }
}

/// A provider's way to answer.
pub(crate) enum Backend {
    Mock(Mock),
    Remote(Box<Remote>),
}

impl Backend {
    pub(crate) async fn run(
        &self,
        ask: &Ask<'_>,
        who: &Who<'_>,
        left_out: Features,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        match self {
            Self::Mock(mock) => mock.run(ask, who, progress).await,
            Self::Remote(remote) => remote.run(ask, who, left_out, progress).await,
        }
    }
}
