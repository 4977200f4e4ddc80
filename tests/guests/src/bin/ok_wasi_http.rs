//! Sends requests through `wasi:http/outgoing-handler`: `method`, `scheme`, `authority`, `path`, `headers`
//! (pairs), each as it is given; takes a table of `cases` (NET-024, NET-025, NET-028).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, Value, each, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingRequest, Scheme};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "get")]
    method: String,
    /// `http`, `https`, another, or none at all.
    scheme: Option<String>,
    authority: Option<String>,
    path: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn get() -> String {
    "GET".to_owned()
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme(name: String) -> Scheme {
    match name.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(name),
    }
}

/// The request, or the name of the part that was refused before it was sent.
fn request(input: Input) -> Result<OutgoingRequest, &'static str> {
    let fields = Fields::new();
    for (name, value) in input.headers {
        fields
            .append(&name, value.as_bytes())
            .map_err(|_| "headers")?;
    }
    let request = OutgoingRequest::new(fields);
    request
        .set_method(&method(&input.method))
        .map_err(|()| "method")?;
    request
        .set_scheme(input.scheme.map(scheme).as_ref())
        .map_err(|()| "scheme")?;
    request
        .set_authority(input.authority.as_deref())
        .map_err(|()| "authority")?;
    request
        .set_path_with_query(input.path.as_deref())
        .map_err(|()| "path")?;
    Ok(request)
}

fn code(error: &ErrorCode) -> Value {
    json!(format!("{error:?}"))
}

fn response(request: OutgoingRequest) -> Result<IncomingResponse, ErrorCode> {
    let future = handle(request, None)?;
    loop {
        match future.get() {
            Some(result) => return result.unwrap_or(Err(ErrorCode::InternalError(None))),
            None => future.subscribe().block(),
        }
    }
}

fn body(response: &IncomingResponse) -> String {
    let Ok(body) = response.consume() else {
        return String::new();
    };
    let Ok(stream) = body.stream() else {
        return String::new();
    };
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(65_536) {
        bytes.extend(chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn work(input: Input) -> Result<Value, Error> {
    let request = match request(input) {
        Ok(request) => request,
        Err(part) => return Ok(json!({ "refused": part })),
    };
    Ok(match response(request) {
        Ok(response) => json!({ "status": response.status(), "body": body(&response) }),
        Err(error) => json!({ "error": code(&error) }),
    })
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
