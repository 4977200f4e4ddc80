//! What can be typed after `flowhost mcp`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{DurabilityArg, KeyArgs, LogFormat, PlanArgs, pair};

/// `mcp`.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Offer plans and tools of components to an MCP client: each call of a plan a run, those of tools one for a session
    Serve(ServeArgs),
    /// Show what the MCP servers of a plan offer, with hints and hashes; no tool is called
    Inspect(McpInspectArgs),
    /// Print the lines with which an MCP client starts such a server
    Install(InstallArgs),
    /// Log in at an MCP server, in a browser; its token is kept by the host
    Login(LoginArgs),
    /// Give the tokens of a login back, and forget them
    Logout(LogoutArgs),
    /// Show logins: servers, scopes and when they end; never a token
    Status(StatusArgs),
}

/// `mcp inspect`.
#[derive(Debug, Args)]
pub(crate) struct McpInspectArgs {
    /// The plan and where its profiles are
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Only this plugin
    #[arg(value_name = "PLUGIN")]
    pub(crate) plugin: Option<String>,
    /// Accept the tools as they are now: runs of the plan go by what flowhost.lock says of them
    #[arg(long)]
    pub(crate) pin: bool,
    /// Vouch for the tools as they are now, in PLUGIN.tools.sig beside the plan
    #[arg(long)]
    pub(crate) sign: bool,
    /// The signing key's file [default: this host's key]
    #[arg(long, value_name = "FILE", requires = "sign")]
    pub(crate) key: Option<PathBuf>,
    /// What a profile alone does not open
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// What is offered.
#[derive(Debug, Args)]
pub(crate) struct OfferArgs {
    /// A plan to offer as a tool; may be repeated
    #[arg(long = "plan", value_name = "PLAN")]
    pub(crate) plans: Vec<PathBuf>,
    /// A component whose tools to offer: a file or builtin:NAME; NAME= in front goes before their names
    #[arg(long = "plugin", value_name = "[NAME=]COMPONENT", value_parser = plugin)]
    pub(crate) plugins: Vec<(Option<String>, String)>,
    /// The profile of those components
    #[arg(long, value_name = "PROFILE", default_value = "deny-all")]
    pub(crate) profile: String,
    /// Offer `search` and `execute` in place of those tools: programs that call them, under this profile
    #[arg(long, value_name = "PROFILE", requires = "plugins")]
    pub(crate) code_mode: Option<String>,
    /// An input that clients can then neither see nor give; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// Search profiles in this folder only (and among the shipped ones)
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
}

/// `mcp serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What is offered
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
    /// Serve over HTTP on this machine, at /mcp, rather than over the standard streams
    #[arg(long, value_name = "ADDRESS", value_parser = here)]
    pub(crate) listen: Option<SocketAddr>,
    /// Another name by which this machine is asked for, as a proxy in front of it is called
    #[arg(long, value_name = "HOST[:PORT]", requires = "listen")]
    pub(crate) allow_host: Vec<String>,
    /// A file with the token that clients must show [default: FLOWHOST_MCP_TOKEN, else a new one]
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) token_file: Option<PathBuf>,
    /// How it is served
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// How what is offered is served, by whatever transport.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// What a profile alone does not open
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// When records must be on disk [default: durable, or what flowhost.toml says]
    #[arg(long, value_enum)]
    pub(crate) durability: Option<DurabilityArg>,
    /// Form of the log lines on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// `mcp install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The client
    #[arg(value_enum)]
    pub(crate) client: Client,
    /// What the client calls the server
    #[arg(long, value_name = "NAME", default_value = "flowhost", value_parser = name)]
    pub(crate) name: String,
    /// What is offered
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
    /// How it is served
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// `mcp login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// What the login is called; a rule of a profile takes its token with `inject = { login = "NAME" }`
    #[arg(value_parser = name)]
    pub(crate) name: String,
    /// The server's address [default: that of the login that is there]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Ask for this right; may be repeated [default: what the server asks for]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// Whom to log in with, where the server names several
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// A client that was registered there [default: one that registers itself]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// A file with that client's secret
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// The address of a document that describes the client, for authorities that read one
    #[arg(long, value_name = "URL", conflicts_with = "client_id")]
    pub(crate) client_document: Option<String>,
    /// The port of this machine to which the browser comes back [default: a free one]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Print the address of the page, and open no browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Ask private addresses too: those of this machine and of its network
    #[arg(long)]
    pub(crate) allow_private_network: bool,
}

/// `mcp logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The login
    #[arg(value_parser = name)]
    pub(crate) name: String,
}

/// `mcp status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this login
    #[arg(value_parser = name)]
    pub(crate) name: Option<String>,
}

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Claude Code
    ClaudeCode,
    /// Visual Studio Code
    Vscode,
    /// Cursor
    Cursor,
    /// Codex
    Codex,
}

fn plugin(text: &str) -> Result<(Option<String>, String), String> {
    match text.split_once('=') {
        // A path may hold `=` too; a name may not hold a separator.
        Some((prefix, source)) if !prefix.contains('/') => {
            let prefix = name(prefix)?;
            match source {
                "" => Err("expected NAME=COMPONENT".to_owned()),
                source => Ok((Some(prefix), source.to_owned())),
            }
        }
        _ => Ok((None, text.to_owned())),
    }
}

/// A name that every client takes, and every profile.
fn name(text: &str) -> Result<String, String> {
    match flowhost_policy::is_login_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a name has 1 to 32 letters, digits, `-` and `_`".to_owned()),
    }
}

/// An address to serve on. Whoever calls shows a token, which would travel in the clear to another machine.
fn here(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        "expected an address and a port, such as 127.0.0.1:8765 or [::1]:0".to_owned()
    })?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(
            "this is served on loopback only, because its token would travel in the clear: use 127.0.0.1 or [::1], \
             and for other machines a proxy with TLS in front (`--allow-host`)"
                .to_owned(),
        ),
    }
}
