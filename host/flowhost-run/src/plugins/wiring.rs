//! From a resolved project to plugins that can be called, in the run's own scope.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flowhost_bus::Bus;
use flowhost_caps::budget::Left;
use flowhost_caps::env::HostVariables;
use flowhost_caps::files::FileServices;
use flowhost_caps::http::HttpServices;
use flowhost_caps::mcp_transport::{Place, ProcessServices};
use flowhost_caps::model::ModelServices;
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::{Compiler, LoadError, LoadedComponent, RunScope};
use flowhost_flow::budget::{Currency, DEFAULT_LIMIT, OnExceeded};
use flowhost_flow::hash::ResolvedPlugin;
use flowhost_flow::{Amounts, Exit, Plan};
use flowhost_ledger::{MemoryRecorder, Recorder};
use flowhost_models::Gateway;
use flowhost_words::PluginKind;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::before::functions::{ToolNames, check_functions};
use crate::before::offers::{Offers, Question};
use crate::before::rights::missing_rights;
use crate::calls::desk::Remote;
use crate::earlier::replay::{self, Nowhere};
use crate::given::folders;
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::{Member, Project, at_member};
use crate::given::redaction::redaction;
use crate::given::world::{Crowd, Operator, World};
use crate::host::handle::Run;
use crate::kept::journal::Journal;
use crate::kept::revealed::{Remembering, Revealed};
use crate::meters::funds::Funds;
use crate::meters::purse::Ceiling;
use crate::meters::tally::{Origins, Tally};
use crate::plugins::guards::Guards;
use crate::plugins::guest::Guest;
use crate::plugins::installed::{Installed, Unready};
use crate::plugins::logs::Logs;
use crate::plugins::registry::Registry;
use crate::plugins::router::Router;
use crate::plugins::server::{self, Before, Drift, ToolHashes};

#[cfg(test)]
mod tests;

/// The plan's hash, components and rights included.
///
/// # Errors
/// Never for a parsed plan.
pub fn plan_hash(project: &Project) -> Result<String, Failure> {
    plan_hash_later(project)()
}

/// The same, for who has it made beside something else: that of a plan of a thousand steps takes milliseconds.
pub(crate) fn plan_hash_later(
    project: &Project,
) -> impl FnOnce() -> Result<String, Failure> + Send + use<> {
    let plan = project.plan.clone();
    let hex = |text: &str| text.trim_start_matches("sha256:").to_owned();
    let resolved = project.members.iter().map(|(key, member)| {
        let plugin = ResolvedPlugin {
            component_sha256: hex(&member.inspection.digest),
            profile_sha256: hex(&member.effective.hash),
        };
        (key.clone(), plugin)
    });
    let resolved: BTreeMap<_, _> = resolved.collect();
    move || {
        flowhost_flow::hash::plan_hash(&plan, &resolved).map_err(|error| {
            Failure::new(Exit::Internal, "the plan cannot be hashed").because(error.to_string())
        })
    }
}

/// SHA-256 of each plugin's component, by key: what tells a consensus that two agents are the same.
pub(crate) fn components(project: &Project) -> BTreeMap<String, String> {
    let members = project.members.iter();
    members
        .map(|(key, member)| (key.clone(), member.inspection.digest.to_string()))
        .collect()
}

/// What one call of each plugin can use at most, for the planner's reservations.
pub(crate) fn estimates(project: &Project) -> BTreeMap<String, Amounts> {
    let estimate = |member: &Member| Amounts {
        calls: 1,
        fuel: member.effective.limits.fuel,
        // Held call by call, exactly, by the purse: a plugin's ceiling for the run held for each of its
        // calls would make one wait for the other.
        tokens: 0,
        micro_usd: 0,
    };
    project
        .members
        .iter()
        .map(|(key, member)| (key.clone(), estimate(member)))
        .collect()
}

/// The seed of everything random in a run, from the number that the person gives.
pub(crate) fn seed_of(seed: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"flowhost-seed/1");
    hash.update(seed.to_be_bytes());
    hash.finalize().into()
}

/// The run's budget, in what models cost.
pub(crate) fn ceiling(plan: &Plan) -> Ceiling {
    let budget = &plan.budget;
    let limit = |currency: Currency, stated: Option<u64>| {
        stated.unwrap_or_else(|| DEFAULT_LIMIT.get(currency))
    };
    let [_, _, tokens, micro_usd] = budget.limits;
    Ceiling {
        limit: Left {
            tokens: limit(Currency::Tokens, tokens),
            micro_usd: limit(Currency::MicroUsd, micro_usd),
        },
        halts: budget.on_exceeded == OnExceeded::Halt,
    }
}

