//! The worker of a run that another process drives: the same plugins under the same rights, taken from the
//! same project, and everything else over the run's bus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flowhost_bus::Bus;
use flowhost_engine::RunScope;
use flowhost_flow::Exit;
use flowhost_ledger::MemoryRecorder;

use crate::base::failure::Failure;
use crate::calls::afresh::afresh;
use crate::calls::channel::Channel;
use crate::calls::desk::Remote;
use crate::calls::driver::bus_failure;
use crate::calls::mailbox::Mailboxes;
use crate::calls::worker::{Inbox, Worker};
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::host::Host;
use crate::host::handle::Run;
use crate::plugins::wiring::{self, Ready, Seat};

/// Whose orders to take.
pub struct Work {
    /// The tenant of the run.
    pub tenant: String,
    /// The run's ULID.
    pub run: String,
    /// The run's bus.
    pub bus: Arc<dyn Bus>,
}

impl Host {
    /// Performs the calls of a run that another process drives ([`crate::Workers::Elsewhere`]), until that
    /// run has ended or the bus is gone. Records, money, and what earlier workers came to are asked of
    /// the driver over the bus; folders, state, keys and models are this host's.
    ///
    /// A worker that dies is replaced by starting another: the bus hands out its orders again, and what
    /// the record says of them decides whether they are performed. A worker serves the process that answers it
    /// first; one that takes the run up later needs workers of its own.
    ///
    /// # Errors
    /// When the driver does not answer, when its plan, components or rights are others than this project's,
    /// and when a component does not load.
    ///
    /// # Panics
    /// Outside of a tokio runtime of several threads.
    pub async fn work(&self, project: Project, work: Work) -> Result<(), Failure> {
        serve(self.process(), &project, work).await
    }
}

async fn serve(host: &Arc<Process>, project: &Project, work: Work) -> Result<(), Failure> {
    let Work { tenant, run, bus } = work;
    let unheard = |why: String| {
        let message = format!("the driver of run {run} does not answer");
        Failure::new(Exit::Internal, message).because(why)
    };
    let driver = Remote::new(host, bus.clone(), &tenant, &run).map_err(unheard)?;
    let greeting = driver.greet().await.map_err(unheard)?;
    let channel = Channel::named((&tenant, &run), greeting.started_ms, greeting.before);
    driver.speaks_on(&channel).map_err(unheard)?;
    let hash = wiring::plan_hash(project)?;
    if hash != greeting.plan_hash {
        let message = format!("this worker cannot take orders of run {run}");
        let driven = &greeting.plan_hash;
        return Err(Failure::new(Exit::Internal, message)
            .because(format!(
                "the run is of plan {driven}, and the project here is {hash}"
            ))
            .hint("give both processes the same plan, profiles and components"));
    }
    let mut seed = [0; 32];
    hex::decode_to_slice(&greeting.seed, &mut seed).map_err(|error| unheard(error.to_string()))?;
    let options = RunOptions {
        allow_private_network: greeting.allow_private_network,
        ..RunOptions::default()
    };
    let gateway = host.config.operator.gateway(project)?;
    let bus = afresh(bus, &channel).map_err(bus_failure)?;
    let seat = Seat {
        bus: bus.clone(),
        funds: Arc::new(driver.clone()),
        revealed: Arc::default(),
        driver: Some(driver.clone()),
    };
    // Progress that plugins report goes to whoever holds a run, and this process holds none.
    let ready = Ready::new(project, &options, host, &gateway, &Run::new(&run), seat)?;
    Ready::preflight(project)?;
    let components = Ready::load(host, project).await?;
    let scope = ready.scope(
        &tenant,
        &run,
        seed,
        greeting.started_ms,
        Arc::new(driver.clone()),
        Arc::new(AtomicU64::new(greeting.own_calls)),
    );
    // The driver has asked every component what it offers, and has recorded it.
    let unrecorded = RunScope {
        recorder: Arc::new(MemoryRecorder::default()),
        own_calls: Arc::default(),
        ..scope.clone()
    };
    let installing = ready.install(host, project, components, &unrecorded, None);
    let machinery = installing.await?;
    machinery.origins.set_estimate(&greeting.estimate);
    // Last of all: whoever listens may be handed an order, and from here on it can be performed.
    let inbox = Inbox::open(&*bus, &channel).await.map_err(bus_failure)?;
    let worker = Worker::new(scope, channel, &machinery, Arc::new(driver));
    let mailboxes = Mailboxes::open(&worker).await?;
    worker.serve(inbox, mailboxes).await;
    Ok(())
}
