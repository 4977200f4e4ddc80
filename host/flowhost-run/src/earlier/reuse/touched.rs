//! What each call of a run met outside of its input, as its records have it.
//!
//! Three answers: it read files, which can be compared with those that are there now; it asked models, clocks,
//! randomness, its budget or other plugins, which is taken as it was; or it met something else (changed
//! something, asked the network, state, the environment or a secret), and then it is made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use flowhost_flow::Amounts;
use flowhost_ledger::records::{Asked, Record};
use flowhost_ledger::{DataKey, Kind, Payloads, RealDisk, StoredRecord, read_run};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::earlier::resume::unreadable;

/// See the module.
#[derive(Debug, Default, Clone)]
pub(super) struct Touched {
    /// What cannot be compared.
    pub(super) apart: Option<String>,
    pub(super) looks: Vec<Look>,
    /// Plugins that worked for it: key, component, rights.
    pub(super) plugins: BTreeSet<(String, String, String)>,
}

impl Touched {
    /// Of a call whose records are gone.
    pub(super) fn unknown() -> Self {
        Self {
            apart: Some("its records are gone".to_owned()),
            ..Self::default()
        }
    }
}

/// A look at a granted folder.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) plugin: String,
    pub(super) op: String,
    /// As the guest named it.
    pub(super) path: String,
    pub(super) answer: Value,
}

/// Which run made a call, and where its end stands there.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) run: String,
    pub(crate) call: u64,
    pub(crate) record: u64,
    /// Of that record, hexadecimal.
    pub(crate) hash: String,
    pub(crate) used: Amounts,
    pub(crate) duration_ms: u64,
}

/// Of the calls that a run's planner heard of, by their numbers.
pub(crate) type Sources = BTreeMap<u64, Source>;

/// Interfaces whose answers are taken as they were: they ask for nothing that a call was made for, or for
/// what is asked of models. Guests of script languages ask for clocks and randomness when they start. Which tools it
/// called is compared by their plugins, and what those met stands under the same call.
const TAKEN: &[&str] = &[
    "flowhost:budget/",
    "flowhost:clock/",
    "flowhost:config/",
    "flowhost:log/",
    "flowhost:model/",
    "flowhost:progress/",
    "flowhost:random/",
    "flowhost:tools/",
    "wasi:cli/exit",
    "wasi:cli/std",
    "wasi:cli/terminal",
    "wasi:clocks/",
    "wasi:filesystem/preopens",
    "wasi:io/",
    "wasi:random/",
];

/// Looks that are compared: those whose record says all that was asked.
const COMPARED: &[&str] = &["list", "read", "stat"];

const FILES: &str = "flowhost:files/";

/// What is known of the calls of a run.
pub(super) struct Calls {
    pub(super) touched: HashMap<u64, Touched>,
    pub(super) sources: Sources,
    /// Whether all calls of a plugin were performed by one build: a guardrail that met nothing has no record of
    /// which one it was.
    pub(super) of_one_build: bool,
}

pub(super) fn read(run: &str, dir: &Path, key: Option<&DataKey>) -> Result<Calls, Failure> {
    let payloads = Payloads::open(&RealDisk, dir).map_err(|error| unreadable(&error))?;
    let mut reader = Reader {
        run,
        payloads,
        key,
        touched: HashMap::new(),
        took: HashMap::new(),
        rights: HashMap::new(),
        taken: HashMap::new(),
        sources: Sources::new(),
        of_one_build: true,
    };
    for record in read_run(dir).map_err(|error| unreadable(&error))? {
        reader.take(&record.map_err(|error| unreadable(&error))?)?;
    }
    Ok(Calls {
        touched: reader.touched,
        sources: reader.sources,
        of_one_build: reader.of_one_build,
    })
}

struct Reader<'r> {
    run: &'r str,
    payloads: Payloads<'static>,
    key: Option<&'r DataKey>,
    touched: HashMap<u64, Touched>,
    /// Milliseconds that each call took, and its fuel.
    took: HashMap<u64, (u64, u64)>,
    /// The rights of each plugin, as they were loaded last: records of a call name its component alone.
    rights: HashMap<String, String>,
    /// Calls that the run took from others.
    taken: HashMap<u64, Source>,
    sources: Sources,
    of_one_build: bool,
}