/// What a run has of its own, before its plugins can be called.
pub(crate) struct Ready {
    bus: Arc<dyn Bus>,
    router: Arc<Router>,
    services: flowhost_caps::Services,
    /// The tools by which a run that is taken up was driven before: none of one that begins.
    pub(crate) shown: ToolHashes,
}

/// Where the work of a run is done, seen from its plugins.
pub(crate) struct Seat {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) funds: Arc<dyn Funds>,
    /// What guests were told.
    pub(crate) revealed: Arc<Revealed>,
    /// The driver of the run, where it is another process: it has to know, too, what guests were told.
    pub(crate) driver: Option<Remote>,
}

/// What the driver drives.
pub(crate) struct Machinery {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) plugins: Arc<Registry>,
    pub(crate) crowd: Option<Crowd>,
}

/// A secret that a profile names and does not give is none that a guest is told; but the guest that came with
/// the profile may hold it already, and what a run leaves is rid of it as of any other.
fn know_withheld(project: &Project, secrets: &dyn SecretStore, revealed: &Revealed) {
    for name in &project.withheld {
        if let Some(value) = secrets.get(name) {
            revealed.add(name, &value);
        }
    }
}

impl Ready {
    pub(crate) fn new(
        project: &Project,
        options: &RunOptions,
        host: &Arc<Process>,
        gateway: &Gateway,
        run: &Run,
        seat: Seat,
    ) -> Result<Self, Failure> {
        let Seat {
            bus,
            funds,
            revealed,
            driver,
        } = seat;
        let router = Arc::new(Router::new(funds));
        let logs = Arc::new(Logs {
            redacts: redaction(project).payloads,
            run: run.clone(),
            revealed: revealed.clone(),
        });
        let mut services = services_of(project, options, host, &bus, &router, gateway, logs)?;
        know_withheld(project, &*services.secrets, &revealed);
        // Only what a guest asks to be told goes through it, and not what `http` injects.
        services.secrets = Arc::new(Remembering {
            store: services.secrets,
            revealed,
            driver,
        });
        Ok(Self {
            bus,
            router,
            services,
            shown: ToolHashes::new(),
        })
    }

    /// As [`Ready::new`], for a run that is replayed: nothing in it reaches anything. Secrets and variables
    /// that guests are told are the exception: they stand in no record, so the operator is asked again, and
    /// their commitments are compared.
    pub(crate) fn for_replay(
        project: &Project,
        host: &Arc<Process>,
        funds: Arc<dyn Funds>,
        revealed: &Arc<Revealed>,
    ) -> Result<Self, Failure> {
        let nowhere = Arc::new(Nowhere);
        let router = Arc::new(Router::new(funds));
        let secrets = host.config.operator.secrets(project)?;
        know_withheld(project, &*secrets, revealed);
        let gateway = replay::gateway().map_err(|why| {
            Failure::new(Exit::Internal, "the gateway of a replay cannot be made").because(why)
        })?;
        let http = HttpServices {
            resolver: nowhere.clone(),
            connector: nowhere.clone(),
            ..host.network()?.clone()
        };
        let services = flowhost_caps::Services {
            bus: nowhere.clone(),
            mailboxes: router.clone(),
            logs: nowhere.clone(),
            tools: router.clone(),
            secrets: Arc::new(Remembering {
                store: secrets,
                revealed: revealed.clone(),
                driver: None,
            }),
            state: nowhere.clone(),
            budget: router.clone(),
            model: ModelServices {
                gateway,
                spending: router.clone(),
                redact: redaction(project).model,
            },
            time: nowhere.clone(),
            entropy: nowhere.clone(),
            variables: Arc::new(Variables(host.config.operator.clone())),
            http,
            files: FileServices::default(),
            process: ProcessServices::none(),
        };
        Ok(Self {
            bus: nowhere,
            router,
            services,
            shown: ToolHashes::new(),
        })
    }

    /// What drives a replay, once its plugins are installed.
    pub(crate) fn replayed(self, project: &Project, plugins: Arc<Registry>) -> Machinery {
        let guards = Guards::of(&project.plan, &project.inputs);
        self.router.install(plugins.clone(), guards);
        Machinery {
            bus: self.bus,
            tally: self.router.tally(),
            origins: self.router.origins(),
            plugins,
            crowd: None,
        }
    }

