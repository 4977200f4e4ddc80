//! What each command does, one file each: turn what was typed into library calls, print the answer.
//!
//! Must hold no logic that a control API would need as well; that is the library's.

mod archived;
mod by_hand;
mod cancel;
mod completion;
mod dev;
mod doctor;
mod dry_run;
mod estimate;
mod evidence;
mod experiment;
mod fork;
mod guardrail;
mod inspect;
mod keys;
mod ledgers;
mod logging;
mod mcp_inspect;
mod mcp_install;
mod mcp_login;
mod mcp_logins;
mod mcp_serve;
mod memory;
mod new;
mod on_record;
mod packets;
mod plan;
mod plan_graph;
mod plugin;
mod plugin_add;
mod plugin_lock;
mod plugin_remote;
mod plugin_ship;
mod policy_explain;
mod policy_show;
mod policy_suggest;
mod policy_test;
mod prune;
mod readiness;
mod replay;
mod restore;
mod resume;
mod rights;
mod run;
mod running;
mod runs;
mod runs_list;
mod runs_show;
mod settle;
mod speak;
mod spec_files;
mod spec_runs;
mod specs;
mod stages;
mod standing;
mod tables;
mod telemetry;
mod telemetry_alerts;
mod telemetry_dashboard;
mod telemetry_numbers;
mod telemetry_trends;
mod trials;
mod validate;
mod verify;
mod verify_files;
mod watch;

use flowhost::ambient::Ambient;
use flowhost::config::Config;
use flowhost::failure::Failure;
use flowhost::keys::KEY_VARIABLE;
use flowhost::output::Output;
use flowhost::report::problems::Texts;
use flowhost::state::State;
use flowhost_flow::Exit;
use flowhost_ledger::seal_unfinished;

use crate::cli::{Cli, Command, Global, McpCommand, PlanCommand, PolicyCommand};

/// What every command is handed.
pub(crate) struct Context {
    pub(crate) ambient: Ambient,
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) output: Output,
    /// Texts that were read, for quoting.
    pub(crate) texts: Texts,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
}

impl Context {
    fn new(ambient: Ambient, output: Output, global: &Global) -> Result<Self, Failure> {
        // Before anything is looked for in the state folder: which one it is, the configuration may say.
        let mut config = Config::find(&ambient)
            .map_err(|findings| Failure::findings("the configuration", findings))?;
        let root = config.state_root(&ambient, global.state.as_deref());
        if ambient.is_file(&root) {
            let message = format!(
                "`{}` is a file, and state is kept in a folder",
                root.display()
            );
            let cure =
                "name a folder with `--state DIR` or in FLOWHOST_STATE; it need not exist yet";
            return Err(Failure::new(Exit::Usage, message).hint(cure));
        }
        let state = State::new(root, &config.tenant).named(global.state.as_deref());
        let named = global.state.is_some() || ambient.var("FLOWHOST_STATE").is_some();
        // Before any key in it is used: it may have come along with the folder.
        flowhost::made_here::settle(&ambient, &state, named)?;
        config.fetched = Some(state.fetched_dir());
        config.logins = Some(state.clone());
        ambient.keeps_inspections(state.cache_dir(), state.cache_key());
        flowhost::firsts::command(&ambient);
        Ok(Self {
            ambient,
            config,
            state,
            output,
            texts: Texts::default(),
            verbose: global.verbose,
        })
    }
}

/// Performs a command and prints its answer or its failure.
pub(crate) fn perform(cli: Cli, ambient: Ambient, output: Output) -> Exit {
    let mut context = match Context::new(ambient, output, &cli.global) {
        Ok(context) => context,
        Err(failure) => return fail(&output, &failure, &Texts::default()),
    };
    match dispatch(cli.command, &mut context) {
        Ok(exit) => exit,
        Err(mut failure) => {
            // A cure is a command to type, and it has to find the state folder that this one was told of.
            for hint in &mut failure.hints {
                *hint = context.state.told(hint);
            }
            fail(&output, &failure, &context.texts)
        }
    }
}

