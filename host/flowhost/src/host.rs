//! The host of this process: what [`Ambient`] and the operator's configuration bring to
//! [`flowhost_run::Host`].
//!
//! Owns the keys' files and nothing of a run.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use flowhost_caps::http::{Identities, LoginStore, Roots};
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::{CacheConfig, Compiler, PoolConfig};
use flowhost_evidence::{html, runs, stage, story};
use flowhost_flow::Exit;
use flowhost_ledger::{Durability, HostKey, LentRecord, Reached};
use flowhost_models::Gateway;
use flowhost_run::estimate::Past;
use flowhost_run::{
    AtHand, Crowd, FactObserver, Host, HostConfig, Listener, Member, Operator, Project, Said,
    StageViews, StageWanted, Taken, Views, Workers, World,
};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::logins::Logins;
use crate::plugin::trust::Trust;
use crate::plugin::vouched::Shown;
use crate::report::problems::unreadable_in;
use crate::sources::{Sources, finding_of};
use crate::state::State;
use crate::{identities, keys, made_here, models, roots, services};

/// A host for runs whose evidence goes below `state`.
///
/// # Errors
/// When a key cannot be read or made, or the engine cannot be built.
pub fn host(
    ambient: &Ambient,
    config: &Config,
    state: &State,
    pool: PoolConfig,
    facts: Option<Arc<dyn FactObserver>>,
) -> Result<Host, Failure> {
    Host::new(parts(ambient, config, state, pool, facts)?)
}

/// As [`host`], for a process whose runs nobody looks at one by one: they leave no pages. It is built on a thread of its
/// own, so that what is to be served is read meanwhile: a pool for many guests takes milliseconds.
///
/// # Errors
/// When a key cannot be read or made, or there is no thread.
pub fn serving_host(
    ambient: &Ambient,
    config: &Config,
    state: &State,
    pool: PoolConfig,
    crowd: Option<Crowd>,
) -> Result<Coming, Failure> {
    let parts = HostConfig {
        views: Arc::new(Pages { at_end: false }),
        crowd,
        ..parts(ambient, config, state, pool, None)?
    };
    // Named: it is told in panics, and in the list of threads of who looks for what takes long.
    let builder = thread::Builder::new().name("host".to_owned());
    let building = builder.spawn(move || Host::new(parts));
    building.map(Coming).map_err(|error| {
        Failure::new(Exit::Internal, "the host cannot be built").because(error.to_string())
    })
}

/// A host that is being built.
pub struct Coming(JoinHandle<Result<Host, Failure>>);

impl Coming {
    /// Waits for it.
    ///
    /// # Errors
    /// When the engine cannot be built.
    pub fn here(self) -> Result<Host, Failure> {
        // What it panicked of was printed by its thread.
        self.0.join().unwrap_or_else(|_panic| {
            Err(
                Failure::new(Exit::Internal, "the host failed while it was built")
                    .hint("this is a bug of the host; please report it"),
            )
        })
    }
}

/// What such a host is made of, for processes that share the work of a run.
///
/// # Errors
/// When a key cannot be read or made.
pub fn parts(
    ambient: &Ambient,
    config: &Config,
    state: &State,
    pool: PoolConfig,
    facts: Option<Arc<dyn FactObserver>>,
) -> Result<HostConfig, Failure> {
    Ok(HostConfig {
        state: state.clone(),
        key: signing_key(ambient, config, state)?,
        seal_key: seal_key(ambient, state)?,
        compiler: compiler(ambient)?,
        cache: Some(cache(ambient, state)?),
        pool,
        home: ambient.var("HOME").map(PathBuf::from),
        own_addresses: services::own_addresses(),
        world: Arc::new(Here(ambient.clone())),
        operator: Arc::new(Configured {
            ambient: ambient.clone(),
            config: config.clone(),
            gateways: Mutex::default(),
            logins: Arc::new(Logins::new(ambient, config, state)),
        }),
        views: Arc::new(Pages { at_end: true }),
        past: Arc::new(Index(state.clone())),
        facts,
        server_calls_per_minute: config.server_calls_per_minute,
        workers: Workers::Here,
        crowd: None,
        bus: Box::new(flowhost_run::local_bus),
    })
}

/// The host's signing key: `FLOWHOST_SIGNING_KEY`, else the key file, made on first use.
///
/// # Errors
/// When it is malformed, or others may read the file.
pub fn signing_key(
    ambient: &Ambient,
    config: &Config,
    state: &State,
) -> Result<Arc<HostKey>, Failure> {
    if let Some(given) = keys::given(ambient)? {
        return Ok(Arc::new(given));
    }
    // Before the key, or a folder whose key was just made would look like one that came along.
    if !ambient.is_file(&state.signing_key()) {
        made_here::mark(ambient, state)?;
    }
    let key = HostKey::load_or_create(&state.signing_key(), config.host.as_deref());
    key.map(Arc::new).map_err(|error| {
        keys::unusable(&error).hint(
            "it is kept in the state folder, which must be one that you may write: `--state DIR` or FLOWHOST_STATE \
             names another",
        )
    })
}