    /// What all calls of the run share.
    pub(crate) fn scope(
        &self,
        tenant: &str,
        run: &str,
        seed: [u8; 32],
        started_ms: u64,
        recorder: Arc<dyn Recorder>,
        own_calls: Arc<AtomicU64>,
    ) -> RunScope {
        RunScope {
            tenant: tenant.into(),
            run: run.into(),
            seed,
            started_ms,
            recorder,
            providers: flowhost_caps::providers(self.services.clone()),
            own_calls,
            memory: None,
        }
    }

    /// Where secrets of the project are found.
    pub(crate) fn secrets(&self) -> Arc<dyn SecretStore> {
        self.services.secrets.clone()
    }

    /// Every missing right of every plugin.
    pub(crate) fn preflight(project: &Project) -> Result<(), Failure> {
        let rights = missing_rights(project);
        if rights.0.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::findings("the plan", rights.findings(project));
        failure.exit = Exit::Denied;
        Err(failure
            .hint("`flowhost policy explain PLAN` shows where each right comes from")
            .named("PLAN", &project.file))
    }

    /// Compiles what is not in the cache, all at once; the engine bounds how many at a time. What is
    /// at work ends when this is dropped.
    pub(crate) async fn load(
        host: &Process,
        project: &Project,
    ) -> Result<BTreeMap<String, LoadedComponent>, Failure> {
        let mut tasks = JoinSet::new();
        for (key, member) in &project.members {
            let (engine, key) = (host.engine.clone(), key.clone());
            let component = member.inspection.clone();
            tasks.spawn(async move { (key, engine.load_inspected(&component).await) });
        }
        let mut loaded = BTreeMap::new();
        let mut findings = Vec::new();
        while let Some(task) = tasks.join_next().await {
            match task {
                Ok((key, Ok(component))) => drop(loaded.insert(key, component)),
                Ok((key, Err(error))) => {
                    findings.push(at_member(project, &key, &error.to_string()));
                }
                Err(error) => findings.push(Finding::new(&project.file, error.to_string())),
            }
        }
        // They end as the machine likes; a person reads them from the first line on.
        findings.sort_by_key(|finding| (finding.line, finding.column));
        if findings.is_empty() {
            Ok(loaded)
        } else {
            Err(Failure::findings(&format!("`{}`", project.file), findings))
        }
    }

    /// Asks components without a manifest which tools they have, before anything is on record and without a right that
    /// reaches beyond the call, so that nothing can come of it. Who then cannot say is asked again in the run.
    pub(crate) async fn offers(
        &self,
        host: &Process,
        project: &Project,
        components: &BTreeMap<String, LoadedComponent>,
        run: &str,
        started_ms: u64,
    ) -> Offers {
        let services = flowhost_caps::Services {
            // What it says now it says again in the run.
            logs: Arc::new(Nowhere),
            ..self.services.clone()
        };
        let scope = RunScope {
            tenant: host.config.state.tenant().into(),
            run: run.into(),
            seed: seed_of(0),
            started_ms,
            recorder: Arc::new(MemoryRecorder::default()),
            providers: flowhost_caps::providers(services),
            own_calls: Arc::default(),
            memory: None,
        };
        let mut offers = Offers::default();
        for (key, member) in &project.members {
            let Some(question) = Question::of(member) else {
                continue;
            };
            let Some(component) = components.get(key) else {
                debug_assert!(false, "every plugin of the project was loaded");
                continue;
            };
            let answer = match link(host, question.member(), component) {
                Ok(plugin) => {
                    let installed = Installed::new(key, 1, plugin, question.member());
                    question.heard(installed.described(&scope).await)
                }
                Err(error) => Question::unloaded(&error),
            };
            // Whom only the run will know is asked there.
            let _later = offers.add(key, answer);
        }
        offers
    }

