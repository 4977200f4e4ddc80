//! Whether a plan could run now: its agents with their models, its tools and servers, the programs that its profiles
//! name, and what follows where some of them are not there. Read by `flowhost doctor --plan`.
//!
//! Asks and never repairs, and calls no tool. What is not asked is said, with the reason, and is not known: it counts for
//! nobody's presence. Who is offline or not known is a warning as long as every step could still come to its end; what follows
//! from how many is the plan's own word ([`flowhost_flow::plan::Consensus::matrix`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use flowhost_flow::plan::{Consensus, Follows, Step, Work};
use flowhost_models::{
    CallLog, ErrorClass, Gateway, ModelError, ModelName, Prompt, ProviderKind, Speaker, Try,
    TryOutcome, Turn, Who,
};
use flowhost_words::PluginKind;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::ambient::Ambient;
use crate::config::{Config, MOCK};
use crate::doctor::Level;
use crate::models::{lacks_key, stand_in};
use crate::project::{Member, Project};

/// The file's name in the folder of a spec's commands.
pub const FILE: &str = "tasks_guardrail.json";
/// Time that a model gets for a word: a cold local model is loaded in that.
const ASK_MAX: Duration = Duration::from_secs(30);
/// Tokens of that word, and of what is thought before it. A model that thinks needs some before it answers, and
/// every check of a plan pays for them.
const ASK_TOKENS_MAX: u32 = 64;
/// What a model is asked.
const QUESTION: &str = "Answer with the one word: ready";
/// Bytes of a program whose hash its profile names.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// `agent`, `model`, `tool`, `server` or `command`.
    pub kind: &'static str,
    /// Which.
    pub name: String,
    /// How it came out.
    pub level: Level,
    /// What was found; for one that was not asked, why not.
    pub found: String,
    /// Whether it was not asked: how it would answer is not known.
    pub skipped: bool,
}

impl Probe {
    fn new(kind: &'static str, name: &str, level: Level, found: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            level,
            found: found.into(),
            skipped: false,
        }
    }

    fn skipped(kind: &'static str, name: &str, why: &str) -> Self {
        Self {
            skipped: true,
            ..Self::new(kind, name, Level::Warning, why)
        }
    }
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It can be asked.
    There,
    /// It cannot.
    Offline,
    /// Nobody has asked.
    NotKnown,
}

/// How a step stands whose agents were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// The step.
    pub step: String,
    /// Agents that can be asked.
    pub ready: u32,
    /// The same with those that were not looked at: there may be as many.
    pub at_most: u32,
    /// All of them.
    pub of: u32,
    /// Those that cannot, the arbiter among them.
    pub offline: Vec<String>,
    /// Those that were not looked at, the arbiter among them.
    pub not_known: Vec<String>,
    /// What follows, by how many there are.
    pub matrix: Vec<Follows>,
    /// Whether the step can come to its end with those that are there.
    pub level: Level,
}

/// Whether a plan could run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The worst of all.
    pub status: Level,
    /// What was asked.
    pub probes: Vec<Probe>,
    /// What follows for each step that asks agents.
    pub steps: Vec<Stand>,
}

/// What the person lets be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking {
    /// Models that cost something, too.
    pub models: bool,
}

/// Looks at everything but servers, which a host asks.
pub async fn examine(
    ambient: &Ambient,
    config: &Config,
    project: &Project,
    gateway: &Gateway,
    asking: Asking,
) -> Readiness {
    let mut asked = Asked {
        ambient,
        config,
        project,
        gateway,
        asking,
        models: BTreeMap::new(),
        probes: Vec::new(),
    };
    let mut steps = Vec::new();
    // One after the other: local models load one at a time, and two would take each other's memory.
    for step in project.plan.steps() {
        let stand = match &step.work {
            Work::Consensus(spec) => asked.panel(step, spec).await,
            Work::Call { plugin, .. } => asked.alone(step, plugin).await,
            _ => None,
        };
        steps.extend(stand);
    }
    let mut probes = asked.probes;
    for (key, member) in &project.members {
        if matches!(member.decl.kind, PluginKind::Tool | PluginKind::Guardrail) {
            let found = member.inspection.digest.to_string();
            probes.push(Probe::new("tool", key, Level::Ok, found));
        }
        probes.extend(commands(ambient, &project.dir, key, member));
    }
    Readiness::of(probes, steps)
}

