//! The one wasmtime engine of a process, and the way a component takes through it: inspected,
//! compiled or found in the cache, loaded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::cache::{Cache, CacheConfig, CacheError};
use crate::capability::Capability;
use crate::code::Code;
use crate::compile::{CompileError, CompileService, Compiler};
use crate::inspect::{self, InspectError, Inspected, Inspection, Inspections, ShapeLimits};
use crate::knobs::{self, PoolConfig};
use crate::prepare::{MissingRight, Served};
use crate::ticker;

/// What an engine is built from.
#[derive(Clone)]
pub struct EngineConfig {
    /// Who compiles.
    pub compiler: Compiler,
    /// Where compiled code is kept; without it every start compiles anew.
    pub cache: Option<CacheConfig>,
    /// How big a component may be.
    pub shape: ShapeLimits,
    /// How many guests can be alive at once.
    pub pool: PoolConfig,
    /// Everything that a profile can grant.
    pub capabilities: Vec<Arc<dyn Capability>>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// wasmtime refused the configuration, or the machine lacks the address space.
    #[error("the WebAssembly engine cannot be built: {0}")]
    Wasmtime(String),
    /// The ticker thread did not start.
    #[error("the engine's ticker cannot be started")]
    Ticker(#[source] std::io::Error),
    /// Two capabilities serve the same interface, which is a bug.
    #[error("`{interface}` is served by `{first}` and by `{second}`")]
    ServedTwice {
        /// The interface.
        interface: String,
        /// One capability.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

/// Why a component cannot be loaded or prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It was refused before compiling.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The effective profile does not grant everything that it imports.
    #[error("the component wants more than it is granted: {}", wanted(.0))]
    Missing(Vec<MissingRight>),
    /// An import is there, but not as the component expects it; or an export of its role is not.
    #[error("the component does not fit this host: {0}")]
    Link(String),
    /// wasmtime refused code that our own compiler made.
    #[error("the compiled component cannot be loaded: {0}")]
    Load(String),
}

fn wanted(missing: &[MissingRight]) -> String {
    missing
        .iter()
        .map(|right| right.interface.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Where the native code of a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled just now.
    Compiled,
    /// The cache on disk had it.
    Cache,
}

/// A component in memory, ready to be prepared for a plugin. Cheap to clone; loading the same bytes
/// again while one is alive gives the same.
#[derive(Clone)]
pub struct LoadedComponent(pub(crate) Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) inspected: Inspected,
    pub(crate) component: Component,
    origin: Origin,
}

impl LoadedComponent {
    /// What inspection found.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.0.inspected
    }

    /// `sha256:…` of its bytes.
    #[must_use]
    pub fn digest(&self) -> Arc<str> {
        self.0.inspected.digest.clone()
    }

    /// Where its code came from when it was first loaded.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent")
            .field("digest", &self.0.inspected.digest)
            .finish()
    }
}

/// The engine. Clones share everything.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

type Slot = Arc<tokio::sync::Mutex<Weak<Loaded>>>;

pub(crate) struct Inner {
    /// What the next component is loaded into. Whoever has a component takes the one that it belongs to: [`Engine::rest`]
    /// puts another here, and a component of one and a store of another do not fit.
    wasmtime: RwLock<wasmtime::Engine>,
    pub(crate) served: Served,
    /// Memory slots of the pool that are free.
    pub(crate) slots: Semaphore,
    pub(crate) pool: PoolConfig,
    shape: ShapeLimits,
    compile: CompileService,
    cache: Result<Option<Cache>, CacheError>,
    /// None without a cache.
    inspections: Option<Inspections>,
    /// Components in memory by digest; the lock of a slot makes concurrent loads of one component
    /// compile it once.
    loaded: Mutex<HashMap<Arc<str>, Slot>>,
    warm: Warm,
}

