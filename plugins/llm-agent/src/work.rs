//! One step's work: ask, call tools, ask again, until there is an answer that fits, or a bound is reached.
//!
//! Every way through the loop uses up one of two bounds, `max_turns` or `max_repairs`, so it ends.
//! An error of the model's host is handed on as it came: the plan's retry, and the exit code, follow from
//! its kind.

use flowhost_sdk::host::model::{Completion, Finish, Prompt, Speaker, ToolCall};
use flowhost_sdk::{Context, Descriptor, Error, Output, Task};
use serde_json::Value;

use crate::answer::{Wanted, repair, told};
use crate::code::{self, LeftOut};
use crate::config::{Config, ToolMode};
use crate::host::Host;
use crate::notes::Notes;
use crate::prompt::{self, Rules, answered, said, says};
use crate::spend::Spend;
use crate::text::{cut, line};
use crate::tools::{self, Toolbox};
use crate::trim;

/// Most tool calls of one turn; the rest are told so.
const CALLS_PER_TURN_MAX: usize = 16;
/// Largest part of an answer that cannot be used which is told again, in bytes.
const ECHO_BYTES_MAX: usize = 8 << 10;
/// Longest id of a call that is told again, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Why tools are closed while there is money for an answer.
const SHORT: &str = "what is left of the budget would not pay for another call";

/// Does the work of a step.
///
/// # Errors
/// [`Error::Invalid`] for a wrong prompt, input or schema; [`Error::Failed`] for a model that does not
/// come to an answer; what the host says to a model call.
pub(crate) fn work(
    host: &impl Host,
    config: &Config,
    ctx: &Context,
    task: &Task,
) -> Result<Output, Error> {
    let wanted = Wanted::of(&task.schema)?;
    let (offered, left_out) = offered(host, config)?;
    let toolbox = Toolbox::new(offered, &config.peers)?;
    // With one turn there is no turn left to use a tool's answer in.
    let open = !toolbox.specs().is_empty() && config.max_turns > 1;
    let rules = Rules {
        tools: open,
        code: open && config.tool_mode == ToolMode::Code,
        schema: wanted.is_schema(),
    };
    let prompt = Prompt {
        turns: prompt::task(config, ctx, task, rules)?,
        tools: if open {
            toolbox.specs().to_vec()
        } else {
            Vec::new()
        },
        answer_schema: task.schema.trim().to_owned(),
        ..request(config)
    };
    let notes = Notes {
        prompt_version: prompt::version(config, task).to_owned(),
        left_out,
        ..Notes::default()
    };
    let mut talk = Talk {
        host,
        config,
        wanted,
        toolbox,
        prompt,
        open,
        insists: false,
        rounds: 0,
        spend: Spend::default(),
        notes,
    };
    let content = talk.run()?;
    Ok(Output {
        content: content.to_string(),
        notes: talk.notes.lines(),
    })
}

/// The tools that the model is offered, and in code mode what it is spared.
fn offered(host: &impl Host, config: &Config) -> Result<(Vec<Descriptor>, LeftOut), Error> {
    if config.tool_mode == ToolMode::Code {
        return code::offered(host.tools());
    }
    let listed = if config.tools.as_ref().is_some_and(Vec::is_empty) {
        Vec::new()
    } else {
        host.tools()
    };
    let offered = tools::offered(listed, config.tools.as_deref())?;
    Ok((offered, LeftOut::default()))
}

/// A request without turns, as the configuration wants it.
pub(crate) fn request(config: &Config) -> Prompt {
    Prompt {
        model: config.model.clone(),
        turns: Vec::new(),
        tools: Vec::new(),
        answer_schema: String::new(),
        temperature: config.temperature,
        max_tokens: config.max_tokens,
        seed: String::new(),
        stop: Vec::new(),
    }
}

struct Talk<'a, H> {
    host: &'a H,
    config: &'a Config,
    wanted: Wanted,
    toolbox: Toolbox,
    prompt: Prompt,
    /// Whether tools may be asked for.
    open: bool,
    /// The model asked for a tool after it was asked for its answer, because there was money for no more
    /// than that.
    insists: bool,
    /// Turns that asked for tools.
    rounds: usize,
    spend: Spend,
    notes: Notes,
}

