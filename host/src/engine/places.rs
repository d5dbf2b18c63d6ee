//! Places for decisions: as many as may run at once. A request waits briefly for one, and then it is overload.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

/// The places of a sandbox.
pub(super) struct Places {
    free: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// A place; free again when it is dropped.
pub(super) struct Place<'a>(&'a Places);

impl Places {
    pub(super) fn new(count: u32) -> Self {
        Self {
            free: AtomicU32::new(count),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
        }
    }

    /// A place, if one is free now.
    pub(super) fn try_take(&self) -> Option<Place<'_>> {
        self.free
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |free| {
                free.checked_sub(1)
            })
            .ok()
            .map(|_| Place(self))
    }

    /// A place, as soon as one is free; none if that takes longer than `wait`.
    pub(super) async fn take(&self, wait: Duration) -> Option<Place<'_>> {
        let _waiting = Waiting::new(&self.waiting);
        tokio::time::timeout(wait, async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // From here on a place that becomes free is noticed, so looking again cannot miss it.
                freed.as_mut().enable();
                if let Some(place) = self.try_take() {
                    return place;
                }
                freed.await;
            }
        })
        .await
        .ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// Counts itself while it lives: a wait may be cancelled at any point.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_place_is_waited_for_and_then_given_up() {
        let places = Places::new(1);
        let place = places.try_take().unwrap();
        assert!(places.try_take().is_none());
        assert!(places.take(Duration::from_millis(1)).await.is_none());
        let (got, ()) = tokio::join!(places.take(Duration::from_secs(30)), async { drop(place) });
        drop(got.unwrap());
        assert!(places.try_take().is_some());
        assert_eq!(places.waiting.load(Ordering::SeqCst), 0);
    }
}
