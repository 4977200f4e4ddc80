//! A warm call, an instance, and what a user would pick instead.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use flowhost_ledger::Durability;
use flowhost_policy::Effective;
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::host::{Host, engine, guest, inspected, ledger, repository};
use crate::measure::{Effort, Figure, Side, in_turns};
use crate::peers::{LinePeer, mcp_call};
use crate::report::Row;

const INPUT: &str = r#"{"text":"The quick brown fox","count":3,"tags":["a","b"]}"#;

/// Warm calls, ours against bare wasmtime and against child processes.
///
/// # Errors
/// When a guest is missing or a side fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path, node: Option<&Path>) -> Result<Vec<Row>> {
    let path = guest("ok_echo");
    let bare = Bare::new(&path)?;
    let engine = engine(None, 64, Vec::new())?;
    let ledger = ledger(&folder.join("calls"), Durability::Relaxed)?;
    let recorder = Arc::new(ledger.clone());
    let host = runtime.block_on(Host::new(
        &engine,
        &inspected(&path)?,
        Effective::default(),
        recorder,
        Arc::new([]),
    ))?;
    let mut peer = LinePeer::start(&sibling("stdio-tool")?, &[])?;
    let request = format!(r#"{{"id":1,"input":{INPUT}}}"#);
    let input = INPUT.to_owned();
    let mut sides: Vec<Side<'_>> = vec![
        Box::new(|batch| repeat(batch, || bare.call(&input).map(drop))),
        Box::new(|batch| runtime.block_on(host_calls(&host, batch))),
        Box::new(|batch| repeat(batch, || bare.instantiate())),
        Box::new(|batch| repeat(batch, || peer.call(&request).map(drop))),
    ];
    let mcp = node.map(start_mcp).transpose()?;
    if let Some(mut mcp) = mcp {
        let request = mcp_call(&serde_json::from_str(INPUT)?);
        sides.push(Box::new(move |batch| {
            repeat(batch, || mcp.call(&request).map(drop))
        }));
    }
    let figures = in_turns(Effort::SHORT, &mut sides)?;
    drop(sides);
    ledger.close_blocking()?;
    Ok(table(&figures))
}

async fn host_calls(host: &Host, batch: u32) -> Result<()> {
    for _ in 0..batch {
        host.call(INPUT).await?;
    }
    Ok(())
}

fn table(figures: &[Figure]) -> Vec<Row> {
    let [bare, ours, instance, child, rest @ ..] = figures else {
        return Vec::new();
    };
    let row = |what: &str, figure: &Figure| Row::new("call", what, figure.text(), figure.median_ns);
    let ratio = ours.median_ns / bare.median_ns;
    let speedup = child.median_ns / ours.median_ns;
    let mut rows = vec![
        row(
            "fresh instance + warm tool call, limits and relaxed ledger",
            ours,
        )
        .against("bare wasmtime", bare.text(), ratio)
        .goal("≤ 1.3 ×", ratio <= 1.3),
        row("fresh instance alone, bare wasmtime", instance),
        row(
            "the same call, ours against a native child over stdio (speed-up)",
            ours,
        )
        .against("child process", child.text(), speedup),
    ];
    if let [node] = rest {
        let speedup = node.median_ns / ours.median_ns;
        rows.push(
            row(
                "the same call, ours against a Node MCP server over stdio (speed-up)",
                ours,
            )
            .against("Node MCP server", node.text(), speedup)
            .goal("≥ 5 ×", speedup >= 5.0),
        );
    }
    rows
}

fn start_mcp(node: &Path) -> Result<LinePeer> {
    let script = repository().join("tests/benches/node/mcp-server.mjs");
    let mut peer = LinePeer::start(node, &[&script.to_string_lossy()])?;
    peer.call(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#)?;
    Ok(peer)
}

/// A program built beside this one.
///
/// # Errors
/// When this program does not know its own place.
pub(crate) fn sibling(name: &str) -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn repeat(batch: u32, mut operation: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 0..batch {
        operation()?;
    }
    Ok(())
}