/// Who compiles components: a child process of this executable.
///
/// # Errors
/// When the path of the executable is not known.
pub(crate) fn compiler(ambient: &Ambient) -> Result<Compiler, Failure> {
    let program = ambient.exe().map(ToOwned::to_owned);
    program
        .map(|program| Compiler::Child { program })
        .ok_or_else(|| {
            Failure::new(Exit::Internal, "the path of this executable is not known")
                .hint("components are compiled in a child process of the same executable")
        })
}

/// The cache of compiled code with the key of its MACs, made on first use.
fn cache(ambient: &Ambient, state: &State) -> Result<CacheConfig, Failure> {
    Ok(CacheConfig {
        dir: state.cache_dir(),
        key: own_key(ambient, state, &state.cache_key())?,
        program: ambient.build(),
    })
}

/// The same, where this state folder has one: to look at a plan or a component makes none.
pub(crate) fn compiled_here(ambient: &Ambient, state: &State) -> Option<CacheConfig> {
    let has_one = ambient.is_file(&state.cache_key());
    // One that cannot be used is told where a run needs it.
    has_one.then(|| cache(ambient, state).ok()).flatten()
}

/// The key that wraps those of what runs seal, made on first use.
///
/// # Errors
/// When it cannot be read or made.
pub fn seal_key(ambient: &Ambient, state: &State) -> Result<[u8; 32], Failure> {
    own_key(ambient, state, &state.seal_key())
}

/// A key of 32 bytes that only this host has, made on first use.
fn own_key(ambient: &Ambient, state: &State, path: &Path) -> Result<[u8; 32], Failure> {
    let fits = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok();
    let key = match ambient.read_secret(path, 32) {
        Ok(bytes) => fits(bytes),
        Err(error) if error.is_missing() => {
            let fresh: [u8; 32] = ambient.entropy().map_err(|error| {
                Failure::new(Exit::Internal, "the system gives no randomness")
                    .because(error.to_string())
            })?;
            made_here::mark(ambient, state)?;
            match ambient.create_secret(path, &fresh) {
                Ok(()) => Some(fresh),
                Err(_) => fits(ambient.read_secret(path, 32)?), // another process was faster
            }
        }
        Err(error) => return Err(error.into()),
    };
    let message = format!("`{}` is not a key of 32 bytes", path.display());
    key.ok_or_else(|| Failure::new(Exit::Internal, message).hint("remove it"))
}

/// This machine, for what reads and writes beside a host.
#[must_use]
pub fn world(ambient: &Ambient) -> impl World + use<> {
    Here(ambient.clone())
}

/// This machine.
struct Here(Ambient);

impl World for Here {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.fill(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let written = match durability {
            Durability::Durable => self.0.write(path, bytes),
            // Of a run whose work can be done again, by what its operator said.
            Durability::Relaxed => self.0.write_unsynced(path, bytes),
        };
        written.map_err(|error| error.source)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // What is read this way the host wrote itself, and may be as large as its payloads are.
        self.0.read(path, u64::MAX).map_err(|error| error.source)
    }

    fn lock_holder(&self, dir: &Path) -> Option<u32> {
        self.0.lock_holder(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        match self.0.list(dir) {
            // A folder that nothing was put into yet holds nothing.
            Err(error) if error.is_missing() => Ok(Vec::new()),
            other => other.map_err(|error| error.source),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path).map_err(|error| error.source)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.is_file(path)
    }

    fn folder(&self, path: &Path) -> io::Result<cap_std::fs::Dir> {
        self.0.open_dir(path).map_err(|error| error.source)
    }
}

/// What `flowhost.toml` and the environment say.
struct Configured {
    ambient: Ambient,
    config: Config,
    /// One for each folder of scripts, so that runs share rate limits and breakers. As many as the folders of the plans that
    /// whoever started this process has named: neither a plan nor a plugin names another one.
    gateways: Mutex<HashMap<PathBuf, Gateway>>,
    /// One for all runs, so that a token is renewed once.
    logins: Arc<Logins>,
}

impl Operator for Configured {
    fn secrets(&self, project: &Project) -> Result<Arc<dyn SecretStore>, Failure> {
        services::secrets(&self.ambient, &self.config, project)
    }

    fn identities(&self, project: &Project) -> Result<Arc<Identities>, Failure> {
        identities::identities(&self.ambient, &self.config, project)
    }

    fn roots(&self, project: &Project) -> Result<Arc<Roots>, Failure> {
        roots::roots(&self.ambient, &self.config, project)
    }

    fn logins(&self) -> Arc<dyn LoginStore> {
        self.logins.clone()
    }

