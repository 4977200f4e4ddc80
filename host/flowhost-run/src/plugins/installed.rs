//! A plugin of a run as it can be called: prepared component, rights, configuration, tools. One revision
//! of it; which one a call takes is the registry's.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use flowhost_caps::mcp_transport::Changes;
use flowhost_engine::{
    BUILD_ANEW, CallReport, CallScope, Descriptor, EARLIER_CONTRACT, Fault, McpTools, Meter,
    RunScope, Shortfall, ToolContent, Whose,
};
use flowhost_flow::OutputSchema;
use flowhost_policy::{Effective, LIMITS, Layer, Outcome, ToolDescriptor, TraceEntry};
use flowhost_words::{PluginKind, is_second_key};
use serde_json::Value;

use crate::base::failure::would_allow;
use crate::calls::order::Order;
use crate::given::project::Member;
use crate::meters::account;
use crate::meters::breaker::Breaker;
use crate::meters::pace::Pace;
use crate::plugins::described::{checked, describe, inputs_of};
use crate::plugins::guest::Guest;
use crate::plugins::server::{Conversation, changed, cure_of_silence};

/// The limit of [`Pace`], as errors name it.
const PACE: &str = "mcp.rate";

/// One plugin, ready to be called.
pub(crate) struct Installed {
    pub(crate) key: Arc<str>,
    /// 1 for what the run started with; one more for each swap.
    pub(crate) revision: u64,
    pub(crate) plugin: Arc<dyn Guest>,
    pub(crate) config: Arc<str>,
    kind: PluginKind,
    /// Whether what it calls is called for its caller.
    acts_for_caller: bool,
    pub(crate) breaker: Breaker,
    tools: Vec<Tool>,
    /// An MCP adapter's, once it has connected.
    server: Option<Conversation>,
    /// How often that server is called; none where nothing was said, as while it is only asked what it has.
    pace: Option<Pace>,
    /// Where it is heard that the server has other tools now.
    changes: Option<Arc<Changes>>,
    /// What lowered a limit or an amount below the profile's, by the right's path.
    lowered: BTreeMap<String, (Layer, String)>,
}

/// Why a plugin could not say what it offers.
#[derive(Debug)]
pub(crate) struct Unready {
    message: String,
    /// Policy said no: a run that ends for it exits as for any other denial.
    pub(crate) denied: bool,
    /// What would let it; empty where nobody knows.
    pub(crate) cure: String,
}

impl std::fmt::Display for Unready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for Unready {
    fn from(message: String) -> Self {
        Self {
            message,
            denied: false,
            cure: String::new(),
        }
    }
}

impl Unready {
    fn of(what: String, fault: &Fault) -> Self {
        let denied = match fault {
            Fault::Denied(denied) => Some(denied),
            _ => None,
        };
        let cure = denied.and_then(|denied| Some((&denied.rule, denied.cure.as_deref()?)));
        Self {
            message: what,
            denied: denied.is_some(),
            cure: match cure {
                // Of whatever command was refused: a run, its resumption, a look at the server.
                Some((_, option)) if is_second_key(option) => {
                    format!("give the command `{option}`, the second of two keys")
                }
                Some((rule, lines)) => format!("{}\n{lines}", would_allow(rule, lines)),
                None => String::new(),
            },
        }
    }
}

struct Tool {
    descriptor: ToolDescriptor,
    /// Compiled at first use, because most runs call few tools; a server's when it lists them.
    input: OnceLock<Result<OutputSchema, String>>,
    output: OnceLock<Result<OutputSchema, String>>,
}

impl From<ToolDescriptor> for Tool {
    fn from(descriptor: ToolDescriptor) -> Self {
        Self {
            descriptor,
            input: OnceLock::new(),
            output: OnceLock::new(),
        }
    }
}

