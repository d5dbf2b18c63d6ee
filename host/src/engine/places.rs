//! Places for decisions: as many as may run at once. A request waits briefly for one, and then it is overload.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crossbeam_utils::CachePadded;
use tokio::sync::Notify;

use super::lane;

/// The places of a sandbox, dealt out to lanes: a thread takes from its own first, so that threads do not pass one
/// counter to and fro.
pub(super) struct Places {
    free: Box<[CachePadded<AtomicU32>]>,
    waiting: CachePadded<AtomicU32>,
    freed: Notify,
}

/// A place; free again when it is dropped.
pub(super) struct Place<'a> {
    places: &'a Places,
    lane: &'a AtomicU32,
}

impl Places {
    pub(super) fn new(count: u32) -> Self {
        let lanes = count.clamp(1, lane::COUNT);
        let share = |lane| count / lanes + u32::from(lane < count % lanes);
        Self {
            free: (0..lanes)
                .map(|lane| AtomicU32::new(share(lane)).into())
                .collect(),
            waiting: AtomicU32::new(0).into(),
            freed: Notify::new(),
        }
    }

    /// A place, if one is free now.
    pub(super) fn try_take(&self) -> Option<Place<'_>> {
        lane::from_own(&self.free).find_map(|lane| {
            lane.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |free| {
                free.checked_sub(1)
            })
            .ok()
            .map(|_| Place { places: self, lane })
        })
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
        self.lane.fetch_add(1, Ordering::SeqCst);
        if self.places.waiting.load(Ordering::SeqCst) > 0 {
            self.places.freed.notify_one();
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

    #[test]
    fn all_places_can_be_taken_from_any_thread_and_no_more() {
        for count in [0, 1, 3, 16, 64, 67] {
            let places = Places::new(count);
            let taken: Vec<_> = std::iter::from_fn(|| places.try_take()).collect();
            assert_eq!(taken.len(), count as usize);
            drop(taken);
            let others = std::thread::scope(|scope| {
                let taking = scope.spawn(|| {
                    let taken: Vec<_> = std::iter::from_fn(|| places.try_take()).collect();
                    taken.len()
                });
                taking.join().unwrap()
            });
            assert_eq!(others, count as usize);
        }
    }

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
