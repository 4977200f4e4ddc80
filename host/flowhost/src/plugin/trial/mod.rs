//! A plugin on trial: the real engine and every real capability, with doubles where the world would be
//! (names, connections, time, secrets, models). What a component does here reaches nothing.

mod doubles;
mod reload;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{LocalBus, LocalConfig};
use flowhost_caps::files::{FileServices, Forbidden, open_grants};
use flowhost_caps::http::{HttpServices, NoLogins, Tls};
use flowhost_caps::mcp_transport::ProcessServices;
use flowhost_caps::state::FolderStore;
use flowhost_caps::{Services, log::MemoryLog, model};
use flowhost_engine::{
    AgentTask, CacheConfig, CallReport, CallScope, Compiler, Descriptor, Engine, EngineConfig,
    Fault, Inspection, LoadError, LoadedComponent, Meter, MissingRight, Phase, Plugin, PoolConfig,
    Providers, RunScope, ShapeLimits, Used, content_value,
};
use flowhost_flow::Exit;
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Effective, Manifest, Narrowing, Profile, Right, effective};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::failure::Failure;
use doubles::Doubles;
pub(super) use doubles::World;
pub(super) use server::URL as SERVER;

/// The plugin's name in every trial.
pub(super) const NAME: &str = "on-trial";
/// Log lines that are kept of one trial: more than a trial looks at.
const LINES_MAX: usize = 1_000;
/// Bytes that are no text in UTF-8, nor in UTF-16: a cut-off character, a lone continuation, a mark of order
/// that nothing follows.
const NO_TEXT: &[u8] = b"A \xc3\x28 text \xff\xfe\x80 \xe2\x82";
/// Instances at once: a trial calls one plugin, one call after the other or two at once, and cancels some.
const POOL: PoolConfig = PoolConfig {
    slots: 8,
    warm_slots: 1,
};

/// What is asked of a plugin, whatever its role.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// Call a tool.
    Tool { name: String, input: String },
    /// Tell an agent that the run begins.
    Start,
    /// Hand an agent a step's work.
    Task { input: String },
    /// Have an MCP adapter connect to its server, which is not there in a trial.
    Open,
    /// Ask a guardrail about a value, under a configuration (`with:`).
    Check { value: String, config: String },
}

/// Under which conditions.
#[derive(Clone)]
pub(super) struct Terms<'a> {
    pub(super) rights: Arc<Effective>,
    pub(super) world: World,
    /// Holds what the plugin stores, and what it is granted as files.
    pub(super) folder: &'a Place,
    /// The plan's `config:`.
    pub(super) config: &'a str,
}

/// How a call ended: what came back as JSON, or why nothing did, and what it used.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) result: Result<Value, Fault>,
    pub(super) used: Used,
}

/// Where a trial's calls are made: a folder, and the one store that works in it. Calls in the same place share it, as
/// they do in a host; two stores on one folder would each have another's half-done writes before them.
pub(super) struct Place {
    folder: tempfile::TempDir,
    state: Arc<FolderStore>,
}

/// A component that has been loaded.
pub(super) struct Trial {
    engine: Engine,
    component: LoadedComponent,
    runtime: Runtime,
    tls: Tls,
}

impl Trial {
    /// Has a component compiled, unless that has been done before.
    pub(super) fn compiled(
        component: Arc<[u8]>,
        compiler: Compiler,
        cache: Option<CacheConfig>,
    ) -> Result<Self, Failure> {
        Self::loaded(component, compiler, cache)?.map_err(|error| {
            Failure::new(Exit::Plugin, "the component cannot be loaded").caused_by(&error)
        })
    }