impl Reader<'_> {
    fn take(&mut self, record: &StoredRecord) -> Result<(), Failure> {
        match record.kind() {
            Some(Kind::PlannerEvent | Kind::CallReuse) => {
                let said = record.read().map_err(|error| unreadable(&error))?;
                self.ended(record, said);
                return Ok(());
            }
            Some(Kind::PolicyLoad) => self.loaded(record),
            Some(Kind::Reload) => {
                self.of_one_build = false;
                self.loaded(record);
            }
            Some(Kind::RunResume) if record.fields.contains_key("replaced") => {
                self.of_one_build = false;
            }
            _ => {}
        }
        // What the host says by itself follows from what calls did.
        if record.actor.ends_with("/host") {
            return Ok(());
        }
        let call = record.text("call").unwrap_or_default();
        let Some(root) = call.split('.').next().and_then(|it| it.parse().ok()) else {
            return Ok(());
        };
        if record.kind() == Some(Kind::ToolResult) && !call.contains('.') {
            let number = |name| record.number(name).unwrap_or(0);
            let took = (number("duration_ms"), number("fuel"));
            self.took.insert(root, took);
        }
        let said = self.said(record)?;
        let touched = self.touched.entry(root).or_default();
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        let plugin = plugin(record);
        let rights = record.text("profile").map(str::to_owned);
        let rights = rights.or_else(|| self.rights.get(plugin).cloned());
        // The end of a call leaves its component to the record of its beginning.
        if record.fields.contains_key("component") {
            let build = (
                plugin.to_owned(),
                text("component"),
                rights.unwrap_or_default(),
            );
            touched.plugins.insert(build);
        }
        match said {
            Said::Nothing => {}
            Said::Look(look) => touched.looks.push(look),
            Said::Apart(what) => {
                touched.apart.get_or_insert(what);
            }
        }
        Ok(())
    }

    fn loaded(&mut self, record: &StoredRecord) {
        if let (Some(plugin), Some(rights)) = (record.text("plugin"), record.text("profile")) {
            self.rights.insert(plugin.to_owned(), rights.to_owned());
        }
    }

    fn said(&self, record: &StoredRecord) -> Result<Said, Failure> {
        let interface = record.text("interface").unwrap_or_default();
        let denied = record.text("decision") == Some("deny");
        Ok(match record.kind() {
            // The same rights refuse it again.
            _ if denied => Said::Nothing,
            Some(Kind::FsOp) => self.look(record, interface)?,
            Some(Kind::HostCall | Kind::HostAnswer) => {
                match TAKEN.iter().any(|taken| interface.starts_with(taken)) {
                    true => Said::Nothing,
                    false => Said::Apart(interface.to_owned()),
                }
            }
            Some(
                Kind::ToolCall
                | Kind::ToolResult
                | Kind::ModelIntent
                | Kind::ModelResult
                | Kind::GuardVerdict,
            ) => Said::Nothing,
            // Whatever a newer host records, too: what is not known to be harmless is not.
            Some(kind) => Said::Apart(kind.as_str().to_owned()),
            None => Said::Apart(record.kind_text.to_string()),
        })
    }

    fn look(&self, record: &StoredRecord, interface: &str) -> Result<Said, Failure> {
        let op = record.text("op").unwrap_or_default();
        let asked = self.payload(record)?.as_deref().and_then(Asked::of_payload);
        let Some(Asked {
            wanted,
            answer: Some(answer),
            ..
        }) = asked
        else {
            return Ok(Said::Apart("files".to_owned()));
        };
        let compared = interface.starts_with(FILES) && COMPARED.contains(&op);
        Ok(match wanted.strip_prefix("read ") {
            Some(path) if compared => Said::Look(Look {
                plugin: plugin(record).to_owned(),
                op: op.to_owned(),
                path: path.to_owned(),
                answer,
            }),
            _ => Said::Apart("files".to_owned()),
        })
    }

    fn payload(&self, record: &StoredRecord) -> Result<Option<Vec<u8>>, Failure> {
        let Some(commit) = record.commit.as_deref() else {
            return Ok(None);
        };
        let exact = self.key.map(|key| self.payloads.exact(record, key));
        let exact = exact.transpose().map_err(|error| unreadable(&error))?;
        match exact.flatten() {
            Some(exact) => Ok(Some(exact)),
            None => self
                .payloads
                .get(record.seq, commit)
                .map_err(|error| unreadable(&error)),
        }
    }

    fn ended(&mut self, record: &StoredRecord, said: Option<Record>) {
        match said {
            Some(Record::CallReuse(said)) => {
                let source = Source {
                    run: said.run_id,
                    call: said.call_there,
                    record: said.record,
                    hash: said.hash,
                    used: Amounts {
                        calls: said.spent.calls.unwrap_or(0),
                        fuel: said.spent.fuel.unwrap_or(0),
                        tokens: said.spent.tokens.unwrap_or(0),
                        micro_usd: said.spent.micro_usd.unwrap_or(0),
                    },
                    duration_ms: said.duration_ms.unwrap_or(0),
                };
                self.taken.insert(said.call, source);
            }
            Some(Record::PlannerEvent(said)) => {
                // Only the end of a call says what it used.
                let Some(call) = said.call else {
                    return;
                };
                let (duration_ms, fuel) = self.took.get(&call).copied().unwrap_or_default();
                // An end that says nothing of its own has nothing to add to its call's result.
                let calls = u64::from(self.took.contains_key(&call));
                let source = self.taken.remove(&call).unwrap_or_else(|| Source {
                    run: self.run.to_owned(),
                    call,
                    record: record.seq,
                    hash: hex::encode(record.leaf),
                    used: Amounts {
                        calls: said.calls.unwrap_or(calls),
                        fuel: said.fuel.unwrap_or(fuel),
                        tokens: said.tokens.unwrap_or(0),
                        micro_usd: said.micro_usd.unwrap_or(0),
                    },
                    duration_ms,
                });
                self.sources.insert(call, source);
            }
            _ => {}
        }
    }
}

enum Said {
    Nothing,
    Look(Look),
    Apart(String),
}

fn plugin(record: &StoredRecord) -> &str {
    record
        .actor
        .split_once('/')
        .map_or("", |(_, plugin)| plugin)
}