impl Readiness {
    fn of(probes: Vec<Probe>, steps: Vec<Stand>) -> Self {
        let levels = probes.iter().map(|it| it.level);
        let levels = levels.chain(steps.iter().map(|it| it.level));
        Self {
            status: levels.max().unwrap_or(Level::Ok),
            probes,
            steps,
        }
    }

    /// The same, with what servers said or why they were not asked.
    #[must_use]
    pub fn with(self, more: Vec<Probe>) -> Self {
        let probes = self.probes.into_iter().chain(more).collect();
        Self::of(probes, self.steps)
    }
}

/// A server that was asked by a host, or why it was not.
#[must_use]
pub fn server(key: &str, answer: Result<String, String>) -> Probe {
    match answer {
        Ok(found) => Probe::new("server", key, Level::Ok, found),
        // A warning: its tools fail where they are called, and a plan may do without.
        Err(why) => Probe::new("server", key, Level::Warning, format!("offline: {why}")),
    }
}

/// What was found of a step's agents.
#[derive(Default)]
struct Found {
    ready: u32,
    at_most: u32,
    members: u32,
    offline: Vec<String>,
    not_known: Vec<String>,
}

impl Found {
    /// Counts one; an arbiter that is no member gives no answer of its own.
    fn count(&mut self, agent: &str, presence: Presence, member: bool) {
        let one = u32::from(member);
        self.members += one;
        match presence {
            Presence::There => {
                self.ready += one;
                self.at_most += one;
            }
            Presence::NotKnown => {
                self.at_most += one;
                self.not_known.push(agent.to_owned());
            }
            Presence::Offline => self.offline.push(agent.to_owned()),
        }
    }

    /// Whether all of them are there.
    fn is_complete(&self) -> bool {
        self.offline.is_empty() && self.not_known.is_empty()
    }

    fn stand(self, step: &Step, level: Level) -> Stand {
        Stand {
            step: step.id.clone(),
            ready: self.ready,
            at_most: self.at_most,
            of: self.members,
            offline: self.offline,
            not_known: self.not_known,
            matrix: Vec::new(),
            level,
        }
    }
}

/// What is asked, and what was found so far.
struct Asked<'a> {
    ambient: &'a Ambient,
    config: &'a Config,
    project: &'a Project,
    gateway: &'a Gateway,
    asking: Asking,
    /// By what tells one question from another: a script is chosen by stage and agent, a model is itself.
    models: BTreeMap<String, Probe>,
    probes: Vec<Probe>,
}

