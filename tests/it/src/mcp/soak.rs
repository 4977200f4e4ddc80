//! A day of ten servers, half of which misbehave: one process serves run after run, each with calls of all ten, and
//! nothing of them stays in it: no process, no session, no file descriptor, and no memory beyond a bound.
//!
//! What counts is what the machine says of the process and what the servers count themselves. The test command
//! takes as long as a test may; `cargo xtask mcp-soak` takes as long as it is told.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::site::{Asked, Site, event, events, note, reply, result, shouted, tools, write};
use super::stdio::Peer;
use super::{call, initialize, request};
use crate::support::{Home, confines, repository};

/// Seconds in the test command.
const SECONDS: u64 = 40;
/// The warm-up, after which memory counts: so many rounds, and a tenth of the time. Before, caches fill and code is mapped.
const WARM: usize = 8;
/// Rounds after it that are made at least, as far as the machine makes them within [`MORE`].
const MEASURED: usize = 8;
/// Seconds more that they may take. On a machine that does not make them memory is not judged, and all else is.
const MORE: u64 = 45;
/// The growth that is borne at each rest after the warm-up, in percent of what the process held at the first.
/// What a process holds while it works follows how much of it is done at once, and on a machine that is busy with other
/// things that is less: a leak shows at rest. Growth is of its own memory, since pages of files come and go with what
/// else the machine reads. It is held against all that was resident: its own memory at rest is so little (some 12 MiB)
/// that one thread more in the allocator's pages, a megabyte, would be more than 5 % of it, and no leak.
const GROWTH: f64 = 5.0;
/// How long a rest is: longer than the server waits for a next call before it gives back what it kept for that.
const REST: Duration = Duration::from_secs(8);
/// Rests after the first, as far as the time is enough for a minute between two.
const RESTS: u32 = 10;
/// Runs that are at work together.
const TOGETHER: u32 = 3;
/// File descriptors more than at the first look that are no leak: a thread more has its own.
const SLACK: usize = 3;

/// Servers that are programs, by the mode of `server.pl`: three that behave, one that talks too much and answers
/// nobody's questions, one that dies.
const PROGRAMS: [&str; 5] = ["legacy", "modern", "tells", "chatters", "dies"];
/// Plugins whose answers have to be right in each run.
const GOOD: [&str; 6] = ["legacy", "modern", "tells", "chatters", "plain", "streams"];

/// Sessions that a server gave and that were not ended.
#[derive(Default)]
struct Sessions {
    open: Mutex<BTreeSet<String>>,
    begun: AtomicUsize,
}

impl Sessions {
    /// What a server of the legacy era does but calls; whether it did.
    fn answer(&self, asked: &Asked, stream: &mut TcpStream) -> bool {
        let said = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "soak", "version": "1" } });
        let session = asked.header("mcp-session-id").unwrap_or_default();
        let known = self.open.lock().unwrap().contains(session);
        match asked.what() {
            _ if asked.header("mcp-protocol-version") == Some("2026-07-28") => {
                reply(stream, 400, "content-type: text/plain\r\n", "Bad Request");
            }
            "initialize" => {
                let number = self.begun.fetch_add(1, Ordering::SeqCst);
                let id = format!("s-{number}");
                self.open.lock().unwrap().insert(id.clone());
                result(asked, stream, &format!("mcp-session-id: {id}\r\n"), &said);
            }
            _ if !known => reply(stream, 404, "", ""),
            "notifications/initialized" | "notifications/cancelled" => reply(stream, 202, "", ""),
            "tools/list" => result(asked, stream, "", &tools("Says it louder.")),
            _ if asked.method == "DELETE" => {
                self.open.lock().unwrap().remove(session);
                reply(stream, 204, "", "");
            }
            "tools/call" => return false,
            _ => reply(stream, 405, "", ""),
        }
        true
    }

    fn forget(&self, asked: &Asked) {
        let session = asked.header("mcp-session-id").unwrap_or_default();
        self.open.lock().unwrap().remove(session);
    }

    fn left(&self) -> usize {
        self.open.lock().unwrap().len()
    }
}

