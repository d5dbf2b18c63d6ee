//! The arithmetic against a sequential model in exact fractions.

use proptest::prelude::*;

use super::*;

const START: i64 = 1_775_000_040_000; // an aligned minute
const CELL_MS: i64 = 60_000;

fn take(cells: Cells, limit: u32, now_ms: i64) -> (Cells, Taken) {
    super::take(Window::MINUTE, cells, limit, now_ms)
}

fn look(cells: Cells, limit: u32, now_ms: i64) -> Taken {
    super::look(Window::MINUTE, cells, limit, now_ms)
}

fn is_idle(cells: Cells, now_ms: i64) -> bool {
    super::is_idle(Window::MINUTE, cells, now_ms)
}

fn admitted(cells: &mut Cells, limit: u32, now_ms: i64) -> bool {
    let (next, taken) = take(*cells, limit, now_ms);
    *cells = next;
    taken.admitted
}

#[test]
fn the_first_minute_admits_exactly_the_limit() {
    let mut cells = Cells::default();
    for n in 0..100 {
        let (next, taken) = take(cells, 100, START + n);
        assert_eq!((taken.admitted, taken.remaining), (true, 99 - n as u32));
        assert_eq!(taken.reset_at, START / 1000 + 60);
        cells = next;
    }
    let (next, taken) = take(cells, 100, START + 59_999);
    assert_eq!((taken.admitted, taken.remaining, next), (false, 0, cells));
}

#[test]
fn a_full_minute_weighs_on_the_next() {
    let mut cells = Cells::default();
    for _ in 0..100 {
        assert!(admitted(&mut cells, 100, START));
    }
    assert!(!admitted(&mut cells, 100, START + CELL_MS));
    assert!(admitted(&mut cells, 100, START + CELL_MS + 1));
    assert!(!admitted(&mut cells, 100, START + CELL_MS + 1));
    assert!(admitted(&mut cells, 100, START + CELL_MS + 601));
    assert_eq!(look(cells, 100, START + CELL_MS + 30_000).remaining, 48);
    assert_eq!(look(cells, 100, START + 3 * CELL_MS).remaining, 100);
    assert!(is_idle(cells, START + 3 * CELL_MS));
    assert!(!is_idle(cells, START + 2 * CELL_MS));
}

#[test]
fn a_window_is_as_long_as_it_is_said_to_be() {
    assert_eq!(Window::of_secs(60), Some(Window::MINUTE));
    assert_eq!(Window::default().ms(), CELL_MS);
    for secs in [0, Window::SECS_MAX + 1, u64::MAX] {
        assert_eq!(Window::of_secs(secs), None);
    }
    let two = Window::of_secs(2).unwrap();
    let mut cells = Cells::default();
    for _ in 0..3 {
        let (next, taken) = super::take(two, cells, 3, START);
        assert!(taken.admitted);
        assert_eq!(taken.reset_at, START / 1000 + 2);
        cells = next;
    }
    let refused = super::take(two, cells, 3, START + 1_999).1;
    // Three calls weigh less than three a moment into the next cell.
    assert_eq!((refused.admitted, refused.retry_after_ms), (false, 2));
    assert!(super::take(two, cells, 3, START + 2_001).1.admitted);
    assert!(!super::is_idle(two, cells, START + 3_999));
    assert!(super::is_idle(two, cells, START + 4_000));
}

#[test]
fn a_limit_of_nothing_admits_nothing() {
    assert!(!take(Cells::default(), 0, START).1.admitted);
}

#[test]
fn a_limit_is_held_up_to_the_widest_counter() {
    assert_eq!(look(Cells::default(), u32::MAX, START).remaining, LIMIT_MAX);
    let full = Cells::pack(0, LIMIT_MAX, LIMIT_MAX);
    assert_eq!(full.unpack(), (0, LIMIT_MAX, LIMIT_MAX));
}

