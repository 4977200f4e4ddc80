//! What a process lends to its runs, opened: the engine with its compile cache, the keys, the stores, the network.
//!
//! Made of what the process brought ([`HostConfig`]), once, before any run. Knows no run, and no other room: all of
//! them are lent from it. What is costly is opened when the first run needs it.

use std::sync::{Arc, OnceLock};

use flowhost_caps::http::HttpServices;
use flowhost_caps::state::FolderStore;
use flowhost_engine::{Engine, EngineConfig, ShapeLimits};
use flowhost_flow::Exit;
use flowhost_ledger::RunIndex;

use crate::base::failure::Failure;
use crate::given::world::HostConfig;

/// See the module.
pub(crate) struct Process {
    pub(crate) config: HostConfig,
    pub(crate) engine: Engine,
    /// Host-owned state; opened when the first run needs it.
    store: OnceLock<Arc<FolderStore>>,
    /// What sends requests; made when the first run needs it.
    network: OnceLock<HttpServices>,
    /// The runs of the tenant. One for all of them, so that they queue for it here.
    pub(crate) index: RunIndex,
    /// What killed runs left has been signed.
    pub(crate) swept: OnceLock<()>,
}

impl Process {
    /// Builds the engine. No folder is made and nothing is compiled.
    pub(crate) fn new(config: HostConfig) -> Result<Self, Failure> {
        let engine = Engine::new(EngineConfig {
            compiler: config.compiler.clone(),
            cache: config.cache.clone(),
            shape: ShapeLimits::default(),
            pool: config.pool,
            capabilities: flowhost_caps::all(),
        });
        let engine = engine.map_err(|error| {
            Failure::new(Exit::Internal, "the engine cannot be built").caused_by(&error)
        })?;
        let state = &config.state;
        let index = RunIndex::new(state.root(), state.tenant(), config.key.clone());
        Ok(Self {
            index,
            config,
            engine,
            store: OnceLock::new(),
            network: OnceLock::new(),
            swept: OnceLock::new(),
        })
    }

    /// Random bytes of the world.
    pub(crate) fn entropy<const N: usize>(&self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.config.world.fill(&mut bytes).map_err(|error| {
            Failure::new(Exit::Internal, "the system gives no randomness")
                .because(error.to_string())
        })?;
        Ok(bytes)
    }

    /// State that outlives runs, one store for all of them.
    pub(crate) fn store(&self) -> Result<Arc<FolderStore>, Failure> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let path = self.config.state.tenant_dir().join("state");
        let folder = self.config.world.folder(&path).map_err(|error| {
            let message = format!("`{}` cannot be opened", path.display());
            Failure::new(Exit::Internal, message).because(error.to_string())
        })?;
        // Of two runs that come here at once, one store wins: two would not see each other's writes.
        Ok(self
            .store
            .get_or_init(|| Arc::new(FolderStore::new(folder)))
            .clone())
    }

    /// What sends requests, without secrets and without the second key to private addresses: those are
    /// a run's.
    pub(crate) fn network(&self) -> Result<&HttpServices, Failure> {
        if let Some(network) = self.network.get() {
            return Ok(network);
        }
        let addresses = self.config.own_addresses.clone();
        let made = HttpServices::system(Arc::new(NoSecrets), addresses, false);
        let made = made.map_err(|error| {
            Failure::new(Exit::Internal, "TLS cannot be set up").because(error.to_string())
        })?;
        Ok(self.network.get_or_init(|| made))
    }
}

struct NoSecrets;

impl flowhost_caps::secrets::SecretStore for NoSecrets {
    fn get(&self, _: &str) -> Option<zeroize::Zeroizing<String>> {
        None
    }
}
