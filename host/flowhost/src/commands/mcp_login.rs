//! `flowhost mcp login NAME URL`: a person logs in at an MCP server in a browser, and the host keeps the token.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::logins::{Logins, Wanted, WantedClient};
use flowhost::output::neutral;
use flowhost_flow::Exit;
use flowhost_oauth::{Address, Login, Secret, is_scope};
use zeroize::Zeroizing;

use super::mcp_logins::document;
use super::running::runtime;
use crate::cli::LoginArgs;
use crate::commands::Context;

/// Bytes of a client's secret: it goes into one header.
const SECRET_BYTES_MAX: u64 = 64 << 10;

pub(crate) fn perform(args: &LoginArgs, context: &Context) -> Result<Exit, Failure> {
    let logins = Logins::new(&context.ambient, &context.config, &context.state);
    let wanted = wanted(args, &logins, context)?;
    let runtime = runtime()?;
    let login = runtime.block_on(logins.log_in(&wanted, |page| {
        let text = format!(
            "to log in at {}, open this page in a browser of this machine:\n\n  {page}\n\nwaiting for the answer\n",
            wanted.server
        );
        context.output.message(&neutral(&text));
        if !args.no_browser {
            context.ambient.open_page(page.as_str());
        }
    }));
    runtime.shutdown_background();
    let login = login?;
    match context.output.json {
        true => context
            .output
            .document(&document(&login, context.ambient.now_ms())),
        false => context.output.result(&neutral(&told(&login))),
    }
    Ok(Exit::Ok)
}

fn wanted(args: &LoginArgs, logins: &Logins, context: &Context) -> Result<Wanted, Failure> {
    let earlier = match &args.url {
        // With an address nothing of the earlier login is needed: one that cannot be read is replaced.
        Some(_) => logins.read(&args.name).unwrap_or_default(),
        None => logins.read(&args.name)?,
    };
    let url = args
        .url
        .as_deref()
        .or(earlier.as_ref().map(|it| it.server.as_str()));
    let url = url.ok_or_else(|| {
        let name = &args.name;
        let message = format!("nobody has logged in as `{name}`, so that its server is not known");
        Failure::new(Exit::Usage, message).hint(format!(
            "name the server: `flowhost mcp login {name} https://…`"
        ))
    })?;
    let server = address("the server", url)?;
    if let Some(bad) = args.scopes.iter().find(|it| !is_scope(it)) {
        let message = format!("`--scope {bad}` is not a scope");
        return Err(Failure::new(Exit::Usage, message)
            .hint("a scope is one word; give `--scope` once for each"));
    }
    let before = earlier.filter(|it| it.server == server.as_str());
    let issuer = args.issuer.as_deref();
    Ok(Wanted {
        name: args.name.clone(),
        scopes: args.scopes.clone(),
        issuer: issuer.map(|url| address("`--issuer`", url)).transpose()?,
        client: client(args, context)?,
        port: args.port.unwrap_or(0),
        // What a person once said of this server is not asked for again.
        private_network: args.allow_private_network || before.is_some_and(|it| it.private_network),
        server,
    })
}

fn client(args: &LoginArgs, context: &Context) -> Result<WantedClient, Failure> {
    if let Some(id) = &args.client_id {
        let secret = args.client_secret_file.as_deref();
        return Ok(WantedClient::Registered {
            id: id.clone(),
            secret: secret.map(|file| secret_of(file, context)).transpose()?,
        });
    }
    match &args.client_document {
        None => Ok(WantedClient::AsBefore),
        Some(url) => {
            let address = address("`--client-document`", url)?;
            // An authority fetches it, so that it is on the web and has a path of its own.
            match address.url().scheme() == "https" && address.url().path() != "/" {
                true => Ok(WantedClient::Document(address)),
                false => Err(Failure::new(
                    Exit::Usage,
                    "`--client-document` is the address of a file on the web, with `https:` and a path",
                )),
            }
        }
    }
}

fn secret_of(file: &Path, context: &Context) -> Result<Secret, Failure> {
    let bytes = Zeroizing::new(context.ambient.read_secret(file, SECRET_BYTES_MAX)?);
    let text = String::from_utf8_lossy(&bytes);
    // Editors end a file with a line feed, and some with two bytes.
    Secret::new(text.trim_end_matches(['\r', '\n'])).ok_or_else(|| {
        let message = format!("`{}` does not hold a client's secret", file.display());
        Failure::new(Exit::Internal, message).because("it is one line of visible characters")
    })
}

fn address(what: &str, text: &str) -> Result<Address, Failure> {
    Address::parse(text).map_err(|fault| {
        Failure::new(Exit::Usage, format!("{what} is not asked")).because(fault.to_string())
    })
}

fn told(login: &Login) -> String {
    let (name, server) = (&login.name, &login.server);
    let scopes = match login.scopes.as_slice() {
        [] => "what the server lets it".to_owned(),
        scopes => scopes.join(", "),
    };
    let private = match login.private_network {
        true => "private_network = true\n",
        false => "",
    };
    format!(
        "logged in as {name} at {server}; the token allows {scopes}\n\na rule of a profile takes it:\n\n[[http]]\nurl = \
         \"{server}\"\nmethods = [\"POST\", \"GET\", \"DELETE\"]\ninject = {{ login = \"{name}\" }}\n{private}"
    )
}
