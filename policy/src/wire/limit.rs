//! The arithmetic of limits: a sliding window of one minute over two aligned cells, for every counter store.
//!
//! estimate = previous cell × the part of it that is still inside the window + current cell; a call is admitted
//! while the estimate is below the limit. Everything is in integers and exact: estimates are compared in units of
//! one sixty-thousandth of a call.

/// Length of a cell and of the window, in milliseconds.
pub const CELL_MS: i64 = 60_000;
/// The highest limit that a counter can hold, in calls per minute.
pub const LIMIT_MAX: u32 = (1 << COUNT_BITS) - 1;

const COUNT_BITS: u32 = 20;
const MINUTE_BITS: u32 = 24;

/// One counter: the minute of its current cell and what was admitted in that and in the one before. Packed into 64
/// bits, so that one compare-and-swap replaces it. The minute is kept modulo 2^24 (32 years), which is enough to
/// tell how old it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cells(u64);

/// What a limit says after a call was taken, refused, or only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the call is within the limit.
    pub admitted: bool,
    /// Calls per minute.
    pub limit: u32,
    /// How many calls more would be admitted at this moment.
    pub remaining: u32,
    /// The end of the current cell, in seconds since the epoch.
    pub reset_at: i64,
    /// When the next call would be admitted, in milliseconds from now; 0 while some remain.
    pub retry_after_ms: i64,
}

impl Taken {
    /// `Retry-After`: whole seconds, rounded up, at least 1.
    pub fn retry_after_secs(&self) -> i64 {
        self.retry_after_ms
            .max(1)
            .unsigned_abs()
            .div_ceil(1000)
            .max(1)
            .cast_signed()
    }
}

/// Takes one call from a counter, if the limit has one left: the counter to store, and what to tell.
///
/// Total: limits above [`LIMIT_MAX`] count as that. A moment of the minute before the counter's own (two threads, one
/// late) counts as the start of the counter's minute; an earlier one, of which the counter knows nothing any more, is
/// refused, so that no minute ever has one call too many; a clock that went back for good starts the counter anew.
pub fn take(cells: Cells, limit: u32, now_ms: i64) -> (Cells, Taken) {
    let mut window = Window::at(cells, now_ms);
    let admitted = window.remaining(limit) > 0;
    window.current += u32::from(admitted);
    (window.cells(), window.tell(admitted, limit))
}

/// What a counter says without taking from it; `admitted` tells whether a call would be.
pub fn look(cells: Cells, limit: u32, now_ms: i64) -> Taken {
    let window = Window::at(cells, now_ms);
    window.tell(window.remaining(limit) > 0, limit)
}

/// Whether a counter says nothing any more: both cells are outside the window.
pub fn is_idle(cells: Cells, now_ms: i64) -> bool {
    let window = Window::at(cells, now_ms);
    window.previous == 0 && window.current == 0
}

impl Cells {
    /// As one integer.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// From [`Cells::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn pack(minute: u32, previous: u32, current: u32) -> Self {
        Self(
            (u64::from(minute) << (2 * COUNT_BITS))
                | (u64::from(previous) << COUNT_BITS)
                | u64::from(current),
        )
    }

    fn unpack(self) -> (u32, u32, u32) {
        let field = |shift: u32, bits: u32| ((self.0 >> shift) & ((1 << bits) - 1)) as u32;
        (
            field(2 * COUNT_BITS, MINUTE_BITS),
            field(COUNT_BITS, COUNT_BITS),
            field(0, COUNT_BITS),
        )
    }
}

/// A counter as it stands at one moment.
struct Window {
    /// Modulo 2^24.
    minute: u32,
    previous: u32,
    current: u32,
    /// Since the start of the current cell.
    elapsed_ms: i64,
    /// The end of the current cell, in milliseconds since the epoch.
    end_ms: i64,
    /// Whether the moment is too long ago for the counter.
    is_past: bool,
}

impl Window {
    fn at(cells: Cells, now_ms: i64) -> Self {
        let (stored, previous, current) = cells.unpack();
        let minute = now_ms.div_euclid(CELL_MS);
        let elapsed_ms = now_ms.rem_euclid(CELL_MS);
        let end_ms = minute.saturating_add(1).saturating_mul(CELL_MS);
        let now = minute.rem_euclid(i64::from(MINUTES)) as u32;
        let age = now.wrapping_sub(stored) & (MINUTES - 1);
        let fresh = Self {
            minute: now,
            previous: 0,
            current: 0,
            elapsed_ms,
            end_ms,
            is_past: false,
        };
        match (age, MINUTES - age) {
            (0, _) => Self {
                previous,
                current,
                ..fresh
            },
            (1, _) => Self {
                previous: current,
                ..fresh
            },
            (_, behind @ 1..=BEHIND_MINUTES_MAX) => Self {
                minute: stored,
                previous,
                current,
                elapsed_ms: 0,
                end_ms: end_ms.saturating_add(i64::from(behind) * CELL_MS),
                is_past: behind > 1,
            },
            _ => fresh,
        }
    }

    /// How many calls the limit admits at this moment: the number of whole steps by which the estimate can rise
    /// before it is no longer below the limit.
    fn remaining(&self, limit: u32) -> u32 {
        if self.is_past {
            return 0;
        }
        let limit = i64::from(limit.min(LIMIT_MAX));
        let inside = i64::from(self.previous) * (CELL_MS - self.elapsed_ms);
        let room = (limit - i64::from(self.current)) * CELL_MS - inside;
        u32::try_from(room.max(0).unsigned_abs().div_ceil(CELL_MS.unsigned_abs())).unwrap_or(0)
    }

    fn retry_after_ms(&self, limit: u32) -> i64 {
        if self.remaining(limit) > 0 {
            return 0;
        }
        let limit = i64::from(limit.min(LIMIT_MAX));
        let rest_ms = CELL_MS - self.elapsed_ms;
        if self.is_past {
            return CELL_MS;
        }
        if i64::from(self.current) < limit {
            // The previous cell moves out of the window within this one.
            return wait_ms(self.previous, limit - i64::from(self.current)) - self.elapsed_ms;
        }
        // This cell is full: the next one opens as it moves out in turn.
        rest_ms + wait_ms(self.current, limit)
    }

    fn cells(&self) -> Cells {
        Cells::pack(self.minute, self.previous, self.current)
    }

    fn tell(&self, admitted: bool, limit: u32) -> Taken {
        Taken {
            admitted,
            limit,
            remaining: self.remaining(limit),
            reset_at: self.end_ms.div_euclid(1000),
            retry_after_ms: self.retry_after_ms(limit),
        }
    }
}

const MINUTES: u32 = 1 << MINUTE_BITS;
/// How far threads may drift apart before a clock is taken to have been set back.
const BEHIND_MINUTES_MAX: u32 = 10;

/// How far into a cell, in milliseconds, `previous` calls of the one before weigh less than `room`: the smallest
/// whole number above `CELL_MS` × (`previous` − `room`) / `previous`.
fn wait_ms(previous: u32, room: i64) -> i64 {
    let previous = i64::from(previous);
    if previous < room || previous == 0 {
        return 0;
    }
    CELL_MS * (previous - room) / previous + 1
}

#[cfg(test)]
mod tests;
