//! Lanes: what threads share is dealt out, and each thread turns to its own part first.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Lanes at most. More threads than this share them.
pub(crate) const COUNT: u32 = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's number, in the order in which threads first asked.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// Every part, this thread's own first.
pub(crate) fn from_own<T>(parts: &[T]) -> impl Iterator<Item = &T> {
    let own = THREAD.with(|thread| *thread) % parts.len().max(1);
    let (before, from) = parts.split_at(own.min(parts.len()));
    from.iter().chain(before)
}
