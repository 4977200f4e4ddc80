//! From a resolved project to an engine with services, and from there to plugins that can be called.
//!
//! The preflight is here: every missing right of every plugin, before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_bus::{Bus, LocalBus, LocalConfig};
use flowhost_caps::budget::Left;
use flowhost_caps::files::{FileServices, Forbidden, GrantProblem, open_grants, refused_grants};
use flowhost_caps::http::HttpServices;
use flowhost_caps::model::ModelServices;
use flowhost_caps::state::FolderStore;
use flowhost_engine::{
    CacheConfig, Compiler, Engine, EngineConfig, LoadedComponent, Plugin, PoolConfig, RunScope,
    ShapeLimits,
};
use flowhost_flow::budget::{Currency, DEFAULT_LIMIT, OnExceeded};
use flowhost_flow::hash::ResolvedPlugin;
use flowhost_flow::{Amounts, Exit, PluginDecl, PluginKind};
use flowhost_models::Gateway;
use flowhost_policy::{Ask, host_input};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::guards::Guards;
use super::journal::Journal;
use super::purse::{Ceiling, Purse};
use super::registry::{Installed, Registry};
use super::router::Router;
use super::tally::Tally;
use super::{RunOptions, Surroundings};
use crate::ambient::Ambient;
use crate::estimate::{Estimate, estimate};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::project::{Member, Project, ToolNames, check_functions};
use crate::sources::is_shipped;
use crate::state::State;
use crate::{models, services};

/// A right that a plugin needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The plugin's key.
    pub plugin: String,
    /// What it imports.
    pub interface: String,
    /// The profile that does not grant it.
    pub profile: String,
    /// The profile's file and line.
    pub at: String,
    /// The lines that would grant it; empty when this build serves no such interface.
    pub lines: String,
}

/// Rights that are missing, as findings.
#[derive(Debug, Clone, Default)]
pub struct Rights(pub Vec<Missing>);

impl Rights {
    /// One finding each, at the plugin's place in the plan.
    #[must_use]
    pub fn findings(&self, project: &Project) -> Vec<Finding> {
        self.0
            .iter()
            .map(|missing| finding(project, missing))
            .collect()
    }
}

fn finding(project: &Project, missing: &Missing) -> Finding {
    let Missing {
        plugin,
        interface,
        profile,
        at,
        lines,
    } = missing;
    let decl = project.members.get(plugin).map(|member| &member.decl);
    let place = decl.map(|decl| decl.at).unwrap_or_default();
    let message = format!(
        "plugin `{plugin}` imports `{interface}`, which profile `{profile}` does not grant"
    );
    let cure = if lines.is_empty() {
        "no profile can: this build serves no such interface".to_owned()
    } else {
        match decl.filter(|decl| is_shipped(&decl.profile)) {
            Some(decl) => own_profile(decl, lines),
            None => format!("this would grant it, in {at}:\n{lines}"),
        }
    };
    Finding::new(&project.file, message)
        .at(place.line, place.column)
        .cure(cure)
}

/// A shipped profile is part of the build and means the same everywhere: the cure is one's own.
fn own_profile(decl: &PluginDecl, lines: &str) -> String {
    let PluginDecl { name, profile, .. } = decl;
    let place = match lines.starts_with('[') {
        true => "to",
        false => "above the first `[table]` of",
    };
    format!(
        "`{profile}` is shipped and stays as it is. Make a profile of your own in `policies/` beside the plan:\n\
         mkdir -p policies\n\
         flowhost policy show {profile} --name {name} > policies/{name}.toml\n\
         then write `profile: {name}` in the plan, and add this {place} policies/{name}.toml:\n{lines}"
    )
}

/// Every right that an import needs and that is not there, without an engine.
#[must_use]
pub fn missing_rights(project: &Project) -> Rights {
    let missing = project
        .members
        .iter()
        .flat_map(|(key, member)| missing_of(key, member));
    Rights(missing.collect())
}

fn missing_of(key: &str, member: &Member) -> Vec<Missing> {
    // No profile helps a component that was built against other interfaces, and it is told so.
    if member.inspection.unserved().into_iter().next().is_some() {
        return Vec::new();
    }
    let imports = member
        .inspection
        .imports
        .iter()
        .filter(|import| !import.types_only());
    let imports = imports.map(|import| import.name.full.as_str());
    let missing = flowhost_policy::missing_rights(imports, &member.effective);
    let told = missing.into_iter().map(|missing| Missing {
        plugin: key.to_owned(),
        interface: missing.import,
        profile: member.profile.name.clone(),
        at: place_of(member, missing.right),
        lines: lines_for(member, missing.right, missing.lines),
    });
    told.collect()
}