impl Asked<'_> {
    async fn panel(&mut self, step: &Step, spec: &Consensus) -> Option<Stand> {
        let mut found = Found::default();
        for agent in &spec.agents {
            let presence = self.agent(agent, step).await;
            found.count(agent, presence, true);
        }
        if let Some(arbiter) = spec.arbiter.as_ref().filter(|it| !spec.agents.contains(it)) {
            let presence = self.agent(arbiter, step).await;
            found.count(arbiter, presence, false);
        }
        let matrix = spec.matrix();
        let best = matrix.iter().find(|row| row.present == found.at_most);
        let level = match best {
            _ if found.is_complete() => Level::Ok,
            // The step may still come to its end, with fewer than were asked for.
            Some(row) if row.exit == 0 => Level::Warning,
            _ => Level::Error,
        };
        Some(Stand {
            matrix,
            ..found.stand(step, level)
        })
    }

    /// A step that asks one agent: without it there is no step.
    async fn alone(&mut self, step: &Step, plugin: &str) -> Option<Stand> {
        let member = self.project.members.get(plugin)?;
        if member.decl.kind != PluginKind::Agent {
            return None;
        }
        let presence = self.agent(plugin, step).await;
        let mut found = Found::default();
        found.count(plugin, presence, true);
        let level = match presence {
            Presence::There => Level::Ok,
            Presence::NotKnown => Level::Warning,
            Presence::Offline => Level::Error,
        };
        Some(found.stand(step, level))
    }

    /// Whether the agent can be asked in the step: its component is there, because the plan was loaded.
    async fn agent(&mut self, agent: &str, step: &Step) -> Presence {
        let name = format!("{agent} at {}", step.id);
        let project = self.project;
        let member = project.members.get(agent);
        let config: Option<Value> = member.and_then(|it| serde_json::from_str(&it.config).ok());
        let model = config.as_ref().and_then(|it| it.get("model")?.as_str());
        let Some(model) = model else {
            let asks = member.is_none_or(|it| !it.effective.grants.model.allow.is_empty());
            let (probe, presence) = match asks {
                true => {
                    let why = "its `config` names no `model`, so what it asks is not known";
                    (Probe::skipped("agent", &name, why), Presence::NotKnown)
                }
                // Nobody has to be there for it but its component, which is.
                false => {
                    let found = "its profile grants no model, so it asks none";
                    let probe = Probe::new("agent", &name, Level::Ok, found);
                    (probe, Presence::There)
                }
            };
            self.probes.push(probe);
            return presence;
        };
        let stage = step.stage.as_deref().unwrap_or(&step.id);
        let asked = self.model(model, agent, stage).await;
        let mut found = match asked.skipped {
            true => format!("{model} was not asked"),
            false => format!("{model}: {}", asked.found),
        };
        let (mut level, mut skipped) = (asked.level, asked.skipped);
        // A call without a key goes to a stand-in at once; other reasons are known only by asking, which tries them.
        if let Some(other) = self.in_place_of(agent, model) {
            let instead = self.model(&other, agent, stage).await;
            let how = match instead.skipped {
                true => "was not asked",
                false => &instead.found,
            };
            found = format!("{found}; {other}, which stands in for it: {how}");
            (level, skipped) = (instead.level, instead.skipped);
        }
        self.probes.push(Probe {
            skipped,
            ..Probe::new("agent", &name, level, found)
        });
        match (skipped, level) {
            (true, _) => Presence::NotKnown,
            (false, Level::Ok) => Presence::There,
            (false, _) => Presence::Offline,
        }
    }

    /// The model that a call of this one goes to, where its key is missing.
    fn in_place_of(&self, agent: &str, model: &str) -> Option<String> {
        lacks_key(self.ambient, self.config, model)?;
        let member = self.project.members.get(agent)?;
        let other = stand_in(self.ambient, self.config, member, model)?;
        Some(other.to_owned())
    }

    async fn model(&mut self, model: &str, agent: &str, stage: &str) -> Probe {
        let scripted = self.is_scripted(model);
        let key = match scripted {
            true => format!("{model} {stage} {agent}"),
            false => model.to_owned(),
        };
        // Asked once, whoever uses it: a question costs money, and time where a model has to be loaded.
        if let Some(known) = self.models.get(&key) {
            return known.clone();
        }
        let probe = self.ask(model, agent, stage, scripted).await;
        if !scripted {
            // A script is told with its agent alone: it is another for each.
            self.probes.push(probe.clone());
        }
        self.models.insert(key, probe.clone());
        probe
    }

    fn is_scripted(&self, model: &str) -> bool {
        let provider = model.split('/').next().unwrap_or(model);
        let configured = self.config.models.providers.get(provider);
        configured.map_or(provider == MOCK, |it| it.kind == ProviderKind::Mock)
    }

    async fn ask(&self, model: &str, agent: &str, stage: &str, scripted: bool) -> Probe {
        let offline = |why: String| Probe::new("model", model, Level::Warning, why);
        let name: ModelName = match model.parse() {
            Ok(name) => name,
            Err(error) => return offline(format!("offline: {error}")),
        };
        if let Err(error) = self.gateway.knows(&name) {
            return offline(refused(&error));
        }
        if let Some(why) = lacks_key(self.ambient, self.config, model) {
            return offline(why);
        }
        if !scripted && !self.asking.models {
            let why = "it is configured; whether it answers is not known, because a question costs something: \
                       `--ask` asks for a word";
            return Probe::skipped("model", model, why);
        }
        let turns = vec![Turn::new(Speaker::User, QUESTION)];
        let prompt = Prompt::new(name, turns, ASK_TOKENS_MAX);
        let who = Who {
            stage,
            agent,
            step: "doctor",
            // Nothing of the answer is used, so that nothing has to be the same next time.
            seed: 0,
            call: 1,
            traceparent: "",
        };
        let over = Instant::now() + ASK_MAX;
        let answer = self
            .gateway
            .complete(&prompt, &who, &|_| true, over, &Unlogged)
            .await;
        match answer {
            Ok(_) if scripted => Probe::new("model", model, Level::Ok, "a script answers"),
            Ok(_) => Probe::new("model", model, Level::Ok, "answers"),
            Err(error) => offline(refused(&error)),
        }
    }
}

