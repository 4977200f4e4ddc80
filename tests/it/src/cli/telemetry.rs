//! Telemetry of a real run: what reaches a collector and a scraper, what a log line holds, and that
//! the run itself never notices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use super::interrupted::{ended, signal, sleeping};
use super::{home, plan, seen, tool};
use crate::collector::{Collector, Manner, attribute, hex};
use crate::support::{Home, Ran};

const STEPS: &str = "  told:\n    uses: ok_context/run\n    with: { secret: tell-nobody-7193 }\n    guardrails: { before: [{ uses: ok_guardrail, with: { action: pass } }] }\n  again:\n    needs: [told]\n    uses: fault_flaky/run\n    with: { good_from: 2 }\n    retry: { max_attempts: 2, retry_on: [transient], backoff: { initial: 1ms } }\noutputs: { told: \"${{ steps.told.output }}\" }";

fn project() -> Home {
    home(&["ok_context", "ok_guardrail", "fault_flaky"], STEPS)
}

/// Runs the plan with these variables.
fn run(home: &Home, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let arguments = [&["run", "plan.yaml", "--seed", "7"], arguments].concat();
    let mut command = home.command(&arguments);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    home.ran(&output, &arguments)
}

fn exported(home: &Home, manner: Manner) -> (Ran, Collector) {
    let collector = Collector::start(manner);
    let endpoint = collector.endpoint();
    let ran = run(
        home,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())],
        &["--json"],
    );
    (ran, collector)
}

/// The lines that warn.
fn warnings(ran: &Ran) -> Vec<&str> {
    let lines = ran.stderr.lines();
    lines.filter(|line| line.contains("WARN")).collect()
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| {
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        panic!("no `{name}` among {names:?}")
    })
}

#[test]
fn metrics_are_not_served_to_other_machines() {
    let home = project();
    for address in [
        "0.0.0.0:9464",
        "[::]:9464",
        "192.0.2.7:9464",
        "localhost:9464",
    ] {
        home.flowhost(&["run", "plan.yaml", "--metrics-listen", address])
            .expect(64);
    }
    let shown = seen(
        &home,
        &["run", "plan.yaml", "--metrics-listen", "0.0.0.0:9464"],
    );
    insta::assert_snapshot!(shown, @r"
    $ flowhost run plan.yaml --metrics-listen 0.0.0.0:9464
    ----- stderr
    error: invalid value '0.0.0.0:9464' for '--metrics-listen <ADDRESS>': this is served on loopback only, because nothing asks who reads it: use 127.0.0.1 or [::1]

    For more information, try '--help'.
    ----- exit 64
    ");
}

#[test]
fn a_port_that_is_taken_is_an_error_before_anything_runs() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = project();
    let ran = home.flowhost(&["run", "plan.yaml", "--metrics-listen", &address]);
    let ran = ran.expect(1);
    assert!(
        ran.stderr.contains("metrics cannot be served"),
        "{}",
        ran.all()
    );
    assert!(!home.path().join(".flowhost/default/runs").exists());
}

#[test]
fn a_collector_that_is_not_there_costs_one_warning_and_nothing_else() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let ran = run(
        &project(),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)],
        &["--json"],
    );
    let ran = ran.expect(0);
    assert_eq!(warnings(&ran).len(), 1, "{}", ran.all());
    assert!(
        warnings(&ran)[0].contains("does not reach the collector"),
        "{}",
        ran.all()
    );
    assert_eq!(ran.json()["status"], "ok");
}

#[test]
fn a_collector_that_refuses_or_hangs_costs_one_warning_and_nothing_else() {
    for manner in [Manner::Refuses(503), Manner::Refuses(302), Manner::Hangs] {
        let (ran, collector) = exported(&project(), manner);
        let ran = ran.expect(0);
        assert_eq!(warnings(&ran).len(), 1, "{manner:?}\n{}", ran.all());
        assert!(!collector.requests().is_empty(), "{manner:?}");
    }
}

#[test]
fn a_variable_that_cannot_be_used_costs_one_warning_without_its_value() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization tell-nobody-7193",
        ),
    ];
    let ran = run(&project(), &variables, &[]).expect(0);
    assert_eq!(warnings(&ran).len(), 1, "{}", ran.all());
    assert!(!ran.all().contains("tell-nobody-7193"), "{}", ran.all());
}

