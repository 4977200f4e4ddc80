//! One call of one plugin: a fresh store under all its limits, and a report of what happened.
//!
//! A store never outlives its call, whatever its end: there is no way to keep one, so a guest that
//! trapped cannot be called again (DOS-036). Every step of the hot path is cheap on purpose: linking
//! is done before, nothing is spawned, and the timer is only armed when the guest waits.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use data_encoding::HEXLOWER;
use flowhost_policy::{Effective, Limits};
use futures::FutureExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};
use wasmtime::component::InstancePre;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::bindings::types;
use crate::capability::{HostState, Provider};
use crate::engine::{Engine, LoadedComponent};
use crate::fault::Fault;
use crate::limits::{self, RESULT_OVERHEAD_BYTES};
use crate::prepare::Linked;
use crate::role::{Invocation, Role, RolePre};
use crate::scope::{CallScope, Meter};
use crate::text::{MESSAGE_CHARS, neutralise};

/// Fuel after which a guest lets others run even if the ticker stands still; about a tick's worth.
const FUEL_SLICE: u64 = 20_000_000;

/// Largest write of a file in one call; a longer one is made of several.
const FILE_WRITE_BYTES: u64 = 16 << 20;

/// How much longer than its profile says a call may take in a replay. It ended in time when it was
/// recorded, and a slower machine must not make another end of it; one that hangs ends all the same.
const REPLAY_SLACK: u64 = 10;

/// What a call used, whatever its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Fuel units.
    pub fuel: u64,
    /// Peak bytes of memories and tables together.
    pub memory_bytes: u64,
    /// Calls from guest to host.
    pub host_calls: u64,
    /// Bytes handed back.
    pub output_bytes: u64,
    /// Bytes of log lines taken.
    pub log_bytes: u64,
    /// Bytes of log lines dropped.
    pub log_dropped: u64,
    /// Bytes of records and payloads, those of what it called included.
    pub evidence_bytes: u64,
    /// Wall clock in milliseconds, waiting for a free instance included.
    pub duration_ms: u64,
    /// Milliseconds that the guest was told it had.
    pub told_ms: u64,
}

/// How a call ended and what it used.
#[derive(Debug, Clone)]
pub struct CallReport<T> {
    /// What the guest handed back, checked; or why there is nothing.
    pub result: Result<T, Fault>,
    /// What it used.
    pub used: Used,
}

impl<T> CallReport<T> {
    /// Goes on with what the guest handed back; what the call used stays.
    pub fn and_then<U>(self, go_on: impl FnOnce(T) -> Result<U, Fault>) -> CallReport<U> {
        CallReport {
            result: self.result.and_then(go_on),
            used: self.used,
        }
    }

    /// A call that ended before an instance was made.
    #[must_use]
    pub fn refused(fault: Fault) -> Self {
        Self {
            result: Err(fault),
            used: Used::default(),
        }
    }
}

/// A component prepared under effective rights. Cheap to clone; clones share the instance limit.
#[derive(Clone)]
pub struct Plugin(Arc<Prepared>);

struct Prepared {
    engine: Engine,
    /// The component's own, whatever the engine loads the next one into.
    wasmtime: wasmtime::Engine,
    role: RolePre,
    linked: Vec<Linked>,
    effective: Arc<Effective>,
    digest: Arc<str>,
    /// `limits.instances`.
    instances: Semaphore,
    /// Slots of the engine's pool that an instance takes.
    weight: u32,
    /// Bytes that the guest may hand to one host call; see [`transfer_bytes`].
    transfer_bytes: u64,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plugin = &self.0.effective.plugin;
        f.debug_struct("Plugin")
            .field("plugin", plugin)
            .field("digest", &self.0.digest)
            .finish()
    }
}

impl Plugin {
    pub(crate) fn new(
        engine: Engine,
        component: &LoadedComponent,
        effective: Arc<Effective>,
        linked: Vec<Linked>,
        pre: InstancePre<HostState>,
    ) -> wasmtime::Result<Self> {
        let instances = usize::try_from(effective.limits.instances).unwrap_or(usize::MAX);
        let instances = Semaphore::new(instances.min(Semaphore::MAX_PERMITS));
        // One that needs more than the pool has would wait for ever; the pool refuses it with its
        // own words.
        let weight = weight(component).min(engine.0.pool.slots);
        let role = RolePre::new(component.inspection(), pre)?;
        let digest = component.digest();
        let transfer_bytes = transfer_bytes(&effective);
        let wasmtime = component.0.component.engine().clone();
        Ok(Self(Arc::new(Prepared {
            engine,
            wasmtime,
            role,
            linked,
            effective,
            digest,
            instances,
            weight,
            transfer_bytes,
        })))
    }

