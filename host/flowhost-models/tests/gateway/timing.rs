//! Waits, limits and deadlines, with time paused: the double answers when its time has come, and no
//! socket is there to wait for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_models::{Body, ErrorClass, Gateway, Transport, TransportError};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep};

use crate::{
    harness::{Host, Log, prompt, who},
    words::{data, openai_body, openai_delta},
};

#[derive(Clone)]
enum Does {
    Answers(Duration),
    Refuses(u16, Option<&'static str>),
    /// Sends one word and falls silent.
    Stalls,
}

/// Answers after scripted times, and remembers when it was asked.
struct Slow {
    script: Mutex<VecDeque<Does>>,
    asked: Mutex<Vec<u64>>,
    began: Instant,
}

#[async_trait]
impl Transport for Slow {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(at);
        let does = {
            let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
            if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().cloned()
            }
        };
        let whole = |text: String| {
            Full::from(text)
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        match does.unwrap() {
            Does::Answers(after) => {
                sleep(after).await;
                let response = Response::builder().header("content-type", "application/json");
                Ok(response.body(whole(openai_body(None).to_string())).unwrap())
            }
            Does::Refuses(status, retry_after) => {
                let mut response = Response::builder().status(status);
                if let Some(after) = retry_after {
                    response = response.header("retry-after", after);
                }
                Ok(response.body(whole(String::new())).unwrap())
            }
            Does::Stalls => {
                let word = Bytes::from(data(&[openai_delta("Hello")]).concat());
                let first = futures::stream::iter([Ok(Frame::data(word))]);
                let body =
                    StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending()));
                let response = Response::builder().header("content-type", "text/event-stream");
                Ok(response.body(body.boxed_unsync()).unwrap())
            }
        }
    }
}

fn slow(config: &str, script: Vec<Does>) -> (Arc<Slow>, Gateway) {
    let slow = Arc::new(Slow {
        script: Mutex::new(script.into()),
        asked: Mutex::default(),
        began: Instant::now(),
    });
    let config = format!(
        "{config}\n[providers.p]\nkind = \"openai\"\nurl = \"http://127.0.0.1:1/\"\nunpriced = true\n"
    );
    let gateway = Host::default().gateway_over(&config, slow.clone());
    (slow, gateway)
}

