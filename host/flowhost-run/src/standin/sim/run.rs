//! A simulated run: one process after the other works on it, each on a runtime of its own, until it has
//! ended. What a process does here is what [`crate::host::execute`] and [`crate::earlier::resume`] do around the driver,
//! without compiling, views and the index of runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flowhost_bus::BusError;
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::{Effects, RunScope};
use flowhost_flow::planner::RunEnd;
use flowhost_flow::{Amounts, Exit, Plan, Planner, RunSetup};
use flowhost_ledger::{
    CheckpointPolicy, Durability, HostKey, Ledger, LedgerOptions, OpenError, Writing,
};
use flowhost_policy::{MessagesGrant, ToolDescriptor};
use flowhost_words::PluginKind;
use serde_json::Map;

use super::bus::SimBus;
use super::disk::Rng;
use super::guest::StandIn;
use super::random::{self, Mood};
use super::session;
use super::world::{BEGINNING_MS, Lent, Slow, World};
use crate::calls::afresh::afresh;
use crate::calls::channel::Channel;
use crate::calls::desk::{Desk, Funds, Greeting};
use crate::calls::driver::{self, Course, Drive};
use crate::earlier::resume::feeding::FedBeside;
use crate::earlier::resume::past::{self, Beside};
use crate::earlier::resume::{FedError, Resumed};
use crate::given::options::RunOptions;
use crate::given::world::Workers;
use crate::host::handle::Run;
use crate::kept::books::Books;
use crate::kept::journal::{Begun, Journal};
use crate::kept::revealed::Revealed;
use crate::meters::purse::Purse;
use crate::plugins::described::declared;
use crate::plugins::installed::Installed;
use crate::plugins::registry::Registry;
use crate::plugins::wiring::{self, Machinery};

pub(super) const TENANT: &str = "t";
/// A ULID of the beginning.
const RUN: &str = "01KB0SRJR0AAAAAAAAAAAAAAAA";

const HEAD: &str = "flowhost: v1\nname: simulated\nplugins:\n  \
    t: {kind: tool, source: ./t.wasm, profile: p}\n  \
    g: {kind: guardrail, source: ./g.wasm, profile: p}\n";

/// What goes wrong with a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    None,
    /// It is killed after so many milliseconds.
    Killed(u64),
    /// The power goes after so many operations of the disk.
    Power(u64),
    /// So many bytes fit on the disk.
    Full(usize),
    /// The disk fails to sync, after so many times that it did not.
    Unsynced(u64),
    /// SIGTERM comes after so many milliseconds.
    Signal(u64),
    /// Ctrl-C comes after so many milliseconds.
    Cancel(u64),
}

impl Fault {
    /// Whether a process may fail by it.
    fn breaks_the_disk(self) -> bool {
        matches!(self, Self::Power(_) | Self::Full(_) | Self::Unsynced(_))
    }

