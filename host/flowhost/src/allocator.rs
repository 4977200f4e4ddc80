//! The process's allocator: mimalloc, asked in the way that is quick for what Rust programs ask for.
//!
//! Rust names an alignment with every allocation, and mimalloc's functions that take one treat it as
//! something out of the ordinary: unless a block of the right size is at hand, and its size is a power of
//! two, they take a larger block, align within it, and mark its page so that every `free` in it has to look
//! for the block's beginning. Nearly all of ours ask for no more than any block has anyway, so those are
//! asked for without naming it. Must never hand out what is aligned to less than was asked for.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mimalloc;

/// What every block is aligned to that is at least as large: `max_align_t` of C, which mimalloc keeps as any
/// `malloc` has to.
const NATURAL_ALIGN: usize = 16;

/// A run is many small allocations on many threads; the system's allocator costs a fifth of a step.
pub(crate) struct Mimalloc;

/// Whether a block of the size is aligned as asked without being told.
const fn is_natural(size: usize, align: usize) -> bool {
    align <= NATURAL_ALIGN && align <= size
}

#[expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait over functions of C"
)]
// SAFETY: mimalloc is an allocator for all threads. What is aligned to more than its blocks are is asked for
// with its alignment, and `mi_free` and `mi_realloc` take blocks of either kind.
unsafe impl GlobalAlloc for Mimalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: both take any size; the alignment of a layout is a power of two.
        let block = unsafe {
            match is_natural(size, align) {
                true => mimalloc::mi_malloc(size),
                false => mimalloc::mi_malloc_aligned(size, align),
            }
        };
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as in `alloc`.
        let block = unsafe {
            match is_natural(size, align) {
                true => mimalloc::mi_zalloc(size),
                false => mimalloc::mi_zalloc_aligned(size, align),
            }
        };
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise is that the block is one of ours.
        unsafe { mimalloc::mi_free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: the block is one of ours. By its new size, and whatever it was asked for with: a block that
        // stays where it is stays aligned, and one that moves is aligned as `alloc` would have it.
        let block = unsafe {
            match is_natural(size, align) {
                true => mimalloc::mi_realloc(block.cast(), size),
                false => mimalloc::mi_realloc_aligned(block.cast(), size, align),
            }
        };
        block.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        unsafe_code,
        reason = "asks the allocator itself, and gives back what it got"
    )]
    fn every_block_is_aligned_as_it_was_asked_for_also_once_it_has_grown() {
        for align in (0..=12).map(|shift| 1_usize << shift) {
            for size in [1_usize, 7, 8, 12, 16, 24, 40, 48, 72, 100, 1_000, 70_000] {
                let (layout, more) = (
                    Layout::from_size_align(size, align).unwrap(),
                    Layout::from_size_align(size + 24, align).unwrap(),
                );
                // Many of each: the first block of a page is aligned to more than those behind it.
                let blocks: Vec<*mut u8> = (0..20)
                    .map(|_| {
                        // SAFETY: no size is zero, and the block has the layout that it was asked for with.
                        unsafe {
                            let block = Mimalloc.alloc_zeroed(layout);
                            assert_eq!(block as usize % align, 0, "{size} bytes at {align}");
                            let block = Mimalloc.realloc(block, layout, more.size());
                            assert_eq!(block as usize % align, 0, "{size} bytes at {align}, grown");
                            block
                        }
                    })
                    .collect();
                for block in blocks {
                    // SAFETY: it came from this allocator with this layout, and goes back once.
                    unsafe { Mimalloc.dealloc(block, more) }
                }
            }
        }
    }
}