impl Slow {
    fn asked(&self) -> Vec<u64> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn ends(gateway: &Gateway, seconds: u64) -> Result<(), ErrorClass> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let result = gateway
        .complete(&prompt("p/m"), &who(), &|_| true, deadline, &Log::default())
        .await;
    result.map(|_| ()).map_err(|error| error.class)
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_ends_a_slow_start() {
    let (slow, gateway) = slow("", vec![Does::Answers(Duration::from_secs(50))]);
    assert_eq!(ends(&gateway, 10).await, Err(ErrorClass::Deadline));
    assert_eq!(slow.began.elapsed().as_secs(), 10);
    assert_eq!(ends(&gateway, 51).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_ends_the_call_before_a_connection() {
    let (slow, gateway) = slow("", vec![Does::Answers(Duration::ZERO)]);
    assert_eq!(ends(&gateway, 0).await, Err(ErrorClass::Deadline));
    assert!(slow.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_configured_timeout_ends_a_call_with_a_later_deadline() {
    let (slow, gateway) = slow(
        "timeout = \"5s\"",
        vec![Does::Answers(Duration::from_secs(50))],
    );
    assert_eq!(ends(&gateway, 100).await, Err(ErrorClass::Deadline));
    assert_eq!(slow.began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_mid_stream_costs_what_was_heard() {
    let (_, gateway) = slow("timeout = \"5s\"", vec![Does::Stalls]);
    let log = Log::default();
    let error = crate::harness::complete(&gateway, &prompt("p/m"), &log)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Deadline);
    assert!(error.spent.estimated);
    assert_eq!(
        error.spent.usage.completion_tokens,
        flowhost_models::tokens::count("Hello")
    );
    assert_eq!(log.classes(), ["deadline"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_left_before_the_deadline() {
    let (slow, gateway) = slow("retry = { max_attempts = 1 }", vec![Does::Stalls]);
    assert_eq!(ends(&gateway, 100).await, Err(ErrorClass::Cut));
    assert_eq!(slow.began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_with_jitter_that_follows_from_the_seed() {
    let mut all = Vec::new();
    for _ in 0..2 {
        let (slow, gateway) = slow(
            "retry = { max_attempts = 4 }",
            vec![Does::Refuses(503, None)],
        );
        assert_eq!(ends(&gateway, 100).await, Err(ErrorClass::Transient));
        all.push(slow.asked());
    }
    assert_eq!(all[0], all[1]);
    let waits: Vec<u64> = all[0].windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, full) in waits.iter().zip([200, 400, 800]) {
        assert!((full / 2..=full + 1).contains(wait), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_in_seconds_and_until_a_date() {
    // The host's clock stands at 2026-11-21 12:00:00 UTC.
    for (header, seconds) in [("7", 7), ("Sat, 21 Nov 2026 12:00:09 GMT", 9)] {
        let script = vec![
            Does::Refuses(429, Some(header)),
            Does::Answers(Duration::ZERO),
        ];
        let (slow, gateway) = slow("", script);
        assert_eq!(ends(&gateway, 100).await, Ok(()));
        assert_eq!(slow.asked()[1] / 1_000, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let (slow, gateway) = slow("", vec![Does::Refuses(429, Some("8"))]);
    assert_eq!(ends(&gateway, 5).await, Err(ErrorClass::RateLimited));
    assert_eq!(slow.began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_is_left_alone_and_probed_again() {
    let mut script = vec![Does::Refuses(500, None); 5];
    script.push(Does::Answers(Duration::ZERO));
    let (slow, gateway) = slow("retry = { max_attempts = 1 }", script);
    for _ in 0..5 {
        assert_eq!(ends(&gateway, 9).await, Err(ErrorClass::Transient));
    }
    assert_eq!(ends(&gateway, 9).await, Err(ErrorClass::Unreachable));
    assert_eq!(slow.asked().len(), 5, "an open circuit is not asked");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(ends(&gateway, 9).await, Ok(()));
    assert_eq!(ends(&gateway, 9).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_makes_room_for_the_next() {
    let mut script = vec![Does::Refuses(500, None); 5];
    script.push(Does::Answers(Duration::from_secs(5)));
    let (slow, gateway) = slow("retry = { max_attempts = 1 }", script);
    for _ in 0..5 {
        let _ = ends(&gateway, 9).await;
    }
    sleep(Duration::from_secs(30)).await;
    let dropped = tokio::time::timeout(Duration::from_secs(1), ends(&gateway, 9)).await;
    assert!(dropped.is_err());
    assert_eq!(ends(&gateway, 9).await, Ok(()));
    assert_eq!(slow.asked().len(), 7);
}

fn limited(limit: &str, value: u32) -> (Arc<Slow>, Gateway) {
    let slow = Arc::new(Slow {
        script: Mutex::new([Does::Answers(Duration::from_secs(1))].into()),
        asked: Mutex::default(),
        began: Instant::now(),
    });
    let config = format!(
        "[providers.p]\nkind = \"openai\"\nurl = \"http://127.0.0.1:1/\"\nunpriced = true\n{limit} = {value}"
    );
    let gateway = Host::default().gateway_over(&config, slow.clone());
    (slow, gateway)
}

async fn together(gateway: &Gateway, calls: usize, seconds: u64) -> Vec<Result<(), ErrorClass>> {
    futures::future::join_all((0..calls).map(|_| ends(gateway, seconds))).await
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_at_once_than_parallel() {
    let (slow, gateway) = limited("parallel", 2);
    assert_eq!(together(&gateway, 6, 20).await, [Ok(()); 6]);
    assert_eq!(slow.asked(), [0, 0, 1_000, 1_000, 2_000, 2_000]);
    let late = together(&gateway, 6, 2).await;
    assert_eq!(
        late.iter()
            .filter(|it| **it == Err(ErrorClass::RateLimited))
            .count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_the_rate() {
    let (slow, gateway) = limited("requests_per_minute", 10);
    assert_eq!(together(&gateway, 3, 60).await, [Ok(()); 3]);
    assert_eq!(slow.asked(), [0, 6_000, 12_000]);
    assert_eq!(
        together(&gateway, 2, 3).await,
        [Err(ErrorClass::RateLimited); 2]
    );
}