/// The lines that would grant a right, with what the plugin's manifest names.
fn lines_for(member: &Member, right: &str, usual: &str) -> String {
    match &member.manifest.needs.state {
        Ask::Only(state) if right == "state" => {
            let names: Vec<_> = state
                .namespaces
                .iter()
                .map(|it| format!("{it:?}"))
                .collect();
            format!("[state]\nnamespaces = [{}]", names.join(", "))
        }
        _ => usual.to_owned(),
    }
}

/// `policies/x.toml:12` for a right that the profile mentions, else the file.
fn place_of(member: &Member, right: &str) -> String {
    match member.profile.position(right) {
        Some(at) => format!("{}:{}", member.profile.file, at.line),
        None => member.profile.file.clone(),
    }
}

/// The plan's hash, components and rights included.
///
/// # Errors
/// Never for a parsed plan.
pub fn plan_hash(project: &Project) -> Result<String, Failure> {
    let hex = |text: &str| text.trim_start_matches("sha256:").to_owned();
    let resolved = project.members.iter().map(|(key, member)| {
        let plugin = ResolvedPlugin {
            component_sha256: hex(&member.inspection.digest),
            profile_sha256: hex(&member.effective.hash),
        };
        (key.clone(), plugin)
    });
    let resolved: BTreeMap<_, _> = resolved.collect();
    flowhost_flow::hash::plan_hash(&project.plan, &resolved).map_err(|error| {
        Failure::new(Exit::Internal, "the plan cannot be hashed").because(error.to_string())
    })
}