    /// Links each plugin to exactly what it is granted, and asks those without a manifest what they
    /// offer. Whatever that says about the plan's steps is known before the first of them runs. Without a
    /// journal nothing is recorded: the process that drives the run has.
    pub(crate) async fn install(
        self,
        host: &Process,
        project: &Project,
        components: BTreeMap<String, LoadedComponent>,
        run: &RunScope,
        journal: Option<&Journal>,
    ) -> Result<Machinery, Failure> {
        let plugins = Registry::default();
        let (mut asked, mut findings) = (ToolNames::new(), Vec::new());
        // Whether policy, or nobody's acceptance, stands between the run and what would be called.
        let mut denied = false;
        for (key, component) in components {
            let Some(member) = project.members.get(&key) else {
                debug_assert!(false, "what was loaded are the project's members");
                continue;
            };
            if let Some(journal) = journal {
                journal.member(&key, member)?;
            }
            let plugin = prepare(host, project, &key, member, &component)?;
            let mut installed = Installed::new(&key, 1, plugin, member)
                .paced(host.config.server_calls_per_minute)
                .hearing(self.services.process.changes.clone());
            let told = match journal {
                // It would speak to the server without a record.
                None if member.decl.kind == PluginKind::McpAdapter => {
                    Err("an MCP adapter works in the process that drives its run"
                        .to_owned()
                        .into())
                }
                _ => installed.introduce(member, run).await,
            };
            match told {
                Ok(true) => {
                    asked.insert(key.clone(), installed.tool_names());
                    let found = unvouched(host, project, &key, &installed);
                    denied |= found.is_some();
                    findings.extend(found);
                }
                Ok(false) => {}
                Err(why) => {
                    denied |= why.denied;
                    findings.push(unready(project, &key, &why));
                }
            }
            let exchanged = exchanged(project, &key, &installed, self.shown.get(&key));
            // What the run would not go on by is told in its refusal, and is not what it was shown first.
            if let Some(journal) = journal.filter(|_| exchanged.is_empty()) {
                journal.tools(&installed)?;
                server::record(journal, &installed)?;
            }
            let drift = drifted(project, &key, &installed);
            denied |= !drift.is_empty() || !exchanged.is_empty();
            findings.extend(exchanged.into_iter().chain(drift));
            plugins.put(installed);
        }
        check_functions(&project.plan, &asked, &mut findings);
        if !findings.is_empty() {
            let mut failure = Failure::findings(&format!("`{}`", project.file), findings);
            if denied {
                failure.exit = Exit::Denied;
            }
            return Err(failure);
        }
        let plugins = Arc::new(plugins);
        let guards = Guards::of(&project.plan, &project.inputs);
        self.router.install(plugins.clone(), guards);
        Ok(Machinery {
            bus: self.bus,
            tally: self.router.tally(),
            origins: self.router.origins(),
            plugins,
            crowd: host.config.crowd.clone(),
        })
    }
}

/// Why what a server shows is not what the operator and a person have accepted of it: asked of whatever takes the place
/// of an adapter, as it is of the adapter when the run begins.
pub(crate) fn unaccepted(
    host: &Process,
    project: &Project,
    key: &str,
    installed: &Installed,
) -> Vec<Finding> {
    let unvouched = unvouched(host, project, key, installed);
    let drifted = drifted(project, key, installed);
    unvouched.into_iter().chain(drifted).collect()
}

/// Why the operator does not let a server be used that shows these tools.
fn unvouched(
    host: &Process,
    project: &Project,
    key: &str,
    installed: &Installed,
) -> Option<Finding> {
    installed.server()?;
    let operator = &host.config.operator;
    let refused = operator.vouches(project, key, &installed.tool_pins());
    let found = refused.err()?;
    Some(at_member(project, key, &found.message).cure(found.hint))
}

/// Why a plugin does not say what it offers, with what to do about it.
fn unready(project: &Project, key: &str, why: &Unready) -> Finding {
    let finding = at_member(project, key, &why.to_string());
    match why.cure.is_empty() {
        true => finding, // what there is to do may stand in the text
        false => finding.cure(why.cure.clone()),
    }
}

/// What a server shows otherwise than was accepted of it; nothing where nobody has pinned its tools.
fn drifted(project: &Project, key: &str, installed: &Installed) -> Vec<Finding> {
    let pins = project.pins.get(key);
    let cure = || {
        format!(
            "look at them with `{}`, and accept them with `--pin`",
            project.inspect_command(key)
        )
    };
    let before = pins.map(|hashes| Before {
        hashes,
        texts: project.accepted.get(key),
    });
    otherwise(project, key, installed, (before, "flowhost.lock has"), cure)
}

/// What a server shows otherwise than the run was shown before it was taken up (MCP-002): its steps were chosen by that,
/// and the run is left as it was, to be resumed when the server is.
fn exchanged(
    project: &Project,
    key: &str,
    installed: &Installed,
    shown: Option<&BTreeMap<String, String>>,
) -> Vec<Finding> {
    let cure = || {
        "bring the server back as it was, and resume the run again; with the tools as they are now, start the plan anew"
            .to_owned()
    };
    // Its records have all that was shown; what is read of them when it is taken up are the hashes.
    let before = shown.map(|hashes| Before {
        hashes,
        texts: None,
    });
    otherwise(
        project,
        key,
        installed,
        (before, "this run was shown"),
        cure,
    )
}

