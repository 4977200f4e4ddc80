//! Telemetry on its way out: the queue between a run and its views, exporters, and the endpoint for
//! scrapers. What facts become is `flowhost-evidence`'s business.
//!
//! Every fact goes through the run's journal; what was accepted there goes through a bounded queue to
//! the views, without its payload. So telemetry can say nothing that the ledger does not say, can
//! show no prompt and no answer, and no run waits for it while it is at work: a full queue drops and
//! counts, an unreachable collector costs one warning (or the run, where the operator says so), and the end
//! waits at most [`FLUSH_MS`].

pub mod json_lines;
pub mod otlp_config;
pub mod prometheus;
pub mod text_lines;

mod collector;
mod feed;
mod otlp;
mod pump;
mod scrape;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flowhost_evidence::telemetry::{lines, span};
use flowhost_flow::Exit;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::ambient::Ambient;
use crate::config::OnTelemetryFailure;
use crate::failure::Failure;
use feed::Feed;
use flowhost_run::FactObserver;
use otlp::Otlp;
use otlp_config::OtlpConfig;
use prometheus::Prometheus;
use pump::Pump;

/// Milliseconds that the end of a run waits for its telemetry to leave. The person sees the prompt that much
/// later when the collector is gone, and no more.
pub const FLUSH_MS: u64 = 2_000;
/// The variable with the span that started this process.
pub const TRACEPARENT: &str = "TRACEPARENT";

/// Telemetry that runs beside a run.
pub struct Telemetry {
    feed: Arc<Feed>,
    dropped: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    pump: Beside,
    otlp: Option<Otlp>,
    scrape: Option<(SocketAddr, JoinHandle<()>)>,
}

/// Whether anybody wants to be told of a run, so that its facts are worked on beside it.
#[must_use]
pub fn is_wanted(listen: Option<SocketAddr>, ambient: &Ambient) -> bool {
    let exported = OtlpConfig::of(ambient);
    listen.is_some() || !matches!(exported, Ok(None)) || lines::are_wanted()
}

impl Telemetry {
    /// Starts what is asked for: an endpoint for scrapers at `listen`, an export to the collector that
    /// the environment names, log lines if anybody reads them. None when that is nothing. All of it is done on the runtime
    /// `beside`, which is not the run's: whoever goes through hundreds of facts or spans at once would hold up the run's own
    /// tasks that wait for the same thread.
    ///
    /// # Errors
    /// When `listen` is not a loopback address or cannot be had. A collector is an error only where
    /// `on_failure` says so.
    pub async fn start(
        listen: Option<SocketAddr>,
        ambient: &Ambient,
        on_failure: OnTelemetryFailure,
        beside: &Handle,
    ) -> Result<Option<Self>, Failure> {
        let ambient = ambient.clone();
        let started = async move { Self::started(listen, &ambient, on_failure).await };
        beside.spawn(started).await.unwrap_or_else(|error| {
            Err(Failure::new(Exit::Internal, "telemetry cannot be started")
                .because(error.to_string()))
        })
    }

    async fn started(
        listen: Option<SocketAddr>,
        ambient: &Ambient,
        on_failure: OnTelemetryFailure,
    ) -> Result<Option<Self>, Failure> {
        let halts = on_failure == OnTelemetryFailure::Halt;
        let config = match OtlpConfig::of(ambient) {
            Ok(config) => config,
            // A variable that is wrong is a collector that is not reached, and must not be the way around `halt`.
            Err(error) if halts => return Err(not_begun(&error.to_string())),
            Err(error) => {
                tracing::warn!(%error, "telemetry is not exported");
                None
            }
        };
        let lines = lines::are_wanted();
        if listen.is_none() && config.is_none() && !lines {
            return Ok(None);
        }
        let metrics = Arc::new(Prometheus::default());
        let scrape = match listen {
            Some(address) => Some(open(address, ambient, metrics.clone()).await?),
            None => None,
        };
        let wanted = config.is_some();
        let otlp = config.and_then(|config| Otlp::start(&config, ambient, on_failure));
        if halts && wanted {
            let Some(otlp) = &otlp else {
                return Err(not_begun("its exporters cannot be built"));
            };
            // Before anything runs: whoever wants no run without telemetry wants no step without it.
            otlp.probe().await;
            // The probe tells its failure where each later one is told, so that there is one place to look.
            if let Some(why) = &*otlp.trouble().borrow() {
                return Err(not_begun(why));
            }
            otlp.begin();
        }
        let (feed, entries, dropped) = Feed::new(feed::FACTS_MAX, ambient.now_ms());
        let pump = Pump {
            caller: ambient.var(TRACEPARENT).and_then(span::caller),
            // Nobody can read the series without an endpoint, and each measurement would still be counted.
            prometheus: scrape.is_some().then_some(metrics),
            metrics: otlp.as_ref().map(Otlp::metrics),
            spans: otlp.as_ref().map(Otlp::spans),
            lines,
            ..Pump::default()
        };
        let (stop, stopped) = oneshot::channel();
        Ok(Some(Self {
            feed: Arc::new(feed),
            dropped,
            stop,
            pump: Beside::start(pump.run(entries, stopped)),
            otlp,
            scrape,
        }))
    }

