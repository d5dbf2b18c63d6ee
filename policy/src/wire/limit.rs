//! The arithmetic of limits: a sliding window over two aligned cells of its length, for every counter store.
//!
//! estimate = previous cell × the part of it that is still inside the window + current cell; a call is admitted
//! while the estimate is below the limit. Everything is in integers and exact: estimates are compared in units of
//! one call by the window's length in milliseconds.

/// The highest limit that a counter can hold, in calls per window.
pub const LIMIT_MAX: u32 = (1 << COUNT_BITS) - 1;

const COUNT_BITS: u32 = 20;
const NUMBER_BITS: u32 = 24;

/// How long a window is, and each of its cells: whole seconds, so that a cell's end can be told in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(u16);

impl Window {
    /// What every limit is for unless something else is said.
    pub const MINUTE: Self = Self(60);
    /// The longest one, in seconds: an hour.
    pub const SECS_MAX: u64 = 3600;

    /// A window of so many seconds, from 1 to [`Window::SECS_MAX`].
    pub fn of_secs(secs: u64) -> Option<Self> {
        let within = (1..=Self::SECS_MAX).contains(&secs);
        let secs = u16::try_from(secs).ok().filter(|_| within)?;
        Some(Self(secs))
    }

    /// Its length in seconds.
    pub fn secs(self) -> u64 {
        u64::from(self.0)
    }

    /// Its length in milliseconds.
    pub const fn ms(self) -> i64 {
        self.0 as i64 * 1000
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::MINUTE
    }
}

/// One counter: the number of its current cell and what was admitted in that and in the one before. Packed into 64
/// bits, so that one compare-and-swap replaces it. The number is kept modulo 2^24 (32 years of minutes, half a year of
/// seconds), which is enough to tell how old it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cells(u64);

/// What a limit says after a call was taken, refused, or only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the call is within the limit.
    pub admitted: bool,
    /// Calls per window.
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
/// Total: limits above [`LIMIT_MAX`] count as that. A moment of the cell before the counter's own (two threads, one
/// late) counts as the start of the counter's cell; an earlier one, of which the counter knows nothing any more, is
/// refused, so that no cell ever has one call too many; a clock that went back for good starts the counter anew.
pub fn take(window: Window, cells: Cells, limit: u32, now_ms: i64) -> (Cells, Taken) {
    let mut moment = Moment::at(window, cells, now_ms);
    let admitted = moment.remaining(limit) > 0;
    moment.current += u32::from(admitted);
    (moment.cells(), moment.tell(admitted, limit))
}

/// What a counter says without taking from it; `admitted` tells whether a call would be.
pub fn look(window: Window, cells: Cells, limit: u32, now_ms: i64) -> Taken {
    let moment = Moment::at(window, cells, now_ms);
    moment.tell(moment.remaining(limit) > 0, limit)
}

/// Whether a counter says nothing any more: both cells are outside the window.
pub fn is_idle(window: Window, cells: Cells, now_ms: i64) -> bool {
    let moment = Moment::at(window, cells, now_ms);
    moment.previous == 0 && moment.current == 0
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

    /// The later of two states of one counter, neither of which is idle: that of the later cell; of one cell, whatever more
    /// was admitted.
    pub fn later(self, other: Self) -> Self {
        let (number, previous, current) = self.unpack();
        let (others, others_previous, others_current) = other.unpack();
        match others.wrapping_sub(number) & (NUMBERS - 1) {
            0 => Self::pack(
                number,
                previous.max(others_previous),
                current.max(others_current),
            ),
            ahead if ahead < NUMBERS / 2 => other,
            _ => self,
        }
    }

    /// Of the parts that a counter elsewhere keeps: the number of the cell, modulo 2^24, what was admitted in the one before
    /// and what in this one. What is beyond their bits is cut off.
    pub fn pack(number: u32, previous: u32, current: u32) -> Self {
        let bits = |value: u32, bits: u32| u64::from(value) & ((1 << bits) - 1);
        Self(
            (bits(number, NUMBER_BITS) << (2 * COUNT_BITS))
                | (bits(previous, COUNT_BITS) << COUNT_BITS)
                | bits(current, COUNT_BITS),
        )
    }

    fn unpack(self) -> (u32, u32, u32) {
        let field = |shift: u32, bits: u32| ((self.0 >> shift) & ((1 << bits) - 1)) as u32;
        (
            field(2 * COUNT_BITS, NUMBER_BITS),
            field(COUNT_BITS, COUNT_BITS),
            field(0, COUNT_BITS),
        )
    }
}

