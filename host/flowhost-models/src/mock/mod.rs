//! The provider `mock`: scripted answers from files, else text and JSON that follow from the seed.
//!
//! It is for examples, tests and dry runs, inside the process: no connection, no key. It keeps no
//! state, so the same prompt by the same caller gets the same answer in every run and order.

mod schema;
mod script;
mod seeded;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    answer::{Finish, Usage},
    backend::{Ask, Raw},
    fault::Fault,
    name::ModelName,
    ports::{ScriptFiles, Who},
    progress::Progress,
    prompt::Prompt,
    settings::{MOCK, ProviderSettings},
    tokens,
};

use script::{Chosen, Script, Shelf};

/// The provider's part that lasts.
pub(crate) struct Mock {
    scripts: Option<String>,
    latency: Duration,
    files: Arc<dyn ScriptFiles>,
    shelf: Shelf,
}

impl Mock {
    pub(crate) fn new(settings: &ProviderSettings, files: Arc<dyn ScriptFiles>) -> Self {
        Self {
            scripts: settings.scripts.clone(),
            latency: settings.latency,
            files,
            shelf: Shelf::default(),
        }
    }

    pub(crate) async fn run(
        &self,
        ask: &Ask<'_>,
        who: &Who<'_>,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        match ask {
            Ask::Complete { model, prompt } => self.complete(model, prompt, who, progress).await,
            Ask::Embed { model, texts } => {
                progress.sent();
                pass(self.latency).await;
                let usage = Usage {
                    prompt_tokens: tokens::count_texts(texts),
                    ..Usage::default()
                };
                progress.reported_so_far(usage.into());
                progress.whole();
                Ok(Raw::Embeddings {
                    vectors: texts.iter().map(|text| seeded::vector(text)).collect(),
                    answered_by: answered_by(model),
                })
            }
        }
    }

    async fn complete(
        &self,
        model: &ModelName,
        prompt: &Prompt,
        who: &Who<'_>,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        let entry = match &self.scripts {
            None => None,
            Some(folder) => match Script::find(self.files.as_ref(), &self.shelf, folder, who)? {
                None => None,
                Some(script) => Some(script.entry(prompt, who)?),
            },
        };
        // Counted from here as by a real provider: a call that is cut off during the latency has
        // cost its prompt.
        progress.sent();
        let latency = entry.as_ref().and_then(|chosen| chosen.latency);
        pass(latency.unwrap_or(self.latency)).await;
        let said = match entry {
            Some(chosen) => scripted(chosen, prompt, progress)?,
            None => Said::stop(seeded::answer(model, prompt, who)),
        };
        Ok(said.bounded(model, prompt, progress))
    }
}

/// Takes as long as a model would. None where it takes none: the timer's ticks are milliseconds, and to sleep for no
/// time lasts to the end of one.
async fn pass(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

/// Who the mock says it was. A provider of this kind can have any name; evidence must be able to tell its answers from
/// those of models all the same.
fn answered_by(model: &ModelName) -> String {
    match model.provider.as_str() {
        MOCK => model.name.clone(),
        _ => format!("{MOCK}/{}", model.name),
    }
}

/// What the mock says, before the prompt's bounds are laid on it.
struct Said {
    content: String,
    tool_calls: Vec<crate::prompt::ToolCall>,
    finish: Finish,
    usage: Option<Usage>,
}

impl Said {
    fn stop(content: String) -> Self {
        Self {
            content,
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: None,
        }
    }

    /// Ends the text before a stop sequence and at `max_tokens`, as a model would, and counts.
    fn bounded(mut self, model: &ModelName, prompt: &Prompt, progress: &mut Progress) -> Raw {
        let stops = prompt
            .stop
            .iter()
            .filter_map(|stop| self.content.find(stop));
        if let Some(at) = stops.min() {
            self.content.truncate(at);
        }
        let max_tokens = u64::from(prompt.max_tokens);
        if tokens::count_answer(&self.content, &self.tool_calls) > max_tokens {
            // A model that runs into its limit has no whole call either.
            self.tool_calls.clear();
            self.content
                .truncate(seeded::fitting(&self.content, max_tokens));
            self.finish = Finish::Length;
        }
        let tokens = tokens::count_answer(&self.content, &self.tool_calls);
        progress.heard(Instant::now(), tokens, self.content.len());
        let usage = self.usage.unwrap_or(Usage {
            prompt_tokens: tokens::count_prompt(prompt),
            completion_tokens: tokens,
            ..Usage::default()
        });
        progress.reported_so_far(usage.into());
        progress.whole();
        Raw::Completion {
            content: self.content,
            tool_calls: self.tool_calls,
            finish: self.finish,
            answered_by: answered_by(model),
            taken_out: false,
            kept: Vec::new(),
        }
    }
}

fn scripted(chosen: Chosen, prompt: &Prompt, progress: &mut Progress) -> Result<Said, Fault> {
    if let Some(fault) = chosen.fault {
        progress.refused();
        return Err(fault);
    }
    let entry = chosen.entry;
    let turn = prompt.answers_so_far();
    let tool_calls = entry.tool_calls(turn);
    let finish = entry.finish.map_or_else(
        || {
            if tool_calls.is_empty() {
                Finish::Stop
            } else {
                Finish::ToolCalls
            }
        },
        Into::into,
    );
    Ok(Said {
        usage: entry.usage.map(Into::into),
        content: entry.content(),
        tool_calls,
        finish,
    })
}
