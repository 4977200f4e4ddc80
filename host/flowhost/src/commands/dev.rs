//! `flowhost dev PLAN`, and `flowhost run --watch`, which is the same without the screen.

use std::io;
use std::sync::Arc;

use flowhost::ambient::Ambient;
use flowhost::dev::{Face, Faces, Options, lines, screen, session};
use flowhost::failure::Failure;
use flowhost::telemetry::json_lines::Lines;
use flowhost::telemetry::text_lines::TextForm;
use flowhost_flow::Exit;
use flowhost_ledger::Durability;
use flowhost_run::RunOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::{DevArgs, LogFormat, RunArgs};
use crate::commands::{Context, logging, run, running};

/// Log lines that wait for the screen, which is drawn five times a second and shows some dozens; more than that at once
/// are lost to it. A run must not wait for a terminal.
const LOG_LINES_MAX: usize = 1_024;

pub(crate) fn perform(args: &DevArgs, context: &Context) -> Result<Exit, Failure> {
    let options = Options {
        request: run::request(&args.plan),
        run: RunOptions {
            seed: args.seed,
            // Runs of an author come by the dozen, and no one is worth a wait for the disk.
            durability: Durability::Relaxed,
            allow_private_network: args.keys.allow_private_network,
            allow_process: args.keys.allow_process,
            ..RunOptions::default()
        },
        locked: args.plan.locked,
    };
    let output = context.output;
    let ambient = &context.ambient;
    // A terminal that cannot move its cursor, and a pipe, get lines.
    let screen = !output.json
        && ambient.stdin_is_terminal()
        && ambient.stdout_is_terminal()
        && ambient.var("TERM") != Some("dumb");
    watched(options, screen, context)
}

/// `run --watch`.
pub(crate) fn watch(
    args: &RunArgs,
    options: RunOptions,
    context: &Context,
) -> Result<Exit, Failure> {
    let options = Options {
        request: run::request(&args.plan),
        run: options,
        locked: args.plan.locked,
    };
    watched(options, false, context)
}

fn watched(options: Options, screen: bool, context: &Context) -> Result<Exit, Failure> {
    let runtime = running::runtime()?;
    let ended = runtime.block_on(async {
        let faces = match screen {
            true => on_a_screen(context).map_err(|failure| {
                failure.named("PLAN", &options.request.plan.display().to_string())
            })?,
            false => in_lines(context),
        };
        session(
            &context.ambient,
            &context.config,
            &context.state,
            options,
            faces,
        )
        .await
    });
    // What a plugin's build or a name that is looked up left behind must not hold the process up.
    runtime.shutdown_background();
    ended
}

fn in_lines(context: &Context) -> Faces {
    logging::start(context, LogFormat::Text);
    let face: Box<dyn Face> = match context.output.json {
        true => Box::new(lines::Objects::new(context.output)),
        false => Box::new(lines::Lines::new(context.output)),
    };
    // Their other ends are dropped here: a session leaves out what is closed.
    let (_nobody_types, keys) = mpsc::channel(1);
    let (_standard_error, logs) = mpsc::channel(1);
    Faces {
        face,
        keys,
        logs,
        stop: stops(&context.ambient),
    }
}

fn on_a_screen(context: &Context) -> Result<Faces, Failure> {
    let (sink, logs) = mpsc::channel(LOG_LINES_MAX);
    let form = TextForm::new(false);
    let sink = Sink(Arc::new(sink));
    logging::start_with(
        context,
        Lines::new(move || sink.clone(), move |it| form.line(it)),
    );
    let screen = screen::Screen::open(context.output.color_out).map_err(|error| {
        Failure::new(Exit::Internal, "the terminal cannot show a screen")
            .because(error.to_string())
            .hint("`flowhost run PLAN --watch` does the same in plain lines")
    })?;
    Ok(Faces {
        face: Box::new(screen),
        keys: screen::keys(),
        logs,
        stop: stops(&context.ambient),
    })
}

/// Signals that end a process, each with the exit code that says which it was.
fn stops(ambient: &Ambient) -> mpsc::Receiver<Exit> {
    let (stop, receiver) = mpsc::channel(1);
    // `nohup` ignores hang-ups for us, and a handler would undo that.
    let hangup = (!ambient.hangup_is_ignored()).then(SignalKind::hangup);
    let signals = [
        (Some(SignalKind::interrupt()), Exit::Interrupted),
        (Some(SignalKind::terminate()), Exit::Terminated),
        (hangup, Exit::HungUp),
    ];
    for (kind, exit) in signals {
        let (Some(kind), stop) = (kind, stop.clone()) else {
            continue;
        };
        tokio::spawn(async move {
            // Without a handler the system ends the process by itself, which is what was wanted.
            if let Ok(mut signal) = signal(kind)
                && signal.recv().await.is_some()
            {
                let _ending_already = stop.send(exit).await;
            }
        });
    }
    receiver
}

/// Log lines on their way to the screen.
#[derive(Clone)]
struct Sink(Arc<mpsc::Sender<String>>);

impl io::Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let _too_many_to_read = self.0.try_send(text);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
