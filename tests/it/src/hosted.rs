//! A host in this process for one guest: the real engine and every real capability, with doubles
//! where the world would be (names, connections, time, secrets). What left the sandbox is read from
//! the doubles and from the records, never from what the guest says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{LocalBus, LocalConfig};
use flowhost_caps::files::{FileServices, Forbidden, open_grants};
use flowhost_caps::http::testing::{RecordingConnector, ScriptedResolver};
use flowhost_caps::http::{Connector, HttpServices, NoLogins, Resolver, Tls};
use flowhost_caps::log::{LogLine, MemoryLog};
use flowhost_caps::{Services, budget, clock, env, messaging, model, random, secrets, tools};
use flowhost_engine::{
    Amount, CacheConfig, CallReport, CallScope, Compiler, Descriptor, Engine, EngineConfig, Fault,
    Inspection, LoadError, Meter, MissingRight, Plugin, PoolConfig, Providers, RunScope,
    ShapeLimits, Shortfall, ToolContent, Whose,
};
use flowhost_ledger::{Fact, Kind, MemoryRecorder, Recorder, Value};
use flowhost_policy::{Effective, Manifest, Narrowing, Profile, effective};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use crate::support::{CACHE_KEY, guest, repository};

/// The plugin's name in every test.
pub(crate) const NAME: &str = "guest";

/// The one secret of every test, and its value.
pub(crate) const SECRET: (&str, &str) = ("TOKEN", "s3cr/t-value");

/// A public address that is never dialled.
pub(crate) const PUBLIC: &str = "93.184.215.14";

struct Doubles;

impl messaging::Mailboxes for Doubles {
    fn readers(&self, _caller: &CallScope, topic: &str) -> Vec<String> {
        if topic.starts_with("heard.") {
            vec!["reader".to_owned()]
        } else {
            Vec::new()
        }
    }
}

#[async_trait]
impl tools::ToolRouter for Doubles {
    fn list(&self, _caller: &CallScope) -> Vec<Descriptor> {
        Vec::new()
    }

    async fn call(&self, _: &CallScope, name: &str, input: &str) -> Result<ToolContent, Fault> {
        Ok(ToolContent {
            value: json!({ "name": name, "input": input }).to_string(),
            parts: Vec::new(),
        })
    }
}

impl secrets::SecretStore for Doubles {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        (name == SECRET.0).then(|| Zeroizing::new(SECRET.1.to_owned()))
    }
}

impl budget::BudgetView for Doubles {
    fn left(&self, _caller: &CallScope) -> budget::Left {
        budget::Left {
            tokens: 1_000,
            micro_usd: 2_000,
        }
    }
}

impl model::Spending for Doubles {
    fn hold(&self, _: &CallScope, want: budget::Left) -> Result<model::HoldId, Shortfall> {
        let allowed = 1_000;
        if want.tokens > allowed {
            return Err(Shortfall {
                amount: Amount::Tokens,
                whose: Whose::Plan,
                spent: 0,
                held: 0,
                asked: want.tokens,
                allowed,
            });
        }
        Ok(model::HoldId(1))
    }

    fn settle(&self, _: model::HoldId, _: budget::Left) {}

    fn origin(&self, _: &CallScope) -> model::Origin {
        model::Origin::default()
    }
}

impl flowhost_models::KeySource for Doubles {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl flowhost_models::ScriptFiles for Doubles {
    fn read(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl flowhost_models::Clock for Doubles {
    fn now_ms(&self) -> u64 {
        0
    }
}

/// A gateway that knows `mock` alone.
fn gateway() -> flowhost_models::Gateway {
    let doubles = Arc::new(Doubles);
    let config = flowhost_models::Config::default();
    flowhost_models::Gateway::new(config, doubles.clone(), doubles.clone(), doubles).unwrap()
}

impl clock::TimeSource for Doubles {
    fn now(&self) -> Duration {
        Duration::from_secs(1_795_000_000)
    }
}

impl random::Entropy for Doubles {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(0x42);
        Ok(())
    }
}

impl env::HostVariables for Doubles {
    fn get(&self, name: &str) -> Option<String> {
        (name == "FROM_HOST").then(|| "taken".to_owned())
    }
}

/// What a host is made of; `profile` grants nothing unless it says so.
pub(crate) struct Setup {
    pub(crate) profile: String,
    pub(crate) resolver: ScriptedResolver,
    pub(crate) connector: RecordingConnector,
    pub(crate) allow_private_network: bool,
    pub(crate) own_addresses: Vec<&'static str>,
    pub(crate) config: String,
    /// The plugin's manifest; without one its imports are what it asks for.
    pub(crate) manifest: Option<&'static str>,
    /// Where the paths of `[[files]]` begin.
    pub(crate) folder: Option<std::path::PathBuf>,
}

impl Setup {
    /// A host whose plugin runs under `version` and `name` followed by these lines.
    pub(crate) fn new(lines: &str) -> Self {
        Self {
            profile: format!("version = 1\nname = \"under-test\"\n{lines}"),
            resolver: ScriptedResolver::default(),
            connector: RecordingConnector::default(),
            allow_private_network: false,
            own_addresses: vec!["8.8.4.4"],
            config: "{}".to_owned(),
            manifest: None,
            folder: None,
        }
    }

