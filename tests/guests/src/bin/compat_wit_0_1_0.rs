//! Uses each import of the released WIT folder 0.1.0 once and tells what came back. It is built from
//! that folder for ever; a host that cannot run it has broken its word.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::{
    budget, clock, config, files, http, log, messaging, model, progress, random, secrets, state,
    tools,
};
use flowhost_test_guests::{Answer, Context, Error, Value, answer, json, told};

fn request() -> Result<Value, Error> {
    let response = http::send(&http::Request {
        method: "GET".to_owned(),
        url: "http://127.0.0.1:1/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 100.0,
    })?;
    Ok(json!(response.status))
}

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    log::write(log::Level::Info, "compat", &[]);
    progress::report(1.0, Some(2.0), "compat");
    answer(&json!({
        "budget": budget::left().fuel,
        "clock": clock::elapsed_ms(),
        "config": config::all(),
        "files": files::roots(),
        "http": told(request()),
        "messaging": told(messaging::publish("compat", "", "null").map(Value::from)),
        "model": told(model::embed("mock/embed", &[]).map(|made| json!(made.vectors.len()))),
        "random": told(random::bytes(4).map(|bytes| json!(bytes.len()))),
        "secrets": secrets::names(),
        "state": told(state::list("notes", "").map(|keys| json!(keys))),
        "tools": tools::list().len(),
    }))
}

flowhost_test_guests::guest!(run);
