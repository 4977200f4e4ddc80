//! `flowhost mcp serve`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::host::{Coming, serving_host};
use flowhost::shelf::{self, Opening, Wanted};
use flowhost_engine::PoolConfig;
use flowhost_flow::Exit;
use flowhost_run::{Crowd, Host, Run, RunOptions};
use flowhost_serve::{CALLS_MAX, Front, HttpServer, Server, Token, serve_streams};
use serde_json::json;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::run::durability;
use super::running::{Signals, runtime, runtime_of_one};
use crate::cli::{LogFormat, OfferArgs, ServeArgs};
use crate::commands::{Context, logging};
use crate::give_back::all_give_back;
use crate::streams;

/// Guests alive at once: four for each of the calls at once. The next one waits; and each place costs the start of the
/// process a guard page, of which a thousand take longer than all else in it.
const GUESTS: u32 = 4 * CALLS_MAX;
/// How long no run has gone on when the server gives back what it kept for the next one, which begins a millisecond
/// later then, or twenty with the largest script engine: a client that waits longer between two calls does not notice.
const STILL: Duration = Duration::from_secs(5);
/// The variable that holds the token.
const TOKEN: &str = "FLOWHOST_MCP_TOKEN";
/// How long calls at work may take to end when the server is to. Whoever stops a server waits for it; a run that
/// takes longer is resumed later.
const END_MAX: Duration = Duration::from_secs(30);
/// How long clients may take after that to read what their calls were answered.
const ANSWERS_MAX: Duration = Duration::from_secs(5);
/// How often it is looked for runs that have begun since, of calls that came just before the signal.
const LOOK: Duration = Duration::from_millis(20);
/// Why runs are stopped, as their records say.
const INTERRUPTED: &str = "the server was interrupted";
/// Bytes of a token: fewer could be guessed, more is no token.
const TOKEN_MIN: usize = 16;
const TOKEN_MAX: u64 = 4_096;

pub(crate) fn perform(args: &ServeArgs, context: &mut Context) -> Result<Exit, Failure> {
    logging::start_on(context, args.how.log_format, streams::words);
    let Context {
        ambient,
        config,
        state,
        ..
    } = context;
    // First, because most of the start waits for it.
    let pool = PoolConfig {
        slots: GUESTS,
        ..PoolConfig::default()
    };
    // A call of one client passes through several tasks and few microseconds of work: threads would hand them to one
    // another, and to wake one takes longer than all of them. Clients over HTTP are many.
    let one = args.listen.is_none();
    let crowd = one.then(|| Arc::new(crowd) as Crowd);
    let host = serving_host(ambient, config, state, pool, crowd)?;
    let runtime = match one {
        true => runtime_of_one()?,
        false => runtime()?,
    };
    let served = runtime.block_on(serve(args, context, host));
    // A read of standard input cannot be called off, and must not keep the process.
    runtime.shutdown_background();
    served
}

/// Threads for calls that compute for long, made for the first of them. They end with the process.
fn crowd() -> Option<Handle> {
    static CROWD: OnceLock<Option<Runtime>> = OnceLock::new();
    let crowd = CROWD.get_or_init(|| runtime().ok());
    crowd.as_ref().map(|crowd| crowd.handle().clone())
}

/// What the operator typed, as the library wants it.
pub(crate) fn wanted(offer: &OfferArgs) -> Wanted {
    Wanted {
        plans: offer.plans.clone(),
        plugins: offer.plugins.clone(),
        profile: offer.profile.clone(),
        code_mode: offer.code_mode.clone(),
        inputs: offer.inputs.clone(),
        policies: offer.policies.clone(),
    }
}

async fn serve(args: &ServeArgs, context: &mut Context, host: Coming) -> Result<Exit, Failure> {
    let Context {
        ambient,
        config,
        state,
        texts,
        ..
    } = context;
    let opening = Opening {
        ambient,
        config,
        state,
        host,
        options: RunOptions {
            durability: durability(args.how.durability, config.durability),
            allow_private_network: args.how.keys.allow_private_network,
            allow_process: args.how.keys.allow_process,
            ..RunOptions::default()
        },
    };
    let wanted = wanted(&args.offer);
    let shelf = tokio::task::block_in_place(|| shelf::open(opening, &wanted, texts))?;
    let host = shelf.host().clone();
    let server = Server::new(Box::new(shelf), env!("CARGO_PKG_VERSION"));
    // Before anybody hears that it serves: a signal that comes first would end the process as it does by default.
    let signals = Signals::heard(&context.ambient);
    let to_end = told_to_end(signals, context.ambient.clone());
    let mut serving = pin!(async {
        match args.listen {
            Some(address) => over_http(args, address, server.clone(), context).await,
            None => over_streams(server.clone()).await,
        }
    });
    let exit = tokio::select! {
        served = &mut serving => return served,
        () = give_back_at_rest(&host) => {
            debug_assert!(false, "it ends with the server");
            return Ok(Exit::Internal);
        }
        exit = to_end => exit,
    };
    let mut ending = pin!(end(&server, &host, exit));
    // Clients are served meanwhile, so that each call is answered with what became of it.
    tokio::select! {
        _all_gone = &mut serving => ending.await,
        () = &mut ending => {
            let _unread = tokio::time::timeout(ANSWERS_MAX, &mut serving).await;
        }
    }
    Ok(exit)
}