    /// `name` has these addresses.
    pub(crate) fn resolving(mut self, name: &str, addresses: &[&str]) -> Self {
        self.resolver = self.resolver.answer(name, addresses);
        self
    }

    /// Grants are relative to `folder`.
    pub(crate) fn below(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The host with the component of this name in it.
    pub(crate) fn host(self, name: &str) -> Host {
        let bytes = std::fs::read(guest(name)).unwrap();
        self.host_of(bytes)
    }

    /// The host with these bytes as its component.
    pub(crate) fn host_of(self, bytes: Vec<u8>) -> Host {
        let inspection = flowhost_engine::inspect(&bytes, &ShapeLimits::default()).unwrap();
        let effective = rights(&self.profile, self.manifest, &inspection);
        let (resolver, connector) = (Arc::new(self.resolver), Arc::new(self.connector));
        let logs = Arc::new(MemoryLog::new(10_000));
        let state = tempfile::tempdir().unwrap();
        let http = HttpServices {
            resolver: Arc::clone(&resolver) as Arc<dyn Resolver>,
            connector: Arc::clone(&connector) as Arc<dyn Connector>,
            tls: Tls::web().unwrap(),
            roots: Arc::default(),
            identities: Arc::default(),
            secrets: Arc::new(Doubles),
            logins: Arc::new(NoLogins),
            own_addresses: self
                .own_addresses
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            allow_private_network: self.allow_private_network,
        };
        let files = folders(self.folder.as_deref(), &effective);
        let services = services(http, files, Arc::clone(&logs), state.path());
        let engine = engine();
        let providers = flowhost_caps::providers(services);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let missing = engine.preflight(&inspection, &effective);
        let effective = Arc::new(effective);
        let plugin = runtime.block_on(async {
            let loaded = engine.load(bytes.into()).await?;
            engine.prepare(&loaded, Arc::clone(&effective))
        });
        Host {
            effective,
            missing,
            plugin,
            recorder: Arc::default(),
            resolver,
            connector,
            logs,
            config: self.config,
            engine,
            providers,
            runtime,
            _state: state,
        }
    }
}

/// The name of every capability of this build, in the order of the list.
pub(crate) fn capability_names() -> Vec<&'static str> {
    let all = flowhost_caps::all();
    all.iter().map(|capability| capability.name()).collect()
}

fn services(
    http: HttpServices,
    files: FileServices,
    logs: Arc<MemoryLog>,
    state: &Path,
) -> Services {
    Services {
        bus: Arc::new(LocalBus::new(LocalConfig::default())),
        mailboxes: Arc::new(Doubles),
        logs,
        tools: Arc::new(Doubles),
        secrets: Arc::new(Doubles),
        state: Arc::new(flowhost_caps::state::FolderStore::new(open(state))),
        budget: Arc::new(Doubles),
        model: model::ModelServices {
            gateway: gateway(),
            spending: Arc::new(Doubles),
            redact: true,
        },
        time: Arc::new(Doubles),
        entropy: Arc::new(Doubles),
        variables: Arc::new(Doubles),
        http,
        files,
        process: flowhost_caps::mcp_transport::ProcessServices::none(),
    }
}

fn open(path: &Path) -> cap_std::fs::Dir {
    cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap()
}

fn rights(profile: &str, manifest: Option<&str>, inspection: &Inspection) -> Effective {
    let profile = Profile::parse(profile, "policies/under-test.toml")
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let names: Vec<String> = inspection
        .imports
        .iter()
        .map(|import| import.name.full.clone())
        .collect();
    let manifest = match manifest {
        Some(text) => Manifest::parse(text, "plugin.toml").unwrap_or_else(|it| panic!("{it:#?}")),
        None => Manifest::from_imports(NAME, names.iter().map(String::as_str)),
    };
    effective(&manifest, &profile, &Narrowing::none(NAME), None).0
}

fn folders(base: Option<&Path>, effective: &Effective) -> FileServices {
    let mut services = FileServices::default();
    if let Some(base) = base {
        let opened = open_grants(base, &effective.grants.files, &Forbidden::default());
        services.insert(
            NAME,
            opened.unwrap_or_else(|problems| panic!("{problems:?}")),
        );
    }
    services
}

fn engine() -> Engine {
    Engine::new(EngineConfig {
        compiler: Compiler::InProcess,
        cache: Some(CacheConfig {
            dir: repository().join("target/it-cache"),
            key: CACHE_KEY,
            program: "test".to_owned(),
        }),
        shape: ShapeLimits::default(),
        pool: PoolConfig {
            slots: 16,
            warm_slots: 2,
        },
        capabilities: flowhost_caps::all(),
    })
    .unwrap()
}

/// Makes machine code of a component and leaves it in the cache that `Home::warm` lends.
pub(crate) fn compile(bytes: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(engine().load(bytes.into())).unwrap();
}

/// A host with one component.
pub(crate) struct Host {
    pub(crate) effective: Arc<Effective>,
    /// What preflight says is missing.
    pub(crate) missing: Vec<MissingRight>,
    pub(crate) plugin: Result<Plugin, LoadError>,
    pub(crate) recorder: Arc<MemoryRecorder>,
    pub(crate) resolver: Arc<ScriptedResolver>,
    pub(crate) connector: Arc<RecordingConnector>,
    logs: Arc<MemoryLog>,
    config: String,
    engine: Engine,
    providers: Providers,
    runtime: tokio::runtime::Runtime,
    _state: tempfile::TempDir,
}

impl Host {
    /// The plugin, which every right allowed to be prepared.
    #[track_caller]
    pub(crate) fn plugin(&self) -> Plugin {
        match &self.plugin {
            Ok(plugin) => plugin.clone(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The scope of the next call.
    pub(crate) fn scope(&self) -> CallScope {
        scope(
            &self.effective,
            &self.config,
            &self.recorder,
            &self.providers,
        )
    }

    /// Waits for a future.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Calls the tool `run`.
    #[track_caller]
    pub(crate) fn call(&self, input: &Json) -> CallReport<ToolContent> {
        let (plugin, scope) = (self.plugin(), self.scope());
        self.wait(plugin.call_tool(scope, "run", &input.to_string()))
    }

    /// Calls the tool and reads the answer.
    #[track_caller]
    pub(crate) fn answer(&self, input: &Json) -> Json {
        let report = self.call(input);
        let content = report.result.unwrap_or_else(|fault| panic!("{fault}"));
        serde_json::from_str(&content.value).unwrap()
    }

    /// One call that walks a table; one outcome for each case.
    #[track_caller]
    pub(crate) fn cases(&self, cases: &[Json]) -> Vec<Json> {
        let Json::Array(outcomes) = self.answer(&json!({ "cases": cases })) else {
            panic!("not a table")
        };
        assert_eq!(outcomes.len(), cases.len());
        outcomes
    }

    /// What was recorded, in order.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.recorder.facts()
    }

    /// The records of one kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> Vec<Fact> {
        self.facts()
            .into_iter()
            .filter(|fact| fact.kind == kind)
            .collect()
    }

    /// The log lines that reached the host.
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.logs.lines()
    }

