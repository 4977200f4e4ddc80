//! Takes facts from the queue through the view to whoever reads: spans, metrics, lines.

use std::sync::Arc;
use std::time::Duration;

use flowhost_evidence::telemetry::bounds::Bounds;
use flowhost_evidence::telemetry::instruments::Measurement;
use flowhost_evidence::telemetry::lines;
use flowhost_evidence::telemetry::span::Link;
use flowhost_evidence::telemetry::view::{Given, Identity, View};
use tokio::sync::{mpsc, oneshot};

use super::feed::{Accepted, Entry};
use super::otlp::{Meters, SpanQueue};
use super::prometheus::Prometheus;

/// Facts taken at once. A wake-up costs more than a fact.
const BATCH: usize = 256;
/// How long what came is left to be joined by more: a run is not interrupted for every fact, and
/// [`FACTS_MAX`](super::feed::FACTS_MAX) has room for what the fastest does meanwhile.
const LINGER: Duration = Duration::from_millis(10);

/// The views' end of the queue.
#[derive(Default)]
pub(super) struct Pump {
    /// The span that started this process; the first run is linked to it.
    pub(super) caller: Option<Link>,
    pub(super) prometheus: Option<Arc<Prometheus>>,
    pub(super) metrics: Option<Meters>,
    pub(super) spans: Option<SpanQueue>,
    pub(super) lines: bool,
    pub(super) bounds: Bounds,
    pub(super) view: Option<View>,
}

impl Pump {
    /// Works until it is stopped, and then until the queue is empty.
    pub(super) async fn run(
        mut self,
        mut entries: mpsc::Receiver<Entry>,
        stop: oneshot::Receiver<()>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                taken = entries.recv_many(&mut batch, BATCH) => match taken {
                    // Every sender is gone: the run ended without a word to `stop`.
                    0 => return,
                    _ => batch.drain(..).for_each(|entry| self.take(entry)),
                },
                _ = &mut stop => break,
            }
            if entries.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(LINGER) => {}
                    _ = &mut stop => break,
                }
            }
        }
        // From here on nothing comes in, so that what is left has an end.
        entries.close();
        while entries.recv_many(&mut batch, BATCH).await > 0 {
            batch.drain(..).for_each(|entry| self.take(entry));
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Run(identity) => self.begin(identity),
            Entry::Fact(accepted) => self.fact(accepted),
        }
    }

    fn begin(&mut self, identity: Identity) {
        // `take`: the process was started for one run, and a second one (of `dev`, or of a server) is not of that
        // span.
        self.view = Some(View::new(identity, self.caller.take()));
    }

    fn fact(&mut self, Accepted { told, seq, at }: Accepted) {
        // The queue may have dropped the run's beginning, and with it whose run this is.
        let Some(view) = &mut self.view else {
            return;
        };
        // What is not as its kind says no view can show; the verifier tells.
        let Some(seen) = told.seen(seq, at) else {
            return;
        };
        let seen = view.complete(seen);
        let given = view.take(&seen);
        if self.lines {
            lines::write(view, &seen);
        }
        for given in given {
            match given {
                Given::Measurement(measurement) => self.measure(measurement),
                Given::Span(span) => {
                    if let (Some(spans), Some(view)) = (&self.spans, &self.view) {
                        spans.push(&view.identity().trace, *span);
                    }
                }
            }
        }
    }

    fn measure(&mut self, measurement: Measurement) {
        let measurement = match &self.view {
            Some(view) => {
                let identity = view.identity();
                measurement.of_run(&identity.tenant, &identity.workflow)
            }
            None => measurement,
        };
        let measurement = self.bounds.admit(measurement);
        if let Some(prometheus) = &self.prometheus {
            prometheus.record(&measurement);
        }
        if let Some(metrics) = &self.metrics {
            metrics.record(measurement);
        }
    }
}
