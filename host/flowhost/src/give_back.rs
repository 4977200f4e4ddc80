//! When a thread gives back the memory that it keeps and nothing uses.
//!
//! Each thread has pages of its own for each size of block, and a block that another thread frees in them is found only
//! when their owner asks for that size again. The threads of a server would so keep, each for itself, the most of each
//! size that was ever in use at once: several times of what is in use, and more with each burst that is larger than all
//! before.

use std::cell::Cell;
use std::ffi::{c_int, c_long};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread keeps what it may need again. One that gave it back whenever it waits would fetch it anew for each
/// message.
const KEPT: Duration = Duration::from_secs(1);

/// How long a thread that has given back waits for the others at most. All of them are idle, so that they meet at once
/// unless the machine is busy with something else.
const MEETING: Duration = Duration::from_millis(50);

/// How often it looks.
const LOOK: Duration = Duration::from_micros(100);

thread_local! {
    /// When this thread gave back last; at first, when it was asked to.
    static GAVE_BACK: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives back what this thread keeps and nothing uses, unless it did so less than [`KEPT`] ago.
pub(crate) fn give_back() {
    let now = Instant::now();
    let last = GAVE_BACK.get();
    if last.is_some_and(|last| now.duration_since(last) < KEPT) {
        return;
    }
    GAVE_BACK.set(Some(now));
    // Not the first time: a thread that has just begun keeps nothing.
    if last.is_some() {
        collect();
    }
}

/// Lets each thread of the runtime give back what it keeps and nothing uses, and the calling one after them, which finds
/// what they let go of.
///
/// For a process that has come to rest. A thread that begins to wait and gave back a moment before keeps what it freed
/// since, and what others free in its pages while it waits: until it is woken next, which may be hours later.
pub(crate) async fn all_give_back() {
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let here = Arc::new(AtomicUsize::new(0));
    let each: Vec<_> = (0..threads)
        .map(|_| {
            let here = here.clone();
            tokio::spawn(async move {
                collect();
                meet(&here, threads);
            })
        })
        .collect();
    for one in each {
        let _ended = one.await;
    }
    collect();
}

/// Holds this thread until all are here, so that none gives back twice and another not at all.
fn meet(here: &AtomicUsize, all: usize) {
    here.fetch_add(1, Ordering::AcqRel);
    let until = Instant::now() + MEETING;
    while here.load(Ordering::Acquire) < all && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

#[expect(
    unsafe_code,
    reason = "a function of C that the bindings leave out of what they offer by default"
)]
fn collect() {
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // Forced: without it the allocator leaves what other threads have freed in the pages of this one, which is all
    // that this is about.
    // SAFETY: it may be called by any thread at any time, and moves no block.
    unsafe { mi_collect(true) }
}

/// The place of an option among those of mimalloc: after how many milliseconds it gives back what nothing uses; −1 is never.
const PURGE_DELAY: c_int = 15;

/// Leaves it to the system to take the memory of a process that ends. At its end mimalloc would give back what nothing uses,
/// 64 KiB at a time: more than a hundred calls of the system for what it is about to take anyway.
#[expect(
    unsafe_code,
    reason = "an option of mimalloc is set by a function of C"
)]
pub(crate) fn leave_to_the_system() {
    unsafe extern "C" {
        fn mi_option_set(option: c_int, value: c_long);
    }
    // SAFETY: it stores a number, and may be called by any thread at any time.
    unsafe { mi_option_set(PURGE_DELAY, -1) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::alloc::{GlobalAlloc as _, Layout};
    use std::ffi::c_void;

    use super::*;
    use crate::allocator::Mimalloc;

    #[test]
    #[expect(unsafe_code, reason = "asks mimalloc for one of its options")]
    fn the_option_that_is_set_is_the_one_that_is_meant() {
        unsafe extern "C" {
            fn mi_option_get(option: c_int) -> c_long;
        }
        // SAFETY: it reads a number. No other option has this value where nobody has set one.
        assert_eq!(unsafe { mi_option_get(PURGE_DELAY) }, 1_000);
    }

    #[expect(unsafe_code, reason = "asks the kernel about memory that is mapped")]
    fn resident_pages(block: usize, size: usize) -> usize {
        const PAGE: usize = 4_096;
        unsafe extern "C" {
            fn mincore(start: *mut c_void, bytes: usize, pages: *mut u8) -> i32;
        }
        let start = block.next_multiple_of(PAGE);
        let bytes = (block + size - start) / PAGE * PAGE;
        let mut pages = vec![0_u8; bytes / PAGE];
        // SAFETY: it writes one byte for each page of the range, and reads nothing of it.
        let asked = unsafe { mincore(start as *mut c_void, bytes, pages.as_mut_ptr()) };
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        pages.iter().filter(|page| **page & 1 == 1).count()
    }

    #[test]
    #[expect(unsafe_code, reason = "asks the allocator itself")]
    fn what_another_thread_freed_stays_with_its_thread_until_that_gives_back() {
        const SIZE: usize = 300_000;
        let layout = Layout::from_size_align(SIZE, 1).unwrap();
        // SAFETY: the size is not zero, and all of the block is written.
        let block = unsafe {
            let block = Mimalloc.alloc(layout);
            block.write_bytes(1, SIZE);
            block as usize
        };
        std::thread::scope(|threads| {
            // SAFETY: it came from this allocator with this layout, and goes back once.
            threads.spawn(|| unsafe { Mimalloc.dealloc(block as *mut u8, layout) });
        });
        assert!(resident_pages(block, SIZE) > 0, "nobody has looked yet");
        collect();
        assert_eq!(resident_pages(block, SIZE), 0);
    }

    #[test]
    #[expect(unsafe_code, reason = "asks the allocator itself")]
    fn all_threads_give_back_at_once_also_those_that_did_a_moment_before() {
        const SIZE: usize = 300_000;
        const THREADS: usize = 4;
        let layout = Layout::from_size_align(SIZE, 1).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .build()
            .unwrap();
        let pages = runtime.block_on(async {
            let here = Arc::new(AtomicUsize::new(0));
            let each: Vec<_> = (0..THREADS)
                .map(|_| {
                    let here = here.clone();
                    tokio::spawn(async move {
                        // SAFETY: the size is not zero, and all of the block is written.
                        let block = unsafe {
                            let block = Mimalloc.alloc(layout);
                            block.write_bytes(1, SIZE);
                            block as usize
                        };
                        // None takes the task of another.
                        here.fetch_add(1, Ordering::AcqRel);
                        while here.load(Ordering::Acquire) < THREADS {
                            std::thread::yield_now();
                        }
                        block
                    })
                })
                .collect();
            let mut blocks = Vec::new();
            for one in each {
                blocks.push(one.await.unwrap());
            }
            for block in &blocks {
                // SAFETY: each came from this allocator with this layout, and goes back once.
                unsafe { Mimalloc.dealloc(*block as *mut u8, layout) }
            }
            let pages = || -> usize { blocks.iter().map(|it| resident_pages(*it, SIZE)).sum() };
            assert!(pages() > 0, "nobody has looked yet");
            // More than once where the machine is so busy that the threads did not meet.
            for _ in 0..20 {
                all_give_back().await;
                if pages() == 0 {
                    break;
                }
            }
            pages()
        });
        assert_eq!(pages, 0);
    }
}