    /// `sha256:…` of the component.
    #[must_use]
    pub fn digest(&self) -> Arc<str> {
        self.0.digest.clone()
    }

    /// The effective rights it was prepared under.
    #[must_use]
    pub fn effective(&self) -> &Arc<Effective> {
        &self.0.effective
    }

    /// Runs one invocation in a fresh store.
    pub(crate) async fn run<I: Invocation>(
        &self,
        scope: CallScope,
        call: I,
    ) -> CallReport<I::Output> {
        if let Some(report) = scope.cut_short() {
            return report;
        }
        let started = Instant::now();
        let meter = scope.meter.clone();
        let result = self.run_until(started, scope, call).await;
        let elapsed = started.elapsed().as_millis();
        let duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        CallReport {
            result,
            used: used(&meter, duration_ms),
        }
    }

    async fn run_until<I: Invocation>(
        &self,
        started: Instant,
        scope: CallScope,
        call: I,
    ) -> Result<I::Output, Fault> {
        let limits = self.limits(&scope);
        let deadline = Deadline::new(started, &scope, &limits);
        let _permits = match self.free() {
            Some(permits) => permits,
            None => deadline.bound(self.permits()).await??,
        };
        // After the wait for a place, so that the guest is told the time that it has.
        let context = context(&scope, deadline.at);
        let meter = scope.meter.clone();
        let mut store = self.store(scope, &limits, deadline)?;
        let work = async {
            let role = I::Role::fresh(&self.0.role, &mut store).await?;
            call.invoke(&role, &mut store, &context).await
        };
        // The store is dropped whatever comes, so that nothing of it is seen half done.
        let work = AssertUnwindSafe(work).catch_unwind();
        let outcome = match deadline.bound(work).await {
            Err(late) => Err(late),
            Ok(Err(panic)) => Err(host_panic(panic.as_ref())),
            Ok(Ok(Err(error))) => {
                let allowed = self.hostcall_bytes(&limits);
                Err(limits::classify(
                    &error,
                    store.data().limiter(),
                    &limits,
                    allowed,
                ))
            }
            Ok(Ok(Ok(answer))) => judge::<I>(answer, &meter, &limits),
        };
        // A guest that was told a mere code may have answered all the same, or trapped over it.
        let outcome = meter.doomed().map_or(outcome, Err);
        let fuel = limits
            .fuel
            // Metering is on in every store; without it all of the fuel would count as used.
            .saturating_sub(store.get_fuel().unwrap_or_default());
        meter.fuel.store(fuel, Ordering::Relaxed);
        meter
            .memory_bytes
            .store(store.data().limiter().peak(), Ordering::Relaxed);
        outcome
    }

    /// The prepared limits, lowered by the call's own where those are lower. A call can narrow what
    /// the plugin was prepared under and never widen it.
    fn limits(&self, scope: &CallScope) -> Limits {
        let ours = &self.0.effective.limits;
        // The very rights that it was prepared under, as long as nothing has narrowed them.
        if Arc::ptr_eq(&self.0.effective, &scope.effective) {
            return ours.clone();
        }
        let theirs = &scope.effective.limits;
        Limits {
            memory_bytes: ours.memory_bytes.min(theirs.memory_bytes),
            fuel: ours.fuel.min(theirs.fuel),
            deadline_ms: ours.deadline_ms.min(theirs.deadline_ms),
            output_bytes: ours.output_bytes.min(theirs.output_bytes),
            log_bytes: ours.log_bytes.min(theirs.log_bytes),
            evidence_bytes: ours.evidence_bytes.min(theirs.evidence_bytes),
            host_calls: ours.host_calls.min(theirs.host_calls),
            handles: ours.handles.min(theirs.handles),
            queue: ours.queue.min(theirs.queue),
            instances: ours.instances.min(theirs.instances),
        }
    }

    /// wasmtime counts one allowance for both directions: what a guest returns and what it hands to
    /// a host call. It is refilled for every crossing, and refuses before the host allocates.
    fn hostcall_bytes(&self, limits: &Limits) -> u64 {
        limits
            .output_bytes
            .max(self.0.transfer_bytes)
            .saturating_add(RESULT_OVERHEAD_BYTES)
    }

    /// Places that nobody has to wait for.
    fn free(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let instance = self.0.instances.try_acquire().ok()?;
        let slots = self.0.engine.0.slots.try_acquire_many(self.0.weight).ok()?;
        Some((instance, slots))
    }