    /// The same, with the engine's own word for what is wrong with the component.
    pub(super) fn loaded(
        component: Arc<[u8]>,
        compiler: Compiler,
        cache: Option<CacheConfig>,
    ) -> Result<Result<Self, LoadError>, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // Two, because a call that is held in the middle ([`reload`]) blocks the thread it is on, and the other
            // revision must get to its end meanwhile. More would only make what two concurrent calls do differ from
            // machine to machine.
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| unable("no threads can be started", &error))?;
        let engine = Engine::new(EngineConfig {
            compiler,
            cache,
            shape: ShapeLimits::default(),
            pool: POOL,
            // All of them, also those that no right here grants: what is missing is then told as a right that is
            // missing, as a host tells it, and not as an import that nobody knows.
            capabilities: flowhost_caps::all(),
        });
        let engine = engine.map_err(|error| unable("the engine does not start", &error))?;
        let tls = Tls::web().map_err(|error| unable("TLS cannot be set up", &error))?;
        let loaded = runtime.block_on(engine.load(component));
        Ok(loaded.map(|component| Self {
            engine,
            component,
            runtime,
            tls,
        }))
    }

    /// Asks a tool's component what it offers.
    pub(super) fn describe(&self, terms: &Terms<'_>) -> Result<Vec<Descriptor>, Failure> {
        let silent = |what: &dyn std::error::Error| {
            Failure::new(Exit::Plugin, "the component does not answer").caused_by(what)
        };
        let report = self.described(terms)?.map_err(|error| silent(&error))?;
        report.result.map_err(|fault| silent(&fault))
    }

    /// The same, with what it used on the way.
    pub(super) fn described(
        &self,
        terms: &Terms<'_>,
    ) -> Result<Result<CallReport<Vec<Descriptor>>, LoadError>, Failure> {
        let plugin = match self.prepared(&terms.rights) {
            Ok(plugin) => plugin,
            Err(error) => return Ok(Err(error)),
        };
        let scope = self.scope(terms)?;
        Ok(Ok(self.runtime.block_on(plugin.describe_tools(scope))))
    }

    /// What these rights lack of what the component imports.
    pub(super) fn missing(&self, rights: &Effective) -> Vec<MissingRight> {
        self.engine.preflight(self.component.inspection(), rights)
    }

    /// Asks once, in an instance of its own.
    ///
    /// # Errors
    /// When the trial itself cannot be held: the component cannot be linked under these rights, or a
    /// folder cannot be opened.
    pub(super) fn ask(&self, terms: &Terms<'_>, ask: &Ask) -> Result<Ended, Failure> {
        let plugin = self.prepared(&terms.rights).map_err(|error| {
            Failure::new(Exit::Plugin, "the component cannot be linked").caused_by(&error)
        })?;
        let scope = self.scope(terms)?;
        Ok(self.runtime.block_on(asked(&plugin, scope, ask)))
    }

    /// Asks, and goes away after `patience`; what came back until then is not looked at.
    pub(super) fn ask_and_leave(
        &self,
        terms: &Terms<'_>,
        ask: &Ask,
        patience: Duration,
    ) -> Result<(), Failure> {
        let plugin = self.prepared(&terms.rights).map_err(|error| {
            Failure::new(Exit::Plugin, "the component cannot be linked").caused_by(&error)
        })?;
        let scope = self.scope(terms)?;
        self.runtime.block_on(async {
            // Dropped in the middle is what this is about: a host drops a call of a run that was cancelled.
            let _left = tokio::time::timeout(patience, asked(&plugin, scope, ask)).await;
        });
        Ok(())
    }

    fn prepared(&self, rights: &Arc<Effective>) -> Result<Plugin, LoadError> {
        self.engine.prepare(&self.component, rights.clone())
    }

    fn scope(&self, terms: &Terms<'_>) -> Result<CallScope, Failure> {
        let rights = &terms.rights;
        let limit = Duration::from_millis(rights.limits.deadline_ms);
        // `Instant` below is the runtime's own, and what providers open may ask for it.
        let _inside = self.runtime.enter();
        Ok(CallScope {
            run: RunScope {
                tenant: "default".into(),
                // A run, seed and key that never change: two calls are compared byte by byte, and a difference must
                // be the plugin's.
                run: "01JD0000000000000000000000".into(),
                seed: [7; 32],
                started_ms: doubles::STARTED_MS,
                recorder: Arc::new(MemoryRecorder::default()),
                providers: providers(terms, self.tls.clone())?,
                own_calls: Arc::default(),
                memory: None,
            },
            call: "1".into(),
            root: "1".into(),
            made: Arc::default(),
            key: "0123456789abcdef0123456789abcdef".into(),
            step: "only".into(),
            attempt: 1,
            plugin: NAME.into(),
            digest: self.component.digest(),
            revision: 1,
            effective: rights.clone(),
            config: terms.config.into(),
            traceparent: "".into(),
            // Real time, though the plugin is shown another: a component that does not end has to be cut off.
            deadline: tokio::time::Instant::now() + limit,
            // No work is done again in a trial, so that no key of it is worth keeping.
            keyed: false,
            callers: Arc::from([]),
            meter: Arc::new(Meter::default()),
        })
    }
}

