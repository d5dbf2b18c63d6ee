//! The memory of a decision: a bump allocator that starts over whenever nothing is alive.
//!
//! ```text
//! stack | data | what `configure` keeps | room for calls             an ordinary policy
//! stack | data | room for calls | what `configure` keeps | behind    one with large tables
//! ```
//!
//! A fresh instance pays for every page that its memory has or touches, so everything lies close together: a question
//! and its answer live in room that is there from the start, a decision never grows the memory. Only what does not
//! fit there goes behind everything else, for that one call. What is kept is never freed.
#![expect(
    unsafe_code,
    reason = "an allocator; wasm32 without threads runs one call at a time"
)]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ptr,
};

const WASM_PAGE_BYTES: usize = 64 * 1024;
/// Room for the ordinary question: a caller with a thousand clusters fits.
const CALL_BYTES: usize = 24 * 1024;
/// What of it must be left behind small tables before the memory gets another page, which every fresh instance would
/// pay for: a caller with hundreds of clusters fits.
const CALL_BYTES_MIN: usize = 12 * 1024;
/// Encoded tables up to this size are small: decoded they take some four times as much.
const SMALL_TABLES_BYTES: usize = 8 * 1024;

/// The allocator.
pub(crate) struct Arena(UnsafeCell<State>);

/// All addresses. Zero until the first allocation.
struct State {
    /// The room for calls, and what of it is taken. While small tables are decoded, the room for them.
    start: usize,
    top: usize,
    end: usize,
    /// The end of what is taken behind everything else, and where that starts over.
    behind: usize,
    floor: usize,
    /// Where what is kept begins and ends.
    kept: (usize, usize),
    /// Allocations that are alive, what is kept not counted.
    live: usize,
    keeping: Keeping,
    /// Where small tables stand, encoded.
    encoded: usize,
}

/// Where allocations go while tables are decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    No,
    /// In the room for calls, which moves behind them.
    Here,
    Behind,
}

// SAFETY: wasm32 without the threads feature has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) const fn new() -> Self {
        let keeping = Keeping::No;
        Self(UnsafeCell::new(State {
            start: 0,
            top: 0,
            end: 0,
            behind: 0,
            floor: 0,
            kept: (0, 0),
            live: 0,
            keeping,
            encoded: usize::MAX,
        }))
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "one thread, and no method holds it across another"
    )]
    fn state(&self) -> &mut State {
        // SAFETY: one thread, and no method of this type calls another one while it holds the reference.
        unsafe { &mut *self.0.get() }
    }

    /// Runs `decode` on tables of this many encoded bytes; whatever it allocates and does not free stays for good.
    pub(crate) fn keep<T>(&self, tables_bytes: usize, decode: impl FnOnce() -> T) -> T {
        let state = self.state();
        let live = state.live;
        let keeping = if tables_bytes <= SMALL_TABLES_BYTES {
            Keeping::Here
        } else {
            Keeping::Behind
        };
        let start = if keeping == Keeping::Here {
            state.top
        } else {
            state.behind
        };
        if keeping == Keeping::Here {
            // The room for calls is behind what is kept, so nothing else may be there but what is decoded.
            state.end = state.encoded;
            state.behind = memory_bytes();
        }
        let behind = state.behind;
        state.keeping = keeping;
        let kept = decode();

        let state = self.state();
        state.keeping = Keeping::No;
        state.live = live;
        if keeping == Keeping::Here {
            state.kept = (start, state.top);
            // What did not fit before the encoded tables is behind them.
            if state.behind != behind {
                state.top = state.behind;
            }
            state.start = state.top;
            ensure(state.top + CALL_BYTES_MIN);
            state.end = memory_bytes();
            state.behind = state.end;
        } else {
            state.kept = (start, state.behind);
        }
        state.floor = state.behind;
        kept
    }
}

