//! The export over OTLP: our spans and measurements in the exporters' types, and when they are sent.
//!
//! Spans wait in a queue of their own, so that a slow collector holds up neither metrics nor lines;
//! what does not fit is counted as lost. Nothing is sent twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use flowhost_evidence::telemetry::instruments::{Definition, Measurement, Metric, Shape};
use flowhost_evidence::telemetry::span::{Attribute, Link, Named, Span, SpanEvent, Status};
use http::Request;
use http::header::CONTENT_TYPE;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _, UpDownCounter};
use opentelemetry::trace as api;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_http::HttpClient as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::Beside;
use super::collector::{Collector, Trouble};
use super::otlp_config::OtlpConfig;
use crate::ambient::Ambient;
use crate::config::OnTelemetryFailure;
use crate::sender::Sender;

/// Who measures, in every export.
const SCOPE: &str = "flowhost";
/// Spans that wait to be sent. A collector that is slow for a while loses nothing of a run of a few thousand
/// steps; what does not fit is counted.
const SPANS_MAX: usize = 8_192;
/// Spans of one request. What OpenTelemetry's SDKs send by default.
const BATCH: usize = 512;
/// Milliseconds that the first span of a request waits for more. A run that goes on is seen within a second.
const LINGER_MS: u64 = 1_000;
/// Seconds between exports of metrics; the last is at the end.
const METRICS_S: u64 = 10;

/// A running export.
pub(super) struct Otlp {
    meters: Meters,
    spans: SpanQueue,
    sending: Beside,
    provider: SdkMeterProvider,
    trouble: Arc<Trouble>,
    collector: Collector,
    /// Where spans go.
    traces: String,
}

impl Otlp {
    /// Starts both exports; none, with a warning, when they cannot be built.
    pub(super) fn start(
        config: &OtlpConfig,
        ambient: &Ambient,
        then: OnTelemetryFailure,
    ) -> Option<Self> {
        Self::try_start(config, ambient, then)
            .map_err(|error| tracing::warn!(%error, "telemetry is not exported"))
            .ok()
    }

    fn try_start(
        config: &OtlpConfig,
        ambient: &Ambient,
        then: OnTelemetryFailure,
    ) -> Result<Self, ExporterBuildError> {
        let sender = Sender::new(ambient).map_err(ExporterBuildError::InternalFailure)?;
        let trouble = Arc::new(Trouble::new(then));
        let collector = Collector {
            sender,
            headers: config.headers.clone(),
            timeout: config.timeout,
            trouble: trouble.clone(),
            runtime: Handle::current(),
        };
        let attributes = config
            .resource
            .iter()
            .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
        // Empty, because the SDK's own builder reads the environment again, with other rules than
        // [`super::otlp_config`].
        let resource = Resource::builder_empty()
            .with_attributes(attributes)
            .build();
        let provider = meters(config, collector.clone(), resource.clone())?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", config.endpoint))
            .with_timeout(config.timeout)
            // A request that is repeated may have arrived: the collector would count it twice. What is lost is told.
            .with_retry_policy(RetryPolicy::disabled())
            .with_http_client(collector.clone())
            .build()?;
        exporter.set_resource(&resource);
        let (queue, waiting) = mpsc::channel(SPANS_MAX);
        let lost = Arc::<AtomicU64>::default();
        Ok(Self {
            meters: Meters::new(&provider.meter(SCOPE)),
            spans: SpanQueue { queue, lost },
            sending: Beside::start(send(exporter, waiting)),
            provider,
            trouble,
            collector,
            traces: format!("{}/v1/traces", config.endpoint),
        })
    }

    /// Asks the collector to take nothing: an empty request is a whole one. What goes wrong is told.
    pub(super) async fn probe(&self) {
        let request = Request::post(&self.traces)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Bytes::new());
        match request {
            // What it answers is told by the client itself.
            Ok(request) => drop(self.collector.send_bytes(request).await),
            Err(error) => self.trouble.tell(&error.to_string()),
        }
    }

    /// Hears that a run begins.
    pub(super) fn begin(&self) {
        self.trouble.begin();
    }

    /// What went wrong first.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.first()
    }

    pub(super) fn spans(&self) -> SpanQueue {
        self.spans.clone()
    }

    pub(super) fn metrics(&self) -> Meters {
        self.meters.clone()
    }

    /// Sends what waits, until the deadline. Nobody may hold a [`SpanQueue`] any more.
    pub(super) async fn finish(self, deadline: Instant) {
        let Self {
            spans: SpanQueue { queue, lost },
            mut sending,
            provider,
            trouble,
            meters,
            ..
        } = self;
        // Closes the queue: the sender of batches ends when no end of it is held.
        drop((queue, meters));
        let (done, flushed) = oneshot::channel();
        // A thread that nobody waits for: the exporter's own shutdown can take longer than we wait.
        std::thread::spawn(move || {
            let _told = provider.shutdown();
            let _gone = done.send(());
        });
        let spans = sending.has_ended_by(deadline).await;
        let metrics = timeout_at(deadline, flushed).await.is_ok();
        if !(spans && metrics) {
            trouble.tell("it did not take everything before the end of the run");
        }
        let lost = lost.load(Relaxed);
        if lost > 0 {
            trouble.tell(&format!("{lost} spans came faster than it took them"));
        }
    }
}