/// Waits until somebody wants the server to end; from then on a second signal ends the process at once.
async fn told_to_end(signals: Option<Signals>, ambient: Ambient) -> Exit {
    let Some(mut signals) = signals else {
        // Without handlers a signal ends the process by itself.
        return std::future::pending().await;
    };
    let exit = signals.next().await;
    tokio::spawn(signals.insisted(ambient));
    exit
}

/// Gives back, each time that the server has come to rest, what it kept for the next call, and then what no thread uses
/// any more. The thread that this is awaited on is one that no runtime counts among its own.
async fn give_back_at_rest(host: &Host) {
    let mut rests = host.rests();
    loop {
        rests.next(STILL).await;
        let resting = host.clone();
        // Beside the requests that may come meanwhile.
        let _given = tokio::task::spawn_blocking(move || resting.give_back()).await;
        all_give_back().await;
    }
}

/// Takes no calls any more, stops what is at work as `exit` says, and waits until its evidence is sealed.
async fn end(server: &Server, host: &Host, exit: Exit) {
    let mut over = pin!(server.end());
    let ended = async {
        let mut told = BTreeMap::new();
        tell(host, exit, &mut told);
        loop {
            let is_over = tokio::time::timeout(LOOK, over.as_mut()).await.is_ok();
            tell(host, exit, &mut told);
            if is_over {
                break;
            }
        }
        futures::future::join_all(told.values().map(Run::outcome)).await;
    };
    if tokio::time::timeout(END_MAX, ended).await.is_err() {
        tracing::warn!("calls did not end in time; `flowhost runs list` signs what they left");
    }
}

/// Tells each run that goes on, once.
fn tell(host: &Host, exit: Exit, told: &mut BTreeMap<String, Run>) {
    for run in host.runs() {
        if told.contains_key(run.id()) {
            continue;
        }
        match exit {
            // The run of a session ends as it would have later: whoever asked is gone, and nothing goes on with it.
            _ if run.is_on_request() => run.close(Some(INTERRUPTED)),
            Exit::Interrupted => run.cancel(INTERRUPTED),
            exit => run.pause(exit),
        }
        told.insert(run.id().to_owned(), run);
    }
}

/// In a task of the runtime, which ends with this future: the main thread would be woken by one of the runtime's for each
/// frame, and wake one for its call.
async fn over_streams(server: Arc<Server>) -> Result<Exit, Failure> {
    let mut serving = JoinSet::new();
    serving.spawn(serve_streams(server, streams::input(), streams::output()));
    match serving.join_next().await {
        Some(Err(_panic)) => Err(Failure::new(Exit::Internal, "the server failed")
            .hint("this is a bug of the host; please report it")),
        Some(Ok(())) | None => Ok(Exit::Ok),
    }
}

async fn over_http(
    args: &ServeArgs,
    address: SocketAddr,
    server: Arc<Server>,
    context: &Context,
) -> Result<Exit, Failure> {
    let (token, made) = token(args, &context.ambient)?;
    let front = Front::new(Token::new(&token), args.allow_host.clone());
    let listening = context.ambient.listen(address).await;
    let http = listening.and_then(|listener| HttpServer::new(server, listener, front));
    let http = http.map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot listen on {address}"))
            .because(error.to_string())
            .hint("port 0 takes a free one")
    })?;
    let address = http.address();
    let url = format!("http://{address}/mcp");
    let text = match (args.how.log_format, made) {
        (LogFormat::Json, false) => format!("{}\n", json!({ "message": "mcp", "url": url })),
        (LogFormat::Json, true) => {
            format!(
                "{}\n",
                json!({ "message": "mcp", "url": url, "token": *token })
            )
        }
        (LogFormat::Text, false) => format!("mcp: {url}\n"),
        (LogFormat::Text, true) => {
            format!(
                "mcp: {url}\ntoken: {} (new; set {TOKEN} to keep one)\n",
                *token
            )
        }
    };
    context.output.message(&text);
    http.serve().await;
    Ok(Exit::Ok)
}

/// The token, and whether it was made here and nobody knows it yet.
fn token(args: &ServeArgs, ambient: &Ambient) -> Result<(Zeroizing<String>, bool), Failure> {
    let given = match (&args.token_file, ambient.var(TOKEN)) {
        (Some(file), _) => {
            let bytes = Zeroizing::new(ambient.read_secret(&ambient.resolve(file), TOKEN_MAX)?);
            Some((
                String::from_utf8_lossy(&bytes).trim().to_owned(),
                file.display().to_string(),
            ))
        }
        (None, Some(text)) => Some((text.to_owned(), TOKEN.to_owned())),
        (None, None) => None,
    };
    let Some((token, place)) = given else {
        let random: [u8; 32] = ambient.entropy().map_err(|error| {
            Failure::new(Exit::Internal, "the system gives no randomness")
                .because(error.to_string())
        })?;
        return Ok((Zeroizing::new(hex::encode(random)), true));
    };
    let token = Zeroizing::new(token);
    let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < TOKEN_MIN || !visible {
        let message = format!("`{place}` holds no token");
        return Err(Failure::new(Exit::Usage, message).because(format!(
            "a token has at least {TOKEN_MIN} visible ASCII characters"
        )));
    }
    Ok((token, false))
}