/// A server with sessions that answers calls as it is told, by how many there were before.
fn with_sessions(
    sessions: &Arc<Sessions>,
    answer: impl Fn(&Sessions, &Asked, &mut TcpStream, usize) + Send + Sync + 'static,
) -> Site {
    let (sessions, calls) = (sessions.clone(), AtomicUsize::new(0));
    Site::start(move |asked, stream| {
        if !sessions.answer(asked, stream) {
            let before = calls.fetch_add(1, Ordering::SeqCst);
            answer(&sessions, asked, stream, before);
        }
    })
}

fn streamed(asked: &Asked, stream: &mut TcpStream) {
    let token = &asked.body["params"]["_meta"]["progressToken"];
    let how_far = json!({ "progressToken": token, "progress": 1, "total": 2 });
    events(stream);
    event(stream, "", &note("notifications/progress", how_far));
    event(stream, "", &shouted(asked));
}

/// The five servers at an address. Two behave; one breaks off in the middle of an event, one forgets its sessions,
/// one answers with whatever else there is.
fn sites(sessions: &Arc<Sessions>) -> [(&'static str, Site); 5] {
    let plain = with_sessions(sessions, |_, asked, stream, _| {
        let body = shouted(asked).to_string();
        reply(stream, 200, "content-type: application/json\r\n", &body);
    });
    let streams = Site::start(|asked, stream| {
        let said = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": { "listChanged": true } } });
        match asked.what() {
            "server/discover" => result(asked, stream, "", &said),
            "tools/list" => result(asked, stream, "", &tools("Says it louder.")),
            "subscriptions/listen" => {
                events(stream);
                while write(stream, ":\n\n") {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            _ => streamed(asked, stream),
        }
    });
    let drops = with_sessions(sessions, |_, asked, stream, before| match before % 2 {
        0 => {
            events(stream);
            write(stream, "data: {\"jsonrpc\":\"2.0\",");
        }
        _ => streamed(asked, stream),
    });
    let forgets = with_sessions(sessions, |sessions, asked, stream, before| {
        match before % 3 {
            2 => {
                sessions.forget(asked);
                reply(stream, 404, "", "");
            }
            _ => streamed(asked, stream),
        }
    });
    let strange = with_sessions(sessions, |_, asked, stream, before| match before % 6 {
        0 => reply(stream, 503, "", ""),
        1 => reply(stream, 200, "content-type: text/html\r\n", "<html>"),
        2 => reply(
            stream,
            200,
            "content-type: application/json\r\n",
            "{\"jsonrpc\":NaN}",
        ),
        3 => {
            events(stream);
            let flood = format!("data: {}\n", "x".repeat(1 << 16)).repeat(200);
            write(stream, &flood);
        }
        4 => {
            // Nothing, for longer than a call may take.
            events(stream);
            while write(stream, ":\n\n") {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        _ => streamed(asked, stream),
    });
    [
        ("plain", plain),
        ("streams", streams),
        ("drops", drops),
        ("forgets", forgets),
        ("strange", strange),
    ]
}

/// A folder with a plan that calls a tool of each.
fn folder(sites: &[(&str, Site)]) -> Home {
    let home = Home::new();
    home.warm();
    let script = std::fs::read_to_string(repository().join("tests/mcp/server.pl")).unwrap();
    home.file("server/server.pl", script);
    let (mut plugins, mut steps) = (String::new(), String::new());
    let mut add = |name: &str, config: String, profile: String| {
        // Time enough for a busy machine. Who never answers costs no more than its step may take, which is how long a
        // round takes.
        let limits = "[limits]\ndeadline = \"30s\"\n";
        let timeout = match GOOD.contains(&name) {
            true => "",
            false => ", timeout: 1s",
        };
        home.file(
            &format!("policies/{name}.toml"),
            format!("version = 1\nname = \"{name}\"\nlog = true\n{limits}{profile}"),
        );
        plugins.push_str(&format!(
            "  {name}: {{ kind: mcp_adapter, source: \"builtin:mcp-client\", profile: {name}{config} }}\n"
        ));
        for number in [1, 2] {
            steps.push_str(&format!(
                "  {name}_{number}: {{ uses: {name}/shout, with: {{ text: hello }}, continue_on_error: true{timeout} }}\n"
            ));
        }
    };
    for mode in PROGRAMS {
        let process = format!(
            "[[process]]\ncommand = [\"perl\", \"/server/server.pl\", \"{mode}\"]\n\
             [[files]]\nguest = \"/server\"\nhost = \"server\"\naccess = \"read\"\n"
        );
        add(mode, String::new(), process);
    }
    for (name, site) in sites {
        let url = format!("http://{}/mcp", site.address);
        let http = format!(
            "[[http]]\nurl = \"{url}\"\nmethods = [\"POST\", \"GET\", \"DELETE\"]\nresponse = \"1MiB\"\nprivate_network = true\n"
        );
        add(name, format!(", config: {{ url: \"{url}\" }}"), http);
    }
    let outputs: String = GOOD
        .map(|name| {
            format!(
                "  {name}: \"${{{{ steps.{name}_1.output.text + steps.{name}_2.output.text }}}}\"\n"
            )
        })
        .concat();
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: soak\ndescription: Calls ten servers.\nplugins:\n{plugins}steps:\n{steps}outputs:\n{outputs}"
        ),
    );
    home
}

/// What the machine says of a process.
#[derive(Debug, Clone, Copy)]
struct Look {
    rss_kib: u64,
    /// What of it is the process's own: the rest are pages of files, its code among them.
    own_kib: u64,
    threads: u64,
    files: usize,
    children: usize,
}

fn look(process: u32) -> Look {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.and_then(|line| line.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let files = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .count();
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children = tasks.flatten().map(|task| {
        // A thread may have ended in between.
        let children = std::fs::read_to_string(task.path().join("children"));
        children.unwrap_or_default().split_whitespace().count()
    });
    Look {
        rss_kib: number("VmRSS"),
        own_kib: number("RssAnon"),
        threads: number("Threads"),
        files,
        children: children.sum(),
    }
}

/// A look at a process that has had a moment to clear up.
fn settled(process: u32, sessions: &Sessions) -> Look {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = look(process);
        if (seen.children == 0 && sessions.left() == 0) || Instant::now() > until {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A look at a process that has had nothing to do, and answers all the same.
fn rested(peer: &mut Peer, sessions: &Sessions) -> Look {
    std::thread::sleep(REST);
    let seen = settled(peer.process(), sessions);
    let pinged = peer.ask(&request(0, "ping", json!({})));
    assert!(pinged["result"].is_object(), "{pinged}");
    seen
}

/// The mean of its own memory, in MiB, in each quarter of the looks.
fn quarters(looks: &[Look]) -> Vec<u64> {
    let quarter = looks.len().div_ceil(4).max(1);
    let mean = |looks: &[Look]| {
        let all: u64 = looks.iter().map(|look| look.own_kib).sum();
        all / 1_024 / looks.len() as u64
    };
    looks.chunks(quarter).map(mean).collect()
}

#[test]
fn ten_servers_of_which_half_misbehave_leave_nothing_in_the_process_that_calls_them() {
    if !cfg!(target_os = "linux") || !confines() {
        return;
    }
    let seconds = std::env::var("FLOWHOST_MCP_SOAK_SECONDS");
    let seconds = seconds.map_or(SECONDS, |it| it.parse().unwrap());
    let sessions: Arc<Sessions> = Arc::default();
    let sites = sites(&sessions);
    let home = folder(&sites);
    let serve = [
        "mcp",
        "serve",
        "--plan",
        "plan.yaml",
        "--allow-process",
        "--allow-private-network",
    ];
    let mut peer = Peer::saying(&home, &serve, Stdio::null());
    peer.ask(&initialize(0));
    peer.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
    let process = peer.process();
    let begun = Instant::now();
    let mut looks = Vec::new();
    let mut runs = 0;
    let (until, latest) = (
        Duration::from_secs(seconds),
        Duration::from_secs(seconds + MORE),
    );
    let few = |looks: &[Look]| looks.len() < WARM + MEASURED;
    let between = (until / RESTS).max(Duration::from_secs(60));
    let mut rests: Vec<(Duration, Look)> = Vec::new();
    while begun.elapsed() < until || looks.len() < 2 || few(&looks) && begun.elapsed() < latest {
        for _ in 0..TOGETHER {
            runs += 1;
            peer.send(&call(runs, "soak", json!({})).to_string());
        }
        for _ in 0..TOGETHER {
            check(&answer(&mut peer));
        }
        // All have ended: nothing of them is left.
        let seen = settled(process, &sessions);
        assert_eq!(seen.children, 0, "processes after {runs} runs: {seen:?}");
        assert_eq!(sessions.left(), 0, "sessions after {runs} runs");
        looks.push(seen);
        let due = rests.last().map_or(until / 10, |(at, _)| *at + between);
        if looks.len() >= WARM && begun.elapsed() >= due {
            let rest = rested(&mut peer, &sessions);
            rests.push((begun.elapsed(), rest));
        }
    }
    // It still answers, and ends when it is told.
    rests.push((begun.elapsed(), rested(&mut peer, &sessions)));
    let (code, said) = peer.end();
    assert_eq!(code, 0, "{said}");
    let files = (looks[1].files, looks[looks.len() - 1].files);
    let sessions = sessions.begun.load(Ordering::SeqCst);
    assert!(files.1 <= files.0 + SLACK, "file descriptors: {files:?}");
    let mib =
        |of: fn(&Look) -> u64| -> Vec<u64> { looks.iter().map(|it| of(it) / 1_024).collect() };
    let course = mib(|look| look.rss_kib);
    let threads = looks.iter().map(|look| look.threads).max();
    eprintln!(
        "{runs} runs in {seconds} s, {} calls, {sessions} sessions, file descriptors {}, then {}, at most {} threads; \
         MiB after each round of {TOGETHER} runs: {course:?}; of these its own: {:?}",
        runs * 20,
        files.0,
        files.1,
        threads.unwrap_or_default(),
        mib(|look| look.own_kib),
    );
    eprintln!("its own at work, MiB, by quarters: {:?}", quarters(&looks));
    let at_rest: Vec<(u64, u64)> = rests
        .iter()
        .map(|(at, rest)| (at.as_secs(), rest.own_kib))
        .collect();
    eprintln!("its own at rest, seconds and KiB: {at_rest:?}");
    if few(&looks) {
        eprintln!("memory is not judged: this machine makes too few rounds");
        return;
    }
    let (_, warm) = rests[0];
    for (at, rest) in &rests[1..] {
        let growth = (rest.own_kib as f64 - warm.own_kib as f64) / warm.rss_kib as f64 * 100.0;
        assert!(
            growth < GROWTH,
            "memory grew by {growth:.1} % in {at:?}, from {warm:?} to {rest:?}; at rest: {at_rest:?}; \
             MiB after each round: {course:?}"
        );
    }
}

/// The next answer; what is told of progress is passed over.
fn answer(peer: &mut Peer) -> Value {
    loop {
        let frame = peer.next();
        if frame.get("method").is_none() {
            return frame;
        }
    }
}

/// Those that behave were heard, whatever the others did.
fn check(answer: &Value) {
    let outputs = &answer["result"]["structuredContent"]["outputs"];
    for name in GOOD {
        assert_eq!(outputs[name], "HELLOHELLO", "{name}: {answer:#}");
    }
}