/// A counter as it stands at one moment.
struct Moment {
    window: Window,
    /// Of the current cell, modulo 2^24.
    number: u32,
    previous: u32,
    current: u32,
    /// Since the start of the current cell.
    elapsed_ms: i64,
    /// The end of the current cell, in milliseconds since the epoch.
    end_ms: i64,
    /// Whether the moment is too long ago for the counter.
    is_past: bool,
}

impl Moment {
    fn at(window: Window, cells: Cells, now_ms: i64) -> Self {
        let (stored, previous, current) = cells.unpack();
        let cell_ms = window.ms();
        let number = now_ms.div_euclid(cell_ms);
        let elapsed_ms = now_ms.rem_euclid(cell_ms);
        let end_ms = number.saturating_add(1).saturating_mul(cell_ms);
        let now = number.rem_euclid(i64::from(NUMBERS)) as u32;
        let age = now.wrapping_sub(stored) & (NUMBERS - 1);
        let fresh = Self {
            window,
            number: now,
            previous: 0,
            current: 0,
            elapsed_ms,
            end_ms,
            is_past: false,
        };
        match (age, NUMBERS - age) {
            (0, _) => Self {
                previous,
                current,
                ..fresh
            },
            (1, _) => Self {
                previous: current,
                ..fresh
            },
            (_, behind @ 1..=BEHIND_CELLS_MAX) => Self {
                number: stored,
                previous,
                current,
                elapsed_ms: 0,
                end_ms: end_ms.saturating_add(i64::from(behind) * cell_ms),
                is_past: behind > 1,
                ..fresh
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
        let cell_ms = self.window.ms();
        let inside = i64::from(self.previous) * (cell_ms - self.elapsed_ms);
        let room = (limit - i64::from(self.current)) * cell_ms - inside;
        u32::try_from(room.max(0).unsigned_abs().div_ceil(cell_ms.unsigned_abs())).unwrap_or(0)
    }

    fn retry_after_ms(&self, limit: u32) -> i64 {
        if self.remaining(limit) > 0 {
            return 0;
        }
        let limit = i64::from(limit.min(LIMIT_MAX));
        let rest_ms = self.window.ms() - self.elapsed_ms;
        if self.is_past {
            return self.window.ms();
        }
        if i64::from(self.current) < limit {
            // The previous cell moves out of the window within this one.
            let room = limit - i64::from(self.current);
            return self.wait_ms(self.previous, room) - self.elapsed_ms;
        }
        // This cell is full: the next one opens as it moves out in turn.
        rest_ms + self.wait_ms(self.current, limit)
    }

    /// How far into a cell, in milliseconds, `previous` calls of the one before weigh less than `room`: the smallest
    /// whole number above the cell's length × (`previous` − `room`) / `previous`.
    fn wait_ms(&self, previous: u32, room: i64) -> i64 {
        let previous = i64::from(previous);
        if previous < room || previous == 0 {
            return 0;
        }
        self.window.ms() * (previous - room) / previous + 1
    }

    fn cells(&self) -> Cells {
        Cells::pack(self.number, self.previous, self.current)
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

const NUMBERS: u32 = 1 << NUMBER_BITS;
/// How far threads may drift apart before a clock is taken to have been set back.
const BEHIND_CELLS_MAX: u32 = 10;

#[cfg(test)]
mod tests;