#[test]
fn the_ledger_and_the_report_are_the_same_with_and_without_telemetry() {
    let shape = |home: &Home| -> Vec<(String, String, BTreeSet<String>)> {
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        let keys = |record: &Value| record.as_object().unwrap().keys().cloned().collect();
        // Order between threads is free; what is recorded, and how often, is not.
        let records = home.records().into_iter();
        let mut all: Vec<_> = records
            .map(|it| (text(&it, "kind"), text(&it, "actor"), keys(&it)))
            .collect();
        all.sort();
        all
    };
    let (bare, told) = (project(), project());
    let without = run(&bare, &[], &["--json"]).expect(0).json();
    let (ran, _collector) = exported(&told, Manner::Takes);
    let with = ran.expect(0).json();
    assert_eq!(shape(&bare), shape(&told));
    assert_eq!(with["plan_hash"], without["plan_hash"]);
    for step in ["told", "again"] {
        for key in ["status", "attempts"] {
            assert_eq!(with["steps"][step][key], without["steps"][step][key]);
        }
    }
    let keys =
        |report: &Value| -> Vec<String> { report.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&with), keys(&without));
}

#[test]
fn spans_reach_the_collector_as_a_tree_with_the_ids_that_guests_and_the_ledger_have() {
    let home = project();
    let (ran, collector) = exported(&home, Manner::Takes);
    let report = ran.expect(0).json();
    let (spans, _) = collector.spans();
    let run = named(&spans, "run under-test");
    assert_eq!(
        attribute(&run.attributes, "flowhost.run_id"),
        report["run_id"]
    );
    assert_eq!(
        attribute(&run.attributes, "flowhost.plan_id"),
        report["plan_hash"]
    );
    assert!(run.parent_span_id.is_empty() && run.links.is_empty());

    let step = named(&spans, "step told");
    let id = attribute(&step.attributes, "flowhost.step_id");
    let records = home.records();
    let ended = records
        .iter()
        .find(|it| it["kind"] == "step.end" && it["path"] == "told");
    assert_eq!(id, ended.unwrap()["step"]);
    assert_eq!(hex(&step.span_id), id.as_str().unwrap()[..16]);
    // What the guest was told is what its envelope says.
    let traceparent = format!("00-{}-{}-01", hex(&step.trace_id), hex(&step.span_id));
    assert_eq!(report["outputs"]["told"]["traceparent"], json!(traceparent));

    assert_eq!(step.parent_span_id, run.span_id);
    let below = |parent: &Span| -> Vec<&str> {
        let own = spans
            .iter()
            .filter(|it| it.parent_span_id == parent.span_id);
        let mut names: Vec<&str> = own.map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(below(run), ["step again", "step told"]);
    assert_eq!(below(step), ["attempt 1"]);
    let attempt = spans
        .iter()
        .find(|it| it.parent_span_id == step.span_id)
        .unwrap();
    assert_eq!(
        below(attempt),
        ["execute_tool ok_context/run", "guardrail ok_guardrail"]
    );
    assert_eq!(
        below(named(&spans, "step again")),
        ["attempt 1", "attempt 2"]
    );

    let ids: BTreeSet<&[u8]> = spans.iter().map(|it| &*it.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no id is used twice");
    for span in &spans {
        assert_eq!(span.trace_id, run.trace_id, "{}", span.name);
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{}",
            span.name
        );
        let whole = run.start_time_unix_nano..=run.end_time_unix_nano;
        assert!(whole.contains(&span.start_time_unix_nano), "{}", span.name);
    }
}

#[test]
fn spans_say_how_they_ended_and_quote_nothing() {
    let home = project();
    let (ran, collector) = exported(&home, Manner::Takes);
    ran.expect(0);
    let (spans, _) = collector.spans();
    let code = |span: &Span| {
        span.status
            .as_ref()
            .map_or(StatusCode::Unset, |it| it.code())
    };
    let again = named(&spans, "step again");
    let mut attempts: Vec<&Span> = spans
        .iter()
        .filter(|it| it.parent_span_id == again.span_id)
        .collect();
    attempts.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(code(attempts[0]), StatusCode::Error);
    assert_eq!(attempts[0].status.as_ref().unwrap().message, "transient");
    assert_eq!(
        attribute(&attempts[0].attributes, "error.type"),
        "transient"
    );
    assert_eq!(code(attempts[1]), StatusCode::Ok);
    let tool = named(&spans, "execute_tool ok_context/run");
    assert_eq!(
        attribute(&tool.attributes, "gen_ai.operation.name"),
        "execute_tool"
    );
    assert_eq!(attribute(&tool.attributes, "gen_ai.tool.name"), "run");
    let record = attribute(&tool.attributes, "flowhost.record").to_string();
    let records = home.records();
    let of_record = records.iter().find(|it| it["seq"] == record).unwrap();
    assert_eq!(of_record["kind"], "tool.call");
    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for content in ["tell-nobody-7193", "is too early"] {
        assert!(!bytes.contains(content), "{content}");
    }
}

#[test]
fn headers_resource_and_caller_come_from_the_environment() {
    let collector = Collector::start(Manner::Takes);
    let endpoint = collector.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b"),
        ("OTEL_SERVICE_NAME", "nightly"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        (
            "TRACEPARENT",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ];
    run(&project(), &variables, &[]).expect(0);
    for sent in collector.requests() {
        assert!(
            sent.headers.contains(&"x-key: a b".to_owned()),
            "{:?}",
            sent.headers
        );
    }
    let (spans, resource) = collector.spans();
    let resource = resource.unwrap();
    for (name, value) in [
        ("service.name", "nightly"),
        ("deployment.environment.name", "test"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(attribute(&resource.attributes, name), value, "{name}");
    }
    let run = named(&spans, "run under-test");
    assert_eq!(
        hex(&run.links[0].trace_id),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(hex(&run.links[0].span_id), "00f067aa0ba902b7");
    assert_ne!(run.trace_id, run.links[0].trace_id);
}

/// Sums by labels: what a counter counted, or how often a histogram was told something.
fn sums(metrics: &[Metric], name: &str) -> BTreeMap<String, u64> {
    let metric = metrics.iter().find(|it| it.name == name);
    let metric = metric.unwrap_or_else(|| panic!("no `{name}`"));
    let labels = |attributes: &[_], names: &[&str]| {
        let values = names.iter().map(|name| attribute(attributes, name));
        let texts: Vec<String> = values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect();
        texts.join(" ")
    };
    let names = [
        "plugin", "tool", "sender", "type", "plan", "role", "outcome",
    ];
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => {
            let points = sum.data_points.iter().map(|point| {
                let Some(number_data_point::Value::AsInt(value)) = point.value else {
                    panic!("{point:?}");
                };
                (labels(&point.attributes, &names), value.try_into().unwrap())
            });
            points.collect()
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter();
            let points = points.map(|it| (labels(&it.attributes, &names), it.count));
            points.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn metrics_reach_the_collector_with_what_the_ledger_counts() {
    let home = project();
    let (ran, collector) = exported(&home, Manner::Takes);
    ran.expect(0);
    let metrics = collector.metrics();
    let own = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(name, sum)| ((*name).to_owned(), *sum))
            .collect()
    };
    let calls = own(&[
        ("fault_flaky run failed", 1),
        ("fault_flaky run ok", 1),
        ("ok_context run ok", 1),
    ]);
    assert_eq!(sums(&metrics, "tool_calls_total"), calls);
    assert_eq!(sums(&metrics, "tool_execution_duration_seconds"), calls);
    let plans = own(&[("under-test ok", 1)]);
    assert_eq!(sums(&metrics, "planner_plan_duration_seconds"), plans);
    let workers = own(&[
        ("fault_flaky tool", 2),
        ("ok_context tool", 1),
        ("ok_guardrail guardrail", 1),
    ]);
    assert_eq!(sums(&metrics, "worker_execution_latency_seconds"), workers);
    let messages: u64 = sums(&metrics, "agent_messages_total").values().sum();
    let records = home.records();
    let of = |it: &&Value| it["kind"] == "message";
    let answered = |it: &&Value| it["event"] == "call_finished" && !it["took_us"].is_null();
    let recorded = records.iter().filter(of).count();
    // An answer is the record of its end, and was ordered before.
    let calls = records.iter().filter(answered).count();
    assert_eq!(messages, (recorded + 2 * calls) as u64);
    assert_eq!(calls, 4, "two attempts, a tool and a guardrail");
}

#[test]
fn a_denial_is_counted_where_the_ledger_has_one() {
    let home = Home::new();
    home.guest("ok_files");
    home.file("data/a.txt", "x");
    home.file(
        "policies/reader.toml",
        "version = 1\nname = \"reader\"\n[[files]]\nguest = \"/data\"\nhost = \"data\"\naccess = \"read\"\n",
    );
    let plugins = super::tool("ok_files", "reader");
    let input = "{ op: write, path: /data/b.txt, contents: y }";
    let step = format!("  only: {{ uses: ok_files/run, with: {input}, continue_on_error: true }}");
    home.file("plan.yaml", super::plan(&plugins, &step));
    let (_, collector) = exported(&home, Manner::Takes);
    let records = home.records();
    let denied = records.iter().filter(|it| it["decision"] == "deny").count();
    assert!(denied > 0, "{records:#?}");
    let metrics = collector.metrics();
    let counted: u64 = sums(&metrics, "sandbox_denials_total").values().sum();
    assert_eq!(counted, denied as u64);
    let (spans, _) = collector.spans();
    let events = spans.iter().flat_map(|span| &span.events);
    assert_eq!(
        events.filter(|event| event.name == "denied").count(),
        denied
    );
}

/// Sends one request and reads everything that comes back.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, what: &str, host: &str) -> String {
    ask(
        address,
        &format!("{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

/// A run of a minute that serves metrics, and where.
fn serving(home: &Home) -> (Child, SocketAddr) {
    let mut command = home.command(&["run", "plan.yaml", "--metrics-listen", "127.0.0.1:0"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.find_map(|line| {
        let line = line.ok()?;
        let url = line.strip_prefix("metrics: http://")?;
        url.strip_suffix("/metrics")?.parse().ok()
    });
    (child, told.unwrap())
}

#[test]
fn metrics_can_be_read_while_the_run_lasts_and_nothing_else_can() {
    let home = sleeping();
    let (child, address) = serving(&home);
    let since = Instant::now();
    let order = r#"agent_messages_total{sender="host",type="step.start","#;
    let ordered = |line: &str| line.starts_with(order) && line.ends_with("} 1");
    let answer = loop {
        let answer = get(address, "GET /metrics", &address.to_string());
        if answer.lines().any(ordered) {
            break answer;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"));
    assert!(!answer.contains("# EOF"), "{answer}");
    let open = "localhost\r\nAccept: application/openmetrics-text; version=1.0.0";
    let answer = get(address, "GET /metrics", open);
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    let head = get(address, "HEAD /metrics", "localhost");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for (what, host, status) in [
        ("GET /", "localhost", "404"),
        ("GET /metrics/x", "localhost", "404"),
        ("POST /metrics", "localhost", "405"),
        ("GET /metrics", "attacker.example", "421"),
        ("GET /metrics", "localhost\r\nHost: attacker.example", "400"),
        ("GET /metrics", "localhost\r\nHost: localhost", "400"),
        ("GET http://attacker.example/metrics", "localhost", "421"),
        ("GET http://localhost/metrics", "attacker.example", "421"),
    ] {
        let answer = get(address, what, host);
        let refused = answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(
            refused && !answer.contains("agent_messages"),
            "{what}: {answer}"
        );
    }
    signal(&child, "INT");
    assert_eq!(ended(child).code(), Some(130));
    assert!(
        TcpStream::connect(address).is_err(),
        "the port is closed with the run"
    );
}

#[test]
fn log_lines_are_objects_with_the_reserved_fields() {
    let home = project();
    let ran = run(&home, &[], &["-v", "--log-format", "json"]).expect(0);
    let lines: Vec<Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let records = home.records();
    let of = |kind: &str| {
        let found = lines.iter().find(|line| line["event_type"] == kind);
        found.unwrap_or_else(|| panic!("no `{kind}`: {}", ran.all()))
    };
    let result = of("tool.result");
    let recorded = records
        .iter()
        .find(|it| it["kind"] == "tool.result")
        .unwrap();
    // A result names its call, which names its step.
    let called = |it: &&Value| it["kind"] == "tool.call" && it["call"] == recorded["call"];
    let step = &records.iter().find(called).unwrap()["step"];
    for (field, value) in [
        ("run_id", &recorded["run"]),
        ("tenant_id", &recorded["tenant"]),
        ("step_id", step),
        ("outcome", &json!("ok")),
        ("tool_id", &json!("ok_context/run")),
        ("level", &json!("INFO")),
        ("target", &json!("flowhost::fact")),
    ] {
        assert_eq!(&result[field], value, "{field}");
    }
    assert_eq!(result["span_id"], step.as_str().unwrap()[..16]);
    let start = records.iter().find(|it| it["kind"] == "run.start").unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line["plan_id"] == start["plan"] || line["plan_id"].is_null())
    );
    assert_eq!(of("run.end")["outcome"], "ok");
    assert!(!ran.stderr.contains("tell-nobody-7193"));
}

#[test]
fn a_plugins_line_carries_the_fields_of_its_run_and_step() {
    let home = Home::new();
    home.guest("ok_log");
    home.file(
        "policies/talks.toml",
        "version = 1\nname = \"talks\"\nlog = true\n",
    );
    let plugins = super::tool("ok_log", "talks");
    let step = "  only: { uses: ok_log/run, with: { level: warn, message: \"one\\ntwo\" } }";
    home.file("plan.yaml", super::plan(&plugins, step));
    let ran = run(&home, &[], &["--log-format", "json"]).expect(0);
    let line: Value = serde_json::from_str(ran.stderr.lines().next().unwrap()).unwrap();
    let records = home.records();
    let call = records.iter().find(|it| it["kind"] == "tool.call").unwrap();
    for (field, value) in [
        ("step_id", &call["step"]),
        ("run_id", &call["run"]),
        ("tenant_id", &call["tenant"]),
        ("tool_id", &json!("ok_log")),
        ("target", &json!("plugin")),
    ] {
        assert_eq!(&line[field], value, "{field}");
    }
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
}

/// As [`exported`], where the operator wants no run without telemetry.
fn halting(home: &Home, endpoint: &str) -> Ran {
    let configuration = home.file("own/flowhost.toml", "[telemetry]\non_failure = \"halt\"\n");
    let configuration = configuration.display().to_string();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("FLOWHOST_CONFIG", &configuration),
    ];
    run(home, &variables, &["--json"])
}

#[test]
fn no_step_runs_without_the_collector_that_the_operator_wants() {
    for manner in [Manner::Refuses(503), Manner::Refuses(301)] {
        let home = project();
        let collector = Collector::start(manner);
        let ran = halting(&home, &collector.endpoint()).expect(1);
        assert!(
            ran.stderr
                .contains("telemetry does not reach the collector"),
            "{}",
            ran.all()
        );
        let said = ran.all();
        assert!(said.contains("no run was begun"), "{said}");
        assert!(!said.contains("the run is halted"), "{said}");
        assert!(!home.path().join(".flowhost/default/runs").exists());
    }
    let ran = halting(&project(), "http://127.0.0.1:9").expect(1);
    assert!(ran.stderr.contains("on_failure"), "{}", ran.all());
}

#[test]
fn a_run_whose_collector_goes_away_is_halted_and_says_so_in_its_record() {
    let home = sleeping();
    home.guest("ok_echo");
    let plugins = [tool("ok_echo", "deny-all"), tool("limit_sleep", "slow")].concat();
    let steps = "  first: { uses: ok_echo/run, with: {} }\n  \
                 waits: { uses: limit_sleep/run, with: {}, needs: [first] }";
    home.file("plan.yaml", plan(&plugins, steps));
    let collector = Collector::start(Manner::TakesOne);
    let ran = halting(&home, &collector.endpoint()).expect(1);
    assert!(ran.stderr.contains("the run is halted"), "{}", ran.all());
    let error = ran.json()["error"].clone();
    assert_eq!(error["owner"], "host", "{}", ran.all());
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("it answers 503"),
        "{error}"
    );
    let records = home.records();
    let end = records.iter().rfind(|it| it["kind"] == "run.end").unwrap();
    assert_eq!(
        (&end["status"], &end["exit_code"]),
        (&json!("failed"), &json!("1"))
    );
}

#[test]
fn what_is_left_at_the_end_of_a_run_has_to_arrive_too() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let collector = Collector::start(Manner::TakesOne);
    let ran = halting(&home, &collector.endpoint()).expect(1);
    assert!(ran.stderr.contains("it answers 503"), "{}", ran.all());
    home.flowhost(&["verify", "latest"]).expect(0);
}