    async fn permits(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Fault> {
        let closed = |_| Fault::Host("the engine is closing".to_owned());
        // The plugin's own place first: who waits for that holds no slot of the pool that another
        // plugin could use.
        let instance = self.0.instances.acquire().await.map_err(closed)?;
        let slots = self
            .0
            .engine
            .0
            .slots
            .acquire_many(self.0.weight)
            .await
            .map_err(closed)?;
        Ok((instance, slots))
    }

    fn store(
        &self,
        scope: CallScope,
        limits: &Limits,
        deadline: Deadline,
    ) -> Result<Store<HostState>, Fault> {
        let mut state = HostState::confined(scope, limits, deadline);
        for linked in &self.0.linked {
            // A right that was taken away since the plugin was prepared is denied now (CAP-018).
            if linked.granted && !linked.capability.granted(&state.scope().effective) {
                return Err(Fault::Denied(revoked(linked)));
            }
            let opened = provider(state.scope(), linked)?.open(state.scope(), linked.granted)?;
            state.insert(opened);
        }
        let mut store = Store::new(&self.0.wasmtime, state);
        store.limiter(|state| state.limiter_mut());
        store.set_hostcall_fuel(bytes(self.hostcall_bytes(limits)));
        store.set_max_component_handles(bytes(limits.handles));
        // Each tick asks `on_tick`, which knows the time: an epoch that counted the ticks of a
        // deadline would be late with the ticker.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(on_tick);
        store
            .set_fuel(limits.fuel)
            .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_SLICE)))
            .map_err(|error| Fault::Host(format!("{error:#}")))?;
        Ok(store)
    }
}

/// When a call must be over, and what to report when it is not.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    fn new(started: Instant, scope: &CallScope, limits: &Limits) -> Self {
        let after = |ms| started.checked_add(std::time::Duration::from_millis(ms));
        let own = match scope.is_replayed() {
            true => after(limits.deadline_ms.saturating_mul(REPLAY_SLACK)),
            false => after(limits.deadline_ms).map(|own| own.min(scope.deadline)),
        };
        let at = own.unwrap_or(scope.deadline);
        Self { started, at }
    }

    /// Runs `work` until the deadline. There is a timer once it waits: most work never does.
    async fn bound<W: Future>(self, work: W) -> Result<W::Output, Fault> {
        let mut work = pin!(work);
        let mut late = None;
        poll_fn(|task| {
            if let Poll::Ready(done) = work.as_mut().poll(task) {
                return Poll::Ready(Ok(done));
            }
            // Work that has used up its task's turn must not keep its timer from being heard.
            let late = late.get_or_insert_with(|| Box::pin(unconstrained(sleep_until(self.at))));
            late.as_mut().poll(task).map(|()| Err(self.fault()))
        })
        .await
    }

    fn fault(self) -> Fault {
        let ms = |at: Instant| {
            let since = at.saturating_duration_since(self.started).as_millis();
            u64::try_from(since).unwrap_or(u64::MAX)
        };
        let allowed = ms(self.at);
        Fault::Limit {
            name: "deadline",
            used: ms(Instant::now()).max(allowed),
            allowed,
        }
    }
}

/// Runs on the guest's own thread at every tick: ends it when its time is over, else lets others run.
fn on_tick(store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let deadline = store.data().deadline();
    match deadline {
        Some(deadline) if Instant::now() >= deadline.at => {
            Err(wasmtime::Error::new(deadline.fault()))
        }
        _ => Ok(UpdateDeadline::Yield(1)),
    }
}

/// Most bytes that a granted capability lets a guest hand over at once. A profile that allows a
/// request of 4 MiB must not fail at an output limit of 1 MiB; a profile that grants nothing bulky
/// gets no more than its output limit. A result over that limit is refused after the transfer.
fn transfer_bytes(effective: &Effective) -> u64 {
    let grants = &effective.grants;
    let requests = grants
        .http
        .iter()
        .map(|rule| rule.request_bytes)
        .max()
        .unwrap_or(0);
    let quota = grants
        .files
        .iter()
        .map(|grant| grant.quota_bytes)
        .max()
        .unwrap_or(0);
    requests
        .max(grants.state.bytes)
        .max(quota.min(FILE_WRITE_BYTES))
}

/// Slots of the pool that an instance of this component takes: one for each memory, and one for each
/// two tables, of which the pool has twice as many.
fn weight(component: &LoadedComponent) -> u32 {
    component
        .0
        .component
        .resources_required()
        .map_or(1, |needs| {
            needs.num_memories.max(needs.num_tables.div_ceil(2)).max(1)
        })
}

/// The guest's view of the scope.
fn context(scope: &CallScope, deadline: Instant) -> types::Context {
    let left = deadline.saturating_duration_since(Instant::now());
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let told_ms = match &scope.run.memory {
        // Only a record of a call that never ran, or whose end is lost, does not say it.
        Some(memory) => memory.told_ms(&scope.call).unwrap_or(left_ms),
        None => left_ms,
    };
    scope.meter.told_ms.store(told_ms, Ordering::Relaxed);
    types::Context {
        run: scope.run.run.to_string(),
        call: scope.call.to_string(),
        step: scope.step.to_string(),
        attempt: i32::try_from(scope.attempt).unwrap_or(i32::MAX),
        actor: scope.actor(),
        traceparent: scope.traceparent.to_string(),
        #[expect(clippy::cast_precision_loss, reason = "exact up to 285,000 years")]
        deadline_ms: told_ms as f64,
        seed: HEXLOWER.encode(&scope.step_seed()),
        key: scope.key.to_string(),
    }
}