impl Installed {
    pub(crate) fn new(key: &str, revision: u64, plugin: Arc<dyn Guest>, member: &Member) -> Self {
        let tools = &member.manifest.tools;
        Self {
            key: key.into(),
            revision,
            plugin,
            config: member.config.clone(),
            kind: member.decl.kind,
            acts_for_caller: member.manifest.acts_for_caller,
            breaker: Breaker::default(),
            tools: tools.iter().cloned().map(Tool::from).collect(),
            server: None,
            pace: None,
            changes: None,
            lowered: lowered_by(&member.trace),
        }
    }

    /// A stand-in of a simulation, with these tools.
    #[cfg(test)]
    pub(crate) fn stand_in(
        key: &str,
        kind: PluginKind,
        plugin: Arc<dyn Guest>,
        tools: Vec<ToolDescriptor>,
    ) -> Self {
        Self {
            key: key.into(),
            revision: 1,
            plugin,
            config: "{}".into(),
            kind,
            acts_for_caller: false,
            breaker: Breaker::default(),
            tools: tools.into_iter().map(Tool::from).collect(),
            server: None,
            pace: None,
            changes: None,
            lowered: BTreeMap::new(),
        }
    }

    /// Where a limit that was reached can be raised: where the smallest of its values stands.
    pub(crate) fn cure_of(&self, name: &str, allowed: u64) -> String {
        let lowered = |path: String| self.lowered.get(&path);
        if name == "fuel" && allowed < self.plugin.effective().limits.fuel {
            return "raise `fuel` in `budget:` of the plan or step: no more of it was left"
                .to_owned();
        }
        // Some of the profile's time passes between order and call, so only what is far below it was the step's.
        if name == "deadline" && allowed < self.plugin.effective().limits.deadline_ms / 2 {
            return "raise `timeout` of the step (or in `defaults:`, or what a consensus gives each agent): no more \
                    time was left"
                .to_owned();
        }
        // A file is read at once and as large as an output may be.
        let name = if name == "files.read" { "output" } else { name };
        match lowered(format!("limits.{name}")) {
            Some((layer, at)) => {
                format!(
                    "raise `{name}` in the {} ({at}): the profile allows more",
                    document(*layer)
                )
            }
            None => place_of(name),
        }
    }

    /// The key that has to be raised for a model call to be paid for, and to what at least.
    pub(crate) fn cure_of_budget(&self, short: &Shortfall) -> String {
        let key = short.amount.key();
        let place = match short.whose {
            Whose::Plan => "in `budget:` of the plan".to_owned(),
            Whose::Step => {
                "in `budget:` of the step or of the plan that it runs, and of the plan around it where that has less"
                    .to_owned()
            }
            Whose::Plugin => match self.lowered.get(&format!("model.{key}")) {
                Some((layer, at)) => format!("in the {} ({at})", document(*layer)),
                None => "in [model] of the profile".to_owned(),
            },
        };
        let least = short.amount.value(short.used());
        format!(
            "raise `{key}` {place} to {least} at least, and more for what comes after; a smaller `max_tokens` asks for \
             less"
        )
    }

    /// The same, with its server called no more often than this.
    pub(crate) fn paced(self, per_minute: NonZeroU32) -> Self {
        let pace = Pace::new(per_minute, tokio::time::Instant::now());
        let pace = (self.kind == PluginKind::McpAdapter).then_some(pace);
        Self { pace, ..self }
    }

    /// The same, hearing here when its server has other tools.
    pub(crate) fn hearing(self, changes: Arc<Changes>) -> Self {
        let changes = (self.kind == PluginKind::McpAdapter).then_some(changes);
        Self { changes, ..self }
    }

    /// The same, hearing where the revision before it did.
    pub(crate) fn in_place_of(self, before: &Self) -> Self {
        let changes = before.changes.clone();
        Self { changes, ..self }
    }