// SAFETY: every block is aligned, lies in memory that this allocator owns, and overlaps no block that is alive: the
// bump only moves back over the last block, or to the start when no block is alive.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = self.state();
        if state.start == 0 {
            state.start = heap_base();
            state.top = state.start;
            state.end = state.start + CALL_BYTES;
            state.behind = state.end;
            state.floor = state.end;
            // The first are the encoded tables. Small ones go to the end of the memory: in front they would leave a
            // hole before what is kept.
            if let Some(block) = state.at_end(layout) {
                state.encoded = block;
                state.live += 1;
                return ptr::with_exposed_provenance_mut(block);
            }
        }
        let end = if state.keeping == Keeping::Behind {
            None
        } else {
            state.place(layout)
        };
        let end = match end {
            Some(end) => {
                state.top = end;
                end
            }
            None => match end_of(state.behind, layout) {
                Some(end) if ensure(end) => {
                    state.behind = end;
                    end
                }
                _ => return ptr::null_mut(),
            },
        };
        state.live += 1;
        ptr::with_exposed_provenance_mut(end - layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let state = self.state();
        let end = block.addr() + layout.size();
        if (state.kept.0..state.kept.1).contains(&block.addr()) {
            return; // not counted
        }
        if end == state.top {
            state.top = block.addr();
        } else if end == state.behind {
            state.behind = block.addr();
        }
        state.live = state.live.saturating_sub(1);
        if state.live == 0 && state.keeping == Keeping::No {
            state.top = state.start;
            state.behind = state.floor;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size <= layout.size() {
            return block;
        }
        let state = self.state();
        let end = block.addr() + layout.size();
        let new_end = block.addr().saturating_add(size);
        // The last block of either place grows where it is.
        if end == state.top && new_end <= state.end && ensure(new_end) {
            state.top = new_end;
            return block;
        }
        if end == state.behind && ensure(new_end) {
            state.behind = new_end;
            return block;
        }
        // SAFETY: the caller vouches for the block, and the new one is as long as `size`.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size());
                self.dealloc(block, layout);
            }
            new
        }
    }
}

impl State {
    /// Where a block for small tables starts that ends with the memory, if the memory reaches that far.
    fn at_end(&self, layout: Layout) -> Option<usize> {
        let block = memory_bytes().checked_sub(layout.size())? & !(layout.align() - 1);
        (layout.size() <= SMALL_TABLES_BYTES && block >= self.end).then_some(block)
    }

    /// Where a block ends in the room for calls, if it fits there.
    fn place(&self, layout: Layout) -> Option<usize> {
        end_of(self.top, layout).filter(|end| *end <= self.end && ensure(*end))
    }
}

/// Where a block ends that starts at the first aligned address from `from`; the block starts `size` before that.
fn end_of(from: usize, layout: Layout) -> Option<usize> {
    from.checked_next_multiple_of(layout.align())?
        .checked_add(layout.size())
}

/// Whether the memory reaches this far; it grows where it can.
fn ensure(end: usize) -> bool {
    end <= memory_bytes() || grow(end - memory_bytes())
}

#[cfg(target_family = "wasm")]
fn heap_base() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    (&raw const __heap_base).addr()
}

#[cfg(target_family = "wasm")]
fn memory_bytes() -> usize {
    core::arch::wasm32::memory_size(0) * WASM_PAGE_BYTES
}

#[cfg(target_family = "wasm")]
fn grow(bytes: usize) -> bool {
    core::arch::wasm32::memory_grow(0, bytes.div_ceil(WASM_PAGE_BYTES)) != usize::MAX
}

// Off wasm this crate is only checked, never run.
#[cfg(not(target_family = "wasm"))]
fn heap_base() -> usize {
    WASM_PAGE_BYTES
}

#[cfg(not(target_family = "wasm"))]
fn memory_bytes() -> usize {
    0
}

#[cfg(not(target_family = "wasm"))]
fn grow(_bytes: usize) -> bool {
    false
}
