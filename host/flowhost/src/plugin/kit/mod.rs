//! The conformance kit: what a host and its users rely on, tried on one component.
//!
//! Each check can fail, and says what was seen when it does. What only the host guarantees (that a right
//! which is not granted is not linked) is tried too, because an author wants to see it, and because a
//! component that behaves otherwise has found a hole.

mod contract;
mod faults;
mod inputs;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_engine::{Compiler, Inspection, ShapeLimits, inspect};
use flowhost_flow::Exit;
use flowhost_policy::{Effective, Manifest, ToolDescriptor};
use flowhost_words::PluginKind;
use serde_json::Value;

pub use report::{Check, Peak, Report, Verdict};

use super::trial::{self, Ask, Ended, Terms, Trial, World};
use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::host::compiler;

/// A call that the author wants tried, beside those that follow from schemas.
#[derive(Debug, Clone)]
pub struct Call {
    /// The tool's name; empty for agents and guardrails.
    pub name: String,
    /// Its input: a tool's, a step's, or the value that a guardrail judges.
    pub input: Value,
}

/// What to try.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The component as its author names it.
    pub shown: &'a str,
    /// Its bytes.
    pub component: &'a [u8],
    /// Its manifest, if it has one.
    pub manifest: Option<&'a Manifest>,
    /// Calls of the author's.
    pub calls: &'a [Call],
    /// The plan's `config:` of an agent or tool, `with:` of a guardrail: one JSON object.
    pub config: &'a str,
    /// Chooses the points at which calls are cut off.
    pub seed: u64,
}

/// Tries everything.
///
/// # Errors
/// When the component cannot be tried at all (a host would refuse it), or the trial cannot be held.
pub fn test(ambient: &Ambient, wanted: &Wanted<'_>) -> Result<Report, Failure> {
    let inspection = inspect(wanted.component, &ShapeLimits::default()).map_err(|error| {
        Failure::new(Exit::Plugin, "a host would refuse this component").caused_by(&error)
    })?;
    let mut bench = Bench {
        wanted,
        inspection: &inspection,
        compiler: compiler(ambient)?,
        checks: Vec::new(),
        peak: Peak::default(),
    };
    bench.stages()?;
    let failed = |check: &Check| check.verdict == Verdict::Fail;
    Ok(Report {
        component: wanted.shown.to_owned(),
        digest: inspection.digest.to_string(),
        role: inspection.role.as_str().to_owned(),
        passed: !bench.checks.iter().any(failed),
        peak: bench.peak,
        checks: bench.checks,
    })
}

/// One component being tried, and what was found so far.
struct Bench<'a> {
    wanted: &'a Wanted<'a>,
    inspection: &'a Inspection,
    /// Never this process: who tries a component need not be its author, and a hostile one takes all memory.
    compiler: Compiler,
    checks: Vec<Check>,
    peak: Peak,
}

/// A call that was made and came back, to be compared with others.
struct Sample {
    ask: Ask,
    /// What is tried, for messages.
    shown: String,
    ended: Ended,
    /// Whether it may be made again without changing more.
    repeatable: bool,
}

