//! The example `order-saga` by one command: three services on this machine, the run, and what each service heard.
//!
//! The services are the witness. What the run says of itself is in its ledger; what it did to the world is what
//! they counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::folders::Folders;
use crate::{built, guests, process, say};

/// The exit code of a run that a step has ended.
const FAILED: i32 = 8;

/// Name, port as the example's profile has it, and what it answers.
const SERVICES: [(&str, u16, &str); 3] = [
    ("stock", 47_811, "200 OK"),
    ("payment", 47_812, "200 OK"),
    ("shipping", 47_813, "409 Conflict"),
];

/// Longest wait for a client that does not say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest request that is read, in bytes: those of the example are a few hundred.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// Builds, serves, runs and compares.
pub(crate) fn run(folders: &Folders) -> Result<()> {
    guests::all_plugins(folders)?;
    built::host(folders)?;
    let host = folders.host();
    let heard = serve()?;
    order(folders, &host)?;
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    say::step("what the services were asked");
    for line in &heard {
        say::line(line);
    }
    let wanted = [
        "stock     PUT /reservations/A-1001",
        "payment   PUT /charges/A-1001",
        "shipping  PUT /shipments/A-1001",
        "payment   DELETE /charges/A-1001",
        "stock     DELETE /reservations/A-1001",
    ];
    anyhow::ensure!(
        heard == wanted,
        "the services were asked otherwise than {wanted:#?}"
    );
    Ok(())
}

fn order(folders: &Folders, host: &Path) -> Result<()> {
    let example = folders.root.join("examples/order-saga");
    let state = folders.target.join("order-saga");
    let state = state.to_string_lossy();
    let arguments = [
        "run",
        "plan.yaml",
        "--allow-private-network",
        "--state",
        &state,
    ];
    say::step(format_args!(
        "flowhost {}, in {}",
        arguments.join(" "),
        example.display()
    ));
    let plugins = folders.plugins_out();
    let ended = process::program(host, &example, &arguments)
        .env("FLOWHOST_PLUGINS", plugins)
        .status()
        .context("the host cannot be started")?;
    anyhow::ensure!(
        ended.code() == Some(FAILED),
        "the run ended with {ended}, and the third service refuses: it has to end with {FAILED}"
    );
    Ok(())
}

type Heard = Arc<Mutex<Vec<String>>>;

/// Starts the services; they live as long as this process.
fn serve() -> Result<Heard> {
    let heard = Heard::default();
    for (name, port, status) in SERVICES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} of this machine is taken, and examples/order-saga names it")
        })?;
        let heard = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(error) = answer(name, status, stream, &heard) {
                    say::line(format_args!("{name}: {error:#}"));
                }
            }
        });
    }
    Ok(heard)
}

fn answer(name: &str, status: &str, stream: TcpStream, heard: &Heard) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new((&stream).take(REQUEST_BYTES_MAX));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break; // the empty line, or the end
        }
        let (field, value) = line.split_once(':').unwrap_or_default();
        if field.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: Vec<&str> = first.split(' ').take(2).collect();
    let line = format!("{name:9} {}", asked.join(" "));
    heard
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line);
    let body = format!("{{\"service\":\"{name}\"}}");
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    Ok(())
}
