//! The same rules through `wasi:http`.

use http_body_util::Empty;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::*;
use crate::http::wasi::WasiState;

async fn send(bench: &Bench, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
    let mut state = WasiState::new(Arc::clone(&bench.sender), bench.scope.clone());
    let options = Some(RequestOptions::default());
    let future = state
        .hooks()
        .send_request(request, options, Box::new(async { Ok(()) }));
    Box::into_pin(future).await.map(|(response, _)| response)
}

fn empty(method: &str, url: &str) -> Request<WasiBody> {
    let body = Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    Request::builder()
        .method(method)
        .uri(url)
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn denies_what_no_rule_names() {
    let bench = Bench::new(vec![rule(API)]);
    let result = send(&bench, empty("GET", "https://evil.test/")).await;
    assert!(matches!(result, Err(Error::HttpRequestDenied)));
    bench.nothing_left("http#none");
}

#[tokio::test]
async fn net_031_denies_a_request_without_a_scheme() {
    let bench = Bench::new(vec![rule(API)]);
    let mut state = WasiState::new(Arc::clone(&bench.sender), bench.scope.clone());
    assert_eq!(state.hooks().default_scheme(), None);
    let request = empty("GET", "/relative");
    assert!(matches!(
        send(&bench, request).await,
        Err(Error::HttpRequestDenied)
    ));
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn netip_031_denies_a_name_at_loopback() {
    let resolver = ScriptedResolver::default().answer("api.example.com", &["127.0.0.1"]);
    let bench = Bench::with(
        vec![rule(API)],
        resolver,
        RecordingConnector::default(),
        |_| {},
    );
    let result = send(&bench, empty("GET", API)).await;
    assert!(matches!(result, Err(Error::DestinationIpProhibited)));
    bench.nothing_left("egress.loopback");
}

#[tokio::test]
async fn netx_029_an_endless_request_body_stops_at_the_cap() {
    let small = HttpRule {
        request_bytes: 1 << 16,
        ..rule(PLAIN)
    };
    let bench = Bench::with(vec![small], public(), serving(echo), |_| {});
    let endless = futures::stream::repeat_with(|| {
        Ok::<_, Error>(hyper::body::Frame::data(bytes::Bytes::from_static(
            &[b'x'; 1024],
        )))
    });
    let body = http_body_util::StreamBody::new(endless).boxed_unsync();
    let request = Request::builder()
        .method("POST")
        .uri(PLAIN)
        .body(body)
        .unwrap();
    let result = send(&bench, request).await;
    assert!(
        matches!(result, Err(Error::HttpRequestBodySize(Some(_)))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_response_streams_until_its_cap() {
    let small = HttpRule {
        response_bytes: 4,
        ..rule(PLAIN)
    };
    let head =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n1\r\n!\r\n0\r\n\r\n";
    let bench = Bench::with(vec![small], public(), raw(head), |_| {});
    let body = send(&bench, empty("GET", PLAIN)).await.unwrap().into_body();
    let result = body.collect().await;
    assert!(
        matches!(result, Err(Error::HttpResponseBodySize(Some(5)))),
        "{result:?}"
    );
}

#[tokio::test]
async fn the_hosts_headers_are_forbidden_to_the_guest() {
    let bench = Bench::new(vec![rule(API)]);
    let mut state = WasiState::new(Arc::clone(&bench.sender), bench.scope.clone());
    for name in [
        "host",
        "connection",
        "transfer-encoding",
        "upgrade",
        "te",
        "proxy-authorization",
    ] {
        let name = http::HeaderName::from_static(name);
        assert!(state.hooks().is_forbidden_header(&name), "{name}");
    }
    assert!(!state.hooks().is_forbidden_header(&http::header::ACCEPT));
}

#[tokio::test]
async fn a_declared_length_is_the_hosts_framing() {
    let bench = Bench::with(vec![rule(PLAIN)], public(), serving(echo), |_| {});
    let chunk = || Ok::<_, Error>(hyper::body::Frame::data(bytes::Bytes::from_static(b"abc")));
    let stream = http_body_util::StreamBody::new(futures::stream::iter([chunk()])).boxed_unsync();
    let request = Request::builder()
        .method("POST")
        .uri(PLAIN)
        .header("content-length", "3");
    let response = send(&bench, request.body(stream).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.contains("\"content-length\": \"3\"") && text.ends_with("abc"),
        "{text}"
    );
    assert!(!text.contains("chunked"), "{text}");
}

#[tokio::test]
async fn both_interfaces_write_the_same_records() {
    let lines = |bench: &Bench| -> Vec<String> {
        let names = ["decision", "stage", "rule", "address", "wanted"];
        let facts = crate::testing::decided(&bench.recorder);
        facts
            .iter()
            .map(|fact| names.map(|name| field(fact, name)).join(" "))
            .collect()
    };
    let new = || Bench::with(vec![rule(PLAIN)], public(), serving(echo), |_| {});
    let (ours, theirs) = (new(), new());
    ours.get(PLAIN).await.unwrap();
    send(&theirs, empty("GET", PLAIN)).await.unwrap();
    assert_eq!(lines(&ours), lines(&theirs));
}

#[tokio::test]
async fn a_fault_of_the_host_ends_the_call_though_the_guest_reads_a_code() {
    let inject = flowhost_policy::Inject::Header {
        header: "authorization".to_owned(),
        value: "Bearer ${secret:ABSENT}".to_owned(),
    };
    let injecting = HttpRule {
        inject: Some(inject),
        ..rule(PLAIN)
    };
    let mut bench = Bench::with(vec![injecting], public(), serving(echo), |_| {});
    let mut effective = (*bench.scope.effective).clone();
    effective.grants.secrets.names = vec!["ABSENT".to_owned()];
    bench.scope.effective = Arc::new(effective);
    let result = send(&bench, empty("GET", PLAIN)).await;
    assert!(
        matches!(result, Err(Error::InternalError(None))),
        "{result:?}"
    );
    let fault = bench.scope.charge_host_call().unwrap_err().to_string();
    assert!(fault.contains("FLOWHOST_SECRET_ABSENT"), "{fault}");
}

#[tokio::test]
async fn a_spent_host_call_budget_sends_nothing() {
    let bench = Bench::with(vec![rule(PLAIN)], public(), serving(echo), |_| {});
    let mut state = WasiState::new(Arc::clone(&bench.sender), bench.scope.clone());
    state.hooks().spend();
    let future = state
        .hooks()
        .send_request(empty("GET", PLAIN), None, Box::new(async { Ok(()) }));
    assert!(matches!(
        Box::into_pin(future).await.map(|_| ()),
        Err(Error::HttpRequestDenied)
    ));
    assert_eq!(bench.connector.dialled(), []);
}

#[test]
fn both_interfaces_link_and_neither_does_without_a_grant() {
    use flowhost_engine::Provider;
    let engine = wasmtime::Engine::default();
    let services = HttpServices::system(Arc::new(Vault), Vec::new(), false).unwrap();
    let http = crate::http::Http::new(services);
    let mut linker = wasmtime::component::Linker::new(&engine);
    http.capability().link(&mut linker, false).unwrap();
    http.capability().link(&mut linker, true).unwrap();
    assert!(
        http.capability().link(&mut linker, true).is_err(),
        "nothing was linked the first time"
    );
}