    /// Learns which tools it offers where no manifest says so. Gives whether anybody had to be asked.
    pub(crate) async fn introduce(
        &mut self,
        member: &Member,
        run: &RunScope,
    ) -> Result<bool, Unready> {
        match member.decl.kind {
            PluginKind::Tool if member.manifest.tools.is_empty() => self.ask(run).await?,
            PluginKind::McpAdapter => self.connect(run).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the component itself says of its tools.
    pub(crate) async fn described(&self, run: &RunScope) -> CallReport<Vec<Descriptor>> {
        self.plugin.describe_tools(self.own_scope(run)).await
    }

    /// Takes the list of tools from the component itself, which has no manifest and is held to the same
    /// rules as one.
    async fn ask(&mut self, run: &RunScope) -> Result<(), Unready> {
        let described = self.described(run).await.result;
        let described = described.map_err(|fault| Unready::of(unasked(&fault), &fault))?;
        let tools = checked(&described)?;
        self.tools = tools.into_iter().map(Tool::from).collect();
        Ok(())
    }

    /// Connects an MCP adapter to its server, and takes the list of tools from there, under the rules of a
    /// manifest.
    async fn connect(&mut self, run: &RunScope) -> Result<(), Unready> {
        let opened = self.plugin.mcp_open(self.own_scope(run), &self.config);
        let opened = opened.await.result;
        let (session, listed) = opened.map_err(|fault| self.unusable(&fault))?;
        let tools = checked(&listed.tools)?;
        let inputs = inputs_of(&tools)?;
        self.server = Some(Conversation::new(session, &listed));
        let compiled = tools.into_iter().zip(inputs).map(|(tool, input)| Tool {
            input: OnceLock::from(Ok(input)),
            ..Tool::from(tool)
        });
        self.tools = compiled.collect();
        Ok(())
    }

    /// Why its server cannot be used, and what to do about it.
    fn unusable(&self, fault: &Fault) -> Unready {
        let what = format!("its MCP server cannot be used: {}", unheard(fault));
        let why = Unready::of(what, fault);
        if !why.cure.is_empty() {
            return why;
        }
        let cure = match fault {
            // An adapter's time is spent on waiting for its server.
            Fault::Limit { name, allowed, .. } if *name != "deadline" => {
                self.cure_of(name, *allowed)
            }
            _ => {
                let starts = !self.plugin.effective().grants.process.is_empty();
                cure_of_silence(fault, starts).to_owned()
            }
        };
        Unready { cure, ..why }
    }

    /// What was agreed on with the server of an MCP adapter.
    pub(crate) fn server(&self) -> Option<&Conversation> {
        self.server.as_ref()
    }

    /// Whose its tools are, as records of their calls say it: an auditor looks for what a server was asked.
    pub(crate) fn source_of_tools(&self) -> Option<String> {
        (self.kind == PluginKind::McpAdapter).then(|| "mcp".to_owned())
    }

    /// Ends the conversation with the server, if there is one.
    pub(crate) async fn disconnect(&self, run: &RunScope) {
        if let Some(server) = &self.server {
            let closed = self.plugin.mcp_close(self.own_scope(run), &server.session);
            if let Err(fault) = closed.await.result {
                tracing::debug!(plugin = %self.key, %fault, "an MCP server was not told of the end");
            }
        }
    }

    /// Calls one of its tools, or of its server's.
    pub(crate) async fn call_tool(
        &self,
        scope: CallScope,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent> {
        let Some(server) = &self.server else {
            return self.plugin.call_tool(scope, name, input).await;
        };
        let may = async {
            self.wait_its_turn(&scope).await?;
            self.as_seen_first(server, &scope).await
        };
        if let Err(fault) = may.await {
            return CallReport::refused(fault);
        }
        let session = &server.session;
        self.plugin.mcp_call_tool(scope, session, name, input).await
    }

    /// Waits until the server may be called again.
    async fn wait_its_turn(&self, scope: &CallScope) -> Result<(), Fault> {
        let Some(pace) = &self.pace else {
            return Ok(());
        };
        let turn = pace.turn(tokio::time::Instant::now(), scope.remaining());
        let wait = turn.ok_or_else(|| Fault::Limit {
            name: PACE,
            used: pace.per_minute().saturating_add(1),
            allowed: pace.per_minute(),
        })?;
        // The turn is taken before the wait, so that those who wait do not come all at once behind it.
        // The timer's ticks are milliseconds: to sleep for no time lasts to the end of one.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Whether the server still has the tools that this run has seen first (MCP-002).
    async fn as_seen_first(&self, server: &Conversation, scope: &CallScope) -> Result<(), Fault> {
        let list = async {
            let own = self.own_scope(&scope.run);
            self.plugin.mcp_list(own, &server.session).await.result
        };
        let same = |listed: McpTools| {
            let now = checked(&listed.tools).map_err(|message| Fault::Guest {
                class: "failed",
                message,
            })?;
            let first: Vec<&ToolDescriptor> = self.tool_texts().collect();
            match changed(&self.key, &first, &now) {
                None => Ok(()),
                Some(denied) => Err(Fault::Denied(denied)),
            }
        };
        let changed = self.changes.as_ref().is_some_and(|it| it.take(&self.key));
        server.again(changed, list, same).await
    }

    /// Its tools with all that a model reads of them.
    pub(crate) fn tool_texts(&self) -> impl Iterator<Item = &ToolDescriptor> {
        self.tools.iter().map(|tool| &tool.descriptor)
    }

    pub(crate) fn is_of(&self, kind: PluginKind) -> bool {
        self.kind == kind
    }

    /// Whether what it calls is called for its caller.
    pub(crate) fn acts_for_caller(&self) -> bool {
        self.acts_for_caller
    }

    /// Whether it can be handed messages.
    pub(crate) fn is_agent(&self) -> bool {
        self.kind == PluginKind::Agent
    }

    pub(crate) fn tool_names(&self) -> Vec<String> {
        let tools = self.tools.iter();
        tools.map(|tool| tool.descriptor.name.clone()).collect()
    }

    /// Each tool's name with the hash of its descriptor.
    pub(crate) fn tool_pins(&self) -> BTreeMap<String, String> {
        let pin = |tool: &Tool| (tool.descriptor.name.clone(), tool.descriptor.hash());
        self.tools.iter().map(pin).collect()
    }

    /// The tool that a step means: the one named, or the only one.
    pub(crate) fn tool_name<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, Fault> {
        match (named, self.tools.as_slice()) {
            (Some(name), _) => Ok(name),
            (None, [only]) => Ok(&only.descriptor.name),
            (None, _) => Err(invalid(format!(
                "`{}` has several tools; name one",
                self.key
            ))),
        }
    }

    /// Checks an input against the tool's schema, before its guest runs.
    pub(crate) fn check_input(&self, name: &str, input: &Value) -> Result<(), Fault> {
        if self.tools.is_empty() {
            return Ok(());
        }
        let Some(tool) = self.tools.iter().find(|tool| tool.descriptor.name == name) else {
            return Err(invalid(format!("`{}` has no tool `{name}`", self.key)));
        };
        let schema = &tool.descriptor.input;
        let validator = tool
            .input
            .get_or_init(|| OutputSchema::compile(schema.clone()));
        let validator = validator.as_ref().map_err(|error| {
            invalid(format!(
                "the input schema of `{}/{name}` cannot be used: {error}",
                self.key
            ))
        })?;
        match validator.violations(input) {
            None => Ok(()),
            Some(what) => Err(invalid(format!(
                "`{}/{name}` refuses its input: {what}",
                self.key
            ))),
        }
    }

    /// Checks what a tool answered against its own output schema: whoever goes by the schema must be
    /// able to.
    pub(crate) fn check_content(
        &self,
        name: &str,
        content: ToolContent,
    ) -> Result<ToolContent, Fault> {
        let tool = self.tools.iter().find(|tool| tool.descriptor.name == name);
        let Some((tool, schema)) = tool.and_then(|it| Some((it, it.descriptor.output.as_ref()?)))
        else {
            return Ok(content); // it promises nothing
        };
        let broken = |what: String| Fault::Guest {
            class: "failed",
            message: format!("`{}/{name}` {what}", self.key),
        };
        let validator = tool
            .output
            .get_or_init(|| OutputSchema::compile(schema.clone()));
        let validator = validator
            .as_ref()
            .map_err(|error| broken(format!("has an unusable output schema: {error}")))?;
        let value = serde_json::from_str(&content.value)
            .map_err(|error| broken(format!("answered what is not JSON: {error}")))?;
        match validator.violations(&value) {
            None => Ok(content),
            Some(what) => Err(broken(format!("does not keep its output schema: {what}"))),
        }
    }

    /// What a tool says of its effects; none where it is not known which tool is meant.
    pub(crate) fn effects_of(&self, function: Option<&str>) -> Option<flowhost_policy::Effects> {
        let tool = match function {
            Some(name) => self.tools.iter().find(|it| it.descriptor.name == name),
            None => self.tools.first().filter(|_| self.tools.len() == 1),
        };
        tool.map(|it| it.descriptor.effects)
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = Descriptor> + '_ {
        self.tools
            .iter()
            .map(|tool| describe(&self.key, &tool.descriptor))
    }

    /// The scope of a step's call. `effective` is lowered to what the planner reserved.
    pub(crate) fn scope(
        &self,
        run: &RunScope,
        order: &Order,
        traceparent: Arc<str>,
        deadline: tokio::time::Instant,
    ) -> CallScope {
        let call: Arc<str> = order.call.to_string().into();
        let meter = Arc::new(Meter::default());
        CallScope {
            run: self.counted(run, &meter),
            root: call.clone(),
            call,
            made: Arc::default(),
            key: order.idempotency_key.as_str().into(),
            step: order.step_id.as_str().into(),
            attempt: order.attempt,
            plugin: self.key.clone(),
            digest: self.plugin.digest(),
            revision: self.revision,
            effective: lowered(self.plugin.effective(), order.allowance.fuel),
            config: self.config.clone(),
            traceparent,
            deadline,
            keyed: order.effects == flowhost_flow::plan::Effects::Keyed,
            callers: Arc::from([]),
            meter,
        }
    }

    /// The rights of a call that another plugin makes: its own, and where it acts for its callers no tool that this
    /// one may not call (CAP-014). What a caller was lowered to itself is what counts.
    pub(crate) fn rights_for(&self, caller: &CallScope) -> Arc<Effective> {
        let own = self.plugin.effective();
        if !self.acts_for_caller {
            return own.clone();
        }
        let mut shared = (**own).clone();
        shared.grants.tools = own.grants.tools.shared_with(&caller.effective.grants.tools);
        Arc::new(shared)
    }

    /// The run as one call of this plugin sees it: what it records is counted, and bounded.
    pub(crate) fn counted(&self, run: &RunScope, meter: &Arc<Meter>) -> RunScope {
        account::of_call(run, meter, self.plugin.effective().limits.evidence_bytes)
    }
}

impl Installed {
    /// The scope of a call that the host makes by itself: no step asked for it.
    pub(crate) fn own_scope(&self, run: &RunScope) -> CallScope {
        self.own_scope_as(run, run.own_call())
    }

    /// The scope of such a call under the id that it has in a record.
    pub(crate) fn own_scope_as(&self, run: &RunScope, call: Arc<str>) -> CallScope {
        let own = std::time::Duration::from_millis(self.plugin.effective().limits.deadline_ms);
        let meter = Arc::new(Meter::default());
        CallScope {
            run: self.counted(run, &meter),
            root: call.clone(),
            call,
            made: Arc::default(),
            key: run.effect_key(&[&self.key]),
            step: Arc::from(""),
            attempt: 1,
            plugin: self.key.clone(),
            digest: self.plugin.digest(),
            revision: self.revision,
            effective: self.plugin.effective().clone(),
            config: self.config.clone(),
            traceparent: Arc::from(""),
            deadline: tokio::time::Instant::now() + own,
            // A delivery may come again when its process is gone.
            keyed: true,
            callers: Arc::from([]),
            meter,
        }
    }
}

/// Where a limit that nothing lowered stands.
fn place_of(name: &str) -> String {
    let trust = "of the profile, if you trust the plugin";
    match name {
        "files.quota" => format!("raise `quota` of that folder's [[files]] {trust}"),
        "files.entries" => format!("raise `entries` of that folder's [[files]] {trust}"),
        "state.bytes" => format!("raise `bytes` in [state] {trust}"),
        "http.request" => format!("raise `request` of that address's [[http]] {trust}"),
        "http.response" => format!("raise `response` of that address's [[http]] {trust}"),
        name if LIMITS.iter().any(|limit| limit.key == name) => {
            format!("raise `{name}` in [limits] {trust}")
        }
        PACE => "call the server less, or raise `calls_per_minute` in [mcp_adapter] of the operator's flowhost.toml"
            .to_owned(),
        "traps" => {
            "the component traps on every call; look at what it is handed, or at the component"
                .to_owned()
        }
        "run.evidence" => {
            "all plugins of a run share it: raise `evidence` in `budget:` of the plan, up to 4GiB, make the plan \
            smaller, or make several runs of it (docs/limits.md)"
                .to_owned()
        }
        _ => "no profile raises it: it is a bound of the host (docs/limits.md)".to_owned(),
    }
}

fn lowered_by(trace: &[TraceEntry]) -> BTreeMap<String, (Layer, String)> {
    let entry = |entry: &TraceEntry| match &entry.outcome {
        Outcome::Narrowed { by, at, .. } => Some((entry.right.clone(), (*by, at.clone()))),
        _ => None,
    };
    trace.iter().filter_map(entry).collect()
}

fn document(layer: Layer) -> &'static str {
    match layer {
        Layer::Manifest => "plugin's manifest",
        Layer::Component => "component's imports",
        Layer::Profile => "profile",
        Layer::Plan => "plan's `narrow`",
        Layer::Caller => "caller's rights",
        Layer::Operator => "operator's own profiles",
    }
}

/// Why nothing came of the question to a server: an adapter's time is spent on waiting for it.
fn unheard(fault: &Fault) -> String {
    match fault {
        Fault::Limit {
            name: "deadline",
            allowed,
            ..
        } if *allowed > 0 => {
            format!("it did not say what it offers within {allowed} ms (`deadline`)")
        }
        _ => fault.to_string(),
    }
}

/// Why a component did not say which tools it has, and after `hint:` what to do.
pub(crate) fn unasked(fault: &Fault) -> String {
    if let Fault::Unfit { why } = fault {
        return format!("it {EARLIER_CONTRACT}: {why}\n\nhint: {BUILD_ANEW}");
    }
    let what = format!("it does not say which tools it has: {fault}");
    match fault {
        Fault::Limit { name, .. } => format!(
            "{what}\n\nhint: raise `limits.{name}` in its profile, or narrow it less in the plan; a \
             component with a manifest is not asked"
        ),
        Fault::Trap { .. } | Fault::Guest { .. } => format!(
            "{what}\n\nhint: mend the component; `flowhost plugin test` shows what else becomes of its calls"
        ),
        _ => what,
    }
}

/// Fuel 0 means that the planner reserved none, because the plan has no budget of fuel.
fn lowered(effective: &Arc<Effective>, fuel: u64) -> Arc<Effective> {
    if fuel == 0 || fuel >= effective.limits.fuel {
        return effective.clone();
    }
    let mut lower = (**effective).clone();
    lower.limits.fuel = fuel;
    Arc::new(lower)
}

/// A refusal of input, as the guest's own would be.
pub(crate) fn invalid(message: String) -> Fault {
    Fault::Guest {
        class: "invalid",
        message,
    }
}
