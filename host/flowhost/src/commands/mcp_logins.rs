//! `flowhost mcp status` and `flowhost mcp logout`: what is kept of logins, without their tokens, and its end.

use flowhost::failure::Failure;
use flowhost::logins::Logins;
use flowhost::output::{neutral, one_line};
use flowhost_flow::Exit;
use flowhost_ledger::timestamp;
use flowhost_oauth::{ClientKind, Login, Standing};
use serde_json::{Value, json};

use super::running::runtime;
use super::runs_show::seconds;
use super::tables::plain_table;
use crate::cli::{LogoutArgs, StatusArgs};
use crate::commands::Context;

pub(crate) fn status(args: &StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let logins = Logins::new(&context.ambient, &context.config, &context.state);
    let names = match &args.name {
        None => logins.names()?,
        Some(name) => vec![name.clone()],
    };
    let now_ms = context.ambient.now_ms();
    let mut found = Vec::new();
    for name in names {
        match logins.read(&name) {
            Ok(Some(login)) => found.push(Ok(login)),
            // It was forgotten while this looked, or somebody asks for one that never was.
            Ok(None) if args.name.is_none() => {}
            Ok(None) => return Err(absent(&name)),
            // The others are still worth being shown.
            Err(failure) => found.push(Err((name, failure))),
        }
    }
    let broken = found.iter().any(Result::is_err);
    if context.output.json {
        let one = |login: &Result<Login, (String, Failure)>| match login {
            Ok(login) => document(login, now_ms),
            Err((name, failure)) => json!({ "name": name, "error": why(failure) }),
        };
        let all: Vec<Value> = found.iter().map(one).collect();
        context.output.document(&json!({ "logins": all }));
    } else if found.is_empty() {
        context
            .output
            .message("nobody is logged in: `flowhost mcp login NAME URL` logs in at a server\n");
    } else {
        context.output.result(&neutral(&table(&found, now_ms)));
    }
    Ok(match broken {
        true => Exit::Internal,
        false => Exit::Ok,
    })
}

pub(crate) fn log_out(args: &LogoutArgs, context: &Context) -> Result<Exit, Failure> {
    let logins = Logins::new(&context.ambient, &context.config, &context.state);
    let name = &args.name;
    // One that never was is told without making a lock for it.
    if matches!(logins.read(name), Ok(None)) {
        return Err(absent(name));
    }
    let runtime = runtime()?;
    let held = runtime.block_on(logins.hold(name))?;
    // What is given back is what was renewed to while this waited.
    let login = match logins.read(name) {
        Ok(None) => return Err(absent(name)),
        Ok(Some(login)) => Some(login),
        // What cannot be read can be forgotten, and not be given back.
        Err(failure) => {
            note(context, &why(&failure));
            None
        }
    };
    let given_back = match &login {
        None => false,
        Some(login) => {
            let told = runtime.block_on(logins.give_back(login));
            told.unwrap_or_else(|failure| {
                note(context, &why(&failure));
                false
            })
        }
    };
    // Forgotten here also where the authority could not be told: whoever logs out wants no more requests with it.
    logins.forget(name, &held)?;
    drop(held);
    runtime.shutdown_background();
    let text = match (given_back, &login) {
        (true, _) => format!("`{name}` is logged out; its tokens were given back\n"),
        (false, Some(login)) => format!(
            "`{name}` is logged out here; `{}` was not told, so that its tokens may be good until they end\n",
            login.issuer
        ),
        (false, None) => format!("`{name}` is forgotten; its tokens may be good until they end\n"),
    };
    match context.output.json {
        true => context
            .output
            .document(&json!({ "name": name, "logged_out": true, "given_back": given_back })),
        false => context.output.result(&neutral(&text)),
    }
    Ok(Exit::Ok)
}

fn note(context: &Context, why: &str) {
    let text = format!("note: the tokens were not given back: {}\n", one_line(why));
    context.output.message(&text);
}

fn why(failure: &Failure) -> String {
    let causes = failure.causes.iter().map(String::as_str);
    let all: Vec<&str> = std::iter::once(failure.message.as_str())
        .chain(causes)
        .collect();
    all.join(": ")
}

fn absent(name: &str) -> Failure {
    let message = format!("nobody is logged in as `{name}`");
    Failure::new(Exit::Internal, message)
        .hint("`flowhost mcp status` shows all logins; `flowhost mcp login NAME URL` logs in")
}

/// A login as scripts read it. No token is in it.
pub(super) fn document(login: &Login, now_ms: u64) -> Value {
    json!({
        "name": login.name,
        "server": login.server,
        "issuer": login.issuer,
        "client": login.client.id,
        "client_kind": login.client.kind,
        "scopes": login.scopes,
        "wanted": login.wanted,
        "standing": standing(login, now_ms),
        "ended": login.ended,
        "renews": login.refresh.is_some(),
        "logged_in_at": moment(login.logged_in_at_ms),
        "renewed_at": login.renewed_at_ms.map(moment),
        "expires_at": login.expires_at_ms.map(moment),
    })
}

fn standing(login: &Login, now_ms: u64) -> &'static str {
    match login.standing(now_ms) {
        Standing::Good => "good",
        Standing::Renews => "renews",
        Standing::Over => "over",
        Standing::Ended => "ended",
    }
}

fn moment(ms: u64) -> String {
    timestamp(ms.saturating_mul(1_000))
}

fn table(found: &[Result<Login, (String, Failure)>], now_ms: u64) -> String {
    let mut table = plain_table(&["login", "server", "standing", "until", "allows", "client"]);
    let mut notes = String::new();
    for login in found {
        match login {
            Ok(login) => {
                table.add_row(row(login, now_ms));
                notes.push_str(&remark(login, now_ms));
            }
            Err((name, failure)) => {
                let row = [name.as_str(), "", "unreadable", "", "", ""];
                table.add_row(row.map(str::to_owned));
                notes.push_str(&format!("\n{name}: {}\n", one_line(&why(failure))));
            }
        }
    }
    format!("{}\n{notes}", table.trim_fmt())
}

fn row(login: &Login, now_ms: u64) -> [String; 6] {
    let until = match (login.expires_at_ms, login.refresh.is_some()) {
        (None, _) => "the server ends it".to_owned(),
        (Some(end), false) => seconds(&moment(end)),
        (Some(end), true) => format!("{}, renews", seconds(&moment(end))),
    };
    let client = match login.client.kind {
        ClientKind::Dynamic => "registered itself",
        ClientKind::Document => "by its document",
        ClientKind::Registered => "registered",
    };
    [
        login.name.clone(),
        one_line(&login.server),
        standing(login, now_ms).to_owned(),
        until,
        one_line(&login.scopes.join(" ")),
        client.to_owned(),
    ]
}

/// What a person has to do about it.
fn remark(login: &Login, now_ms: u64) -> String {
    let name = &login.name;
    let why = match (login.standing(now_ms), &login.ended) {
        (Standing::Ended, Some(why)) => one_line(why),
        (Standing::Over, _) => "its token is over".to_owned(),
        _ if !login.wanted.is_empty() => {
            format!(
                "its server wants more: {}",
                one_line(&login.wanted.join(" "))
            )
        }
        _ => return String::new(),
    };
    format!("\n{name}: {why}; log in again with `flowhost mcp login {name}`\n")
}
