//! MCP in both directions and code mode, beside what a user would pick instead.

mod code;
mod load;
mod servers;
pub(crate) mod words;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use crate::host::{bytes, guest};
use crate::measure::{Figure, duration};
use crate::memory::private_bytes_of;
use crate::peers::{LinePeer, NodePeer, script};
use crate::plans::median;
use crate::project::Project;
use crate::report::Row;
use load::{Load, on_stream, over_http};
use servers::{HttpPeer, Kind, Servers};
use words::{CALLS_TO_WARM, OPENED, answered, call, opening};

/// The tool, as its component says of itself, with the schema that its peer by the TypeScript SDK has: both hold the arguments
/// of each call against it.
const MANIFEST: &str = r#"version = 1
name = "echo"
kind = "tool"
release = "0.1.0"
description = "Echoes"
[[tools]]
name = "run"
description = "Echoes"
effects = "none"
input = { type = "object", required = ["text", "count", "tags"], properties = { text = { type = "string" }, count = { type = "integer" }, tags = { type = "array", items = { type = "string" } } } }
"#;
/// Turns of each server in a comparison, and how long one of them is.
const TURNS: usize = 3;
const TURN: Duration = Duration::from_millis(700);
/// Turns to warm up a server that does not come to [`CALLS_TO_WARM`] in them.
const TURNS_TO_WARM: usize = 10;
/// Starts whose median counts.
const STARTS: usize = 7;
/// Calls of a client that are compared.
const CALLS: usize = 200;
const CLIENTS: [usize; 2] = [1, 64];

/// All of it; what could not be measured is a row that says why.
///
/// # Errors
/// When `mcp serve` does not answer at all.
pub(crate) fn rows(runtime: &Runtime, folder: &Path, node: Option<&Path>) -> Result<Vec<Row>> {
    let folder = folder.join("mcp");
    let project = Project::new(&folder)?;
    project.file("echo.wasm", bytes(&guest("ok_echo"))?)?;
    project.file("echo.toml", MANIFEST)?;
    let servers = Servers {
        folder: &folder,
        node,
    };
    // Compiled once, so that no first answer waits for a compiler.
    first_answer(&servers, Kind::Flowhost)?;
    let part = |what: &str, rows| Row::or_missing("mcp", what, rows);
    let mut rows = part("`mcp serve` beside its peers", serving(runtime, &servers));
    rows.extend(part("start of `mcp serve`", starting(&servers)));
    rows.extend(servers.missing());
    let asked = asking(runtime, &servers, &project);
    rows.extend(part("our client beside the TypeScript SDK's", asked));
    rows.extend(part("code mode", code::rows(&project)));
    Ok(rows)
}

/// The same tool by each server, over both transports, for one client and for many.
fn serving(runtime: &Runtime, servers: &Servers<'_>) -> Result<Vec<Row>> {
    let kinds = servers.kinds();
    let mut rows = Vec::new();
    let mut streams = kinds
        .iter()
        .map(|kind| Ok((open(servers.over_stdio(*kind)?)?, 0)))
        .collect::<Result<Vec<(LinePeer, u64)>>>()?;
    for clients in CLIENTS {
        let loads = in_turns(&mut streams, |(peer, next)| {
            on_stream(peer, next, clients, TURN)
        })?;
        let what = match clients {
            1 => "over stdio, one request at a time".to_owned(),
            many => format!("over stdio, {many} requests in flight"),
        };
        rows.extend(compared(&kinds, &loads, &what));
    }
    let mut private = Vec::new();
    for (kind, (peer, _)) in kinds.iter().zip(&streams) {
        private.push((*kind, private_bytes_of(peer.id())? as f64));
    }
    drop(streams);
    let mut peers = kinds
        .iter()
        .map(|kind| servers.over_http(*kind))
        .collect::<Result<Vec<HttpPeer>>>()?;
    for clients in CLIENTS {
        let loads = in_turns(&mut peers, |peer| {
            over_http(runtime, peer.address, clients, TURN)
        })?;
        let s = if clients == 1 { "" } else { "s" };
        let what = format!("over HTTP, {clients} client{s}");
        rows.extend(compared(&kinds, &loads, &what));
    }
    rows.extend(memory("over stdio", &private));
    let mut private = Vec::new();
    for (kind, peer) in kinds.iter().zip(&peers) {
        private.push((*kind, private_bytes_of(peer.id())? as f64));
    }
    rows.extend(memory("over HTTP", &private));
    Ok(rows)
}