async fn asked(plugin: &Plugin, scope: CallScope, ask: &Ask) -> Ended {
    match ask {
        Ask::Tool { name, input } => ended(plugin.call_tool(scope, name, input).await, |it| {
            // The engine hands over nothing that is not JSON.
            content_value(&it).unwrap_or(Value::Null)
        }),
        Ask::Start => {
            let config = scope.config.clone();
            ended(plugin.agent_on_start(scope, &config).await, |()| {
                Value::Null
            })
        }
        Ask::Task { input } => {
            let task = AgentTask {
                id: "only".to_owned(),
                input: input.clone(),
                // As a plan without a prompt and a schema of its own hands it over: what holds then holds with them.
                prompt: String::new(),
                prompt_version: String::new(),
                schema: String::new(),
            };
            ended(
                plugin.agent_on_plan(scope, &task).await,
                |it| json!({ "content": read(&it.content), "notes": it.notes }),
            )
        }
        Ask::Open => {
            let config = scope.config.clone();
            let opened = plugin.mcp_open(scope, &config).await;
            ended(opened, |(_, listed)| {
                let tools = listed.tools.iter().map(|tool| tool.name.clone());
                json!(tools.collect::<Vec<String>>())
            })
        }
        Ask::Check { value, config } => {
            let checked = plugin
                .check(scope, Phase::After, "only", value, config)
                .await;
            ended(checked, |it| {
                let findings = it.findings.iter();
                let findings: Vec<Value> = findings
                    .map(|it| json!({ "code": it.code, "message": it.message, "pointer": it.pointer }))
                    .collect();
                json!({ "action": format!("{:?}", it.action), "findings": findings,
                    "value": it.value })
            })
        }
    }
}

fn ended<T>(report: CallReport<T>, shown: impl FnOnce(T) -> Value) -> Ended {
    Ended {
        result: report.result.map(shown),
        used: report.used,
    }
}

/// A document that the engine has checked.
fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}

fn unable(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, what).caused_by(error)
}

/// A folder for one trial: what the plugin stores, and a granted folder with one file in it, as the world is.
#[expect(
    clippy::disallowed_methods,
    reason = "a temporary folder of the trial's own, which no name of a guest's reaches"
)]
pub(super) fn folder(world: World) -> Result<Place, Failure> {
    // One file is enough: what reads more than one is told of the same folder by its own inputs.
    let text: &[u8] = match world {
        World::Garbled => NO_TEXT,
        _ => b"# Example\n\nA text.\n",
    };
    let made = tempfile::tempdir().and_then(|folder| {
        std::fs::create_dir_all(folder.path().join("state"))?;
        std::fs::create_dir_all(folder.path().join("docs"))?;
        std::fs::write(folder.path().join("docs/example.md"), text)?;
        let state = folder.path().join("state");
        let state = cap_std::fs::Dir::open_ambient_dir(state, cap_std::ambient_authority())?;
        Ok(Place {
            state: Arc::new(FolderStore::new(state)),
            folder,
        })
    });
    made.map_err(|error| unable("the folder for the trial cannot be made", &error))
}