fn meters(
    config: &OtlpConfig,
    collector: Collector,
    resource: Resource,
) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/metrics", config.endpoint))
        .with_timeout(config.timeout)
        .with_retry_policy(RetryPolicy::disabled())
        .with_http_client(collector)
        .build()?;
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(METRICS_S));
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader.build())
        .build())
}

async fn send(exporter: SpanExporter, mut waiting: mpsc::Receiver<SpanData>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let until = Instant::now() + Duration::from_millis(LINGER_MS);
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            match timeout_at(until, waiting.recv_many(&mut batch, room)).await {
                // All of them have come, or no more came in time.
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        // What fails was told by the collector's client.
        let _told = exporter.export(std::mem::take(&mut batch)).await;
    }
}

/// Where ended spans go.
#[derive(Clone)]
pub(super) struct SpanQueue {
    queue: mpsc::Sender<SpanData>,
    lost: Arc<AtomicU64>,
}

impl SpanQueue {
    /// Takes a span of the trace, or counts it as lost.
    pub(super) fn push(&self, trace: &str, span: Span) {
        let sent = data(trace, span).map(|data| self.queue.try_send(data).is_ok());
        // A span of an id that is none is lost as one that did not fit: both are missing in what the collector shows.
        if sent != Some(true) {
            // Read once, when nobody counts any more.
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The span in the exporter's types; none when an id is no id.
fn data(trace: &str, span: Span) -> Option<SpanData> {
    let parent = match span.parent.as_str() {
        "" => SpanId::INVALID,
        parent => SpanId::from_hex(parent).ok()?,
    };
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    events.dropped_count = span.events_dropped;
    let mut links = SpanLinks::default();
    links.links = span.links.iter().filter_map(link).collect();
    Some(SpanData {
        // Always sampled: what is exported was chosen to be.
        span_context: context(trace, &span.id, true, false)?,
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: if span.client {
            SpanKind::Client
        } else {
            SpanKind::Internal
        },
        name: span.name.into(),
        start_time: span.start,
        end_time: span.end,
        attributes: attributes(span.attributes),
        dropped_attributes_count: 0,
        events,
        links,
        status: match span.status {
            Status::Unset => api::Status::Unset,
            Status::Ok => api::Status::Ok,
            Status::Error(class) => api::Status::error(class),
        },
        instrumentation_scope: InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    })
}

fn context(trace: &str, span: &str, sampled: bool, remote: bool) -> Option<SpanContext> {
    let flags = if sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    Some(SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        flags,
        remote,
        TraceState::default(),
    ))
}

fn link(link: &Link) -> Option<api::Link> {
    let context = context(&link.trace_id, &link.span_id, link.sampled, true)?;
    Some(api::Link::new(context, Vec::new(), 0))
}

fn event(event: SpanEvent) -> api::Event {
    api::Event::new(event.name, event.at, attributes(event.attributes), 0)
}

fn attributes(named: Vec<Named>) -> Vec<KeyValue> {
    let pair = |(name, value): Named| {
        let value = match value {
            Attribute::Text(text) => Value::from(text),
            // Beyond 2^63 nothing is counted; the type has no room for more.
            Attribute::Number(number) => Value::I64(i64::try_from(number).unwrap_or(i64::MAX)),
            Attribute::Flag(flag) => Value::Bool(flag),
            Attribute::Texts(texts) => {
                Value::Array(Array::String(texts.into_iter().map(Into::into).collect()))
            }
        };
        KeyValue::new(name, value)
    };
    named.into_iter().map(pair).collect()
}

/// The instruments of the export, one for each definition.
#[derive(Clone)]
pub(super) struct Meters(Arc<BTreeMap<Metric, Instrument>>);

enum Instrument {
    Counter(Counter<u64>),
    Gauge(UpDownCounter<i64>),
    Histogram(Histogram<f64>),
}

impl Meters {
    fn new(meter: &Meter) -> Self {
        let all = Metric::ALL
            .iter()
            .map(|metric| (*metric, instrument(meter, metric.definition())));
        Self(Arc::new(all.collect()))
    }

    /// Counts a measurement whose labels are bounded.
    pub(super) fn record(&self, measurement: Measurement) {
        let Measurement {
            metric,
            labels,
            value,
        } = measurement;
        let names = metric.definition().labels.iter();
        let labels = names.zip(labels);
        let labels: Vec<KeyValue> = labels
            .map(|(label, value)| KeyValue::new(label.name, value))
            .collect();
        match self.0.get(&metric) {
            // Counters count things, so that the number is whole; `as` saturates.
            Some(Instrument::Counter(counter)) => counter.add(value as u64, &labels),
            Some(Instrument::Gauge(gauge)) => gauge.add(value as i64, &labels),
            Some(Instrument::Histogram(histogram)) => histogram.record(value, &labels),
            None => debug_assert!(false, "each metric has its instrument from the start"),
        }
    }
}

fn instrument(meter: &Meter, definition: Definition) -> Instrument {
    let Definition {
        name,
        unit,
        help,
        shape,
        ..
    } = definition;
    match shape {
        Shape::Counter => {
            let counter = meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(help);
            Instrument::Counter(counter.build())
        }
        Shape::Gauge => {
            let gauge = meter
                .i64_up_down_counter(name)
                .with_unit(unit)
                .with_description(help);
            Instrument::Gauge(gauge.build())
        }
        Shape::Histogram(bounds) => {
            let histogram = meter
                .f64_histogram(name)
                .with_unit(unit)
                .with_description(help);
            Instrument::Histogram(histogram.with_boundaries(bounds.to_vec()).build())
        }
    }
}
