//! A warm call, an instance, and what a user would pick instead.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use flowhost_ledger::Durability;
use flowhost_policy::Effective;
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::host::{Host, engine, guest, inspected, ledger};
use crate::mcp::words::{CALLS_TO_WARM, GIVEN, OPENED, answered, call, opening};
use crate::measure::{Effort, Figure, Side, in_turns};
use crate::peers::{LinePeer, NodePeer};
use crate::report::Row;

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
    let request = format!(r#"{{"id":1,"input":{GIVEN}}}"#);
    let input = GIVEN.to_owned();
    let mut sides: Vec<Side<'_>> = vec![
        Box::new(|batch| repeat(batch, || bare.call(&input).map(drop))),
        Box::new(|batch| runtime.block_on(host_calls(&host, batch))),
        Box::new(|batch| repeat(batch, || bare.instantiate())),
        Box::new(|batch| repeat(batch, || peer.call(&request).map(drop))),
    ];
    let (mut nodes, mut missing) = (Vec::new(), Vec::new());
    for kind in NodePeer::ALL {
        match McpPeer::warm(kind, node) {
            Ok(mut server) => {
                nodes.push(kind);
                sides.push(Box::new(move |batch| {
                    repeat(batch, || server.call().map(drop))
                }));
            }
            Err(why) => missing.push(Row::missing("call", against(kind), format!("{why:#}"))),
        }
    }
    let figures = in_turns(Effort::SHORT, &mut sides)?;
    drop(sides);
    ledger.close_blocking()?;
    let mut rows = table(&figures, &nodes);
    rows.extend(missing);
    Ok(rows)
}

/// The row of a server in Node.
fn against(kind: NodePeer) -> String {
    format!(
        "the same call, ours against {} over stdio (speed-up)",
        kind.named()
    )
}

async fn host_calls(host: &Host, batch: u32) -> Result<()> {
    for _ in 0..batch {
        host.call(GIVEN).await?;
    }
    Ok(())
}

fn table(figures: &[Figure], nodes: &[NodePeer]) -> Vec<Row> {
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
    for (kind, node) in nodes.iter().zip(rest) {
        let speedup = node.median_ns / ours.median_ns;
        let row = row(&against(*kind), ours).against(kind.named(), node.text(), speedup);
        rows.push(match kind {
            NodePeer::Sdk => row.goal("≥ 5 ×", speedup >= 5.0),
            NodePeer::ByHand => row,
        });
    }
    rows
}

/// An MCP server over stdio that is asked one call after the other.
struct McpPeer {
    peer: LinePeer,
    calls: u64,
}

impl McpPeer {
    /// One that has answered, and often enough that it is as quick as it gets.
    fn warm(kind: NodePeer, node: Option<&Path>) -> Result<Self> {
        if let Some(lack) = kind.lacks(node) {
            bail!(lack);
        }
        let mut peer = LinePeer::spawn(kind.command(node, false)?)?;
        peer.call(&opening())?;
        peer.send(OPENED)?;
        let mut warm = Self { peer, calls: 0 };
        for _ in 0..CALLS_TO_WARM {
            warm.call()?;
        }
        // Looked at once and not at each call, as with the others of this comparison.
        answered(&serde_json::from_str(warm.call()?)?)?;
        Ok(warm)
    }

    fn call(&mut self) -> Result<&str> {
        self.calls += 1;
        self.peer.call(&call(self.calls))
    }
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
