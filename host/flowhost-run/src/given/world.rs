//! What a host is made of: the binary brings the world, a test or a simulation brings another.
//!
//! Time that passes is tokio's (a test pauses it, and a runtime of one thread then takes every step in
//! the same order); everything else that differs from one process to the next comes in through these
//! traits. Nothing in this crate opens a file of its own, reads a variable or asks the system's clock.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_bus::{Bus, LocalBus, LocalConfig};
use flowhost_caps::http::{Identities, LoginStore, NoLogins, Roots};
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::{CacheConfig, Compiler, PoolConfig};
use flowhost_flow::Plan;
use flowhost_ledger::{Durability, FactListener, HostKey, LentRecord, Payloads, Reached};
use flowhost_models::Gateway;
use tokio::runtime::Handle;

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::state::State;
use crate::given::project::{Member, Project};

/// Wall time, randomness and the disk.
pub trait World: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Fills `bytes` with randomness that nobody can guess.
    ///
    /// # Errors
    /// What the system says.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes a file so that a reader sees the old or the new content, never half of it. A durable one is on
    /// the disk on return; a relaxed one when the system writes it, and a loss of power may take it.
    ///
    /// # Errors
    /// What the disk says.
    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()>;

    /// Reads a file that the host wrote.
    ///
    /// # Errors
    /// What the disk says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The process that holds the lock of a folder, where the system says it.
    fn lock_holder(&self, _dir: &Path) -> Option<u32> {
        None
    }

    /// The names of a folder's files; none where there is no such folder.
    ///
    /// # Errors
    /// What the disk says, and that this world has no other processes that could put files anywhere.
    fn list(&self, _dir: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file that a process of this host wrote.
    ///
    /// # Errors
    /// What the disk says.
    fn remove(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a file stands at the path.
    fn is_file(&self, path: &Path) -> bool;

    /// A folder as a handle, made (for its owner only) where it is not there.
    ///
    /// # Errors
    /// What the disk says.
    fn folder(&self, path: &Path) -> io::Result<cap_std::fs::Dir>;
}

/// What the operator of this host has configured, as far as a project may have it.
pub trait Operator: Send + Sync + 'static {
    /// The secrets that the project's profiles name, and no others: what nobody may use is not read.
    ///
    /// # Errors
    /// A source that is configured and cannot be read.
    fn secrets(&self, project: &Project) -> Result<Arc<dyn SecretStore>, Failure>;

    /// Whom the host may say that it is, of those that the project's profiles name.
    ///
    /// # Errors
    /// One whose files cannot be used.
    fn identities(&self, _project: &Project) -> Result<Arc<Identities>, Failure> {
        Ok(Arc::default())
    }

    /// Servers that authorities of the operator's own vouch for, instead of the web's.
    ///
    /// # Errors
    /// An authority whose file cannot be used.
    fn roots(&self, _project: &Project) -> Result<Arc<Roots>, Failure> {
        Ok(Arc::default())
    }

    /// Tokens of the operator's logins, of which a rule of a profile names each that it takes.
    fn logins(&self) -> Arc<dyn LoginStore> {
        Arc::new(NoLogins)
    }

    /// Asks the models that the operator has configured. Runs that are handed the same gateway share
    /// its rate limits and its breakers.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration of models.
    fn gateway(&self, project: &Project) -> Result<Gateway, Failure>;

    /// Whether the operator lets this plugin run: asked of each when a run starts and of the new one when a
    /// plugin is swapped, whoever loaded it and whenever.
    ///
    /// # Errors
    /// Why not.
    fn admits(&self, member: &Member) -> Result<(), Failure>;

    /// Whether the operator lets an MCP server be used that shows these tools, each with its hash: asked when a run has
    /// connected, before its first step.
    ///
    /// # Errors
    /// Why not.
    fn vouches(
        &self,
        _project: &Project,
        _plugin: &str,
        _tools: &BTreeMap<String, String>,
    ) -> Result<(), Finding> {
        Ok(())
    }

    /// A variable of this process that a profile takes with `from`.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Which runs there were.
pub trait Past: Send + Sync {
    /// The newest runs of the plan of this name that have ended, newest first, at most `most`; none
    /// where that cannot be read, because an estimate must not keep a run from starting.
    fn runs(&self, plan: &str, most: usize) -> Vec<String>;
}

/// Writes what people read about a run; knows how a page looks, which this crate does not.
pub trait Views: Send + Sync + 'static {
    /// The name of the page for people among what [`Views::of`] gives; none where a page is made when somebody
    /// asks for it, and a run leaves no views.
    fn page(&self) -> Option<&'static str>;

    /// Files for the run's folder, by name, made from the records there. Called once all of them can be read;
    /// may take its time (it has a thread of its own). What is made is written only after a note over the
    /// records that it was made of is signed, and can name it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn of(&self, run_dir: &Path, signed: &Reached) -> Result<Vec<(String, Vec<u8>)>, Failure>;

    /// Hears the records of a run while it goes on, and those of one that is taken up while they are read for that, so that
    /// [`Views::of`] need not read all of them at the end; none where a run leaves no views.
    fn listener(&self) -> Option<Box<dyn Listener>>;

    /// Who makes the files of the stages of one run, from what is on the disk in its folder.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn stages(&self, run_dir: &Path) -> Result<Box<dyn StageViews>, Failure>;
}

