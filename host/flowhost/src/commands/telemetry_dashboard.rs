//! `flowhost telemetry dashboard`: the numbers over evidence as a page, written once or served to this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::loopback::{Page, serve, typed};
use flowhost_evidence::analysis::{Overview, overview};
use flowhost_evidence::html::dashboard::page;
use flowhost_flow::Exit;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::json;

use crate::cli::{DashboardArgs, EvidenceArgs};
use crate::commands::Context;
use crate::commands::running::runtime;
use crate::commands::telemetry_numbers::gather;

/// How often a browser asks for a served page again: a stage takes minutes.
const REFRESH_S: u32 = 10;

pub(crate) fn perform(args: &DashboardArgs, context: &Context) -> Result<Exit, Failure> {
    let tell = |text: &str| {
        let text = flowhost::output::neutral(text);
        context.output.message(&text);
    };
    // Also where it is served: a folder without evidence is told here, and not to a browser.
    let numbers = numbers(&context.ambient, &args.evidence, &tell)?;
    if let Some(address) = args.watch {
        return watch(address, &args.evidence, context);
    }
    let page = page(&numbers, None);
    match (&args.out, context.output.json) {
        (Some(out), is_json) => {
            context.ambient.write(out, page.as_bytes())?;
            if is_json {
                let out = out.display().to_string();
                context
                    .output
                    .document(&json!({ "out": out, "overview": numbers }));
            } else {
                let text = format!("the dashboard is in {}\n", out.display());
                context.output.message(&text);
            }
        }
        (None, true) => context.output.document(&json!({ "overview": numbers })),
        (None, false) => context.output.result(&page),
    }
    Ok(Exit::Ok)
}

fn numbers(
    ambient: &Ambient,
    evidence: &EvidenceArgs,
    tell: &dyn Fn(&str),
) -> Result<Overview, Failure> {
    let (evidence, source) = gather(ambient, evidence, tell)?;
    let numbers = overview(evidence.observations(), source);
    debug_assert!(numbers.is_some(), "nothing is gathered without a stage");
    numbers.ok_or_else(|| Failure::new(Exit::Internal, "the dashboard has nothing to show"))
}

/// Serves the page until someone interrupts it, read anew for whoever asks.
fn watch(address: SocketAddr, evidence: &EvidenceArgs, context: &Context) -> Result<Exit, Failure> {
    let cannot = |error: std::io::Error| {
        let message = format!("the dashboard cannot be served on {address}");
        Failure::new(Exit::Internal, message)
            .because(error.to_string())
            .hint("another port may be free; port 0 takes any that is")
    };
    let (ambient, evidence) = (context.ambient.clone(), evidence.clone());
    let answer = move |_: &Request<Incoming>| {
        // Reading a folder takes its time, and others are served meanwhile.
        // What is left out was told when it began; nobody reads the terminal at each reading.
        let read = || numbers(&ambient, &evidence, &|_| {});
        match tokio::task::block_in_place(read) {
            Ok(numbers) => {
                let page = page(&numbers, Some(REFRESH_S));
                typed(StatusCode::OK, "text/html; charset=utf-8", page)
            }
            Err(failure) => {
                let why = format!("{}\n{}\n", failure.message, failure.causes.join("\n"));
                let kind = "text/plain; charset=utf-8";
                typed(StatusCode::INTERNAL_SERVER_ERROR, kind, why)
            }
        }
    };
    let page = Page {
        path: "/",
        answer: Arc::new(answer),
    };
    runtime()?.block_on(async {
        let listener = context.ambient.listen(address).await.map_err(cannot)?;
        let url = format!("http://{}/", listener.local_addr().map_err(cannot)?);
        if context.output.json {
            context.output.document(&json!({ "url": url }));
        } else {
            context.output.result(&format!("{url}\n"));
        }
        tokio::select! {
            () = serve(listener, page) => Ok(Exit::Ok),
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Exit::Ok).map_err(cannot),
        }
    })
}