/// What one call of each plugin can use at most, for the planner's reservations.
pub(super) fn estimates(project: &Project) -> BTreeMap<String, Amounts> {
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

/// The run's budget, in what models cost.
fn ceiling(project: &Project) -> Ceiling {
    let budget = &project.plan.budget;
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

/// What all calls of the run share.
pub(super) fn run_scope(
    tenant: &str,
    run: &str,
    seed: u64,
    started_ms: u64,
    journal: &Journal,
) -> RunScope {
    let mut hash = Sha256::new();
    hash.update(b"flowhost-seed/1");
    hash.update(seed.to_be_bytes());
    RunScope {
        tenant: tenant.into(),
        run: run.into(),
        seed: hash.finalize().into(),
        started_ms,
        recorder: Arc::new(journal.clone()),
        calls: Arc::default(),
    }
}

/// An engine with its services, before anything is compiled.
pub(super) struct Ready {
    engine: Engine,
    bus: LocalBus,
    router: Arc<Router>,
    purse: Arc<Purse>,
    gateway: Gateway,
}

/// What the driver drives.
pub(super) struct Machinery {
    pub(super) bus: LocalBus,
    pub(super) tally: Arc<Tally>,
    pub(super) purse: Arc<Purse>,
    pub(super) plugins: Arc<Registry>,
}

impl Ready {
    pub(super) fn new(
        project: &Project,
        options: &RunOptions,
        around: &Surroundings<'_>,
    ) -> Result<Self, Failure> {
        let bus = LocalBus::new(LocalConfig::default());
        let gateway = models::gateway(around.ambient, around.config, project)?;
        let purse = Arc::new(Purse::new(ceiling(project)));
        let router = Arc::new(Router::new(purse.clone()));
        let services = services_of(project, options, around, &bus, &router, &gateway)?;
        let config = EngineConfig {
            compiler: compiler(around)?,
            cache: Some(cache(around)?),
            shape: ShapeLimits::default(),
            pool: PoolConfig::default(),
            capabilities: flowhost_caps::all(services),
        };
        let engine = Engine::new(config).map_err(|error| {
            Failure::new(Exit::Internal, "the engine cannot be built").caused_by(&error)
        })?;
        Ok(Self {
            engine,
            bus,
            router,
            purse,
            gateway,
        })
    }

    /// What the plan's model calls will cost.
    pub(super) fn estimate(&self, project: &Project, around: &Surroundings<'_>) -> Estimate {
        estimate(project, &self.gateway, around.state, around.ambient)
    }

    /// Every missing right of every plugin.
    pub(super) fn preflight(&self, project: &Project) -> Result<(), Failure> {
        let mut rights = missing_rights(project);
        for (key, member) in &project.members {
            for missing in self.engine.preflight(&member.inspection, &member.effective) {
                let known = |it: &Missing| it.plugin == *key && it.interface == missing.interface;
                if !rights.0.iter().any(known) {
                    rights.0.push(Missing {
                        plugin: key.clone(),
                        interface: missing.interface,
                        profile: member.profile.name.clone(),
                        at: member.profile.file.clone(),
                        lines: missing.cure.unwrap_or_default(),
                    });
                }
            }
        }
        if rights.0.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::findings("the plan", rights.findings(project));
        failure.exit = Exit::Denied;
        Err(failure.hint("`flowhost policy explain PLAN` shows where each right comes from"))
    }

    /// Compiles what is not in the cache, all at once; the engine bounds how many at a time. What is
    /// at work ends when this is dropped.
    pub(super) async fn load(
        &self,
        project: &Project,
    ) -> Result<BTreeMap<String, LoadedComponent>, Failure> {
        let mut tasks = JoinSet::new();
        for (key, member) in &project.members {
            let (engine, key, bytes) = (self.engine.clone(), key.clone(), member.bytes.clone());
            tasks.spawn(async move { (key, engine.load(bytes).await) });
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
        findings.sort_by_key(|finding| (finding.line, finding.column));
        if findings.is_empty() {
            Ok(loaded)
        } else {
            Err(Failure::findings("the plan", findings))
        }
    }

    /// Links each plugin to exactly what it is granted, and asks those without a manifest what they
    /// offer. Whatever that says about the plan's steps is known before the first of them runs.
    pub(super) async fn install(
        self,
        project: &Project,
        components: BTreeMap<String, LoadedComponent>,
        run: &RunScope,
        journal: &Journal,
    ) -> Result<Machinery, Failure> {
        let mut plugins = Registry::new();
        let (mut asked, mut findings) = (ToolNames::new(), Vec::new());
        for (key, component) in components {
            let Some(member) = project.members.get(&key) else {
                continue;
            };
            journal.member(&key, member)?;
            let plugin = self.prepare(project, &key, member, &component)?;
            let mut installed = Installed::new(&key, plugin, member);
            if member.decl.kind == PluginKind::Tool && member.manifest.tools.is_empty() {
                match installed.ask(run).await {
                    Ok(()) => drop(asked.insert(key.clone(), installed.tool_names())),
                    Err(message) => findings.push(at_member(project, &key, &message)),
                }
            }
            journal.tools(&installed)?;
            plugins.insert(key, Arc::new(installed));
        }
        check_functions(&project.plan, &asked, &mut findings);
        if !findings.is_empty() {
            return Err(Failure::findings("the plan", findings));
        }
        let plugins = Arc::new(plugins);
        let guards = Guards::of(&project.plan, &project.inputs);
        self.router.install(plugins.clone(), guards);
        Ok(Machinery {
            bus: self.bus,
            tally: self.router.tally(),
            purse: self.purse,
            plugins,
        })
    }

    fn prepare(
        &self,
        project: &Project,
        key: &str,
        member: &Member,
        component: &LoadedComponent,
    ) -> Result<Plugin, Failure> {
        let effective = Arc::new(member.effective.clone());
        let prepared = self.engine.prepare(component, effective);
        prepared.map_err(|error| {
            let message = error.to_string();
            Failure::findings("the plan", vec![at_member(project, key, &message)])
        })
    }
}

fn at_member(project: &Project, key: &str, message: &str) -> Finding {
    let at = project
        .members
        .get(key)
        .map(|member| member.decl.at)
        .unwrap_or_default();
    Finding::new(&project.file, format!("plugin `{key}`: {message}"))
        .at(at.line, at.column)
        .split_hint()
}

fn compiler(around: &Surroundings<'_>) -> Result<Compiler, Failure> {
    let program = around.ambient.exe().map(ToOwned::to_owned);
    program
        .map(|program| Compiler::Child { program })
        .ok_or_else(|| {
            Failure::new(Exit::Internal, "the path of this executable is not known")
                .hint("components are compiled in a child process of the same executable")
        })
}

fn cache(around: &Surroundings<'_>) -> Result<CacheConfig, Failure> {
    let (ambient, state) = (around.ambient, around.state);
    let path = state.cache_key();
    let dir = state.cache_dir();
    let fits = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok();
    let key = match ambient.read_secret(&path, 32) {
        Ok(bytes) => fits(bytes),
        Err(error) if error.is_missing() => {
            let fresh: [u8; 32] = super::entropy(ambient)?;
            ambient.create_dir(path.parent().unwrap_or(state.root()))?;
            match ambient.create_secret(&path, &fresh) {
                Ok(()) => Some(fresh),
                Err(_) => fits(ambient.read_secret(&path, 32)?), // another process was faster
            }
        }
        Err(error) => return Err(error.into()),
    };
    let message = format!("`{}` is not a key of 32 bytes", path.display());
    let key = key.ok_or_else(|| Failure::new(Exit::Internal, message).hint("remove it"))?;
    Ok(CacheConfig { dir, key })
}

fn services_of(
    project: &Project,
    options: &RunOptions,
    around: &Surroundings<'_>,
    bus: &LocalBus,
    router: &Arc<Router>,
    gateway: &Gateway,
) -> Result<flowhost_caps::Services, Failure> {
    let secrets = services::secrets(around.ambient, around.config, project)?;
    let http = HttpServices::system(
        secrets.clone(),
        services::own_addresses(),
        options.allow_private_network,
    );
    let http = http.map_err(|error| {
        Failure::new(Exit::Internal, "TLS cannot be set up").because(error.to_string())
    })?;
    let redact = models::redaction(project);
    let state_dir = around.state.tenant_dir().join("state");
    let bus: Arc<dyn Bus> = Arc::new(bus.clone());
    Ok(flowhost_caps::Services {
        bus,
        mailboxes: router.clone(),
        logs: Arc::new(services::Logs {
            redacts: redact.payloads,
            observer: around.observer.clone(),
        }),
        tools: router.clone(),
        secrets,
        state: Arc::new(FolderStore::new(around.ambient.open_dir(&state_dir)?)),
        budget: router.clone(),
        model: ModelServices {
            gateway: gateway.clone(),
            spending: router.clone(),
            redact: redact.model,
        },
        time: Arc::new(services::HostTime(around.ambient.clone())),
        entropy: Arc::new(services::HostEntropy),
        variables: Arc::new(services::Variables(around.ambient.clone())),
        http,
        files: files(project, around)?,
    })
}

/// Opens every granted folder, and reports all that cannot be had.
fn files(project: &Project, around: &Surroundings<'_>) -> Result<FileServices, Failure> {
    let mut services = FileServices::default();
    if project
        .members
        .values()
        .all(|member| member.effective.grants.files.is_empty())
    {
        return Ok(services);
    }
    around.ambient.create_dir(around.state.root())?;
    let home = around.ambient.var("HOME").map(std::path::Path::new);
    let forbidden = Forbidden::new(home, around.state.root()).map_err(|error| unseen(&error))?;
    let mut findings = Vec::new();
    for (key, member) in &project.members {
        match open_grants(&project.dir, &member.effective.grants.files, &forbidden) {
            Ok(grants) => services.insert(key, grants),
            Err(problems) => {
                findings.extend(problems.iter().map(|it| refused(project, key, member, it)));
            }
        }
    }
    if findings.is_empty() {
        Ok(services)
    } else {
        Err(Failure::findings("the plan", findings))
    }
}

fn refused(project: &Project, key: &str, member: &Member, problem: &GrantProblem) -> Finding {
    let path = format!("files[{}].host", problem.index);
    let message = format!("{} ({})", problem, member.profile.source(&path));
    at_member(project, key, &message).cure(problem.cure.as_str())
}

/// Every granted folder that a run could not have; nothing is made.
///
/// # Errors
/// When the folders that nobody may grant cannot be looked at.
pub fn missing_folders(
    project: &Project,
    ambient: &Ambient,
    state: &State,
) -> Result<Vec<Finding>, Failure> {
    let home = ambient.var("HOME").map(std::path::Path::new);
    let forbidden =
        Forbidden::before_the_first_run(home, state.root()).map_err(|error| unseen(&error))?;
    let of_member = |(key, member): (&String, &Member)| {
        let grants = &member.effective.grants.files;
        let problems = refused_grants(&project.dir, grants, &forbidden);
        // A folder that an input names, and that was not found, is told where the input is.
        let own = problems.iter().filter(|it| host_input(&it.host).is_none());
        let findings = own.map(|it| refused(project, key, member, it));
        findings.collect::<Vec<_>>()
    };
    Ok(project.members.iter().flat_map(of_member).collect())
}

fn unseen(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Internal, "the forbidden folders cannot be looked at")
        .because(error.to_string())
}