impl Bench<'_> {
    fn stages(&mut self) -> Result<(), Failure> {
        self.manifest();
        // In order of what the next needs: what cannot be linked answers nothing, and what does not answer cannot be
        // compared.
        if !self.imports() {
            self.skip(
                "faults",
                "everything that needs it to run",
                "no host would link it",
            );
            return Ok(());
        }
        // Without a cache: its author tries another build next, and a stranger's leaves nothing behind.
        let trial = Trial::compiled(self.wanted.component.into(), self.compiler.clone(), None)?;
        let rights = Arc::new(self.rights()?);
        let missing = trial.missing(&rights);
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|it| it.interface.as_str()).collect();
            let why = format!("this build serves no {}", names.join(", "));
            self.skip("contract.answers", "everything that needs it to run", &why);
            return Ok(());
        }
        // Without its tools nothing can be called; that has been told.
        let Some(tools) = self.descriptors(&trial, &rights)? else {
            return Ok(());
        };
        let samples = self.answers(&trial, &rights, &tools)?;
        let broken =
            |check: &Check| check.id == "contract.answers" && check.verdict == Verdict::Fail;
        if self.checks.iter().any(broken) {
            // A call that traps or never ends tells nothing about what happens when it is cut off.
            self.skip(
                "faults",
                "what happens when calls are cut off",
                "calls do not end well uncut",
            );
            return Ok(());
        }
        self.determinism(&trial, &rights, &samples)?;
        self.unknown_tool(&trial, &rights)?;
        self.faults(faults::Tried {
            trial: &trial,
            rights: &rights,
            samples: &samples,
        })
    }

    /// A first piece of every right that it imports, within the limits that its manifest names.
    fn rights(&self) -> Result<Effective, Failure> {
        let rights = trial::rights_of(self.inspection);
        let lines: Vec<&str> = rights.into_iter().flat_map(trial::lines_of).collect();
        self.granted(&lines)
    }

    fn granted(&self, lines: &[&str]) -> Result<Effective, Failure> {
        let none = BTreeMap::new();
        let limits = self.wanted.manifest.map_or(&none, |it| &it.limits);
        trial::granted(self.inspection, lines, limits)
    }

    fn found(&mut self, id: impl Into<String>, what: &'static str, faults: Vec<String>) {
        let verdict = if faults.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        self.checks.push(Check {
            id: id.into(),
            what,
            verdict,
            detail: faults.join("\n"),
        });
    }

    fn warn(&mut self, id: &str, what: &'static str, detail: &str) {
        self.checks.push(Check {
            id: id.to_owned(),
            what,
            verdict: Verdict::Warn,
            detail: detail.to_owned(),
        });
    }

    fn skip(&mut self, id: &str, what: &'static str, why: &str) {
        self.checks.push(Check {
            id: id.to_owned(),
            what,
            verdict: Verdict::Skip,
            detail: why.to_owned(),
        });
    }

    /// Asks once, in a fresh folder.
    fn once(
        &self,
        trial: &Trial,
        rights: &Arc<Effective>,
        world: World,
        ask: &Ask,
    ) -> Result<Ended, Failure> {
        let folder = trial::folder(world)?;
        trial.ask(&self.terms(rights, world, &folder), ask)
    }

    fn terms<'t>(
        &'t self,
        rights: &Arc<Effective>,
        world: World,
        folder: &'t trial::Place,
    ) -> Terms<'t> {
        Terms {
            rights: rights.clone(),
            world,
            folder,
            config: self.wanted.config,
        }
    }

    /// What is asked of the plugin by its role: the author's calls first.
    fn asks(&self, tools: &[ToolDescriptor]) -> Vec<(Ask, String, bool)> {
        match self.inspection.role {
            PluginKind::Tool => self.tool_asks(tools),
            PluginKind::Agent => {
                let mut asks = vec![(Ask::Start, "on-start".to_owned(), true)];
                asks.extend(self.values().into_iter().map(|value| {
                    let input = value.to_string();
                    (
                        Ask::Task { input },
                        format!("on-plan {}", short(&value)),
                        false,
                    )
                }));
                asks
            }
            PluginKind::Guardrail => {
                let asks = self.values().into_iter().map(|value| {
                    let shown = format!("check {}", short(&value));
                    (self.check_of(&value), shown, true)
                });
                asks.collect()
            }
            PluginKind::McpAdapter => vec![(Ask::Open, "connect".to_owned(), true)],
        }
    }

    fn check_of(&self, value: &Value) -> Ask {
        Ask::Check {
            value: value.to_string(),
            config: self.wanted.config.to_owned(),
        }
    }

    fn values(&self) -> Vec<Value> {
        let own = self.wanted.calls.iter().map(|call| call.input.clone());
        own.chain(inputs::common()).collect()
    }

    fn tool_asks(&self, tools: &[ToolDescriptor]) -> Vec<(Ask, String, bool)> {
        let own = self.wanted.calls.iter();
        let own = own.map(|call| (call.name.as_str(), call.input.clone()));
        let made = tools.iter().flat_map(|tool| {
            let values = inputs::fitting(&tool.input).into_iter();
            values.map(|value| (tool.name.as_str(), value))
        });
        own.chain(made)
            .map(|(name, value)| {
                let once = flowhost_policy::Effects::Once;
                let tool = tools.iter().find(|tool| tool.name == name);
                // Of a tool that is not known nobody knows: it is called once.
                let repeatable = tool.is_some_and(|tool| tool.effects != once);
                (
                    tool_ask(name, &value),
                    format!("{name} {}", short(&value)),
                    repeatable,
                )
            })
            .collect()
    }

    fn used(&mut self, ended: &Ended) {
        // What a call used that failed says how far it came, and not what one needs.
        if ended.result.is_ok() {
            let peak = &mut self.peak;
            peak.fuel = peak.fuel.max(ended.used.fuel);
            peak.memory_bytes = peak.memory_bytes.max(ended.used.memory_bytes);
            peak.host_calls = peak.host_calls.max(ended.used.host_calls);
            peak.output_bytes = peak.output_bytes.max(ended.used.output_bytes);
        }
    }
}

fn tool_ask(name: &str, input: &Value) -> Ask {
    Ask::Tool {
        name: name.to_owned(),
        input: input.to_string(),
    }
}

/// The beginning of a value, for messages.
fn short(value: &Value) -> String {
    const LETTERS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