/// The rights behind a component's imports, in the order of the list, in which keys of a profile come
/// before its tables.
pub(super) fn rights_of(inspection: &Inspection) -> Vec<&'static Right> {
    let imports = inspection.imports.iter();
    let imports = imports.filter(|it| !it.types_only());
    let mut rights: Vec<&Right> = imports
        .filter_map(|it| Right::behind(&it.name.full))
        .map(|(right, _)| right)
        .collect();
    // In TOML a bare key behind a table header would belong to that table.
    rights.sort_by_key(|right| flowhost_policy::RIGHTS.iter().position(|it| it == *right));
    rights.dedup();
    rights
}

/// Lines of a profile that grant a first piece of a right, and the server of every trial where it is about
/// servers.
pub(super) fn lines_of(right: &Right) -> impl Iterator<Item = &'static str> {
    let server = (right.key == "http").then_some(server::LINES);
    std::iter::once(right.lines).chain(server)
}

/// What a plugin may do under a profile of these lines, when it asks for all that it imports and can live
/// with these limits.
pub(super) fn granted(
    inspection: &Inspection,
    lines: &[&str],
    limits: &BTreeMap<&'static str, u64>,
) -> Result<Effective, Failure> {
    let imports = inspection.imports.iter().map(|it| it.name.full.as_str());
    let mut manifest = Manifest::from_imports(NAME, imports);
    // What an author asks of time and memory is asked for the plugin as it will be used; without it a slow one would
    // be cut off here and nowhere else.
    manifest.limits.clone_from(limits);
    let text = format!("version = 1\nname = \"{NAME}\"\n{}\n", lines.join("\n"));
    let profile = Profile::parse(&text, "the profile of the trial").map_err(|problems| {
        let findings = problems.into_iter().map(Into::into).collect();
        Failure::findings("the profile of the trial", findings)
    })?;
    Ok(effective(&manifest, &profile, &Narrowing::none(NAME), None).0)
}

fn providers(terms: &Terms<'_>, tls: Tls) -> Result<Providers, Failure> {
    let doubles = Arc::new(Doubles(terms.world));
    let mut files = FileServices::default();
    let opened = open_grants(
        terms.folder.folder.path(),
        &terms.rights.grants.files,
        // The folder is the trial's own, and holds nothing of the host's that would have to be kept from a plugin.
        &Forbidden::default(),
    );
    let opened = opened.map_err(|problems| {
        let what = "a folder that the profile grants cannot be had in the trial";
        problems
            .iter()
            .map(|problem| format!("{problem:?}"))
            .fold(Failure::new(Exit::Internal, what), Failure::because)
    })?;
    files.insert(NAME, opened);
    let config = flowhost_models::Config::default();
    let gateway =
        flowhost_models::Gateway::new(config, doubles.clone(), doubles.clone(), doubles.clone())
            .map_err(|problems| {
                let what = "the gateway to the mock models cannot be made";
                problems
                    .iter()
                    .map(|problem| format!("{problem:?}"))
                    .fold(Failure::new(Exit::Internal, what), Failure::because)
            })?;
    Ok(flowhost_caps::providers(Services {
        bus: Arc::new(LocalBus::new(LocalConfig::default())),
        mailboxes: doubles.clone(),
        logs: Arc::new(MemoryLog::new(LINES_MAX)),
        tools: doubles.clone(),
        secrets: doubles.clone(),
        state: terms.folder.state.clone(),
        budget: doubles.clone(),
        model: model::ModelServices {
            gateway,
            spending: doubles.clone(),
            redact: true,
        },
        time: doubles.clone(),
        entropy: doubles.clone(),
        variables: doubles.clone(),
        http: HttpServices {
            resolver: Arc::new(server::resolver()),
            connector: Arc::new(server::connector(terms.world)),
            tls,
            roots: Arc::default(),
            identities: Arc::default(),
            secrets: doubles,
            logins: Arc::new(NoLogins),
            // Nothing leaves this process: the only name that resolves is answered in memory.
            own_addresses: Vec::new(),
            allow_private_network: false,
        },
        files,
        // A program that is started would be outside of everything that is a double here.
        process: ProcessServices::none(),
    }))
}