impl Engine {
    /// Builds the engine and starts its ticker.
    ///
    /// A cache directory that cannot be used does not fail: the engine compiles and
    /// [`Engine::cache_problem`] tells why.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let wasmtime = ticking(config.pool)?;
        let cache = config
            .cache
            .as_ref()
            .map(|it| Cache::open(it, &wasmtime))
            .transpose();
        if let Err(error) = &cache {
            tracing::warn!(%error, "compiling without a cache");
        }
        // What keeps the folder from being used was told of the cache.
        let inspections = config
            .cache
            .as_ref()
            .and_then(|it| Inspections::open(it).ok());
        Ok(Self(Arc::new(Inner {
            served: Served::new(config.capabilities)?,
            // As many as the pool has: a call waits for one until its deadline, where the pool
            // itself would fail at once.
            slots: Semaphore::new(config.pool.slots as usize),
            pool: config.pool,
            shape: config.shape,
            compile: CompileService::new(config.compiler),
            cache,
            inspections,
            loaded: Mutex::default(),
            warm: Warm::default(),
            wasmtime: RwLock::new(wasmtime),
        })))
    }

    /// Looks at a component without compiling it.
    ///
    /// # Errors
    /// [`InspectError`]: not a component, too big, no role, or newer than this host.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, InspectError> {
        let inspection = inspect::inspect(bytes, &self.0.shape)?;
        self.0.served.reject_newer(&inspection)?;
        Ok(inspection)
    }

    /// Inspects and compiles a component, or takes its code from memory or the cache.
    ///
    /// # Errors
    /// [`LoadError::Inspect`], [`LoadError::Compile`] or [`LoadError::Load`].
    pub async fn load(&self, bytes: Arc<[u8]>) -> Result<LoadedComponent, LoadError> {
        let shape = self.0.shape;
        let inspected = blocking(move || Inspected::new(bytes, &shape)).await??;
        self.load_inspected(&inspected).await
    }

    /// As [`Engine::load`], for a component that was looked at before: its bytes are neither hashed nor
    /// inspected again.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub async fn load_inspected(
        &self,
        inspected: &Inspected,
    ) -> Result<LoadedComponent, LoadError> {
        let mut inspected = inspected.clone();
        if !inspected.was_within(&self.0.shape) {
            let (bytes, shape) = (inspected.bytes().clone(), self.0.shape);
            inspected = blocking(move || Inspected::new(bytes, &shape)).await??;
        }
        // Before the slot and before compiling: no profile could grant it.
        self.0.served.reject_newer(&inspected)?;
        let slot = self.slot(&inspected.digest);
        // Held over the compilation: whoever wants the same component waits for this one and
        // compiles none.
        let mut slot = slot.lock().await;
        if let Some(loaded) = slot.upgrade() {
            self.0.warm.keep(&loaded);
            return Ok(LoadedComponent(loaded));
        }
        let (component, origin) = self.component(&inspected).await?;
        if !inspected.was_recalled() {
            let (engine, found) = (self.clone(), inspected.clone());
            blocking(move || engine.keep_found(&found)).await?;
        }
        let loaded = Arc::new(Loaded {
            inspected,
            component,
            origin,
        });
        // Weak: a component lives as long as a plugin uses it, and `warm` for a while longer.
        *slot = Arc::downgrade(&loaded);
        self.0.warm.keep(&loaded);
        Ok(LoadedComponent(loaded))
    }

    /// For who compiles again and again: from now on a compiler waits for the next component. Within a runtime only.
    pub fn keep_compiler_ready(&self) {
        self.0.compile.keep_ready();
    }

    /// Gives back what is kept because the next call may come soon: code that nothing uses, and the places in which
    /// guests were. For who serves for long, when nothing runs; what runs all the same is not disturbed.
    ///
    /// A place keeps what a guest wrote in it and a stack how deep it ever was, for the next guest, and there are as many
    /// as guests were ever alive at once (for each processor, because wasmtime counts them apart). None of them is ever
    /// given back by itself, so the longer a server lives, the rarer the burst that it holds the memory of. All of them
    /// go with their pool, and so does a component. To load one again from the cache takes less than a millisecond, and
    /// 20 for the largest script engine.
    ///
    /// # Errors
    /// As [`Engine::new`]; everything stays as it was then.
    pub fn rest(&self) -> Result<(), EngineError> {
        let fresh = ticking(self.0.pool)?;
        let mut current = self
            .0
            .wasmtime
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, fresh);
        // A pool is unmapped without the lock: a run may begin meanwhile.
        drop(current);
        self.0.warm.let_go();
        drop(before);
        Ok(())
    }

    /// Bytes of memory in the places for guests where no guest is, as far as wasmtime counts them.
    #[must_use]
    pub fn idle_bytes(&self) -> usize {
        let metrics = self.wasmtime().pooling_allocator_metrics();
        metrics.map_or(0, |it| it.unused_memory_bytes_resident())
    }

    fn wasmtime(&self) -> wasmtime::Engine {
        let current = self.0.wasmtime.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the cache that was configured is not used, if so.
    #[must_use]
    pub fn cache_problem(&self) -> Option<&CacheError> {
        self.0.cache.as_ref().err()
    }

    fn slot(&self, digest: &Arc<str>) -> Slot {
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Swept at each look, so that components that nobody uses leave no names behind. One that
        // somebody holds is being loaded.
        loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || alive(slot));
        loaded.entry(digest.clone()).or_default().clone()
    }

    async fn component(&self, inspected: &Inspected) -> Result<(Component, Origin), LoadError> {
        let (digest, bytes) = (&inspected.digest, inspected.bytes().clone());
        let (engine, key) = (self.clone(), digest.clone());
        let known = blocking(move || {
            engine
                .cached(&key)
                .map(Ok)
                .or_else(|| engine.refused(&key).map(Err))
        });
        if let Some(known) = known.await? {
            return Ok((known?, Origin::Cache));
        }
        let compiled = self.0.compile.compile(&self.wasmtime(), bytes).await;
        let (engine, key) = (self.clone(), digest.clone());
        let component = blocking(move || match compiled {
            Ok(code) => engine.keep(&key, &code),
            Err(error) => {
                engine.remember(&key, &error);
                Err(error.into())
            }
        });
        Ok((component.await??, Origin::Compiled))
    }

    /// Why an earlier compilation of this component ended without code: a component that took all that
    /// a compilation may take would take it again in every run.
    fn refused(&self, digest: &str) -> Option<CompileError> {
        let cache = self.cache()?;
        let entry = cache.refusal(digest);
        // What cannot be read back was not kept, and is found out once more.
        let told = cache.get(&entry)?.into_bytes().ok()?;
        CompileError::recall(&told, &cache.path(&entry))
    }

    fn remember(&self, digest: &str, error: &CompileError) {
        if let (Some(cache), Some(told)) = (self.cache(), error.to_be_kept()) {
            cache.put(&cache.refusal(digest), told.as_bytes());
        }
    }

    /// Keeps what inspection found, of what can be loaded only: nothing else is met again.
    fn keep_found(&self, inspected: &Inspected) {
        if let Some(inspections) = &self.0.inspections {
            inspections.keep(inspected);
        }
    }

    fn cache(&self) -> Option<&Cache> {
        self.0.cache.as_ref().ok()?.as_ref()
    }

    fn cached(&self, digest: &str) -> Option<Component> {
        let cache = self.cache()?;
        let code = cache.get(&cache.entry(digest))?;
        self.map(code)
            .inspect_err(|error| tracing::warn!(%error, "cached code does not load; compiling"))
            .ok()
    }

    fn keep(&self, digest: &str, code: &[u8]) -> Result<Component, LoadError> {
        // Loaded before it is kept: what this engine does not take must not lie in the cache.
        let component = self.deserialize(code)?;
        if let Some(cache) = self.cache() {
            cache.put(&cache.entry(digest), code);
        }
        Ok(component)
    }

    /// Loads authenticated code, without a copy where the system can.
    fn map(&self, code: Code) -> Result<Component, LoadError> {
        #[cfg(target_os = "linux")]
        if let Some(path) = code.path() {
            #[expect(
                unsafe_code,
                reason = "the file in memory is sealed and carried our MAC"
            )]
            // SAFETY: the path is the descriptor of a file that `Cache::get` filled, authenticated and
            // sealed: it holds what `precompile_component` made, and nobody can change it.
            let mapped = unsafe { Component::deserialize_file(&self.wasmtime(), path) };
            // Without /proc, or where files in memory may not be executed, the copy below serves.
            match mapped {
                Ok(component) => return Ok(component),
                Err(error) => tracing::debug!(%error, "cached code cannot be mapped"),
            }
        }
        let bytes = code
            .into_bytes()
            .map_err(|error| LoadError::Load(error.to_string()))?;
        self.deserialize(&bytes)
    }

    fn deserialize(&self, code: &[u8]) -> Result<Component, LoadError> {
        #[expect(
            unsafe_code,
            reason = "the bytes come from our own compiler in this run, or carry our MAC"
        )]
        // SAFETY: `code` was made by `precompile_component`, in this process, in the child that runs
        // this build, or earlier with the MAC checked by `Cache::get`. Nothing else reaches here.
        let component = unsafe { Component::deserialize(&self.wasmtime(), code) };
        component.map_err(|error| LoadError::Load(format!("{error:#}")))
    }
}