#[test]
fn clocks_that_disagree_never_open_the_window() {
    let mut cells = Cells::default();
    for _ in 0..10 {
        assert!(admitted(&mut cells, 10, START + CELL_MS));
    }
    // A thread whose clock is still in the minute before.
    assert!(!admitted(&mut cells, 10, START + CELL_MS - 1));
    assert_eq!(
        look(cells, 10, START + CELL_MS - 1).reset_at,
        START / 1000 + 120
    );
    // One that is minutes late, when its own minute is forgotten.
    let mut other = Cells::default();
    assert!(admitted(&mut other, 10, START + 3 * CELL_MS));
    assert!(!admitted(&mut other, 10, START));
    assert!(admitted(&mut other, 10, START + 3 * CELL_MS));
    // A clock that was set back for good starts anew.
    assert!(admitted(&mut cells, 10, START - 10 * CELL_MS));
}

#[test]
fn retry_after_is_at_least_one_second() {
    let taken = |retry_after_ms| Taken {
        admitted: false,
        limit: 1,
        remaining: 0,
        reset_at: 0,
        retry_after_ms,
    };
    for (ms, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
        assert_eq!(taken(ms).retry_after_secs(), secs);
    }
}

/// The model: every admission with its time, counted over again for each call.
#[derive(Default)]
struct Model {
    admissions: Vec<i64>,
}

impl Model {
    /// The estimate below the limit, in parts of a call as many as the window has milliseconds.
    fn takes(&mut self, window: Window, limit: u32, now_ms: i64) -> bool {
        let cell_ms = window.ms();
        let number = now_ms.div_euclid(cell_ms);
        let count = |number: i64| {
            self.admissions
                .iter()
                .filter(|at| at.div_euclid(cell_ms) == number)
                .count() as i64
        };
        let inside = cell_ms - now_ms.rem_euclid(cell_ms);
        let estimate = count(number - 1) * inside + count(number) * cell_ms;
        let admitted = estimate < i64::from(limit) * cell_ms;
        if admitted {
            self.admissions.push(now_ms);
        }
        admitted
    }
}

proptest! {
    #[test]
    fn it_is_the_sequential_model(
        secs in prop::sample::select(vec![1u64, 2, 7, 60, 3600]),
        limit in 0u32..30,
        steps in prop::collection::vec(0i64..1_000, 1..400),
    ) {
        let window = Window::of_secs(secs).unwrap();
        let (mut cells, mut model, mut now) = (Cells::default(), Model::default(), START);
        for step in steps {
            // About a seventh of a cell at most.
            now += step * window.ms() / 7_000;
            let (next, taken) = super::take(window, cells, limit, now);
            cells = next;
            prop_assert_eq!(taken.admitted, model.takes(window, limit, now));
        }
        for number in model.admissions.iter().map(|at| at / window.ms()) {
            let in_it = model.admissions.iter().filter(|at| *at / window.ms() == number).count();
            prop_assert!(in_it <= limit as usize);
        }
    }

    #[test]
    fn what_it_tells_is_true(limit in 1u32..50, previous in 0u32..50, current in 0u32..50, elapsed in 0i64..CELL_MS) {
        let minute = (START / CELL_MS).rem_euclid(i64::from(NUMBERS)) as u32;
        let cells = Cells::pack(minute, previous.min(limit), current.min(limit));
        let now = START + elapsed;
        let told = look(cells, limit, now);
        let mut counter = cells;
        for _ in 0..told.remaining {
            prop_assert!(admitted(&mut counter, limit, now));
        }
        prop_assert!(!admitted(&mut counter, limit, now));
        if told.remaining == 0 {
            prop_assert!(told.retry_after_ms > 0);
            prop_assert!(look(cells, limit, now + told.retry_after_ms).admitted);
            prop_assert!(!look(cells, limit, now + told.retry_after_ms - 1).admitted);
        } else {
            prop_assert_eq!(told.retry_after_ms, 0);
        }
    }

    #[test]
    fn it_is_total(bits in any::<u64>(), secs in 1..=Window::SECS_MAX, limit in any::<u32>(), now in any::<i64>()) {
        let window = Window::of_secs(secs).unwrap();
        let (next, taken) = super::take(window, Cells::from_bits(bits), limit, now);
        prop_assert!(taken.remaining <= LIMIT_MAX);
        prop_assert!(taken.retry_after_secs() >= 1);
        let _ = super::look(window, next, limit, now);
    }
}