/// What the guest answered, as a result that the host vouches for.
fn judge<I: Invocation>(
    answer: Result<I::Output, types::Error>,
    meter: &Meter,
    limits: &Limits,
) -> Result<I::Output, Fault> {
    let output = answer.map_err(|error| guest_error(error, meter))?;
    let size = I::size(&output);
    meter.output_bytes.store(size, Ordering::Relaxed);
    // wasmtime has refused what is more than `hostcall_bytes`, which by a grant may be a thousand times as much: millions
    // of empty items would come through.
    let places = I::held(&output).saturating_sub(RESULT_OVERHEAD_BYTES);
    let used = size.max(places);
    if used > limits.output_bytes {
        return Err(Fault::Limit {
            name: "output",
            used,
            allowed: limits.output_bytes,
        });
    }
    I::canonical(output).map_err(|what| failed(&what))
}

/// A guest's own error. It may pass on a refusal or a limit that this host raised in this call;
/// anything else that it calls a denial or a limit is only its word, and a failure.
fn guest_error(error: types::Error, meter: &Meter) -> Fault {
    let message = |text: &str| neutralise(text, MESSAGE_CHARS);
    match error {
        types::Error::Denied(claim) => meter.denial(&claim).map_or_else(
            || {
                failed(&format!(
                    "it claims a denial that the host did not make: {}",
                    claim.wanted
                ))
            },
            Fault::Denied,
        ),
        types::Error::Limit(claim) => meter.limit(&claim).unwrap_or_else(|| {
            failed(&format!(
                "it claims a limit that the host did not raise: {}",
                claim.name
            ))
        }),
        types::Error::Invalid(text) => Fault::Guest {
            class: "invalid",
            message: message(&text),
        },
        types::Error::Transient(text) => Fault::Guest {
            class: "transient",
            message: message(&text),
        },
        types::Error::Failed(text) => Fault::Guest {
            class: "failed",
            message: message(&text),
        },
        types::Error::Conflict(text) => Fault::Guest {
            class: "conflict",
            message: message(&text),
        },
    }
}

fn failed(what: &str) -> Fault {
    Fault::Guest {
        class: "failed",
        message: neutralise(what, MESSAGE_CHARS),
    }
}

/// What the call's run brings for a linked capability.
fn provider<'a>(scope: &'a CallScope, linked: &Linked) -> Result<&'a dyn Provider, Fault> {
    let name = linked.capability.name();
    let provider = scope.run.providers.get(linked.index);
    // The lists are made from one list of capabilities; a host that mixes two engines is told so
    // before a host function would find no state.
    provider
        .filter(|it| it.capability().name() == name)
        .map(AsRef::as_ref)
        .ok_or_else(|| {
            Fault::Host(format!(
                "the run brings nothing for the capability `{name}`"
            ))
        })
}

fn revoked(linked: &Linked) -> flowhost_policy::Denied {
    let name = linked.capability.name();
    flowhost_policy::Denied {
        right: name,
        wanted: linked
            .capability
            .interfaces()
            .first()
            .copied()
            .unwrap_or(name)
            .to_owned(),
        rule: format!("{name}#none"),
        cure: Some(linked.capability.cure().to_owned()),
    }
}

/// A panic of the host inside a call is a bug of ours, wherever it came from; the process goes on.
fn host_panic(panic: &(dyn Any + Send)) -> Fault {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = neutralise(text.unwrap_or("no message"), MESSAGE_CHARS);
    tracing::error!(panic = text, "the host panicked inside a call");
    Fault::Host(format!("panic: {text}"))
}

fn used(meter: &Meter, duration_ms: u64) -> Used {
    Used {
        fuel: meter.fuel.load(Ordering::Relaxed),
        memory_bytes: meter.memory_bytes.load(Ordering::Relaxed),
        host_calls: meter.host_calls.load(Ordering::Relaxed),
        output_bytes: meter.output_bytes.load(Ordering::Relaxed),
        log_bytes: meter.log_bytes.load(Ordering::Relaxed),
        log_dropped: meter.log_dropped.load(Ordering::Relaxed),
        evidence_bytes: meter.evidence_bytes.load(Ordering::Relaxed),
        duration_ms,
        told_ms: meter.told_ms.load(Ordering::Relaxed),
    }
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
