//! What can be typed: clap types and nothing else.
//!
//! Must never decide or act; `commands` turns these into library calls.

mod doctor;
mod evidence;
mod frequent;
mod mcp;
mod memory;
mod plugin;
mod retain;
mod stages;
mod telemetry;
mod trials;

use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) use doctor::DoctorArgs;
pub(crate) use evidence::{
    BaselineArgs, EvidenceCommand, PacketArgs, SaysArg, SecurityArgs, SpecArgs,
};
pub(crate) use mcp::{
    Client, HowArgs, InstallArgs, LoginArgs, LogoutArgs, McpCommand, McpInspectArgs, OfferArgs,
    ServeArgs, StatusArgs,
};
pub(crate) use memory::{MemoryArgs, MemoryCommand};
pub(crate) use plugin::{AddArgs, LangArg, PluginCommand, ReportArg, TestArgs};
pub(crate) use retain::{
    CancelArgs, FilterArgs, ListArgs, PruneArgs, RestoreArgs, RmArgs, WatchArgs,
};
pub(crate) use stages::StageArgs;
pub(crate) use telemetry::{
    AdoptionArgs, AlertsArgs, CompareArgs, CompareBy, DashboardArgs, DisagreementsArgs, DriftArgs,
    EvidenceArgs, FormArgs, ReportArgs, TelemetryCommand, Times,
};
pub(crate) use trials::{
    EvalArgs, ExperimentCommand, ExperimentReportArgs, ExperimentRunArgs, GuardrailCommand,
    ReviewArgs, SheetArgs,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Most characters of who says something: it stands in a record, which takes a line.
const NAME_CHARS_MAX: usize = 256;
/// Most characters of what is said besides: two screens, and a document has a place of its own.
const REMARK_CHARS_MAX: usize = 4_000;

/// Runs plans of sandboxed WebAssembly components and leaves evidence that anyone can check.
#[derive(Debug, Parser)]
#[command(
    name = "flowhost",
    version,
    // As wide as our own reports: longer lines of help are hard to read on a wide window.
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Root of all state [default: FLOWHOST_STATE, else .flowhost beside flowhost.toml or here]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more to standard error (-v info, -vv debug); FLOWHOST_LOG takes a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new plan that runs, to begin with
    New(NewArgs),
    /// Run a plan
    Run(RunArgs),
    /// Run a plan again and again while its files and plugins change
    Dev(DevArgs),
    /// Report everything that is wrong with a plan, its profiles and its components, and run nothing
    Validate(ValidateArgs),
    /// Show what a component is, what it asks for and which tools it has
    Inspect(InspectArgs),
    /// Check the evidence of a run
    Verify(VerifyArgs),
    /// List runs, or show one
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Explain, show, test and suggest rights
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The plan format
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Write a plugin: a new project, its component, what it is
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// The host's signing key
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Prove, export or erase what a ledger holds; list and archive what stages leave
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Serve MCP clients, and log in at MCP servers
    #[command(subcommand)]
    Mcp(McpCommand),
    /// Evidence files of stages
    #[command(subcommand)]
    Telemetry(TelemetryCommand),
    /// What agents said of stages, kept beyond their runs
    #[command(subcommand)]
    Memory(MemoryCommand),
    /// Hold guardrails against outputs that a person has judged
    #[command(subcommand)]
    Guardrail(GuardrailCommand),
    /// Run the variants of a plan, have outputs read blind, and hold them beside each other
    #[command(subcommand)]
    Experiment(ExperimentCommand),
    /// Check this installation, or whether a plan could run
    Doctor(DoctorArgs),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// `new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The plan's name, and the folder's: small letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = StarterArg::Workflow)]
    pub(crate) kind: StarterArg,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the names of the files, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What a new plan begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StarterArg {
    /// A tool and a guardrail over a text
    Workflow,
    /// An agent with a model
    Agent,
    /// A tool with a granted folder
    Tool,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The plan and where its profiles are
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Seed of all randomness of the run [default: random, recorded]
    #[arg(long, value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,
    /// Go on with the newest run of this plan that was killed or interrupted, or that waits
    #[arg(long, conflicts_with_all = ["seed", "dry_run", "estimate", "durability", "inputs"])]
    pub(crate) resume: bool,
    /// Take the results of steps that are as they were from an earlier run: a run's id, or `latest` of this plan
    ///
    /// A result is taken where component, rights, configuration, input, prompt and seed are the same, the step or
    /// its tool says `effects: none` or `idempotent`, and files that were read are as they were.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["resume", "dry_run", "estimate"])]
    pub(crate) reuse: Option<String>,
    /// Print rendered inputs and effective profiles, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what the model calls will cost, and run nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) estimate: bool,
    /// When records must be on disk [default: durable, or what flowhost.toml says]
    #[arg(long, value_enum)]
    pub(crate) durability: Option<DurabilityArg>,
    /// Watch the plan and its plugins as `flowhost dev` does, in plain lines, until interrupted
    #[arg(long, conflicts_with_all = ["dry_run", "estimate", "metrics_listen", "resume", "reuse"])]
    pub(crate) watch: bool,
    /// Which stages run
    #[command(flatten)]
    pub(crate) stages: StageArgs,
    /// How it runs
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// What a run that begins and one that goes on have in common.
#[derive(Debug, Args)]
pub(crate) struct RunningArgs {
    /// What a profile alone does not open
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Append every signed checkpoint to this file, away from the ledger
    #[arg(long, value_name = "FILE")]
    pub(crate) witness: Option<PathBuf>,
    /// Serve metrics to scrapers on this machine while the run lasts: 127.0.0.1:9464, or [::1]:0
    #[arg(long, value_name = "ADDRESS", value_parser = flowhost::telemetry::loopback)]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Form of the log lines on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// The second of two keys, for what a profile alone does not open.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct KeyArgs {
    /// Second of the two keys to private addresses; the first is `private_network` in a profile
    #[arg(long)]
    pub(crate) allow_private_network: bool,
    /// Second of the two keys to native processes; the first is `[[process]]` in a profile
    #[arg(long)]
    pub(crate) allow_process: bool,
}

/// `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The plan and where its profiles are
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// What a profile alone does not open
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// `dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The plan and where its profiles are
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Seed of all randomness of each run [default: random, recorded]
    #[arg(long, value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,
    /// What a profile alone does not open
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// A plan, its inputs and its profiles.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The plan file
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// An input of the plan, read as the type that the plan gives it; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// Search profiles in this folder only (and among the shipped ones)
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// Refuse plugins that are not exactly those of flowhost.lock beside the plan
    #[arg(long)]
    pub(crate) locked: bool,
}

/// Durability on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Intents and results are on disk before anything goes on
    Durable,
    /// Faster; a power cut may lose the last moments
    Relaxed,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component: a file, or `builtin:NAME`
    #[arg(value_name = "COMPONENT")]
    pub(crate) component: String,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A run's id, an unambiguous beginning of it, `latest`, a ledger's folder, a bundle, or a proof
    #[arg(value_name = "RUN|DIR|FILE")]
    pub(crate) target: String,
    /// The key that must have signed: NAME+ID+BASE64, as `keys show` prints it; may be repeated
    #[arg(long = "key", value_name = "VKEY")]
    pub(crate) keys: Vec<String>,
    /// A file of keys that runs are signed with; not the operator's trust.toml, which is about plugins
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Accept whatever key the evidence itself names: shows only that it agrees with itself
    #[arg(long, conflicts_with_all = ["keys", "trust"])]
    pub(crate) any_key: bool,
    /// Checkpoints that `run --witness` sent away: no ledger may have fewer records, or others
    #[arg(long, value_name = "FILE")]
    pub(crate) witness: Option<PathBuf>,
}