/// Each side has its turn, again and again: the machine's noise falls on all of them.
fn in_turns<T>(sides: &mut [T], mut turn: impl FnMut(&mut T) -> Result<Load>) -> Result<Vec<Load>> {
    let mut loads: Vec<Load> = sides.iter().map(|_| Load::default()).collect();
    for side in sides.iter_mut() {
        let mut warm = 0;
        for _ in 0..TURNS_TO_WARM {
            warm += turn(side)?.calls();
            if warm >= CALLS_TO_WARM {
                break;
            }
        }
    }
    for _ in 0..TURNS {
        for (side, load) in sides.iter_mut().zip(&mut loads) {
            load.add(turn(side)?);
        }
    }
    Ok(loads)
}

fn compared(kinds: &[Kind], loads: &[Load], what: &str) -> Vec<Row> {
    let mut all = kinds.iter().zip(loads);
    let ours = all.next();
    let others: Vec<_> = all.collect();
    let row = |(kind, load): &(&Kind, &Load)| {
        let (_, ours) = ours?;
        let faster = ours.rate() / load.rate();
        let what = format!(
            "a call of a Rust component by `mcp serve`, {what} (calls/s against {})",
            kind.named()
        );
        let row = Row::new("mcp", what, ours.text(), ours.rate());
        let row = row.against(kind.named(), load.text(), faster);
        Some(match kind {
            Kind::Node(NodePeer::Sdk) => row.goal("≥ 3 ×", faster >= 3.0),
            _ => row,
        })
    };
    others.iter().filter_map(row).collect()
}

fn memory(what: &str, private: &[(Kind, f64)]) -> Vec<Row> {
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    let Some(((_, ours), others)) = private.split_first() else {
        return Vec::new();
    };
    let row = |(kind, bytes): &(Kind, f64)| {
        let what = format!("private memory of `mcp serve` {what}, after these calls");
        Row::new("mcp", what, mib(*ours), *ours).against(kind.named(), mib(*bytes), ours / bytes)
    };
    others.iter().map(row).collect()
}

/// A process that has answered `initialize`.
fn open(mut peer: LinePeer) -> Result<LinePeer> {
    peer.call(&opening())?;
    peer.send(OPENED)?;
    Ok(peer)
}

/// From the start of the process to the answer of its first call.
fn first_answer(servers: &Servers<'_>, kind: Kind) -> Result<Duration> {
    let begun = Instant::now();
    let mut peer = open(servers.over_stdio(kind)?)?;
    let answer = serde_json::from_str(peer.call(&call(1))?)?;
    let time = begun.elapsed();
    answered(&answer)?;
    Ok(time)
}

fn starting(servers: &Servers<'_>) -> Result<Vec<Row>> {
    let kinds = servers.kinds();
    let mut samples = vec![Vec::new(); kinds.len()];
    for _ in 0..STARTS {
        for (kind, samples) in kinds.iter().zip(&mut samples) {
            samples.push(first_answer(servers, *kind)?.as_nanos() as f64);
        }
    }
    let figures = samples.into_iter().map(Figure::from_samples);
    let figures: Vec<(Kind, Figure)> = kinds.into_iter().zip(figures).collect();
    let Some(((_, ours), others)) = figures.split_first() else {
        return Ok(Vec::new());
    };
    let row = |(kind, other): &(Kind, Figure)| {
        let sooner = other.median_ns / ours.median_ns;
        let what = format!(
            "start of `mcp serve` over stdio to its first answer (sooner than {})",
            kind.named()
        );
        let row = Row::new("mcp", what, ours.text(), ours.median_ns);
        let row = row.against(kind.named(), other.text(), sooner);
        match kind {
            Kind::Node(NodePeer::Sdk) => row.goal("≥ 5 ×", sooner >= 5.0),
            _ => row,
        }
    };
    Ok(others.iter().map(row).collect())
}

