//! What can be typed after `flowhost plugin`.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use flowhost_words::PluginKind;

use super::{InspectArgs, PlanArgs, pair};

/// `plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a new project: sources, tests, manifest, a plan that runs it, and the SDK
    New {
        /// The plugin's name, and the folder's: small letters, digits and `-`
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is
        #[arg(long, value_enum, default_value_t = KindArg(PluginKind::Tool))]
        kind: KindArg,
        /// What it is written in
        #[arg(long, value_enum, default_value_t = LangArg::Rust)]
        lang: LangArg,
        /// The folder to make [default: NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Make it from somebody's template: a folder with `template.toml`, or `git+https://HOST/PATH#TAG`
        #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["kind", "lang"])]
        template: Option<String>,
        /// A parameter of the template; may be repeated
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair, requires = "template")]
        set: Vec<(String, String)>,
        /// Print the names of the files, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Build a project's component, with its manifest inside and held against what it imports
    Build {
        /// The project, or a component with its manifest beside it, which is put inside a copy
        #[arg(value_name = "DIR", default_value = ".")]
        project: PathBuf,
        /// Write the component to this file [default: dist/NAME.wasm in the project]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Try a component as hosts and their users will: contract, missing rights, cut-off calls, hostile inputs
    Test(TestArgs),
    /// Show what a component is, what it asks for and which tools it has
    Inspect(InspectArgs),
    /// Vouch for a component: what it is, asks for and says of its tools, in NAME.wasm.sig beside it
    Sign {
        /// A component with its manifest inside or beside it
        #[arg(value_name = "FILE")]
        component: PathBuf,
        /// The signing key's file [default: this host's key]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Check who vouches for a component or a pack
    Verify {
        /// A component, with NAME.wasm.sig beside it, or a pack
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The key that must have signed: NAME+ID+BASE64; may be repeated [default: the operator's trust.toml]
        #[arg(long = "key", value_name = "VKEY")]
        keys: Vec<String>,
    },
    /// Put component, manifest, README, list of ingredients and signature into one file
    Pack {
        /// The project, built
        #[arg(value_name = "DIR", default_value = ".")]
        project: PathBuf,
        /// Write the pack to this file [default: dist/NAME.fhp in the project]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show what a plugin is and asks for, and with --yes put it into a plan
    Add(AddArgs),
    /// Put a component into a registry, with its signature
    Publish {
        /// A component with its manifest inside, with NAME.wasm.sig beside it, or a pack
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where to: `oci://HOST/NAME:TAG`, which the operator's `[[sources]]` must list
        #[arg(value_name = "DESTINATION")]
        destination: String,
        /// Move a tag that names another artifact
        #[arg(long)]
        replace: bool,
    },
    /// Fetch a component with its signature from where the operator's `[[sources]]` allow
    Pull {
        /// `https://HOST/PATH.wasm` or `.fhp`, or `oci://HOST/NAME:TAG`
        #[arg(value_name = "SOURCE")]
        source: String,
        /// Refuse another component than this one
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// Write NAME.wasm and NAME.wasm.sig into this folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// List the plugins of a plan, with what changed since they were locked
    List(PlanArgs),
    /// Write flowhost.lock beside the plan: its plugins, as they are now
    Lock(PlanArgs),
    /// Show what changed since the plugins were locked, and with --yes lock what is there now
    Update {
        /// The plan and where its profiles are
        #[command(flatten)]
        plan: PlanArgs,
        /// Write what is shown
        #[arg(long)]
        yes: bool,
    },
    /// Take a pack apart
    Unpack {
        /// The pack
        #[arg(value_name = "FILE")]
        pack: PathBuf,
        /// The folder to make [default: the plugin's name]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// `plugin add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// A component with its manifest, or a pack: a file, or where it is (`https://…`, `oci://…`)
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The plan
    #[arg(long, value_name = "PLAN", default_value = "plan.yaml")]
    pub(crate) plan: PathBuf,
    /// The plugin's name in the plan [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Write component, profile and the plan's line
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `plugin test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// A component: a file, or `builtin:NAME`
    #[arg(value_name = "COMPONENT")]
    pub(crate) component: String,
    /// A call to try beside those that follow from schemas: a tool's name (else `input`), and its input as
    /// JSON; may be repeated
    #[arg(long = "call", value_name = "NAME=JSON", value_parser = pair)]
    pub(crate) calls: Vec<(String, String)>,
    /// The plugin's `config:` (a guardrail's `with:`), a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) config: String,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = ReportArg::Text)]
    pub(crate) report: ReportArg,
    /// Write the report to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Chooses where calls are cut off
    #[arg(long, default_value_t = 1, value_parser = super::whole::<u64>)]
    pub(crate) seed: u64,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportArg {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// For build servers
    Junit,
    /// For browsers
    Html,
}

/// The kind of a plugin on the command line: the word of manifests, with what it is for the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KindArg(pub(crate) PluginKind);

impl ValueEnum for KindArg {
    fn value_variants<'a>() -> &'a [Self] {
        // Taken apart by a pattern, so that a new kind does not compile before it is here.
        const ALL: [KindArg; 4] = {
            let [a, b, c, d] = PluginKind::ALL;
            [KindArg(a), KindArg(b), KindArg(c), KindArg(d)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            PluginKind::Agent => "Does a step's work, asks models, calls tools",
            PluginKind::Tool => "Functions with described inputs and outputs",
            PluginKind::Guardrail => "Judges values before or after a step",
            PluginKind::McpAdapter => "Speaks to an MCP server",
        };
        Some(PossibleValue::new(self.0.wit_name()).help(help))
    }
}

/// The language of a plugin on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LangArg {
    /// Rust, with flowhost-sdk
    Rust,
    /// TypeScript, with @flowhost/sdk
    Ts,
    /// Python, with the package flowhost
    Python,
}