impl<H: Host> Talk<'_, H> {
    fn run(&mut self) -> Result<Value, Error> {
        loop {
            self.close_in_time();
            let completion = self.ask()?;
            if !completion.tool_calls.is_empty() {
                self.use_tools(completion)?;
                continue;
            }
            match self.wanted.read(&completion) {
                Ok(value) => {
                    self.notes.cut = completion.finish == Finish::Length;
                    return Ok(value);
                }
                Err(faults) => self.repair(&completion, &faults)?,
            }
        }
    }

    /// Ends the use of tools while there is still a turn, and money, for an answer.
    fn close_in_time(&mut self) {
        if !self.open {
            return;
        }
        if self.rounds + 1 >= self.config.max_turns {
            self.close("this is the last of its turns");
        } else if !self.insists && !self.is_paid(2) {
            self.close(SHORT);
        }
    }

    /// Whether what is left pays for so many more model calls.
    fn is_paid(&self, calls: u32) -> bool {
        let answer = u64::try_from(self.config.max_tokens).unwrap_or(0);
        let next = self.size().saturating_add(answer);
        self.spend.covers(self.host.left(), next, calls)
    }

    /// A model that asks for a tool all the same spends what was kept for its answer. When that is used up the
    /// host says so, with its amounts, where this could only guess: a run whose budget is the reason must not
    /// end as a failure of its agent.
    fn reopen(&mut self) -> bool {
        let short = self.notes.closed == Some(SHORT) && self.rounds + 1 < self.config.max_turns;
        if short {
            (self.open, self.insists) = (true, true);
            self.prompt.tools = self.toolbox.specs().to_vec();
        }
        short
    }

    fn close(&mut self, why: &'static str) {
        self.open = false;
        self.notes.closed = Some(why);
        if self.rounds == 0 {
            self.prompt.tools.clear();
            return;
        }
        // The tools stay in the request: some providers refuse a conversation with calls without them.
        let text = format!(
            "No tool is called any more: {why}. Give your final answer now, from what you have."
        );
        self.prompt.turns.push(says(Speaker::User, text));
    }

    fn size(&self) -> u64 {
        trim::request(
            &self.prompt.turns,
            &self.prompt.tools,
            &self.prompt.answer_schema,
        )
    }

    fn ask(&mut self) -> Result<Completion, Error> {
        let surplus = self.size().saturating_sub(self.config.context_tokens);
        let trimmed = trim::trim(&mut self.prompt.turns, surplus);
        self.notes.trimmed.results += trimmed.results;
        self.notes.trimmed.tokens += trimmed.tokens;
        let completion = self.host.complete(&self.prompt)?;
        self.spend.saw(&completion.usage);
        self.notes.calls += 1;
        self.notes.model.clone_from(&completion.model);
        if completion.finish == Finish::ContentFilter {
            return Err(Error::failed(
                "the provider's content filter stopped the answer",
            ));
        }
        Ok(completion)
    }

    fn use_tools(&mut self, completion: Completion) -> Result<(), Error> {
        if !self.open && !self.reopen() {
            let asked = completion
                .tool_calls
                .first()
                .map(|call| line(&call.name, 64))
                .unwrap_or_default();
            let why = self.notes.closed.unwrap_or("it has none");
            return Err(Error::failed(format_args!(
                "the model asks for the tool `{asked}` instead of answering, after {} turns ({why})",
                self.notes.calls
            )));
        }
        self.rounds += 1;
        let calls = named(completion.tool_calls, self.rounds);
        let content = cut(&completion.content, ECHO_BYTES_MAX);
        let echo = calls.iter().map(tools::echoed).collect();
        self.prompt.turns.push(said(content, echo));
        for (place, call) in calls.iter().enumerate() {
            let text = self.one(call, place)?;
            self.prompt.turns.push(answered(&call.id, text));
        }
        Ok(())
    }

    fn one(&mut self, call: &ToolCall, place: usize) -> Result<String, Error> {
        let called = if place >= CALLS_PER_TURN_MAX {
            tools::refused(&format!(
                "at most {CALLS_PER_TURN_MAX} calls are made in one turn"
            ))
        } else if self.insists && !self.is_paid(1) {
            // Nobody could read what it gives, and it may do something.
            tools::refused(
                "it was not called: what is left of the budget does not pay for reading its answer",
            )
        } else {
            self.toolbox.call(self.host, call)?
        };
        if let Some(program) = called.program {
            self.notes.ran(program);
        }
        if let Some(tool) = called.tool {
            *self.notes.tools.entry(tool).or_default() += 1;
        }
        if !called.worked {
            self.notes.refused += 1;
            self.host.warn(&format!(
                "a tool call came back: {}",
                line(&called.text, 200)
            ));
        }
        Ok(called.text)
    }

    fn repair(&mut self, completion: &Completion, faults: &[String]) -> Result<(), Error> {
        if self.notes.repairs >= self.config.max_repairs {
            return Err(Error::failed(format_args!(
                "the model's answer cannot be used after {} repairs: {}",
                self.notes.repairs,
                told(faults)
            )));
        }
        self.notes.repairs += 1;
        self.host
            .warn(&format!("an answer cannot be used: {}", told(faults)));
        let content = cut(completion.content.trim(), ECHO_BYTES_MAX);
        let content = if content.is_empty() {
            "(nothing)".to_owned()
        } else {
            content
        };
        self.prompt.turns.push(said(content, Vec::new()));
        let text = repair(faults, self.wanted.is_schema());
        self.prompt.turns.push(says(Speaker::User, text));
        Ok(())
    }
}

/// Calls with an id each, whatever the model gave: an answer must name its call.
fn named(calls: Vec<ToolCall>, round: usize) -> Vec<ToolCall> {
    let mut seen = std::collections::BTreeSet::new();
    let with_id = |(place, call): (usize, ToolCall)| {
        let good =
            !call.id.is_empty() && call.id.len() <= ID_BYTES_MAX && seen.insert(call.id.clone());
        let id = if good {
            call.id
        } else {
            format!("call-{round}-{}", place + 1)
        };
        ToolCall { id, ..call }
    };
    calls.into_iter().enumerate().map(with_id).collect()
}