    fn gateway(&self, project: &Project) -> Result<Gateway, Failure> {
        let folder = models::scripts_folder(&self.config, project);
        // Held while one is made: two that come at once share it, or they would each have the whole of the rate.
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gateway) = gateways.get(&folder) {
            return Ok(gateway.clone());
        }
        let gateway = models::gateway(&self.ambient, &self.config, project)?;
        gateways.insert(folder, gateway.clone());
        Ok(gateway)
    }

    fn admits(&self, member: &Member) -> Result<(), Failure> {
        // The operator's word is read anew for each: a key that was revoked a moment ago counts for the next swap.
        let sources = Sources::new(&self.ambient, &self.config, None);
        let (digest, signature) = (&member.inspection.digest, member.signature.as_deref());
        let (source, manifest) = (&member.decl.source, Some(&member.manifest));
        sources
            .admits(source, &member.path, digest, manifest, signature)
            .map_err(|found| {
                let plugin = &member.decl.name;
                let message = format!("plugin `{plugin}`: {}", found.message);
                Failure::new(Exit::Internal, message).hint(found.hint)
            })
    }

    fn vouches(
        &self,
        project: &Project,
        plugin: &str,
        tools: &BTreeMap<String, String>,
    ) -> Result<(), Finding> {
        let trust = Trust::find(&self.ambient, &self.config);
        let trust = trust.map_err(|failure| finding_of(&failure))?;
        let shown = Shown {
            project,
            plugin,
            tools,
        };
        shown.admitted(&self.ambient, &trust)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.ambient.var(name).map(ToOwned::to_owned)
    }
}

/// The report page. Its frame is larger than the ledger of a short run, so a server, which makes a run of each
/// call, leaves none: it is made of the ledger when a client reads it.
struct Pages {
    at_end: bool,
}

impl Views for Pages {
    fn page(&self) -> Option<&'static str> {
        self.at_end.then_some(html::FILE)
    }

    fn of(&self, run_dir: &Path, signed: &Reached) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        if !self.at_end {
            return Ok(Vec::new());
        }
        let story = story::read_signed(run_dir, sealed(signed)).map_err(unreadable_in(run_dir))?;
        Ok(page_of(&story))
    }

    fn listener(&self) -> Option<Box<dyn Listener>> {
        self.at_end
            .then(|| -> Box<dyn Listener> { Box::<Page>::default() })
    }

    fn stages(&self, run_dir: &Path) -> Result<Box<dyn StageViews>, Failure> {
        Ok(Box::new(Stages(
            stage::Stages::open(run_dir).map_err(unreadable_in(run_dir))?,
        )))
    }
}

/// The page of a run whose records are heard while somebody else reads them.
#[derive(Default)]
struct Page(story::Gathering);

impl Listener for Page {
    fn hear(&mut self, record: &LentRecord<'_>) {
        self.0.hear(record);
    }

    fn views(
        self: Box<Self>,
        run_dir: &Path,
        signed: &Reached,
        AtHand { payloads, plan }: &AtHand<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let story = self.0.told(run_dir, sealed(signed), payloads, *plan);
        Ok(page_of(&story.map_err(unreadable_in(run_dir))?))
    }
}

fn sealed(signed: &Reached) -> story::Sealed {
    story::Sealed {
        size: signed.size,
        root: signed.root.clone(),
    }
}

fn page_of(story: &story::Story) -> Vec<(String, Vec<u8>)> {
    vec![(html::FILE.to_owned(), html::page(story).into_bytes())]
}

/// The files of one run's stages.
struct Stages(stage::Stages);

impl StageViews for Stages {
    fn stage(
        &mut self,
        wanted: StageWanted,
        taken: &Taken<'_>,
        each: &mut dyn FnMut(String, Vec<u8>),
    ) -> Result<Vec<Said>, Failure> {
        let wanted = stage::Wanted {
            spec_id: wanted.spec_id,
            run_id: wanted.run_id,
            step_id: wanted.step_id,
            footprint_bytes: wanted.footprint_bytes,
            costs: wanted.costs,
            answers: wanted.answers,
        };
        let mut hand_over = |view: stage::View| each(view.path, view.bytes);
        let answers = self.0.views(&wanted, taken, &mut hand_over);
        let answers = answers.map_err(|error| {
            let message = "the evidence of a stage cannot be made";
            Failure::new(Exit::Internal, message).caused_by(&error)
        })?;
        let said = answers.into_iter().map(|answer| Said {
            agent: answer.agent,
            status: answer.status,
            agreement_ratio: answer.agreement_ratio,
            at: answer.at,
            text: answer.text,
        });
        Ok(said.collect())
    }
}

/// Earlier runs, as the index knows them.
pub struct Index(pub State);

impl Past for Index {
    fn runs(&self, plan: &str, most: usize) -> Vec<String> {
        // The start of a run must not grow with the number of runs before it.
        let all = runs::newest(self.0.root(), self.0.tenant()).unwrap_or_default();
        let same = all
            .into_iter()
            .rev()
            .filter(|run| run.plan == plan && run.ended.is_some() && run.removed.is_none());
        same.take(most).map(|run| run.run_id).collect()
    }
}