/// A server asked by our client and by that of the TypeScript SDK. The server is the one by hand, since whatever it takes
/// is in both figures and makes two clients more alike.
fn asking(runtime: &Runtime, servers: &Servers<'_>, project: &Project) -> Result<Vec<Row>> {
    let what = "a step that calls a tool of a Node MCP server by hand over HTTP, sandboxed client, guard and ledger included";
    if let Some(why) = NodePeer::Sdk.lacks(servers.node) {
        return Ok(vec![Row::missing("mcp", what, why)]);
    }
    let peer = servers.over_http(Kind::Node(NodePeer::ByHand))?;
    // The server is warm before the first of the two clients comes, and not only for the second.
    let mut warm = 0;
    while warm < CALLS_TO_WARM {
        warm += over_http(runtime, peer.address, 1, TURN)?.calls();
    }
    let url = format!("http://{}/mcp", peer.address);
    let profile = format!(
        "version = 1\nname = \"peer\"\n[limits]\ndeadline = \"60s\"\n[[http]]\nurl = \"{url}\"\nmethods = [\"POST\"]\n\
         private_network = true\n"
    );
    project.file("policies/peer.toml", profile)?;
    for steps in [1, CALLS + 1] {
        project.file(&format!("asked-{steps}.yaml"), asked(&url, steps))?;
    }
    let run = |steps: usize| {
        let plan = format!("asked-{steps}.yaml");
        let line = [
            "run",
            &plan,
            "--allow-private-network",
            "--durability",
            "relaxed",
            "--json",
        ];
        Ok(project.flowhost(&line, 0)?.1)
    };
    run(1)?;
    let (one, many) = (median(TURNS, || run(1))?, median(TURNS, || run(CALLS + 1))?);
    let ours = (many.median_ns - one.median_ns) / CALLS as f64;
    let theirs = by_sdk(servers.node, &url)?;
    let ratio = ours / theirs.median_ns;
    Ok(vec![
        Row::new("mcp", what, duration(ours), ours)
            .against("the TypeScript SDK's client", theirs.text(), ratio)
            .goal("≤ 1.5 ×", ratio <= 1.5),
    ])
}

fn asked(url: &str, steps: usize) -> String {
    let step = |index: usize| {
        let needs = match index {
            0 => String::new(),
            n => format!("needs: [s{}], ", n - 1),
        };
        format!(
            "  s{index}: {{ {needs}uses: peer/run, with: {{ text: The quick brown fox, count: 3, tags: [a, b] }} }}\n"
        )
    };
    let steps: String = (0..steps).map(step).collect();
    format!(
        "flowhost: v1\nkind: workflow\nname: asked\nplugins:\n  peer: {{ kind: mcp_adapter, source: \
         \"builtin:mcp-client\", profile: peer, config: {{ url: \"{url}\" }} }}\nsteps:\n{steps}"
    )
}

fn by_sdk(node: Option<&Path>, url: &str) -> Result<Figure> {
    let calls = (CALLS * TURNS).to_string();
    let before = CALLS_TO_WARM.to_string();
    let output = script(node, "sdk-client.mjs")?
        .args([url, &calls, &before])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the TypeScript SDK's client: {said}"
    );
    let samples = std::str::from_utf8(&output.stdout)?
        .lines()
        .map(|line| line.parse::<f64>().context("a time in nanoseconds"))
        .collect::<Result<Vec<f64>>>()?;
    Ok(Figure::from_samples(samples))
}
