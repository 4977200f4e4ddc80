//! NETX: what the built executable does on a real socket of this machine: the environment's proxies,
//! and a server that speaks another protocol. Nothing but 127.0.0.1 is ever dialled.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Home, Ran};

/// A server on a free loopback port that hands every connection to `serve`.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    address
}

/// A folder whose plan asks this address once, with both keys to it.
fn asking(address: SocketAddr) -> Home {
    let home = Home::new();
    home.guest("ok_http");
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{address}/\"\nmethods = \
             [\"GET\"]\nprivate_network = true\n"
        ),
    );
    let step = format!("  only: {{ uses: ok_http/run, with: {{ url: \"http://{address}/x\" }} }}");
    let plan = super::plan(&super::tool("ok_http", "loopback"), &step);
    let outputs = "outputs: { only: \"${{ steps.only.output }}\" }\n";
    home.file("plan.yaml", format!("{plan}{outputs}"));
    home
}

const RUN: &[&str] = &["run", "plan.yaml", "--allow-private-network", "--json"];

fn run(home: &Home, variables: &[(&str, String)]) -> Ran {
    let mut command = home.command(RUN);
    for (name, value) in variables {
        command.env(name, value);
    }
    home.ran(&command.output().unwrap(), RUN)
}

#[test]
fn netx_013_proxy_variables_are_ignored() {
    let seen = Arc::new(AtomicU64::new(0));
    let count = seen.clone();
    let sink = server(move |stream| {
        count.fetch_add(1, Ordering::SeqCst);
        drop(stream);
    });
    let asked = server(|mut stream| {
        let mut request = [0; 4_096];
        let read = stream.read(&mut request).unwrap();
        assert!(
            request[..read].starts_with(b"GET /x HTTP/1.1\r\n"),
            "no proxy's form"
        );
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\ndirect";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let proxies: Vec<(&str, String)> = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ]
    .into_iter()
    .map(|name| (name, format!("http://{sink}")))
    .chain([("NO_PROXY", String::new()), ("no_proxy", String::new())])
    .collect();
    let ran = run(&asking(asked), &proxies).expect(0);
    assert!(ran.stdout.contains("direct"), "{}", ran.all());
    assert_eq!(seen.load(Ordering::SeqCst), 0, "the proxy was asked");
}

#[test]
fn a_page_is_read_in_the_charset_that_its_header_names() {
    let address = server(|mut stream| {
        let _asked = stream.read(&mut [0; 4_096]).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=ISO-8859-1\r\ncontent-length: 4\r\n\
                    connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"Gr\xfcn").unwrap();
    });
    let home = asking(address);
    home.warm();
    let plugin = "  page: { kind: tool, source: \"builtin:http-fetch\", profile: loopback }\n";
    let step = format!("  only: {{ uses: page/fetch, with: {{ url: \"http://{address}/x\" }} }}");
    let outputs = "outputs: { only: \"${{ steps.only.output.body }}\" }\n";
    home.file("plan.yaml", super::plan(plugin, &step) + outputs);
    let ran = run(&home, &[]).expect(0);
    assert_eq!(ran.json()["outputs"]["only"], "Grün", "{}", ran.all());
}

/// An HTTP/2 frame: length, type, flags, stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn netx_026_floods_of_http2_frames_close_the_connection() {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    let floods = [
        frame(DATA, 0, 1, b""),
        frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
    ];
    for flood in floods {
        let taken = Arc::new(AtomicU64::new(0));
        let count = taken.clone();
        let settings = frame(SETTINGS, 0, 0, b"");
        let address = server(move |mut stream| {
            let _request = stream.read(&mut [0; 4_096]);
            let many = flood.repeat(1_000);
            let _closed = stream.write_all(&settings);
            while stream.write_all(&many).is_ok() {
                count.fetch_add(many.len() as u64, Ordering::SeqCst);
            }
        });
        let since = Instant::now();
        let ran = run(&asking(address), &[]);
        let ran = ran.expect(0);
        let told = &ran.json()["outputs"]["only"]["error"];
        assert!(
            told["case"].is_string(),
            "the guest was told: {}",
            ran.all()
        );
        assert!(since.elapsed() < Duration::from_secs(10), "{}", ran.all());
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 32 << 20, "the host took {taken} bytes");
    }
}
