//! When a thread gives back the memory that it keeps and nothing uses.
//!
//! Each thread has pages of its own for each size of block, and a block that another thread frees in them is found only
//! when their owner asks for that size again. The threads of a server would so keep, each for itself, the most of each
//! size that was ever in use at once: several times of what is in use, and more with each burst that is larger than all
//! before.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread keeps what it may need again. One that gave it back whenever it waits would fetch it anew for each
/// message.
const KEPT: Duration = Duration::from_secs(1);

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
    if last.is_some() {
        collect();
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
    // SAFETY: it may be called by any thread at any time, and moves no block.
    unsafe { mi_collect(true) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::alloc::{GlobalAlloc as _, Layout};
    use std::ffi::c_void;

    use super::*;
    use crate::allocator::Mimalloc;

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
}
