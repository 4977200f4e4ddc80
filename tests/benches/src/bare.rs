//! The baseline: the same component in plain wasmtime, pooled and copy-on-write like ours, without
//! fuel, epochs, limits, decisions or records.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package flowhost:bare;
            world bare { export flowhost:roles/tool@0.1.0; }
        ",
        path: ["../../wit/types/0.1.0", "../../wit/roles/0.1.0"],
        world: "flowhost:bare/bare",
    });
}

use bindings::exports::flowhost::roles::tool::Context as CallContext;

/// A tool component in plain wasmtime.
pub(crate) struct Bare {
    engine: Engine,
    pre: bindings::BarePre<()>,
}

impl Bare {
    /// Compiles the component at `path`. What it imports is there, and traps when it is called.
    ///
    /// # Errors
    /// When it does not compile.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark reads its own guest"
    )]
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        let engine = Engine::new(&config).map_err(|error| anyhow!("{error:?}"))?;
        let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        let component = Component::new(&engine, bytes).map_err(|error| anyhow!("{error:?}"))?;
        let mut linker = Linker::new(&engine);
        linker
            .define_unknown_imports_as_traps(&component)
            .map_err(|error| anyhow!("{error:?}"))?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(bindings::BarePre::new)
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok(Self { engine, pre })
    }

    /// A fresh instance and one call; the alias `json` makes the bindings ask for a `&String`.
    ///
    /// # Errors
    /// When the guest traps or answers with an error.
    pub(crate) fn call(&self, input: &String) -> Result<usize> {
        self.call_of("call", input)
    }

    /// As [`Bare::call`], of the tool with this name.
    ///
    /// # Errors
    /// When the guest traps or answers with an error.
    pub(crate) fn call_of(&self, name: &str, input: &String) -> Result<usize> {
        let mut store = Store::new(&self.engine, ());
        let tool = self
            .pre
            .instantiate(&mut store)
            .map_err(|error| anyhow!("{error:?}"))?;
        let content = tool
            .flowhost_roles_tool()
            .call_call(&mut store, &context(), name, input)
            .map_err(|error| anyhow!("{error:?}"))?
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok(content.value.len())
    }

    /// A fresh instance alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn instantiate(&self) -> Result<()> {
        let mut store = Store::new(&self.engine, ());
        self.pre
            .instantiate(&mut store)
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok(())
    }
}

/// The pool as it is fastest, so that the comparison is hard on us: pages stay resident, and the
/// kernel says which were touched.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(8 << 20);
    pool.table_keep_resident(64 << 10);
    pool.pagemap_scan(Enabled::Auto);
    pool
}

fn context() -> CallContext {
    CallContext {
        run: "01JDAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        call: "1".to_owned(),
        step: "0123456789abcdef".to_owned(),
        attempt: 1,
        actor: "default/guest".to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        deadline_ms: 30_000.0,
        seed: "00".repeat(32),
        key: "0123456789abcdef0123456789abcdef".to_owned(),
    }
}
