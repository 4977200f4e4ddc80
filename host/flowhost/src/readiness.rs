//! Whether a plan could run now: its agents with their models, its tools and servers, the programs that its profiles
//! name, and what follows where some of them are not there. Read by `flowhost doctor --plan`.
//!
//! Asks and never repairs, and calls no tool. What is not asked is said, with the reason. Who is offline is a warning as
//! long as every step could still come to its end; what follows from how many is the plan's own word
//! ([`flowhost_flow::plan::Consensus::matrix`]).

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
    /// Whether it was not asked.
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
            ..Self::new(kind, name, Level::Ok, why)
        }
    }
}

/// How a step stands whose agents were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// The step.
    pub step: String,
    /// Agents that can be asked, or were not looked at.
    pub ready: u32,
    /// All of them.
    pub of: u32,
    /// Those that cannot.
    pub offline: Vec<String>,
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
        probes.extend(commands(ambient, key, member));
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
        let mut offline = Vec::new();
        for agent in &spec.agents {
            if self.agent(agent, step).await != Level::Ok {
                offline.push(agent.clone());
            }
        }
        if let Some(arbiter) = spec.arbiter.as_ref().filter(|it| !spec.agents.contains(it))
            && self.agent(arbiter, step).await != Level::Ok
        {
            offline.push(arbiter.clone());
        }
        let of = count(spec.agents.len());
        let absent = offline.iter().filter(|it| spec.agents.contains(it)).count();
        let ready = of.saturating_sub(count(absent));
        let matrix = spec.matrix();
        let follows = matrix.iter().find(|row| row.present == ready);
        let level = match follows {
            _ if offline.is_empty() => Level::Ok,
            // The step still comes to its end, with fewer than were asked for.
            Some(row) if row.exit == 0 => Level::Warning,
            _ => Level::Error,
        };
        Some(Stand {
            step: step.id.clone(),
            ready,
            of,
            offline,
            matrix,
            level,
        })
    }

    /// A step that asks one agent: without it there is no step.
    async fn alone(&mut self, step: &Step, plugin: &str) -> Option<Stand> {
        let member = self.project.members.get(plugin)?;
        if member.decl.kind != PluginKind::Agent {
            return None;
        }
        let there = self.agent(plugin, step).await == Level::Ok;
        Some(Stand {
            step: step.id.clone(),
            ready: u32::from(there),
            of: 1,
            offline: match there {
                true => Vec::new(),
                false => vec![plugin.to_owned()],
            },
            matrix: Vec::new(),
            level: match there {
                true => Level::Ok,
                false => Level::Error,
            },
        })
    }

    /// Whether the agent can be asked in the step: its component is there, because the plan was loaded.
    async fn agent(&mut self, agent: &str, step: &Step) -> Level {
        let name = format!("{agent} at {}", step.id);
        let config = self.project.members.get(agent).map(|it| it.config.clone());
        let config: Option<Value> = config.and_then(|text| serde_json::from_str(&text).ok());
        let model = config.as_ref().and_then(|it| it.get("model")?.as_str());
        let Some(model) = model else {
            let why = "its `config` names no `model`, so what it asks is not known";
            self.probes.push(Probe::skipped("agent", &name, why));
            return Level::Ok;
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
        level
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
        ErrorClass::Auth | ErrorClass::Quota | ErrorClass::Invalid | ErrorClass::Residency => {
            "refused"
        }
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

/// The programs that a plugin's profile starts.
fn commands(ambient: &Ambient, key: &str, member: &Member) -> Vec<Probe> {
    let grants = member.effective.grants.process.iter();
    let probes = grants.filter_map(|grant| {
        let program = grant.command.first()?;
        let name = format!("{program} of {key}");
        let mut granted = member.effective.grants.files.iter();
        if granted.any(|it| Path::new(program).starts_with(&it.guest)) {
            let why = "it is in a folder that the profile grants, as the process sees it";
            return Some(Probe::skipped("command", &name, why));
        }
        let places = match program.contains('/') {
            true => vec![PathBuf::from(program)],
            // Where the process is looked for, whatever the person's own PATH has.
            false => std::env::split_paths(flowhost_jail::PATH)
                .map(|folder| folder.join(program))
                .collect(),
        };
        let Some(path) = places.into_iter().find(|it| ambient.is_file(it)) else {
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

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