/// How a model does not answer, with the cure that `run` gives. A provider that says no is there.
fn refused(error: &ModelError) -> String {
    let how = match error.class {
        ErrorClass::Auth
        | ErrorClass::Quota
        | ErrorClass::Invalid
        | ErrorClass::Residency
        | ErrorClass::Script => "refused",
        _ => "offline",
    };
    match error.hint.as_str() {
        "" => format!("{how}: {}", error.message),
        hint => format!("{how}: {}; {hint}", error.message),
    }
}

/// There is no run whose record a question could be.
struct Unlogged;

#[async_trait]
impl CallLog for Unlogged {
    async fn before(&self, _: &Try<'_>) -> Result<(), String> {
        Ok(())
    }

    async fn after(&self, _: &Try<'_>, _: &TryOutcome<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The programs that a plugin's profile starts; `dir` is the folder of the plan.
fn commands(ambient: &Ambient, dir: &Path, key: &str, member: &Member) -> Vec<Probe> {
    let grants = member.effective.grants.process.iter();
    let probes = grants.filter_map(|grant| {
        let program = grant.command.first()?;
        let name = format!("{program} of {key}");
        let mut granted = member.effective.grants.files.iter();
        // As the process sees it, a folder that the profile grants lies over the machine's own.
        let inside = granted.find_map(|it| {
            let below = Path::new(program).strip_prefix(&it.guest).ok()?;
            Some(dir.join(&it.host).join(below))
        });
        let is_granted = inside.is_some();
        let places = match inside {
            Some(place) => vec![place],
            None if program.contains('/') => vec![PathBuf::from(program)],
            // Where the process is looked for, whatever the person's own PATH has.
            None => std::env::split_paths(flowhost_jail::PATH)
                .map(|folder| folder.join(program))
                .collect(),
        };
        let Some(path) = places.into_iter().find(|it| ambient.is_file(it)) else {
            if is_granted {
                // The folder may be an input's, or filled before the process begins.
                let why = "it is in a folder that the profile grants, and not there yet";
                return Some(Probe::skipped("command", &name, why));
            }
            let found = "it is not on this machine";
            return Some(Probe::new("command", &name, Level::Error, found));
        };
        let found = path.display().to_string();
        if grant.sha256.is_empty() {
            return Some(Probe::new("command", &name, Level::Ok, found));
        }
        // Hashed only where a profile names the hash: a program may be large, and nothing else would be said of it.
        Some(match ambient.read(&path, PROGRAM_BYTES_MAX) {
            Ok(bytes) if hex::encode(Sha256::digest(&bytes)) == grant.sha256 => {
                Probe::new("command", &name, Level::Ok, found)
            }
            Ok(_) => {
                let found = format!("{found} is not the program that its profile pins");
                Probe::new("command", &name, Level::Error, found)
            }
            Err(error) => Probe::new("command", &name, Level::Error, error.to_string()),
        })
    });
    probes.collect()
}
