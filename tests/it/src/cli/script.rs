//! What the tests of plugins in script languages share: a folder with a component and its manifest, a profile
//! with room for the engine inside it, and a server that gives back what it is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::plan;
use crate::support::{Home, Ran, foreign};

/// A folder with these components and their manifests; none where one of them is not built.
pub(super) fn home(guests: &[&str]) -> Option<Home> {
    let home = Home::new();
    // Every profile here grants the first, and the second is where it is.
    for folder in ["docs", "policies"] {
        std::fs::create_dir(home.path().join(folder)).unwrap();
    }
    home.warm();
    for name in guests {
        let path = foreign(name)?;
        std::fs::copy(&path, home.path().join(format!("{name}.wasm"))).unwrap();
        let manifest = path.with_extension("toml");
        std::fs::copy(manifest, home.path().join(format!("{name}.toml"))).unwrap();
    }
    Some(home)
}

/// Makes machine code of a component of the folder before the executable is asked to, which stops after two
/// minutes: a large engine in a debug build takes a good part of that, and a busy machine the rest.
pub(super) fn compiled(home: &Home, name: &str) {
    let bytes = std::fs::read(home.path().join(format!("{name}.wasm"))).unwrap();
    crate::hosted::compile(bytes);
}

/// Room for a script engine; nothing else.
pub(super) const ROOM: &str = "[limits]\nmemory = \"128MiB\"\nfuel = 20_000_000_000\n";

pub(super) fn profile(home: &Home, lines: &str) {
    let text = format!("version = 1\nname = \"under-test\"\n{lines}{ROOM}");
    home.file("policies/under-test.toml", text);
}

pub(super) fn tool(name: &str) -> String {
    format!("  it: {{ kind: tool, source: ./{name}.wasm, profile: under-test }}\n")
}

pub(super) fn run(home: &Home, plugins: &str, steps: &str) -> Ran {
    let outputs = "outputs: { only: \"${{ steps.only.output }}\" }\n";
    home.file("plan.yaml", format!("{}{outputs}", plan(plugins, steps)));
    home.flowhost(&[
        "run",
        "plan.yaml",
        "--json",
        "--allow-private-network",
        "--policies",
        "policies",
    ])
}

/// Everything that the tool may do.
pub(super) fn everything(address: SocketAddr) -> String {
    format!(
        "log = true\nconfig = true\nbudget = true\n\
         [[http]]\nurl = \"http://{address}/\"\nmethods = [\"GET\", \"POST\"]\nprivate_network = true\n\
         [[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n\
         [model]\nallow = [\"mock/*\"]\ntokens = 10_000\nusd = 0.10\n\
         [tools]\ncall = [\"it/count\"]\n[messages]\npublish = [\"heard.*\"]\n\
         [state]\nnamespaces = [\"notes\"]\nbytes = \"64KiB\"\n\
         [clock]\nwall = \"virtual\"\n[random]\nsource = \"seeded\"\n[secrets]\nnames = [\"TOKEN\"]\n"
    )
}

/// A server that gives a request's body back, with what came before it in a header.
pub(super) fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut some = [0; 4_096];
                match stream.read(&mut some) {
                    Ok(read) if read > 0 => request.extend(&some[..read]),
                    _ => break,
                }
            }
            let text = String::from_utf8(request).unwrap();
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let answer = format!(
                "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
            // A peer that has gone away is no matter here.
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// Why a run failed.
pub(super) fn message(ran: &Ran) -> String {
    let report = ran.json();
    report["error"]["message"].as_str().unwrap().to_owned()
}
