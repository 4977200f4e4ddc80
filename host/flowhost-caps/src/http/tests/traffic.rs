//! What plugins of one run share: places for requests, look-ups, bytes; and what a body holds on its way.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body::Frame;
use http_body_util::StreamBody;

use super::super::body::collect;
use super::super::error::SendError;
use super::super::traffic::{CONCURRENT_MAX, LOOKUPS_MAX, SHARE_MAX, Slot, Traffic};
use super::*;

fn traffic() -> Traffic {
    Traffic::new(CONCURRENT_MAX, 100)
}

/// Takes places for `plugin` until it has to wait for one.
async fn all(traffic: &Traffic, plugin: &str) -> Vec<Slot> {
    let plugin: Arc<str> = plugin.into();
    let mut held = Vec::new();
    loop {
        let place = std::pin::pin!(traffic.slot(&plugin));
        match futures::poll!(place) {
            std::task::Poll::Ready(place) => held.push(place.unwrap()),
            std::task::Poll::Pending => return held,
        }
    }
}

#[tokio::test]
async fn a_plugin_that_takes_all_it_gets_leaves_the_others_theirs() {
    let traffic = traffic();
    let hog = all(&traffic, "hog").await;
    assert_eq!(
        hog.len(),
        SHARE_MAX + 1,
        "its share, and the one of its own"
    );
    let other = all(&traffic, "other").await;
    assert_eq!(other.len(), CONCURRENT_MAX - SHARE_MAX + 1);
    let late = all(&traffic, "late").await;
    assert_eq!(late.len(), 1, "nothing is left but its own");
    drop(hog);
    assert_eq!(all(&traffic, "late").await.len(), SHARE_MAX);
}

#[tokio::test]
async fn who_waits_gets_whichever_place_is_free_first() {
    let traffic = traffic();
    let mut held = all(&traffic, "a").await;
    let plugin: Arc<str> = "a".into();
    for _ in 0..held.len() {
        let (given_back, next) =
            tokio::join!(async { drop(held.remove(0)) }, traffic.slot(&plugin));
        let () = given_back;
        held.push(next.unwrap());
    }
}

#[test]
fn the_last_look_up_is_made_and_the_next_is_not() {
    let traffic = traffic();
    for _ in 0..LOOKUPS_MAX {
        traffic.count_lookup().unwrap();
    }
    assert!(matches!(
        traffic.count_lookup(),
        Err(SendError::Limit { name: "http.lookups", used, allowed })
            if used == LOOKUPS_MAX + 1 && allowed == LOOKUPS_MAX
    ));
}

#[test]
fn the_bytes_of_a_run_are_taken_up_to_the_last() {
    let traffic = traffic();
    traffic.count(100).unwrap();
    assert!(traffic.count(1).is_err());
}

/// A buffer of the connection, and how many of them are held.
struct Buffer(Arc<AtomicUsize>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_body_in_single_bytes_holds_no_more_than_one_of_its_pieces() {
    let held = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, peak) = (Arc::clone(&held), Arc::clone(&most));
    let pieces = futures::stream::iter((0..10_000).map(move |_| {
        let now = counted.fetch_add(1, Ordering::Relaxed) + 1;
        peak.fetch_max(now, Ordering::Relaxed);
        let buffer = Buffer(Arc::clone(&counted));
        Ok::<_, SendError>(Frame::data(bytes::Bytes::from_owner(buffer)))
    }));
    let body = StreamBody::new(pieces).boxed_unsync();
    assert_eq!(collect(body).await.unwrap(), vec![b'x'; 10_000]);
    assert_eq!(most.load(Ordering::Relaxed), 1);
    assert_eq!(held.load(Ordering::Relaxed), 0);
}
