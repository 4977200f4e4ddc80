//! Private memory of idle instances: 1,000 guests alive at once, each waiting inside a host call.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Effective, Grants, Limits};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;

use crate::host::{Host, engine, guest, inspected};
use crate::report::Row;

const INSTANCES: u32 = 1_000;
const GOAL_BYTES: f64 = 64.0 * 1024.0;

/// A stand-in for `flowhost:budget` that answers only when the gate opens.
struct Gate {
    waiting: AtomicUsize,
    open: Semaphore,
}

struct GateState(Arc<Gate>);
struct GateCapability(Arc<Gate>);

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package flowhost:gate;
            world gate { import flowhost:budget/budget@0.1.0; }
        ",
        path: ["../../wit/types/0.1.0", "../../wit/budget/0.1.0"],
        world: "flowhost:gate/gate",
        imports: { default: async },
    });
}

use bindings::flowhost::budget::budget;

impl budget::Host for &mut GateState {
    async fn left(&mut self) -> budget::Remaining {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        // Closed for good once everyone may go on: an error is the signal.
        let _ = self.0.open.acquire().await;
        let number = "0".to_owned();
        budget::Remaining {
            fuel: number.clone(),
            host_calls: number.clone(),
            deadline_ms: 0.0,
            tokens: number.clone(),
            micro_usd: number,
        }
    }
}

struct GateData;

impl wasmtime::component::HasData for GateData {
    type Data<'a> = &'a mut GateState;
}

impl Capability for GateCapability {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["flowhost:budget/budget@0.1.0"]
    }

    fn granted(&self, effective: &Effective) -> bool {
        effective.grants.budget
    }

    fn cure(&self) -> &'static str {
        "budget = true"
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted {
            budget::add_to_linker::<_, GateData>(linker, |state| state.parts::<GateState>().state)?;
        }
        Ok(())
    }
}

impl Provider for GateCapability {
    fn capability(&self) -> &dyn Capability {
        self
    }

    fn open(&self, _: &CallScope, _: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(GateState(self.0.clone())))
    }
}

/// Private bytes per idle instance.
///
/// # Errors
/// When the guest is missing or fails.
pub(crate) fn rows(runtime: &Runtime) -> Result<Vec<Row>> {
    let gate = Arc::new(Gate {
        waiting: AtomicUsize::new(0),
        open: Semaphore::new(0),
    });
    let engine = engine(
        None,
        INSTANCES + 8,
        vec![Arc::new(GateCapability(gate.clone()))],
    )?;
    let limits = Limits {
        instances: u64::from(INSTANCES),
        ..Limits::default()
    };
    let grants = Grants {
        budget: true,
        ..Grants::default()
    };
    let effective = Effective {
        limits,
        grants,
        ..Effective::default()
    };
    let recorder = Arc::new(MemoryRecorder::default());
    let bytes = runtime.block_on(async {
        let brought = Arc::new([Arc::new(GateCapability(gate.clone())) as Arc<dyn Provider>]);
        let component = inspected(&guest("ok_budget"))?;
        let host = Host::new(&engine, &component, effective, recorder, brought).await?;
        let host = Arc::new(host);
        let before = private_bytes()?;
        let calls: Vec<_> = (0..INSTANCES)
            .map(|_| {
                let host = host.clone();
                tokio::spawn(async move { host.call("{}").await })
            })
            .collect();
        while gate.waiting.load(Ordering::SeqCst) < INSTANCES as usize {
            ensure!(
                !calls.iter().any(tokio::task::JoinHandle::is_finished),
                "a guest ended early"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let bytes = private_bytes()?.saturating_sub(before) / u64::from(INSTANCES);
        gate.open.close();
        for call in calls {
            call.await??;
        }
        anyhow::Ok(bytes)
    })?;
    let value = bytes as f64;
    let figure = format!("{:.1} KiB", value / 1024.0);
    Ok(vec![
        Row::new(
            "memory",
            "private memory per idle Rust guest, 1,000 alive",
            figure,
            value,
        )
        .goal("≤ 64 KiB", value <= GOAL_BYTES),
    ])
}

/// Private pages of this process, from the kernel's own sum.
pub(crate) fn private_bytes() -> Result<u64> {
    private_bytes_of(std::process::id())
}

/// The same of a process that the benchmark started.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark reads its own memory map, and that of its children"
)]
pub(crate) fn private_bytes_of(process: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kib = rollup
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum::<u64>();
    ensure!(kib > 0, "the kernel shows no private memory");
    kib.checked_mul(1024).context("absurd size")
}