    pub(super) fn of(chance: &mut Rng, mood: Mood) -> Self {
        // From the first milliseconds, in which everything begins, to seconds of retries.
        let long = 1 << (1 + chance.below(12));
        let ms = chance.below(long);
        match chance.below(16) {
            0..6 => Self::Killed(ms),
            6..11 => Self::Power(chance.below(250)),
            11 => Self::Full(chance.index(60_000)),
            12 => Self::Unsynced(chance.below(60)),
            13 | 14 => Self::Signal(ms),
            _ if mood == Mood::Wild && chance.below(4) == 0 => Self::Cancel(ms),
            _ => Self::Killed(ms),
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With its run.
    Over(RunEnd),
    /// Before its run.
    Interrupted,
    /// Because the run waits for somebody outside.
    Waits,
}

/// A run that goes on: its planner as it was, and what was open.
pub(super) type TakenUp = (Box<dyn Planner>, Resumed);

pub(super) struct Simulated {
    pub(super) world: Arc<World>,
    pub(super) plan: Arc<Plan>,
    pub(super) key: Arc<HostKey>,
    /// Plugins beside the plan's tools and guardrails, and what they hear and say.
    agents: BTreeMap<String, MessagesGrant>,
    /// Messages that a mailbox holds.
    queue: u64,
    /// Runs that were killed before they had begun, and were started anew.
    starts: AtomicU64,
    /// What the ledger promises of each record.
    pub(super) durability: Durability,
    /// It is open to the requests of a client, as long as the process lives that began it.
    pub(super) on_request: bool,
}

pub(super) fn parsed(body: &str) -> Plan {
    let kind = match body.starts_with("kind: ") || body.contains("\nkind: ") {
        true => "",
        false => "kind: workflow\n",
    };
    let text = format!("{kind}{HEAD}{body}");
    Plan::parse(&text, "p.yaml").unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"))
}

impl Simulated {
    pub(super) fn new(seed: u64, mood: Mood) -> Self {
        let [mut plan, inner] = random::bodies(seed, mood).map(|body| parsed(&body));
        plan.attach_plan("s.yaml", inner).unwrap();
        Self::of(plan, (BTreeMap::new(), 0), seed, mood)
    }

    pub(super) fn of(
        plan: Plan,
        (agents, queue): (BTreeMap<String, MessagesGrant>, u64),
        seed: u64,
        mood: Mood,
    ) -> Self {
        Self {
            world: World::new(seed, mood),
            plan: Arc::new(plan),
            key: Arc::new(HostKey::from_seed("host.example", [7; 32]).unwrap()),
            agents,
            queue,
            starts: AtomicU64::new(0),
            durability: Durability::Durable,
            on_request: false,
        }
    }

    /// The folder of the run as it was last started.
    pub(super) fn dir(&self) -> PathBuf {
        PathBuf::from(format!(
            "/state/{TENANT}/runs/{}",
            self.starts.load(Relaxed)
        ))
    }

    pub(super) fn options(&self) -> LedgerOptions {
        let mut options = LedgerOptions::new(&self.dir(), TENANT, RUN, self.key.clone());
        let lent = Arc::new(Lent(self.world.clone()));
        options.disk = Arc::new(self.world.disk.clone());
        options.clock = lent.clone();
        options.entropy = lent;
        options.writing = Writing::Caller;
        options.durability = self.durability;
        options.checkpoints = CheckpointPolicy {
            records: 16,
            // Only numbers of records decide: no clock but the simulated one may.
            age: Duration::MAX,
        };
        options.segment_bytes_max = 32 << 10;
        options
    }

    /// The run from start to end, with nothing in its way but gates.
    pub(super) fn undisturbed(&self) -> RunEnd {
        let mut chance = Rng::new(1);
        loop {
            match self.process(Fault::None, &mut chance) {
                Ended::Over(end) => return end,
                Ended::Waits => drop(super::person::speak(self)),
                Ended::Interrupted => panic!("nothing interrupts this run"),
            }
        }
    }

    /// A process that works on the run until it ends, or until `fault` ends it.
    pub(super) fn process(&self, fault: Fault, chance: &mut Rng) -> Ended {
        let disk = &self.world.disk;
        match fault {
            Fault::Power(operations) => disk.lose_power_after(operations),
            Fault::Full(bytes) => disk.limit_room(Some(bytes)),
            Fault::Unsynced(after) => disk.fail_sync(after),
            _ => {}
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let ended = runtime.block_on(async {
            self.world.begins();
            let ended = tokio::select! {
                biased;
                () = self.ends_by(fault) => None,
                ended = self.live(fault) => Some(ended),
            };
            self.world.over();
            ended
        });
        // What is still at work ends with the process, and writes nothing any more.
        let off = disk.is_off();
        disk.lose_power_after(0);
        drop(runtime);
        disk.limit_room(None);
        disk.fail_sync(u64::MAX); // not within anybody's lifetime
        let broken = matches!(fault, Fault::Unsynced(_)) && !matches!(ended, Some(Ok(_)));
        match off || broken {
            // A sync that failed leaves nobody knowing what the disk holds: the worst.
            true => disk.crash(chance),
            false => disk.reboot(),
        }
        match ended {
            Some(Ok(ended)) if !off => ended,
            Some(Err(why)) if !fault.breaks_the_disk() => {
                panic!("the disk is whole, and yet: {why}")
            }
            _ => Ended::Interrupted,
        }
    }

    async fn ends_by(&self, fault: Fault) {
        match fault {
            Fault::Killed(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            // The world stands still at once; this only lets go of it.
            Fault::Power(_) => loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if self.world.disk.is_off() {
                    return;
                }
            },
            _ => std::future::pending().await,
        }
    }

    /// What a process does: it takes the run up, or begins it.
    async fn live(&self, fault: Fault) -> Result<Ended, String> {
        let options = self.options();
        let (ledger, resumed) = match Ledger::reopen(&options) {
            Ok(ledger) => match self.read()? {
                Some(resumed) => (ledger, Some(resumed)),
                None => {
                    drop(ledger);
                    (self.begin()?, None)
                }
            },
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                (self.begin()?, None)
            }
            Err(error) => {
                // A process that was killed while it made the ledger leaves half of one.
                let untouched = self.world.seen().acknowledged == 0;
                match untouched && !self.world.disk.is_off() {
                    true => (self.begin()?, None),
                    false => return Err(format!("reopen: {error}")),
                }
            }
        };
        if let Some((_, resumed)) = &resumed
            && resumed.past.ended.is_some()
        {
            let end = resumed.rebuilt.end.clone();
            return Ok(Ended::Over(end.ok_or("a run that has ended has an end")?));
        }
        self.drive(ledger, resumed, fault).await
    }

    /// A new ledger, in a folder of its own: a run that never began stays as it is.
    pub(super) fn begin(&self) -> Result<Ledger, String> {
        {
            let mut seen = self.world.seen();
            assert_eq!(seen.acknowledged, 0, "what was acknowledged is gone");
            assert!(seen.answers.is_empty(), "an answer without a record");
            if self.durability == Durability::Relaxed {
                // What it did before anything of it was written is nobody's.
                seen.effects.clear();
                seen.charged = 0;
            }
            assert!(seen.effects.is_empty(), "an effect without a record");
            seen.unheard.clear();
            seen.handed.clear();
            seen.orders.clear();
            seen.said.clear();
        }
        self.starts.fetch_add(1, Relaxed);
        Ledger::open(&self.options()).map_err(|error| format!("open: {error}"))
    }

    /// The run as its records have it; none when it never began.
    pub(super) fn read(&self) -> Result<Option<TakenUp>, String> {
        let (disk, dir, plan) = (&self.world.disk, self.dir(), &self.plan);
        let read = past::read_beside_in(disk, &dir, None, &|_: &RunSetup| Some(plan.clone()));
        let Beside { past, fed, .. } = read.map_err(|error| format!("past: {error:?}"))?;
        let FedBeside { fed, rebuilt } = fed;
        let fed = match fed {
            Ok(fed) => fed,
            Err(FedError::NotBegun) => return Ok(None),
            Err(error) => return Err(format!("fed: {error}: {error:?}")),
        };
        let rebuilt = rebuilt.ok_or("its planner was fed nothing")?;
        let (planner, rebuilt) = rebuilt.map_err(|error| format!("rebuild: {error}"))?;
        Ok(Some((planner, Resumed { past, rebuilt, fed })))
    }

    fn setup(&self) -> RunSetup {
        let tokens = Amounts::default();
        let plugins = self.plan.all_plugins();
        RunSetup {
            run_id: RUN.to_owned(),
            plan_hash: "simulated".to_owned(),
            seed: self.world.seed,
            inputs: Map::new(),
            components: BTreeMap::new(),
            only: None,
            on_request: self.on_request,
            estimates: plugins.into_iter().map(|(key, _)| (key, tokens)).collect(),
        }
    }

    fn installed(&self, funds: &Arc<dyn Funds>) -> Registry {
        let registry = Registry::default();
        for (key, plugin) in self.plan.all_plugins() {
            let messages = self.agents.get(&key).cloned().unwrap_or_default();
            let mailbox = (messages, self.queue);
            let guest = StandIn::new(&key, mailbox, self.world.clone(), funds.clone());
            let tools = match plugin.kind {
                PluginKind::Tool => vec![tool()],
                _ => Vec::new(),
            };
            registry.put(Installed::stand_in(
                &key,
                plugin.kind,
                Arc::new(guest),
                tools,
            ));
        }
        registry
    }

    async fn drive(
        &self,
        ledger: Ledger,
        resumed: Option<TakenUp>,
        fault: Fault,
    ) -> Result<Ended, String> {
        // Who takes a run up is asked nothing.
        let asked = self.on_request && resumed.is_none();
        let run = match asked {
            true => Run::on_request(RUN),
            false => Run::new(RUN),
        };
        let journal = self.journal(&ledger);
        let told = |error: crate::Failure| format!("{error:?}");
        let setup = self.recorded((&journal, &ledger), resumed.as_ref()).await;
        let setup = setup.map_err(told)?;
        // The power may have gone with the last of it, and then nothing happens any more.
        self.world.alive().await;
        let purse = Arc::new(Purse::new(wiring::ceiling(&self.plan)));
        let past = resumed.as_ref().map(|(_, resumed)| &resumed.past);
        let books = Books::open(&journal, &self.plan, &purse, past);
        let desk = self.desk(&setup, &books, &purse);
        let registry = self.machinery(&purse, resumed.as_ref(), &desk.channel);
        let drive = Drive {
            journal: journal.clone(),
            registry: registry.map_err(|error| error.to_string())?,
            workers: Workers::Here,
            desk: Arc::new(desk),
            world: Arc::new(Lent(self.world.clone())),
            stages: None,
            warnings: Vec::new(),
            reuse: None,
            ledger: self.on_request.then(|| ledger.clone()),
        };
        let course = Course {
            plan: self.plan.clone(),
            setup,
            resumed,
        };
        spoken_to(run.clone(), fault);
        let client = asked.then(|| session::client(self.world.clone(), run.clone()));
        let outcome = driver::drive(course, drive, &run).await.map_err(told)?;
        books.close(&outcome, || Ok(())).map_err(told)?;
        let closed = ledger.close().await;
        closed.map_err(|error| format!("close: {error}"))?;
        if let Some(client) = client {
            session::over(&run, outcome.clone(), client).await;
        }
        Ok(match outcome.paused {
            None => Ended::Over(outcome.end),
            Some(_) if outcome.end.exit == Exit::Waiting => Ended::Waits,
            Some(_) => Ended::Interrupted,
        })
    }

    /// What the host writes into the run's ledger.
    pub(super) fn journal(&self, ledger: &Ledger) -> Journal {
        let slow = Slow {
            ledger: ledger.clone(),
            world: self.world.clone(),
        };
        Journal::new(Arc::new(slow), TENANT, false)
    }

    /// What the run was set up with, once its start, or that it goes on, is on record.
    pub(super) async fn recorded(
        &self,
        (journal, ledger): (&Journal, &Ledger),
        resumed: Option<&TakenUp>,
    ) -> Result<RunSetup, crate::Failure> {
        if let Some((_, resumed)) = resumed {
            let told = (BTreeMap::new(), None);
            journal.run_resume(ledger, resumed, told).await?;
            return Ok(resumed.fed.setup.clone());
        }
        let (setup, options) = (self.setup(), RunOptions::default());
        let begun = Begun {
            labels: BTreeMap::new(),
            documents: &BTreeMap::new(),
            options: &options,
            fork: None,
            second_keys: None,
        };
        journal.run_start(&self.plan, &setup, begun)?;
        Ok(setup)
    }

    fn desk(&self, setup: &RunSetup, books: &Books, purse: &Arc<Purse>) -> Desk {
        let seed = wiring::seed_of(self.world.seed);
        let scope = RunScope {
            tenant: TENANT.into(),
            run: RUN.into(),
            seed,
            started_ms: BEGINNING_MS,
            recorder: books.recording.clone(),
            providers: Arc::from([]),
            own_calls: books.own_calls.clone(),
            memory: None,
        };
        Desk {
            channel: Channel::of(&scope, books.before),
            scope,
            greeting: Greeting {
                plan_hash: setup.plan_hash.clone(),
                seed: hex::encode(seed),
                started_ms: BEGINNING_MS,
                allow_private_network: false,
                before: books.before,
                own_calls: books.counted,
                estimate: String::new(),
            },
            recording: books.recording.clone(),
            purse: purse.clone(),
            secrets: Arc::new(NoSecrets),
            revealed: Arc::new(Revealed::default()),
        }
    }

    fn machinery(
        &self,
        purse: &Arc<Purse>,
        resumed: Option<&TakenUp>,
        channel: &Channel,
    ) -> Result<Machinery, BusError> {
        let funds: Arc<dyn Funds> = purse.clone();
        let bus = SimBus::new(self.world.clone());
        let ended = resumed.map(|(_, resumed)| match self.on_request {
            // Nobody waits for any call of a session that is over.
            true => self.world.seen().orders.keys().copied().collect(),
            false => {
                let ended = resumed.rebuilt.paths.keys();
                ended.map(|call| call.0).collect()
            }
        });
        bus.outlives(ended.unwrap_or_default());
        Ok(Machinery {
            bus: afresh(Arc::new(bus), channel)?,
            tally: Arc::default(),
            origins: Arc::default(),
            plugins: Arc::new(self.installed(&funds)),
            crowd: None,
        })
    }
}

/// Says to a run, at its time, what comes from outside.
fn spoken_to(run: Run, fault: Fault) {
    crate::base::tasks::spawn(async move {
        match fault {
            Fault::Signal(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                // A server that is told to go ends its sessions.
                match run.is_on_request() && ms % 2 == 0 {
                    true => run.close(Some("the server was interrupted")),
                    false => run.pause(Exit::Terminated),
                }
            }
            Fault::Cancel(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                run.cancel("enough");
            }
            _ => {}
        }
    });
}

/// The one tool of a stand-in, which takes anything.
fn tool() -> ToolDescriptor {
    let given = flowhost_engine::Descriptor {
        name: "fn".to_owned(),
        title: String::new(),
        description: "does something to the world".to_owned(),
        input_schema: String::new(),
        output_schema: String::new(),
        effects: Effects::Once,
        annotations: flowhost_engine::Annotations {
            read_only: None,
            destructive: None,
            idempotent: None,
            open_world: None,
        },
    };
    declared(&given).unwrap()
}

struct NoSecrets;

impl SecretStore for NoSecrets {
    fn get(&self, _: &str) -> Option<zeroize::Zeroizing<String>> {
        None
    }
}