/// `runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, latest first
    List(ListArgs),
    /// Follow a run of another process until it ends; the exit code is the run's
    Watch(WatchArgs),
    /// End a run of another process, or one that waits: nothing new begins, and calls at work get a grace
    Cancel(CancelArgs),
    /// Remove runs for good; the index of runs says so, and keeps their lines
    Rm(RmArgs),
    /// Remove old runs, and keep an archive of each that can still be verified
    Prune(PruneArgs),
    /// Bring runs back out of their archives, to fork, replay or take from them again
    Restore(RestoreArgs),
    /// Show how a run ended and why, its steps and its records
    Show(ShowArgs),
    /// Go on with a run that was killed or interrupted, or that waits, from its ledger alone
    Resume(ResumeArgs),
    /// Start a run that begins with another one's past, up to a step, and is live from there
    ///
    /// Results up to the step are the other run's, by reference: its record is named by hash, and `verify` checks
    /// that.
    Fork(ForkArgs),
    /// Say yes to a gate that waits for approval
    Approve(SpeakArgs),
    /// Say no to a gate that waits for approval
    Reject(SpeakArgs),
    /// Send a gate that waits for a signal its payload
    Signal(SignalArgs),
    /// Say what became of a step that nobody knows the end of (`effects: once`)
    Settle(SettleArgs),
    /// Make the report page of a run from its ledger
    Report {
        /// A run's id, an unambiguous beginning of it, or `latest`
        #[arg(value_name = "RUN")]
        run: String,
        /// Write it to this file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Do a run again from its record, and say where it differs
    ///
    /// Guests really run. Network, models, folders, state and time are the record: nothing outside is
    /// touched, and nothing is written.
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Only the planner: no guest runs
    #[arg(long, conflicts_with = "plugins")]
    pub(crate) steps: bool,
    /// Replay it with this plan in the place of its own
    #[arg(long, value_name = "PLAN")]
    pub(crate) against: Option<PathBuf>,
    /// Replay it with this component in the place of a plugin's own
    #[arg(long = "plugin", value_name = "NAME=PATH", value_parser = pair)]
    pub(crate) plugins: Vec<(String, String)>,
}