    /// Proves that the same engine still serves an honest component.
    #[track_caller]
    pub(crate) fn is_healthy(&self) {
        let bytes = std::fs::read(guest("ok_echo")).unwrap();
        let report = self.wait(async {
            let loaded = self.engine.load(bytes.into()).await.unwrap();
            let effective = Arc::new(Effective {
                plugin: "honest".to_owned(),
                ..Effective::default()
            });
            let plugin = self
                .engine
                .prepare(&loaded, Arc::clone(&effective))
                .unwrap();
            plugin
                .call_tool(
                    scope(&effective, "{}", &self.recorder, &self.providers),
                    "run",
                    "[1]",
                )
                .await
        });
        assert_eq!(report.result.unwrap().value, "[1]");
    }
}

fn scope(
    effective: &Arc<Effective>,
    config: &str,
    recorder: &Arc<MemoryRecorder>,
    providers: &Providers,
) -> CallScope {
    CallScope {
        run: RunScope {
            tenant: "default".into(),
            run: "01JD0000000000000000000000".into(),
            seed: [7; 32],
            started_ms: 1_795_000_000_000,
            recorder: Arc::clone(recorder) as Arc<dyn Recorder>,
            providers: Arc::clone(providers),
            own_calls: Arc::default(),
            memory: None,
        },
        call: "1".into(),
        root: "1".into(),
        made: Arc::default(),
        key: "".into(),
        step: "only".into(),
        attempt: 1,
        plugin: effective.plugin.as_str().into(),
        digest: "sha256:0".into(),
        revision: 1,
        effective: Arc::clone(effective),
        config: config.into(),
        traceparent: "".into(),
        deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        keyed: false,
        callers: Arc::from([]),
        meter: Arc::new(Meter::default()),
    }
}

/// A text field of a record; empty when there is none.
pub(crate) fn field<'a>(fact: &'a Fact, name: &str) -> &'a str {
    fact.fields
        .get(name)
        .and_then(Value::as_text)
        .unwrap_or_default()
}

/// The limit that ended a call: name, used, allowed.
#[track_caller]
pub(crate) fn limit<T: std::fmt::Debug>(report: &CallReport<T>) -> (&'static str, u64, u64) {
    match &report.result {
        Err(Fault::Limit {
            name,
            used,
            allowed,
        }) => (name, *used, *allowed),
        Err(Fault::Budget(short)) => (short.amount.key(), short.used(), short.allowed),
        other => panic!("not a limit: {other:?}"),
    }
}

/// The message of the trap that ended a call.
#[track_caller]
pub(crate) fn trap<T: std::fmt::Debug>(report: &CallReport<T>) -> String {
    match &report.result {
        Err(Fault::Trap { message }) => message.clone(),
        other => panic!("not a trap: {other:?}"),
    }
}
