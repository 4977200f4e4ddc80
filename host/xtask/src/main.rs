//! House tasks. `cargo xtask <task>`: each task is one file, each returns an error that says what
//! failed, why and the cure, and none of them is needed to use flowhost.
//!
//! It must never hold logic that the product needs, and never reach for the network but through
//! `cargo`, `rustup`, `npm`, `pip` and `apt-get`.

#![expect(
    clippy::disallowed_methods,
    reason = "a house task works with the developer's own authority"
)]

mod bench;
mod book;
mod browser;
mod built;
mod cel_cases;
mod crash;
mod demo;
mod dist;
mod folders;
mod golden;
mod guests;
mod lanes;
mod mcp_files;
mod mcp_peers;
mod mcp_soak;
mod npm;
mod order_saga;
mod process;
mod py_trees;
mod registry;
mod say;
mod sdk;
mod simulate;
mod test;
mod tidy;
mod walk;
mod wit_docs;
mod wit_lock;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::folders::Folders;

/// House tasks of flowhost.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds plugins and test guests as components into `target/plugins` and `target/guests`.
    BuildGuests(guests::Options),
    /// Writes `wit/LOCK`, or checks it with `--check`.
    WitLock(wit_lock::Options),
    /// Writes `docs/wit.md` from `wit/`, or checks it with `--check`.
    WitDocs(wit_docs::Options),
    /// Builds the book into `target/book`.
    Book,
    /// Checks the house rules.
    Tidy,
    /// Runs everything that must pass before a change is handed in.
    Test(test::Options),
    /// Builds everything, runs `examples/docs-check` on `docs/` and verifies its evidence.
    Demo(demo::Options),
    /// Does the golden runs of the examples again, or makes them anew with `--accept`.
    Golden(golden::Options),
    /// Runs `examples/order-saga` with three services on this machine, and says what they heard.
    OrderSaga,
    /// Runs the benchmarks and writes `docs/benchmarks.md`.
    Bench(bench::Options),
    /// Builds a release and packs it into `dist/`.
    Dist,
    /// Goes the way of an author and of a stranger with the release archive: every kind in every language.
    Walk(walk::Options),
    /// Kills the executable, and a writing ledger, again and again, and counts what was lost or done twice.
    Crash(crash::Options),
    /// Simulates runs with everything going wrong, one seed or many.
    Simulate(simulate::Options),
    /// Asks the MCP server by clients that others wrote, and servers that others wrote by the client.
    McpPeers(mcp_peers::Options),
    /// Lets one process call ten MCP servers, half of which misbehave, and looks what of them stays.
    McpSoak(mcp_soak::Options),
    /// Compares the reference of behaviour trees with what `py_trees` answers.
    PyTrees(py_trees::Options),
    /// Counts how many of CEL's conformance cases hold.
    CelCases(cel_cases::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Folders::find().and_then(|folders| run(arguments.task, &folders)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task, folders: &Folders) -> anyhow::Result<()> {
    match task {
        Task::BuildGuests(options) => guests::run(folders, &options),
        Task::WitLock(options) => wit_lock::run(folders, &options),
        Task::WitDocs(options) => wit_docs::run(folders, &options),
        Task::Book => book::run(folders),
        Task::Tidy => tidy::run(folders),
        Task::Test(options) => test::run(folders, &options),
        Task::Demo(options) => demo::run(folders, &options),
        Task::Golden(options) => golden::run(folders, &options),
        Task::OrderSaga => order_saga::run(folders),
        Task::Bench(options) => bench::run(folders, &options),
        Task::Dist => dist::run(folders),
        Task::Walk(options) => walk::run(folders, &options),
        Task::Crash(options) => crash::run(folders, &options),
        Task::Simulate(options) => simulate::run(folders, &options),
        Task::McpPeers(options) => mcp_peers::run(folders, &options),
        Task::McpSoak(options) => mcp_soak::run(folders, &options),
        Task::PyTrees(options) => py_trees::run(folders, &options),
        Task::CelCases(options) => cel_cases::run(folders, &options),
    }
}
