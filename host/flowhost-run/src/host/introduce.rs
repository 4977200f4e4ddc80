//! What the MCP servers of a plan say of themselves, asked without a run: no step begins and no tool is
//! called. Each server is asked under the rights of its adapter, as a run would ask it.

use std::sync::Arc;

use flowhost_engine::neutralise;

use flowhost_ledger::MemoryRecorder;
use flowhost_policy::ToolDescriptor;
use flowhost_words::PluginKind;

use crate::base::failure::Failure;
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::{Member, Project};
use crate::host::Host;
use crate::host::execute::end_all;
use crate::host::handle::Run;
use crate::kept::revealed::Revealed;
use crate::meters::purse::Purse;
use crate::plugins::installed::Installed;
use crate::plugins::wiring::{self, Ready, Seat};

/// Characters of what a server calls itself: more than a name needs, and little for a line of a terminal.
const NAME_CHARS: usize = 128;
/// Characters of what it says to models. A stranger's text that is shown to a person.
const INSTRUCTIONS_CHARS: usize = 4_096;

/// One adapter of a plan.
#[derive(Debug)]
pub struct Introduced {
    /// Its key in the plan.
    pub plugin: String,
    /// What its server says, or why it cannot be asked.
    pub server: Result<Introduction, Unasked>,
}

/// Why a server says nothing of itself.
#[derive(Debug)]
pub struct Unasked {
    /// What kept it from being asked, or it from answering.
    pub why: String,
    /// What to do about it; empty where nobody knows.
    pub cure: String,
}

impl From<String> for Unasked {
    fn from(why: String) -> Self {
        let cure = String::new();
        Self { why, cure }
    }
}

/// What a server says of itself: its own words, neutralised, and no word of the operator's.
#[derive(Debug)]
pub struct Introduction {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The revision that was agreed on.
    pub protocol: String,
    /// What it tells models of itself; empty for nothing.
    pub instructions: String,
    /// Its tools, held to the rules of a manifest.
    pub tools: Vec<ToolDescriptor>,
}

impl Host {
    /// Asks the MCP servers of a plan, or that of one plugin.
    ///
    /// # Errors
    /// When nothing can be asked at all; what one server does wrong stands beside its key.
    pub async fn introduce(
        &self,
        project: &Project,
        options: &RunOptions,
        only: Option<&str>,
    ) -> Result<Vec<Introduced>, Failure> {
        let process = self.process();
        let wanted = |(key, member): &(&String, &Member)| {
            member.decl.kind == PluginKind::McpAdapter && only.is_none_or(|only| only == *key)
        };
        let started_ms = process.config.world.now_ms();
        let id = flowhost_flow::hash::run_id(started_ms, process.entropy()?);
        let gateway = process.config.operator.gateway(project)?;
        let seat = Seat {
            bus: (process.config.bus)(),
            funds: Arc::new(Purse::new(wiring::ceiling(&project.plan))),
            revealed: Arc::new(Revealed::default()),
            driver: None,
        };
        let ready = Ready::new(project, options, process, &gateway, &Run::new(&id), seat)?;
        Ready::preflight(project)?;
        let scope = ready.scope(
            process.config.state.tenant(),
            &id,
            wiring::seed_of(0),
            started_ms,
            // There is no run whose record it could be: what is asked here is shown, and done with.
            Arc::new(MemoryRecorder::default()),
            Arc::default(),
        );
        let mut all = Vec::new();
        for (key, member) in project.members.iter().filter(wanted) {
            let server = one(process, project, key, member, &scope).await?;
            all.push(Introduced {
                plugin: key.clone(),
                server,
            });
        }
        end_all(&scope).await;
        Ok(all)
    }
}

async fn one(
    process: &Process,
    project: &Project,
    key: &str,
    member: &Member,
    scope: &flowhost_engine::RunScope,
) -> Result<Result<Introduction, Unasked>, Failure> {
    let component = match process.engine.load_inspected(&member.inspection).await {
        Ok(component) => component,
        Err(error) => return Ok(Err(error.to_string().into())),
    };
    let plugin = wiring::prepare(process, project, key, member, &component)?;
    let mut installed = Installed::new(key, 1, plugin, member);
    if let Err(why) = installed.introduce(member, scope).await {
        let (told, cure) = (why.to_string(), why.cure);
        return Ok(Err(Unasked { why: told, cure }));
    }
    installed.disconnect(scope).await;
    let Some(server) = installed.server() else {
        return Ok(Err("it has not connected".to_owned().into()));
    };
    let session = &server.session;
    Ok(Ok(Introduction {
        name: neutralise(&session.name, NAME_CHARS),
        version: neutralise(&session.version, NAME_CHARS),
        protocol: session.protocol.clone(),
        instructions: neutralise(&session.instructions, INSTRUCTIONS_CHARS),
        tools: installed.tool_texts().cloned().collect(),
    }))
}
