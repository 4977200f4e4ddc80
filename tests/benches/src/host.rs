//! Our side: the same component through engine, limits and ledger, as a worker of the host calls it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use flowhost_engine::{
    CacheConfig, CallScope, Capability, Compiler, Engine, EngineConfig, Inspected, Meter, Origin,
    Plugin, PoolConfig, Providers, RunScope, ShapeLimits,
};
use flowhost_ledger::records::{ToolCall, ToolResult, UsedPart};
use flowhost_ledger::{Durability, Fact, HostKey, Ledger, LedgerOptions, Recorder};
use flowhost_policy::Effective;

/// A prepared plugin and a relaxed ledger to write to.
pub(crate) struct Host {
    /// The plugin under test.
    pub plugin: Plugin,
    /// Where its code came from.
    pub origin: Origin,
    run: RunScope,
    effective: Arc<Effective>,
}

/// Where compiled code is kept during one benchmark.
pub(crate) fn cache(folder: &Path) -> CacheConfig {
    CacheConfig {
        dir: folder.join("cache"),
        key: [7; 32],
        program: "test".to_owned(),
    }
}

/// An engine of this process.
///
/// # Errors
/// When wasmtime does not start.
pub(crate) fn engine(
    cache: Option<CacheConfig>,
    slots: u32,
    capabilities: Vec<Arc<dyn Capability>>,
) -> Result<Engine> {
    Ok(Engine::new(EngineConfig {
        compiler: Compiler::InProcess,
        cache,
        shape: ShapeLimits::default(),
        pool: PoolConfig {
            slots,
            ..PoolConfig::default()
        },
        capabilities,
    })?)
}

/// A guest's bytes.
///
/// # Errors
/// When it was not built.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark reads its own guest"
)]
pub(crate) fn bytes(path: &Path) -> Result<Arc<[u8]>> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("{}: build it with cargo xtask build-guests", path.display()))?;
    Ok(bytes.into())
}

/// A guest as a process has it that has read its file before.
///
/// # Errors
/// When it was not built.
pub(crate) fn inspected(path: &Path) -> Result<Inspected> {
    Ok(Inspected::new(bytes(path)?, &ShapeLimits::default())?)
}

/// A ledger in `folder`.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn ledger(folder: &Path, durability: Durability) -> Result<Ledger> {
    let key = Arc::new(HostKey::from_seed("bench.example", [1; 32])?);
    let mut options = LedgerOptions::new(folder, "default", "01JDAAAAAAAAAAAAAAAAAAAAAA", key);
    options.durability = durability;
    Ok(Ledger::open(&options)?)
}

impl Host {
    /// Loads and prepares `component` under `effective`.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) async fn new(
        engine: &Engine,
        component: &Inspected,
        effective: Effective,
        recorder: Arc<dyn Recorder>,
        providers: Providers,
    ) -> Result<Self> {
        let component = engine.load_inspected(component).await?;
        let effective = Arc::new(effective);
        let plugin = engine.prepare(&component, effective.clone())?;
        let run = RunScope {
            tenant: "default".into(),
            run: "01JDAAAAAAAAAAAAAAAAAAAAAA".into(),
            seed: [0; 32],
            started_ms: 1_790_000_000_000,
            recorder,
            providers,
            own_calls: Arc::default(),
            memory: None,
        };
        Ok(Self {
            plugin,
            origin: component.origin(),
            run,
            effective,
        })
    }

    /// The scope of one call, as the worker makes it.
    #[must_use]
    pub(crate) fn scope(&self) -> CallScope {
        let deadline = Duration::from_millis(self.effective.limits.deadline_ms);
        CallScope {
            run: self.run.clone(),
            call: "1".into(),
            root: "1".into(),
            made: Arc::default(),
            key: "".into(),
            step: "0123456789abcdef".into(),
            attempt: 1,
            plugin: "guest".into(),
            digest: self.plugin.digest(),
            revision: 1,
            effective: self.effective.clone(),
            config: "{}".into(),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            deadline: tokio::time::Instant::now() + deadline,
            keyed: false,
            callers: Arc::from([]),
            meter: Arc::new(Meter::default()),
        }
    }

    /// A fresh instance and one call, with its intent and its result in the ledger: the number of the
    /// result's record. The guests of tests answer by whatever name they are called.
    ///
    /// # Errors
    /// When the guest or the ledger fails.
    pub(crate) async fn call(&self, input: &str) -> Result<u64> {
        self.call_of("call", input).await
    }

    /// As [`Host::call`], of the tool with this name.
    ///
    /// # Errors
    /// When the guest or the ledger fails.
    pub(crate) async fn call_of(&self, tool: &str, input: &str) -> Result<u64> {
        let scope = self.scope();
        let intent = scope.said(ToolCall {
            tool: tool.to_owned(),
            ..ToolCall::default()
        });
        scope.run.recorder.append(with_payload(intent, input))?;
        let report = self.plugin.call_tool(scope.clone(), tool, input).await;
        let content = report.result.map_err(|fault| anyhow!("{fault}"))?;
        let result = scope.said(ToolResult {
            tool: tool.to_owned(),
            status: "ok".to_owned(),
            used: UsedPart {
                fuel: Some(report.used.fuel),
                ..UsedPart::default()
            },
            ..ToolResult::default()
        });
        let recorder = &scope.run.recorder;
        Ok(recorder.append(with_payload(result, &content.value))?)
    }
}

fn with_payload(fact: Fact, text: &str) -> Fact {
    fact.payload(text.as_bytes().to_vec())
}

/// `target/guests/NAME.wasm` of this repository.
#[must_use]
pub(crate) fn guest(name: &str) -> PathBuf {
    repository().join(format!("target/guests/{name}.wasm"))
}

/// The root of the repository.
#[must_use]
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
