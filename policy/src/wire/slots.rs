//! Counters in a store of small values that are replaced whole, by compare-and-swap: each value is a slot with the
//! counters of many buckets, so that their number is bounded whoever comes.
//!
//! A slot is a row of entries, each the bucket's id and its [`Cells`]. What has been idle goes when its slot is written.

use super::limit::{self, Cells, Taken, Window};

/// What a bucket is told from others by.
pub type Id = [u8; 16];

/// What those share who find no place of their own.
const SHARED: Id = [0xff; 16];
const ID_BYTES: usize = 16;
const ENTRY_BYTES: usize = ID_BYTES + 8;

/// Takes one call from a bucket of a slot, if its limit has one left: what to store in place of the slot, if anything
/// has changed, and what to tell. A slot that has `entries_max` others already counts the bucket together with whoever
/// else comes too late.
/// All buckets of a slot have the same window.
pub fn take(
    window: Window,
    slot: &[u8],
    id: Id,
    entries_max: usize,
    limit: u32,
    now_ms: i64,
) -> (Option<Vec<u8>>, Taken) {
    let place = place(window, slot, id, entries_max, now_ms);
    let (next, taken) = limit::take(window, cells_of(slot, place), limit, now_ms);
    if !taken.admitted {
        return (None, taken);
    }
    let mut stored = Vec::with_capacity(slot.len() + ENTRY_BYTES);
    for (other, cells) in entries(slot) {
        if other != place && !limit::is_idle(window, cells, now_ms) {
            push(&mut stored, other, cells);
        }
    }
    push(&mut stored, place, next);
    (Some(stored), taken)
}

/// What a bucket says without taking from it.
pub fn look(
    window: Window,
    slot: &[u8],
    id: Id,
    entries_max: usize,
    limit: u32,
    now_ms: i64,
) -> Taken {
    let place = place(window, slot, id, entries_max, now_ms);
    limit::look(window, cells_of(slot, place), limit, now_ms)
}

/// Whose counter is this bucket's: its own, if it has one or there is room.
fn place(window: Window, slot: &[u8], id: Id, entries_max: usize, now_ms: i64) -> Id {
    let mut busy = 0;
    for (other, cells) in entries(slot) {
        if other == id {
            return id;
        }
        busy += usize::from(other != SHARED && !limit::is_idle(window, cells, now_ms));
    }
    if busy < entries_max { id } else { SHARED }
}

fn cells_of(slot: &[u8], id: Id) -> Cells {
    entries(slot)
        .find(|(other, _)| *other == id)
        .map_or_else(Cells::default, |(_, cells)| cells)
}

fn entries(slot: &[u8]) -> impl Iterator<Item = (Id, Cells)> + '_ {
    slot.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (id, bits) = entry.split_at_checked(ID_BYTES)?;
        let bits = u64::from_le_bytes(bits.try_into().ok()?);
        Some((id.try_into().ok()?, Cells::from_bits(bits)))
    })
}

fn push(slot: &mut Vec<u8>, id: Id, cells: Cells) {
    slot.extend_from_slice(&id);
    slot.extend_from_slice(&cells.to_bits().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL_MS: i64 = Window::MINUTE.ms();
    const NOW: i64 = 1_775_000_040_000;

    fn id(n: u8) -> Id {
        [n; 16]
    }

    /// As one who writes a slot does.
    fn taken(slot: &mut Vec<u8>, bucket: Id, limit: u32, now_ms: i64) -> bool {
        let (stored, taken) = take(Window::MINUTE, slot, bucket, 4, limit, now_ms);
        assert_eq!(stored.is_some(), taken.admitted);
        if let Some(stored) = stored {
            *slot = stored;
        }
        taken.admitted
    }

    #[test]
    fn each_bucket_has_its_limit() {
        let mut slot = Vec::new();
        for _ in 0..3 {
            assert!(taken(&mut slot, id(1), 3, NOW));
        }
        assert!(!taken(&mut slot, id(1), 3, NOW));
        assert!(taken(&mut slot, id(2), 3, NOW));
        assert_eq!(look(Window::MINUTE, &slot, id(1), 4, 3, NOW).remaining, 0);
        assert_eq!(look(Window::MINUTE, &slot, id(2), 4, 3, NOW).remaining, 2);
        assert_eq!(look(Window::MINUTE, &slot, id(3), 4, 3, NOW).remaining, 3);
        assert_eq!(slot.len(), 2 * ENTRY_BYTES);
    }

    #[test]
    fn a_full_slot_counts_the_rest_together_and_forgets_who_is_idle() {
        let mut slot = Vec::new();
        for n in 0..4 {
            assert!(taken(&mut slot, id(n), 2, NOW));
        }
        assert!(taken(&mut slot, id(8), 2, NOW));
        assert!(taken(&mut slot, id(9), 2, NOW));
        assert!(!taken(&mut slot, id(10), 2, NOW), "those share a counter");
        assert!(!look(Window::MINUTE, &slot, id(11), 4, 2, NOW).admitted);
        assert!(taken(&mut slot, id(0), 2, NOW), "this one has its own");
        assert_eq!(slot.len(), 5 * ENTRY_BYTES);

        assert!(taken(&mut slot, id(10), 2, NOW + 2 * CELL_MS));
        assert_eq!(slot.len(), ENTRY_BYTES);
    }

    #[test]
    fn what_is_no_slot_counts_nothing() {
        let mut slot = vec![7; ENTRY_BYTES - 1];
        assert!(taken(&mut slot, id(1), 1, NOW));
        assert!(!taken(&mut slot, id(1), 1, NOW));
    }
}