fn fail(output: &Output, failure: &Failure, texts: &Texts) -> Exit {
    if output.json {
        output.document(&flowhost::report::problems::FailureDocument::from(failure));
    } else {
        flowhost::report::problems::print(output, failure, texts);
    }
    failure.exit
}

/// Ends as signed facts what a kill left in the state folder, before a command reads it. The command
/// goes on whatever happens: what is wrong is its own to tell, and a folder that cannot be written is
/// still worth reading.
fn settle(context: &Context) {
    let (ambient, state) = (&context.ambient, &context.state);
    let has_key = ambient.var(KEY_VARIABLE).is_some() || ambient.is_file(&state.signing_key());
    // A folder in which nothing was begun has nothing to end.
    if !has_key || !ambient.is_dir(&state.tenant_dir()) {
        return;
    }
    // A key that cannot be read is told by whoever needs it.
    let Ok(key) = flowhost::host::signing_key(ambient, &context.config, state) else {
        return;
    };
    for run in flowhost::report::page::finish(state, ambient, &key) {
        if !context.output.json {
            let text = format!(
                "note: an erasure in run {run}, or a word behind its end, was cut off; it is finished now\n"
            );
            context.output.message(&text);
        }
    }
    // What cannot be entered now is found again by the next command.
    let Ok(swept) = seal_unfinished(state.root(), state.tenant(), key) else {
        return;
    };
    for run in swept.sealed.iter().filter(|_| !context.output.json) {
        let text = format!("note: run {run} was killed; it is signed now, and entered as ended\n");
        context.output.message(&text);
    }
}

fn dispatch(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Verify(args) => verify::perform(&args, context),
        Command::Runs(command) => runs::perform(&command, context),
        Command::Keys(command) => keys::perform(&command, context),
        Command::Evidence(command) => evidence::perform(&command, context),
        Command::New(args) => new::perform(&args, context),
        Command::Memory(command) => memory::perform(&command, context),
        Command::Telemetry(command) => telemetry::perform(&command, context),
        Command::Guardrail(command) => guardrail::perform(&command, context),
        Command::Experiment(command) => experiment::perform(&command, context),
        Command::Run(args) => run::perform(&args, context),
        Command::Dev(args) => dev::perform(&args, context),
        Command::Validate(args) => validate::perform(&args, context),
        Command::Inspect(args) => inspect::perform(&args, context),
        Command::Policy(PolicyCommand::Explain { plan, plugin }) => {
            policy_explain::perform(&plan, plugin.as_deref(), context)
        }
        Command::Policy(PolicyCommand::Test { file, policies }) => {
            policy_test::perform(&file, policies.as_deref(), context)
        }
        Command::Policy(PolicyCommand::Show(args)) => policy_show::perform(&args, context),
        Command::Policy(PolicyCommand::Suggest { run }) => policy_suggest::perform(&run, context),
        Command::Mcp(McpCommand::Serve(args)) => mcp_serve::perform(&args, context),
        Command::Mcp(McpCommand::Inspect(args)) => mcp_inspect::perform(&args, context),
        Command::Mcp(McpCommand::Login(args)) => mcp_login::perform(&args, context),
        Command::Mcp(McpCommand::Logout(args)) => mcp_logins::log_out(&args, context),
        Command::Mcp(McpCommand::Status(args)) => mcp_logins::status(&args, context),
        Command::Mcp(McpCommand::Install(args)) => mcp_install::perform(&args, context),
        Command::Plugin(command) => plugin::perform(command, context),
        Command::Doctor(args) => doctor::perform(&args, context),
        Command::Plan(PlanCommand::Graph(args)) => plan_graph::perform(&args, context),
        Command::Plan(PlanCommand::Schema) => Ok(plan::schema(context)),
        Command::Plan(PlanCommand::Keys) => Ok(plan::keys(context)),
        Command::Completion { shell } => Ok(completion::perform(shell, context)),
    }
}