    /// What the run tells its facts to.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn FactObserver> {
        self.feed.clone()
    }

    /// Where metrics can be read.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.scrape.as_ref().map(|(address, _)| *address)
    }

    /// Waits until telemetry does not reach its collector, and says why. For ever, where none is asked for.
    pub fn fails(&self) -> impl Future<Output = String> + Send + 'static + use<> {
        let trouble = self.otlp.as_ref().map(Otlp::trouble);
        async move {
            let told = match trouble {
                Some(mut trouble) => match trouble.wait_for(Option::is_some).await {
                    Ok(first) => first.clone(),
                    // The sender is gone with the export, and it told nothing.
                    Err(_) => None,
                },
                None => None,
            };
            match told {
                Some(why) => why,
                // The export has ended well.
                None => std::future::pending().await,
            }
        }
    }

    /// Sends what is left, for at most [`FLUSH_MS`], says once what was lost, and gives the first thing
    /// that went wrong with the export.
    pub async fn finish(mut self) -> Option<String> {
        let deadline = Instant::now() + Duration::from_millis(FLUSH_MS);
        let _gone = self.stop.send(());
        if !self.pump.has_ended_by(deadline).await {
            tracing::warn!("telemetry is incomplete: its views did not keep up");
        }
        if let Some((_, server)) = &self.scrape {
            // At once, and not at the deadline: what a scraper has not read by now would be read of a run that is
            // over.
            server.abort();
        }
        let trouble = self.otlp.as_ref().map(Otlp::trouble);
        if let Some(otlp) = self.otlp {
            otlp.finish(deadline).await;
        }
        let dropped = self.dropped.load(Relaxed);
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "telemetry is incomplete: facts came faster than its views"
            );
        }
        trouble.and_then(|trouble| trouble.borrow().clone())
    }
}

/// Work beside the run. It is given up when this is dropped: nobody waits for it then.
struct Beside(JoinHandle<()>);

impl Beside {
    fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for its end; false where the deadline came first.
    async fn has_ended_by(&mut self, deadline: Instant) -> bool {
        timeout_at(deadline, &mut self.0).await.is_ok()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a run does not count as ended well, where `on_failure` says `halt`.
#[must_use]
pub fn unreached(why: &str) -> Failure {
    halted("telemetry does not reach the collector", why)
}

/// Why a run does not begin, where `on_failure` says `halt`.
fn not_begun(why: &str) -> Failure {
    halted(
        "no run was begun: telemetry does not reach the collector",
        why,
    )
}

fn halted(what: &str, why: &str) -> Failure {
    Failure::new(Exit::Internal, what)
        .because(why.to_owned())
        .hint(
            "start the collector, or write `on_failure = \"warn\"` under `[telemetry]` in your own \
             flowhost.toml",
        )
}

async fn open(
    address: SocketAddr,
    ambient: &Ambient,
    metrics: Arc<Prometheus>,
) -> Result<(SocketAddr, JoinHandle<()>), Failure> {
    let cannot = |why: String| {
        Failure::new(
            Exit::Internal,
            format!("metrics cannot be served on {address}"),
        )
        .because(why)
    };
    let listener = ambient.listen(address).await;
    let listener = listener.map_err(|error| {
        cannot(error.to_string()).hint("another port may be free; port 0 takes any that is")
    })?;
    let bound = listener.local_addr();
    let bound = bound.map_err(|error| cannot(error.to_string()))?;
    Ok((bound, tokio::spawn(scrape::serve(listener, metrics))))
}

/// An address that metrics may be served on.
///
/// # Errors
/// When the text is no address with a port, or the address is not loopback.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        "expected an address and a port, such as 127.0.0.1:9464 or [::1]:9464".to_owned()
    })?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(
        "this is served on loopback only, because nothing asks who reads it: \
         use 127.0.0.1 or [::1]"
            .to_owned(),
    )
}

#[cfg(test)]
mod book;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_to_serve_metrics_to_others() {
        for text in [
            "0.0.0.0:9464",
            "192.168.1.2:1",
            "[::]:1",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
            "9464",
        ] {
            assert!(loopback(text).is_err(), "{text}");
        }
        for text in ["127.0.0.1:0", "127.8.9.1:9464", "[::1]:9464"] {
            assert!(loopback(text).is_ok(), "{text}");
        }
    }
}