/// Machine code that stays mapped although nothing uses it: about what eight script engines have.
const WARM_BYTES_MAX: usize = 256 << 20;

/// The components that were used last, oldest first. A server's calls come one after the other, and each would
/// else load what the one before has just let go.
#[derive(Default)]
struct Warm(Mutex<VecDeque<Arc<Loaded>>>);

impl Warm {
    fn keep(&self, loaded: &Arc<Loaded>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|it| !Arc::ptr_eq(it, loaded));
        kept.push_back(loaded.clone());
        let mut bytes: usize = kept.iter().map(|it| it.code_bytes()).sum();
        while bytes > WARM_BYTES_MAX
            && let Some(oldest) = kept.pop_front()
        {
            bytes = bytes.saturating_sub(oldest.code_bytes());
        }
    }

    fn let_go(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let let_go = std::mem::take(&mut *kept);
        // Code is unmapped without the lock.
        drop(kept);
        drop(let_go);
    }
}

impl Loaded {
    /// Bytes of its image in memory, code and data.
    fn code_bytes(&self) -> usize {
        let image = self.component.image_range();
        (image.end as usize).saturating_sub(image.start as usize)
    }
}

/// wasmtime with a pool, and the threads that count its time.
fn ticking(pool: PoolConfig) -> Result<wasmtime::Engine, EngineError> {
    let wasmtime = wasmtime::Engine::new(&knobs::running(pool))
        .map_err(|error| EngineError::Wasmtime(format!("{error:#}")))?;
    ticker::start(&wasmtime).map_err(EngineError::Ticker)?;
    Ok(wasmtime)
}

/// Runs what would hold a runtime thread for milliseconds elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Load(error.to_string()))
}

fn alive(slot: &Slot) -> bool {
    slot.try_lock()
        // Locked means that it is being loaded.
        .map_or(true, |loaded| loaded.strong_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_before_a_rest_ends_with_it() {
        let engine = Engine::new(EngineConfig {
            compiler: Compiler::InProcess,
            cache: None,
            shape: ShapeLimits::default(),
            pool: PoolConfig::default(),
            capabilities: Vec::new(),
        });
        let engine = engine.unwrap();
        let before = engine.wasmtime().weak();
        engine.rest().unwrap();
        // Its clock holds it for the moment of a tick.
        let ended = (0..200).any(|_| {
            std::thread::sleep(crate::ticker::TICK);
            before.upgrade().is_none()
        });
        assert!(ended, "something of the engine holds it");
    }
}