/// `runs show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Only this step, its items and visits, with what each call was given and gave
    #[arg(long, value_name = "PATH")]
    pub(crate) step: Option<String>,
    /// Only records of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Only what was denied
    #[arg(long)]
    pub(crate) denials: bool,
    /// Print the log lines of plugins, of all steps or of one
    #[arg(long, conflicts_with_all = ["kind", "denials"])]
    pub(crate) logs: bool,
    /// Print what this record holds, whole, and nothing else
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["step", "kind", "denials", "logs"], value_parser = whole::<u64>)]
    pub(crate) payload: Option<u64>,
}

/// `runs resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Go on with another component for a plugin, on purpose; may be repeated
    #[arg(long = "plugin", value_name = "NAME=PATH", value_parser = pair)]
    pub(crate) plugins: Vec<(String, String)>,
    /// How it goes on
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// `runs fork`.
#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The path of the step that is the first to be done anew
    #[arg(long, value_name = "STEP")]
    pub(crate) at: String,
    /// Go on with this plan in the place of the run's own
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// Go on with another component for a plugin; may be repeated
    #[arg(long = "plugin", value_name = "NAME=PATH", value_parser = pair)]
    pub(crate) plugins: Vec<(String, String)>,
    /// Go on with another value of an input; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// How it goes on
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// `runs approve` and `runs reject`.
#[derive(Debug, Args)]
pub(crate) struct SpeakArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The gate's path, as the waiting run names it
    #[arg(value_name = "GATE")]
    pub(crate) gate: String,
    /// Who says so, for the record
    #[arg(long, value_name = "NAME", value_parser = person)]
    pub(crate) by: String,
    /// What to say besides
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = remark)]
    pub(crate) note: String,
}

/// `runs signal`.
#[derive(Debug, Args)]
pub(crate) struct SignalArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The gate's path, as the waiting run names it
    #[arg(value_name = "NAME")]
    pub(crate) gate: String,
    /// What it says, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) payload: serde_json::Value,
    /// Who sends it, for the record
    #[arg(long, value_name = "NAME", value_parser = person)]
    pub(crate) by: Option<String>,
}

/// `runs settle`.
#[derive(Debug, Args)]
pub(crate) struct SettleArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step's path, as `runs resume` names it; of a run that has ended, `STEP!compensate` of what was not taken back
    #[arg(value_name = "STEP")]
    pub(crate) step: String,
    /// What became of it
    #[arg(long = "as", value_enum)]
    pub(crate) verdict: VerdictArg,
    /// What a step that is done would have handed on, as JSON [default: null]
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) output: Option<serde_json::Value>,
    /// Why, for a step that failed [default: settled as failed]; how, for what was taken back by hand
    #[arg(long, value_name = "TEXT", value_parser = remark)]
    pub(crate) note: Option<String>,
    /// Who says so, for the record
    #[arg(long, value_name = "NAME", value_parser = person)]
    pub(crate) by: Option<String>,
}

