//! The contract: what a component is, says of itself and answers.

use std::sync::Arc;

use flowhost_author::needs_no_right;
use flowhost_engine::Fault;
use flowhost_flow::OutputSchema;
use flowhost_policy::{Effective, LimitSpec, Right, ToolDescriptor};
use flowhost_words::PluginKind;
use serde_json::Value;

use super::{Ask, Bench, Ended, Sample, Trial, World, tool_ask};
use crate::failure::Failure;
use crate::plugin::{describe, trial};

impl Bench<'_> {
    pub(super) fn manifest(&mut self) {
        let (id, what) = (
            "contract.manifest",
            "its manifest asks for what it uses, no more and no less",
        );
        if self.wanted.manifest.is_none() {
            let detail = "it has no manifest: a host takes its imports for what it asks for";
            // A host takes it, with more rights asked for than it may need: no fault, and worth knowing.
            return self.warn(id, what, detail);
        }
        let Some(text) = &self.inspection.manifest else {
            let detail =
                "its manifest stands beside it and not inside, so its digest does not cover it";
            return self.warn(id, what, detail);
        };
        // What is no text is refused by the check, with a place.
        let text = String::from_utf8_lossy(text);
        let checked = flowhost_author::check_manifest(self.wanted.component, &text);
        self.found(
            id,
            what,
            checked.err().into_iter().map(|it| it.to_string()).collect(),
        );
    }

    /// Whether a host would link it.
    pub(super) fn imports(&mut self) -> bool {
        let unserved = self.inspection.unserved();
        let mut faults: Vec<String> = unserved.iter().map(ToString::to_string).collect();
        let imports = self.inspection.imports.iter();
        let imports = imports
            .filter(|it| !it.types_only())
            .map(|it| &it.name.full);
        let unknown = |name: &&String| Right::behind(name).is_none() && !needs_no_right(name);
        let unknown = imports.filter(unknown);
        faults.extend(unknown.map(|name| format!("`{name}` is served by no host")));
        let whole = faults.is_empty();
        self.found(
            "contract.imports",
            "every import is one that a host serves",
            faults,
        );
        whole
    }

    /// The tools it has; `None` where what it says of them is of no use.
    pub(super) fn descriptors(
        &mut self,
        trial: &Trial,
        rights: &Arc<Effective>,
    ) -> Result<Option<Vec<ToolDescriptor>>, Failure> {
        if self.inspection.role != PluginKind::Tool {
            return Ok(Some(Vec::new()));
        }
        let (id, what) = (
            "contract.descriptors",
            "what it says of its tools can be shown to anyone",
        );
        let folder = trial::folder(World::Kind)?;
        // Under the rights that it would have: a component may need one to know its tools.
        let told = describe::told(trial, &self.terms(rights, World::Kind, &folder));
        let tools = match told {
            Ok(tools) => tools,
            Err(failure) => {
                let mut faults = vec![failure.message];
                faults.extend(failure.causes);
                self.found(id, what, faults);
                return Ok(None);
            }
        };
        self.found(id, what, self.disagreements(&tools));
        let mut faults = Vec::new();
        for tool in &tools {
            let schemas = [
                ("input", Some(&tool.input)),
                ("output", tool.output.as_ref()),
            ];
            for (which, schema) in schemas {
                let compiled = schema.map(|it| OutputSchema::compile(it.clone()));
                if let Some(Err(error)) = compiled {
                    faults.push(format!(
                        "{}: the {which} schema cannot be used: {error}",
                        tool.name
                    ));
                }
            }
        }
        let whole = faults.is_empty();
        self.found(
            "contract.schemas",
            "its schemas can be checked against",
            faults,
        );
        Ok(whole.then_some(tools))
    }

    fn disagreements(&self, tools: &[ToolDescriptor]) -> Vec<String> {
        let Some(manifest) = self.wanted.manifest.filter(|it| !it.tools.is_empty()) else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        for tool in tools {
            match manifest.tool(&tool.name) {
                None => faults.push(format!("{}: the manifest does not list it", tool.name)),
                // By the hash that a lock keeps: what is the same to it is the same to whoever accepted the tool.
                Some(said) if said.hash() != tool.hash() => {
                    faults.push(format!(
                        "{}: the manifest says something else of it",
                        tool.name
                    ));
                }
                Some(_) => {}
            }
        }
        let missing = manifest
            .tools
            .iter()
            .filter(|it| !tools.iter().any(|tool| tool.name == it.name));
        faults.extend(
            missing.map(|it| format!("{}: the manifest lists it, and it is not there", it.name)),
        );
        faults
    }

    /// Calls with inputs that fit: each answers with what its schema says, or with an error that says why.
    pub(super) fn answers(
        &mut self,
        trial: &Trial,
        rights: &Arc<Effective>,
        tools: &[ToolDescriptor],
    ) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        let mut faults = Vec::new();
        for (ask, shown, repeatable) in self.asks(tools) {
            let ended = self.once(trial, rights, World::Kind, &ask)?;
            self.used(&ended);
            let broken = match &ended.result {
                Ok(value) => broken_promise(&ask, value, tools),
                // An error is an answer too: not every value that fits a schema means something.
                Err(_) => complaint(&ended),
            };
            faults.extend(broken.map(|it| format!("{shown}: {it}")));
            // Each further call would use up the whole limit as well, and say nothing new.
            let endless =
                matches!(&ended.result, Err(fault @ Fault::Limit { .. }) if !is_typed(fault));
            samples.push(Sample {
                ask,
                shown,
                ended,
                repeatable,
            });
            if endless {
                break;
            }
        }
        let answered = samples.iter().filter(|it| it.ended.result.is_ok()).count();
        self.found(
            "contract.answers",
            "it answers what fits with what it promises, or with an error that has a class",
            faults,
        );
        if answered == 0 && !samples.is_empty() {
            let detail = "none of the inputs that were tried got an answer; name some that should with --call NAME=JSON \
                          and --config JSON";
            self.warn("contract.answered", "at least one call succeeds", detail);
        }
        Ok(samples)
    }

    pub(super) fn determinism(
        &mut self,
        trial: &Trial,
        rights: &Arc<Effective>,
        samples: &[Sample],
    ) -> Result<(), Failure> {
        let mut faults = Vec::new();
        for sample in samples {
            let again = self.once(trial, rights, World::Kind, &sample.ask)?;
            if said(&again.result) != said(&sample.ended.result) {
                faults.push(format!("{}: another answer", sample.shown));
            // The same answer for other work is a component that saw something it was not given, and a replay would
            // see it too.
            } else if again.used.fuel != sample.ended.used.fuel {
                let (one, other) = (sample.ended.used.fuel, again.used.fuel);
                faults.push(format!(
                    "{}: the same answer, for {one} and {other} of fuel",
                    sample.shown
                ));
            }
        }
        self.found(
            "contract.determinism",
            "the same call under the same seed gets the same answer for the same work",
            faults,
        );
        Ok(())
    }

    pub(super) fn unknown_tool(
        &mut self,
        trial: &Trial,
        rights: &Arc<Effective>,
    ) -> Result<(), Failure> {
        if self.inspection.role != PluginKind::Tool {
            return Ok(());
        }
        // No name of anybody's, and one that each grammar of names takes.
        let ask = tool_ask("no-such-tool-here", &Value::Null);
        let ended = self.once(trial, rights, World::Kind, &ask)?;
        let faults = match &ended.result {
            Err(Fault::Guest {
                class: "invalid", ..
            }) => Vec::new(),
            Err(fault) => vec![format!("{fault}")],
            Ok(_) => vec!["it answers for a tool that it does not have".to_owned()],
        };
        self.found(
            "contract.unknown-tool",
            "a tool that it does not have is `invalid`",
            faults,
        );
        Ok(())
    }
}