/// Makes the files of a run's stages while the run goes on. It is asked once for each stage, and may remember what it
/// has read.
pub trait StageViews: Send + Sync {
    /// Hands over the files of a stage that has ended, each by its path below the evidence root as soon as it is made and
    /// is what its schema says; gives what each agent said, where its answer counts and answers are wanted. May take its
    /// time, as [`Views::of`].
    ///
    /// # Errors
    /// When the ledger cannot be read, a file would not be what its schema says, or `taken` fails; some of the files may
    /// have been handed over.
    fn stage(
        &mut self,
        wanted: StageWanted,
        taken: &Taken<'_>,
        each: &mut dyn FnMut(String, Vec<u8>),
    ) -> Result<Vec<Said>, Failure>;
}

/// Whether another run, or another step of this one, has left a file at a path below the evidence root.
pub type Taken<'t> = dyn Fn(&str) -> io::Result<bool> + 't;

/// Hears each record of a run once, in order, and makes the run's views of what it heard.
pub trait Listener: Send {
    /// Hears the next record.
    fn hear(&mut self, record: &LentRecord<'_>);

    /// As [`Views::of`], once all records were heard.
    ///
    /// # Errors
    /// As [`Views::of`].
    fn views(
        self: Box<Self>,
        run_dir: &Path,
        signed: &Reached,
        at_hand: &AtHand<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, Failure>;
}

/// What need not be read again of a run whose records were heard.
#[derive(Clone, Copy)]
pub struct AtHand<'k> {
    /// The payloads of its records.
    pub payloads: &'k Payloads<'k>,
    /// The text of its plan, and what that says.
    pub plan: Option<(&'k str, &'k Plan)>,
}

/// What an agent said of a stage.
#[derive(Debug, Clone)]
pub struct Said {
    /// Who.
    pub agent: String,
    /// What the stage came to: a consensus' status, or the step's.
    pub status: String,
    /// The share of points that agreed; none where nobody compared.
    pub agreement_ratio: Option<f64>,
    /// When the stage had ended, RFC 3339, by its record.
    pub at: String,
    /// The answer, as JSON.
    pub text: String,
}

/// Which stage's files are wanted.
#[derive(Debug, Clone)]
pub struct StageWanted {
    /// Whose evidence it is.
    pub spec_id: String,
    /// The run.
    pub run_id: String,
    /// The step that has ended.
    pub step_id: String,
    /// Bytes that the spec's folders hold already.
    pub footprint_bytes: u64,
    /// The spec's cost summary as it stands, if there is one.
    pub costs: Option<Vec<u8>>,
    /// Whether the answers are wanted beside the files.
    pub answers: bool,
}

/// Hears of every fact that is appended to a run's ledger once it is a record; must not block.
pub trait FactObserver: FactListener {
    /// A run's ledger is open, and nothing of this process is in it yet.
    fn begin(&self, tenant: &str, run: &str);
}

/// Who performs the calls of the runs that a host drives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Workers {
    /// This process.
    #[default]
    Here,
    /// Other processes, each by [`crate::Host::work`] over the run's bus. Orders wait on the bus until
    /// one takes them, as long as the plan's own limits allow.
    Elsewhere,
}

/// Threads beside the one that drives runs, for what would hold it up; none where the system gives none. Asked when the
/// first call wants them.
pub type Crowd = Arc<dyn Fn() -> Option<Handle> + Send + Sync>;

/// Everything a [`crate::Host`] is made of.
pub struct HostConfig {
    /// Where state is kept, and whose.
    pub state: State,
    /// Signs evidence.
    pub key: Arc<HostKey>,
    /// Wraps the keys of what runs seal; a key of its own, so that a new signing key changes nothing.
    pub seal_key: [u8; 32],
    /// Who compiles components.
    pub compiler: Compiler,
    /// Where compiled code is kept; without it every start compiles anew.
    pub cache: Option<CacheConfig>,
    /// How many guests can be alive at once, all runs together.
    pub pool: PoolConfig,
    /// The home folder of the person: granted to nobody.
    pub home: Option<PathBuf>,
    /// Every address of this machine's interfaces: a plugin must not reach the host through its own
    /// public address (NETIP-028).
    pub own_addresses: Vec<IpAddr>,
    /// Time, randomness, disk.
    pub world: Arc<dyn World>,
    /// Keys, models, variables.
    pub operator: Arc<dyn Operator>,
    /// Report pages.
    pub views: Arc<dyn Views>,
    /// Earlier runs, for estimates.
    pub past: Arc<dyn Past>,
    /// Telemetry.
    pub facts: Option<Arc<dyn FactObserver>>,
    /// How often one MCP server of one run is called in a minute; whoever is faster waits.
    pub server_calls_per_minute: NonZeroU32,
    /// Who performs the calls of runs.
    pub workers: Workers,
    /// Where calls that compute for long go on, if the runtime has one thread; without it they stay on that one, which
    /// does for a run whose steps go one by one.
    pub crowd: Option<Crowd>,
    /// Makes the bus of a run. Each has its own in one process: a full queue of one run is nothing to
    /// another, and a subject is looked up among a handful and not among those of a thousand runs.
    pub bus: Box<dyn Fn() -> Arc<dyn Bus> + Send + Sync>,
}

/// The bus inside this process.
#[must_use]
pub fn local_bus() -> Arc<dyn Bus> {
    Arc::new(LocalBus::new(LocalConfig::default()))
}