/// What a person says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerdictArg {
    /// It had its effect
    Done,
    /// It had none, and is not to be tried again by this
    Failed,
    /// It had none, and is to be made again
    Retry,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// For each right of each plugin: where it came from and what removed it
    Explain {
        /// The plan and where its profiles are
        #[command(flatten)]
        plan: PlanArgs,
        /// Only this plugin
        #[arg(value_name = "PLUGIN")]
        plugin: Option<String>,
    },
    /// Run a table of allow and deny cases
    Test {
        /// The table
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Search profiles in this folder only (and among the shipped ones)
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
    },
    /// Print a profile's text, to read it or to begin your own with it
    Show(ProfileArgs),
    /// Print the profile lines that a run lacked, for a person to judge
    Suggest {
        /// A run's id, an unambiguous beginning of it, or `latest`
        #[arg(value_name = "RUN")]
        run: String,
    },
}

/// `policy show`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The profile: a shipped one's name, a file in `policies/`, or a path
    #[arg(value_name = "NAME")]
    pub(crate) profile: String,
    /// Print it under this name, as the first version of your own
    #[arg(long, value_name = "NEW")]
    pub(crate) name: Option<String>,
    /// Write it to this file, which must not be there yet; its folder is made [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Search profiles in this folder only (and among the shipped ones)
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
}

/// `plan`.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Print the JSON Schema of the plan format
    Schema,
    /// Print every key of the plan format with its meaning, as Markdown
    Keys,
    /// Show a plan as a graph, or a run of it with how each step ended
    Graph(GraphArgs),
}

/// `plan graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// A plan's file, or a run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "PLAN|RUN")]
    pub(crate) of: String,
    /// With `--diff`, what it is compared with
    #[arg(value_name = "OTHER", requires = "diff")]
    pub(crate) other: Option<String>,
    /// The form
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
    /// Print what is different in OTHER instead: of two plans, or of a plan and a run, in the plans; of two runs, in how
    /// each step ended, too. In lines, or with `--json` as one document
    #[arg(long, requires = "other", conflicts_with = "format")]
    pub(crate) diff: bool,
}

/// The form of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines for a terminal
    Text,
    /// A drawing
    Svg,
    /// For Graphviz
    Dot,
    /// For Mermaid
    Mermaid,
    /// Nodes and edges
    Json,
}

/// `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print the public key that checkpoints are signed with
    Show,
    /// Make a new key; ledgers that exist keep theirs
    Rotate,
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("this is not JSON ({error}); a text has quotes of its own: '\"go\"'")
    })
}

/// A whole number. Anything else is refused in words that a person knows, where the parser speaks of digits.
fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "expected a whole number, such as 7".to_owned())
}

/// Who says something for the record: a record of nobody's word would be worth nothing.
fn person(text: &str) -> Result<String, String> {
    match text.chars().count() {
        _ if text.trim().is_empty() => {
            Err("say who: a name or an address, and not an empty text".to_owned())
        }
        count if count > NAME_CHARS_MAX => Err(format!(
            "a name has at most {NAME_CHARS_MAX} characters, and this one has {count}"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// What a person says besides, for the record.
fn remark(text: &str) -> Result<String, String> {
    match text.chars().count() {
        count if count > REMARK_CHARS_MAX => Err(format!(
            "a note has at most {REMARK_CHARS_MAX} characters, and this one has {count}: name the document that says more"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// What becomes a part of a file's name.
fn file_part(text: &str, chars_max: usize) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match (1..=chars_max).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "it becomes a part of a file's name: 1 to {chars_max} letters, digits, `-` and `_`"
        )),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use flowhost_words::SECOND_KEYS;

    use super::{NAME_CHARS_MAX, REMARK_CHARS_MAX, person, remark};

    #[test]
    fn who_speaks_and_what_is_noted_have_a_bound_that_is_told() {
        assert!(person(&"n".repeat(NAME_CHARS_MAX)).is_ok());
        let long = person(&"n".repeat(NAME_CHARS_MAX + 1)).unwrap_err();
        assert_eq!(
            long,
            "a name has at most 256 characters, and this one has 257"
        );
        assert!(person(" ").is_err() && remark("").is_ok());
        assert!(remark(&"n".repeat(REMARK_CHARS_MAX)).is_ok());
        let long = remark(&"n".repeat(REMARK_CHARS_MAX + 1)).unwrap_err();
        assert!(
            long.starts_with("a note has at most 4000 characters"),
            "{long}"
        );
    }

    #[test]
    fn the_second_keys_that_cures_name_are_options_of_a_run() {
        let cli = super::Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for key in SECOND_KEYS {
            let mut options = run.get_arguments().filter_map(|it| it.get_long());
            assert!(
                options.any(|it| key.strip_prefix("--") == Some(it)),
                "{key}"
            );
        }
    }
}