/// What is wrong with a call's end: neither an answer nor an error of the contract. Bytes that were handed
/// back with a failure are an answer that the host could not use: not JSON, too many parts.
pub(super) fn complaint(ended: &Ended) -> Option<String> {
    match &ended.result {
        Ok(_) => None,
        Err(fault) if is_typed(fault) && ended.used.output_bytes == 0 => None,
        Err(fault) => Some(fault.to_string()),
    }
}

/// An error of the contract, which the host can act on. A limit that a plugin is told of (a budget, a
/// quota, a full mailbox) and hands on is one too; those of `[limits]` end the call whatever it answers.
fn is_typed(fault: &Fault) -> bool {
    match fault {
        Fault::Guest { .. } | Fault::Denied(_) | Fault::Budget(_) => true,
        Fault::Limit { name, .. } => LimitSpec::of(name).is_none(),
        _ => false,
    }
}

/// A call's end as a text that two calls have in common.
pub(super) fn said(result: &Result<Value, Fault>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(fault) => fault.to_string(),
    }
}

fn broken_promise(ask: &Ask, value: &Value, tools: &[ToolDescriptor]) -> Option<String> {
    let Ask::Tool { name, .. } = ask else {
        return None;
    };
    let tool = tools.iter().find(|tool| tool.name == *name)?;
    // One that cannot be compiled has been found by `descriptors`.
    let schema = OutputSchema::compile(tool.output.clone()?).ok()?;
    let broken = schema.violations(value.get("value")?)?;
    Some(format!("does not keep its output schema: {broken}"))
}
