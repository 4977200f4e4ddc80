//! The plugin's memory: what a short call allocates fits into a page that the component begins with, and only what
//! does not is asked for from the host.
//!
//! Every call has an instance of its own. One that makes its memory grow costs the host two changes of the memory's
//! protection, when it grows and when its place is made ready for the next, and those are felt by all other calls
//! that are at work: more than a short call itself takes. Memory is handed out from the front of the page and comes
//! back where what was handed out last is given back, as vectors and strings mostly are. When the page is used up the
//! standard library's allocator serves, so that a plugin that runs for long loses a page at most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr;

/// A page of WebAssembly: the least by which a memory could grow.
const PAGE: usize = 64 << 10;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static HEAP: Heap = Heap::new();

/// The page, and behind it the standard library's allocator.
#[repr(C, align(16))]
struct Heap {
    page: UnsafeCell<[u8; PAGE]>,
    /// Bytes of the page that are handed out, from its front.
    used: Cell<usize>,
}

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "a component has one thread")]
// SAFETY: a component of this SDK is built without threads, so nobody shares anything.
unsafe impl Sync for Heap {}

impl Heap {
    const fn new() -> Self {
        Self {
            page: UnsafeCell::new([0; PAGE]),
            used: Cell::new(0),
        }
    }

    fn start(&self) -> usize {
        self.page.get().addr()
    }

    /// Where in the page a block begins; none for one that is not of the page.
    fn place(&self, block: *mut u8) -> Option<usize> {
        block
            .addr()
            .checked_sub(self.start())
            .filter(|at| *at < PAGE)
    }

    /// Takes a block of the page, if it has room.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let free = self.start().checked_add(self.used.get())?;
        let at = free
            .checked_next_multiple_of(layout.align())?
            .checked_sub(self.start())?;
        let end = at.checked_add(layout.size()).filter(|end| *end <= PAGE)?;
        self.used.set(end);
        Some(self.page.get().cast::<u8>().wrapping_add(at))
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait over raw memory"
)]
// SAFETY: a block of the page lies in it from its start to its end, and `used` is never below the end of a block that
// is handed out: it goes back only to the beginning of the last one, when that is given back or becomes smaller. All
// other blocks are the standard library's, and go back to it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block,
            // SAFETY: the caller's promises are those that it asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => {
                // What comes back to the page is not cleaned.
                // SAFETY: the block is as long as its layout says.
                unsafe { ptr::write_bytes(block, 0, layout.size()) };
                block
            }
            // SAFETY: as in `alloc`.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.place(block) {
            Some(at) if at + layout.size() == self.used.get() => self.used.set(at),
            // Not the last one: its place comes back with the instance.
            Some(_) => {}
            // SAFETY: what is not of the page came from there.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(at) = self.place(block) else {
            // SAFETY: what is not of the page came from there.
            return unsafe { System.realloc(block, layout, size) };
        };
        let is_last = at + layout.size() == self.used.get();
        if is_last && size <= PAGE - at {
            self.used.set(at + size);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller says that the new size and the old alignment make a layout; both blocks are as long as
        // the old one, and none lies in the other.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size());
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with what was written into it.
    struct Block {
        at: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        #[expect(unsafe_code, reason = "reads what the allocator gave")]
        fn check(&self) {
            assert_eq!(self.at.addr() % self.layout.align(), 0);
            // SAFETY: the block is as long as its layout says, and was written whole.
            let bytes = unsafe { std::slice::from_raw_parts(self.at, self.layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == self.mark));
        }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    #[expect(unsafe_code, reason = "asks the allocator")]
    fn no_block_lies_in_another_whatever_is_given_back_when() {
        let heap = Heap::new();
        let mut state = 7_u64;
        let mut below = move |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut blocks: Vec<Block> = Vec::new();
        for round in 0..4_000 {
            let mark = u8::try_from(round % 251).unwrap();
            match below(4) {
                0 | 1 if blocks.len() < 60 => {
                    let layout = layout(1 + below(3_000), 1 << below(5));
                    // SAFETY: the size is not zero, and the block is written to its end and no further.
                    let at = unsafe {
                        let at = heap.alloc_zeroed(layout);
                        let bytes = std::slice::from_raw_parts(at, layout.size());
                        assert!(bytes.iter().all(|byte| *byte == 0), "round {round}");
                        ptr::write_bytes(at, mark, layout.size());
                        at
                    };
                    blocks.push(Block { at, layout, mark });
                }
                2 if !blocks.is_empty() => {
                    let last = blocks.len() - 1;
                    let block = &mut blocks[if below(2) == 0 { last } else { below(last + 1) }];
                    block.check();
                    let size = 1 + below(6_000);
                    let kept = size.min(block.layout.size());
                    // SAFETY: the block is one of the heap's with this layout; what is kept of it was written.
                    unsafe {
                        block.at = heap.realloc(block.at, block.layout, size);
                        let bytes = std::slice::from_raw_parts(block.at, kept);
                        assert!(
                            bytes.iter().all(|byte| *byte == block.mark),
                            "round {round}"
                        );
                        ptr::write_bytes(block.at, block.mark, size);
                    }
                    block.layout = layout(size, block.layout.align());
                }
                _ if !blocks.is_empty() => {
                    let last = blocks.len() - 1;
                    let block =
                        blocks.swap_remove(if below(3) > 0 { last } else { below(last + 1) });
                    block.check();
                    // SAFETY: it is given back once, with its layout.
                    unsafe { heap.dealloc(block.at, block.layout) }
                }
                _ => {}
            }
            if round % 50 == 0 {
                blocks.iter().for_each(Block::check);
            }
        }
        for block in blocks {
            // SAFETY: as above.
            unsafe { heap.dealloc(block.at, block.layout) }
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "asks the allocator")]
    fn what_grows_at_the_end_stays_where_it_is_and_leaves_its_room() {
        let heap = Heap::new();
        // SAFETY: each block is used with its layout, and given back once.
        unsafe {
            let first = heap.alloc(layout(100, 8));
            let grown = heap.realloc(first, layout(100, 8), 1_000);
            assert_eq!(first, grown);
            heap.dealloc(grown, layout(1_000, 8));
            assert_eq!(heap.used.get(), 0);
            let large = heap.alloc(layout(PAGE + 1, 8));
            assert_eq!(heap.place(large), None, "the standard library's");
            heap.dealloc(large, layout(PAGE + 1, 8));
        }
    }
}
