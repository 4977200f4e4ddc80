//! What `runtime` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{Fault, HostState};
use flowhost_policy::{Grants, Limits};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{
    exit, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable, Pollable, StreamError, subscribe};
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream as _, HostOutputStream};
use zeroize::Zeroizing;

use super::{Runtime, RuntimeState};
use crate::shared::line::{MemoryLog, Stream};
use crate::shared::secret::SecretStore;
use crate::shared::support::View;
use crate::testing::{Call, fault};

struct NoSecrets;

impl SecretStore for NoSecrets {
    fn get(&self, _name: &str) -> Option<Zeroizing<String>> {
        None
    }
}

fn runtime() -> (Runtime, Arc<MemoryLog>) {
    let sink = Arc::new(MemoryLog::new(10_000));
    (Runtime::new(sink.clone(), Arc::new(NoSecrets)), sink)
}

fn call(limits: Limits) -> Call {
    Call::new(Grants::default(), limits)
}

fn write(store: &mut HostState, out: &Resource<DynOutputStream>, bytes: &[u8]) {
    let mut view = View(store);
    HostOutputStream::write(&mut view, Resource::new_borrow(out.rep()), bytes.to_vec()).unwrap();
}

fn lines(sink: &MemoryLog) -> Vec<(Stream, String)> {
    let lines = sink.lines().into_iter();
    lines.map(|line| (line.stream, line.message)).collect()
}

#[tokio::test]
async fn standard_input_is_at_its_end_and_there_is_no_terminal() {
    let mut store = call(Limits::default()).store(&runtime().0);
    let mut view = View(&mut store);
    let input = stdin::Host::get_stdin(&mut view).unwrap();
    let read = view.read(Resource::new_borrow(input.rep()), u64::MAX);
    assert!(matches!(read, Err(StreamError::Closed)));
    let read = view.blocking_read(input, 1).await;
    assert!(matches!(read, Err(StreamError::Closed)));
    assert!(
        terminal_stdin::Host::get_terminal_stdin(&mut view)
            .unwrap()
            .is_none()
    );
    assert!(
        terminal_stdout::Host::get_terminal_stdout(&mut view)
            .unwrap()
            .is_none()
    );
    assert!(
        terminal_stderr::Host::get_terminal_stderr(&mut view)
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn leaving_ends_the_call_as_the_guest_s_failure() {
    let mut store = call(Limits::default()).store(&runtime().0);
    let mut view = View(&mut store);
    for left in [
        exit::Host::exit(&mut view, Ok(())),
        exit::Host::exit(&mut view, Err(())),
        exit::Host::exit_with_code(&mut view, 3),
    ] {
        assert!(matches!(
            fault(left),
            Fault::Guest {
                class: "failed",
                ..
            }
        ));
    }
}

#[tokio::test]
async fn output_becomes_lines_whatever_the_writes_were() {
    let (runtime, sink) = runtime();
    let mut store = call(Limits::default()).store(&runtime);
    let out = stdout::Host::get_stdout(&mut View(&mut store)).unwrap();
    let err = stderr::Host::get_stderr(&mut View(&mut store)).unwrap();
    write(&mut store, &out, b"one\ntw");
    write(&mut store, &err, b"oops\r\n");
    write(&mut store, &out, b"o\nthr\xffee");
    drop(store);
    let wanted = [
        (Stream::Stdout, "one"),
        (Stream::Stderr, "oops"),
        (Stream::Stdout, "two"),
        (Stream::Stdout, "thr\u{fffd}ee"),
    ];
    assert_eq!(
        lines(&sink),
        wanted.map(|(stream, text)| (stream, text.to_owned()))
    );
}

#[tokio::test]
async fn dos_026_output_is_neutralised() {
    let (runtime, sink) = runtime();
    let mut store = call(Limits::default()).store(&runtime);
    let out = stdout::Host::get_stdout(&mut View(&mut store)).unwrap();
    write(&mut store, &out, "\u{1b}]52;c;x\u{7}\u{202e}\n".as_bytes());
    assert!(sink.lines()[0].message.is_ascii());
    assert!(!sink.lines()[0].message.contains('\u{1b}'));
}

#[tokio::test]
async fn dos_024_output_is_capped_and_one_record_says_what_was_dropped() {
    let (runtime, sink) = runtime();
    let call = call(Limits {
        log_bytes: 1_000,
        ..Limits::default()
    });
    let mut store = call.store(&runtime);
    let out = stdout::Host::get_stdout(&mut View(&mut store)).unwrap();
    for _ in 0..1_000 {
        write(&mut store, &out, &[b'x'; 1_000]);
        write(&mut store, &out, b"\n");
    }
    drop(store);
    let shown: usize = sink.lines().iter().map(|line| line.message.len()).sum();
    assert!(shown <= 1_000, "{shown}");
    let facts = call.facts();
    let dropped = facts
        .iter()
        .filter(|fact| fact.fields.contains_key("dropped_lines"));
    assert_eq!(dropped.count(), 1);
    assert_eq!(call.last("decision"), "drop");
    assert_eq!(call.last("rule"), "limits.log");
}

#[tokio::test]
async fn a_line_without_end_is_not_held_for_ever() {
    let (runtime, sink) = runtime();
    let mut store = call(Limits::default()).store(&runtime);
    let out = stdout::Host::get_stdout(&mut View(&mut store)).unwrap();
    write(&mut store, &out, &[b'x'; 10_000]);
    let lengths: Vec<_> = sink.lines().iter().map(|line| line.message.len()).collect();
    assert_eq!(lengths, [4_096, 4_096]);
}

#[tokio::test]
async fn writing_zeroes_without_end_is_refused_before_anything_is_allocated() {
    let mut store = call(Limits::default()).store(&runtime().0);
    let mut view = View(&mut store);
    let out = stdout::Host::get_stdout(&mut view).unwrap();
    let zeroes = HostOutputStream::write_zeroes(&mut view, out, u64::MAX);
    assert!(matches!(zeroes, Err(StreamError::Trap(_))));
}

struct Never;

#[wasmtime_wasi::async_trait]
impl Pollable for Never {
    async fn ready(&mut self) {
        std::future::pending().await
    }
}

fn never(store: &mut HostState) -> Resource<DynPollable> {
    let table = store.parts::<RuntimeState>().table;
    let never = table.push(Never).unwrap();
    subscribe(table, never).unwrap()
}

#[tokio::test]
async fn dos_029_a_list_of_pollables_is_no_longer_than_the_handles() {
    let mut store = call(Limits {
        handles: 8,
        ..Limits::default()
    })
    .store(&runtime().0);
    let pollable = never(&mut store).rep();
    let list = |length: usize| {
        (0..length)
            .map(|_| Resource::new_borrow(pollable))
            .collect()
    };
    let mut view = View(&mut store);
    let over = view.poll(list(100_000)).await;
    assert!(matches!(
        fault(over),
        Fault::Limit {
            name: "handles",
            ..
        }
    ));
    let soon = Duration::from_millis(50);
    assert!(
        tokio::time::timeout(soon, view.poll(list(8)))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn dos_029_each_look_at_a_pollable_is_a_host_call() {
    let mut store = call(Limits {
        host_calls: 2,
        ..Limits::default()
    })
    .store(&runtime().0);
    let pollable = never(&mut store).rep();
    let mut view = View(&mut store);
    for _ in 0..2 {
        assert!(!view.ready(Resource::new_borrow(pollable)).await.unwrap());
    }
    let third = view.block(Resource::new_borrow(pollable)).await;
    assert!(matches!(
        fault(third),
        Fault::Limit {
            name: "host_calls",
            ..
        }
    ));
}
