//! A collector on loopback: takes OTLP over HTTP as the real one does, and keeps what it was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes everything.
    Takes,
    /// Refuses with this status.
    Refuses(u16),
    /// Takes the first request, and no other.
    TakesOne,
    /// Reads and never answers.
    Hangs,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    body: Vec<u8>,
}

/// A collector, until the test ends.
pub(crate) struct Collector {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let kept = sent.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let limit = Some(Duration::from_secs(30));
                stream.set_read_timeout(limit).unwrap();
                let Some(request) = read(&stream) else {
                    continue;
                };
                let before = kept.lock().unwrap().len();
                kept.lock().unwrap().push(request);
                let status = match manner {
                    Manner::TakesOne if before == 0 => 200,
                    Manner::TakesOne => 503,
                    Manner::Takes => 200,
                    Manner::Refuses(status) => status,
                    Manner::Hangs => {
                        open.push(stream);
                        continue;
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, sent }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// All spans, and who sent them.
    pub(crate) fn spans(&self) -> (Vec<Span>, Option<Resource>) {
        let of = |sent: &Sent| ExportTraceServiceRequest::decode(&*sent.body).unwrap();
        let mut resource = None;
        let mut spans = Vec::new();
        let requests = self.requests();
        for request in requests.iter().filter(|sent| sent.path == "/v1/traces") {
            for of_resource in of(request).resource_spans {
                resource = of_resource.resource;
                let scopes = of_resource.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        }
        (spans, resource)
    }

    /// The metrics of the last request that had any.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let of = |sent: &Sent| ExportMetricsServiceRequest::decode(&*sent.body).unwrap();
        let requests = self.requests();
        let last = requests.iter().rfind(|sent| sent.path == "/v1/metrics");
        let resources = last.map(of).into_iter().flat_map(|it| it.resource_metrics);
        let scopes = resources.flat_map(|it| it.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }

    /// Every byte that was sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let requests = self.requests().into_iter();
        requests.flat_map(|sent| sent.body).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        headers.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Sent {
        path,
        headers,
        body,
    })
}

/// An attribute as JSON; null when it is not there.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Value {
    let found = attributes.iter().find(|it| it.key == name);
    found
        .and_then(|it| it.value.as_ref())
        .map_or(Value::Null, json_of)
}

fn json_of(value: &AnyValue) -> Value {
    use any_value::Value as V;
    match &value.value {
        Some(V::StringValue(text)) => json!(text),
        Some(V::IntValue(number)) => json!(number),
        Some(V::BoolValue(flag)) => json!(flag),
        Some(V::DoubleValue(number)) => json!(number),
        other => json!(format!("{other:?}")),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