/// What a server shows otherwise than `before`, of whom that is said with it. Of one that could not be asked nothing is
/// known, and its tools are not gone.
fn otherwise(
    project: &Project,
    key: &str,
    installed: &Installed,
    (before, whose): (Option<Before<'_>>, &str),
    cure: impl Fn() -> String,
) -> Vec<Finding> {
    let Some(before) = before.filter(|_| installed.server().is_some()) else {
        return Vec::new();
    };
    let found = |Drift { what, how }: Drift| {
        let message = format!("its server shows other tools than {whose}: {what}");
        let finding = at_member(project, key, &message).detail(how);
        finding.cure(cure())
    };
    let drifted = server::drifted(before, installed).into_iter();
    drifted.map(found).collect()
}

pub(crate) fn prepare(
    host: &Process,
    project: &Project,
    key: &str,
    member: &Member,
    component: &LoadedComponent,
) -> Result<Arc<dyn Guest>, Failure> {
    link(host, member, component).map_err(|error| {
        let mut finding = at_member(project, key, &error.to_string());
        // A plan's own components were held against their rights before.
        if matches!(error, LoadError::Missing(_)) {
            finding = finding.cure("what stands in for a plugin has the rights of that one only");
        }
        Failure::findings("the plan", vec![finding])
    })
}

/// Links a component with exactly what the plugin is granted.
fn link(
    host: &Process,
    member: &Member,
    component: &LoadedComponent,
) -> Result<Arc<dyn Guest>, LoadError> {
    let effective = Arc::new(member.effective.clone());
    let plugin = host.engine.prepare(component, effective)?;
    Ok(Arc::new(plugin))
}

fn services_of(
    project: &Project,
    options: &RunOptions,
    host: &Arc<Process>,
    bus: &Arc<dyn Bus>,
    router: &Arc<Router>,
    gateway: &Gateway,
    logs: Arc<Logs>,
) -> Result<flowhost_caps::Services, Failure> {
    let secrets = host.config.operator.secrets(project)?;
    let redact = redaction(project);
    let files = folders::files(project, &host.config)?;
    Ok(flowhost_caps::Services {
        bus: bus.clone(),
        mailboxes: router.clone(),
        logs,
        tools: router.clone(),
        secrets: secrets.clone(),
        state: host.store()?,
        budget: router.clone(),
        model: ModelServices {
            gateway: gateway.clone(),
            spending: router.clone(),
            redact: redact.model,
        },
        time: Arc::new(WallTime(host.config.world.clone())),
        entropy: Arc::new(Randomness(host.config.world.clone())),
        variables: Arc::new(Variables(host.config.operator.clone())),
        http: HttpServices {
            secrets,
            roots: host.config.operator.roots(project)?,
            identities: host.config.operator.identities(project)?,
            logins: host.config.operator.logins(),
            allow_private_network: options.allow_private_network,
            ..host.network()?.clone()
        },
        process: processes(project, options, host, &files),
        files,
    })
}

/// What native processes need: the executable that confines them, and where the granted folders are.
fn processes(
    project: &Project,
    options: &RunOptions,
    host: &Process,
    files: &FileServices,
) -> ProcessServices {
    let places = |key: &String| {
        let all = files.places(key).map(|(guest, host)| Place {
            guest: guest.to_owned(),
            host,
        });
        (key.clone(), all.collect::<Vec<_>>())
    };
    let starts = |member: &&Member| !member.effective.grants.process.is_empty();
    let members = project.members.iter().filter(|(_, member)| starts(member));
    ProcessServices {
        // Whoever compiles in a child process can confine in one: it is the same executable.
        program: match &host.config.compiler {
            Compiler::Child { program } => Some(program.clone()),
            _ => None,
        },
        allowed: options.allow_process,
        places: members.map(|(key, _)| places(key)).collect(),
        variables: Arc::new(Variables(host.config.operator.clone())),
        changes: Arc::default(),
    }
}

/// The world's clock, for profiles that say `wall = "real"`.
struct WallTime(Arc<dyn World>);

impl flowhost_caps::clock::TimeSource for WallTime {
    fn now(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.now_ms())
    }
}

/// The world's randomness, for profiles that say `source = "os"`.
struct Randomness(Arc<dyn World>);

impl flowhost_caps::random::Entropy for Randomness {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.0.fill(bytes)
    }
}

/// Variables that a profile takes with `from`.
struct Variables(Arc<dyn Operator>);

impl HostVariables for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }
}

impl flowhost_caps::mcp_transport::Variables for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }
}
