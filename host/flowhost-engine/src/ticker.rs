//! The clock that interrupts guests: one thread raises the engine's epoch every 10 ms, a second one
//! watches the first and takes over when it stalls (DOS-051).
//!
//! Why two threads and not a timer of the runtime: a guest that computes holds a runtime thread, and
//! with few of them the runtime's own timers would wait behind the guests that they must stop. Even
//! with both threads gone a guest yields whenever it has burnt a slice of fuel, so the wall-clock
//! timeout of its call still fires.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wasmtime::EngineWeak;

/// One tick: how late at most a guest notices that its deadline has passed.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Silence of the ticker after which the watchdog ticks in its place: many ticks, so that a thread that is
/// only late is not taken for one that is gone.
const STALL: Duration = Duration::from_millis(250);

/// Looks of the watchdog in one silence after which it is told to people: five seconds. Shorter silences are
/// ordinary while components are compiled on all cores, and harm nothing, because the watchdog ticks meanwhile.
/// Looks are counted and not the time: of a process that was stopped, or a machine that slept, the first look
/// finds hours of silence, and the next one none.
const LOOKS_TOLD: u64 = 100;

/// How often the watchdog looks: often enough that a silence is noticed soon after it has become one, and
/// too seldom to cost anything.
const WATCH: Duration = Duration::from_millis(50);

struct Shared {
    origin: Instant,
    /// Milliseconds after `origin` of the last tick.
    last_ms: AtomicU64,
    /// Times the watchdog had to take over.
    stalls: AtomicU64,
    /// How often it did so in the silence that there is now.
    looks: AtomicU64,
    /// People are told once in the engine's life; the second time says nothing new.
    told: AtomicBool,
    /// Tests hold the ticker with this.
    held: AtomicBool,
}

/// Starts both threads; they end by themselves when the engine is dropped.
pub(crate) fn start(engine: &wasmtime::Engine) -> std::io::Result<()> {
    started(engine).map(drop)
}

/// As [`start`], with what the two threads share.
fn started(engine: &wasmtime::Engine) -> std::io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared {
        origin: Instant::now(),
        last_ms: AtomicU64::new(0),
        stalls: AtomicU64::new(0),
        looks: AtomicU64::new(0),
        told: AtomicBool::new(false),
        held: AtomicBool::new(false),
    });
    spawn("flowhost-tick", engine.weak(), shared.clone(), tick)?;
    spawn("flowhost-watch", engine.weak(), shared.clone(), watch)?;
    Ok(shared)
}

type Body = fn(&wasmtime::Engine, &Shared);

fn spawn(name: &str, engine: EngineWeak, shared: Arc<Shared>, body: Body) -> std::io::Result<()> {
    let pause = if name == "flowhost-tick" { TICK } else { WATCH };
    let run = move || {
        loop {
            thread::sleep(pause);
            // Held only while it ticks, so that the last user of the engine is the one who ends it.
            let Some(engine) = engine.upgrade() else {
                break;
            };
            body(&engine, &shared);
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}

fn tick(engine: &wasmtime::Engine, shared: &Shared) {
    if shared.held.load(Ordering::Relaxed) {
        return;
    }
    shared.last_ms.store(now_ms(shared), Ordering::Relaxed);
    engine.increment_epoch();
}

fn watch(engine: &wasmtime::Engine, shared: &Shared) {
    let silence = now_ms(shared).saturating_sub(shared.last_ms.load(Ordering::Relaxed));
    if u128::from(silence) < STALL.as_millis() {
        shared.looks.store(0, Ordering::Relaxed);
        return;
    }
    let stalls = shared.stalls.fetch_add(1, Ordering::Relaxed) + 1;
    engine.increment_epoch();
    if shared.is_to_be_told() {
        tracing::warn!(
            silence_ms = silence,
            "this machine is so busy that the thread which counts the time of plugins does not run; another one \
             counts in its place, and a plugin may be stopped up to {} ms after its deadline",
            WATCH.as_millis()
        );
    } else {
        tracing::debug!(silence_ms = silence, stalls, "the ticker is late");
    }
}

impl Shared {
    /// Whether this look is the one of which people hear.
    fn is_to_be_told(&self) -> bool {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        looks >= LOOKS_TOLD && !self.told.swap(true, Ordering::Relaxed)
    }
}

fn now_ms(shared: &Shared) -> u64 {
    u64::try_from(shared.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> wasmtime::Engine {
        wasmtime::Engine::new(&crate::knobs::compiling()).unwrap()
    }

    #[test]
    fn dos_051_a_stalled_ticker_is_noticed_and_replaced() {
        let engine = engine();
        let shared = started(&engine).unwrap();
        shared.held.store(true, Ordering::Relaxed);
        let waited = (0..200).any(|_| {
            thread::sleep(WATCH);
            shared.stalls.load(Ordering::Relaxed) > 0
        });
        assert!(waited, "the watchdog never spoke");
    }

    #[test]
    fn a_long_silence_is_told_once_and_a_short_one_never() {
        let engine = engine();
        let shared = started(&engine).unwrap();
        drop(engine); // its threads look no more, so that the looks are those of this test
        while Arc::strong_count(&shared) > 1 {
            thread::sleep(TICK);
        }
        shared.looks.store(0, Ordering::Relaxed);
        let told = (0..3 * LOOKS_TOLD).map(|_| shared.is_to_be_told());
        let told: Vec<bool> = told.collect();
        assert!(told[..LOOKS_TOLD as usize - 1].iter().all(|told| !told));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
    }

    #[test]
    fn the_threads_end_with_the_engine() {
        let engine = engine();
        let shared = started(&engine).unwrap();
        let weak = engine.weak();
        drop(engine);
        let ended = (0..200).any(|_| {
            thread::sleep(WATCH);
            weak.upgrade().is_none() && Arc::strong_count(&shared) == 1
        });
        assert!(ended);
    }
}
