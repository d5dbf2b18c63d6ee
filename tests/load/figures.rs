//! How many rounds, and what they measured.

use std::{fmt, time::Duration};

/// How many rounds: the first number in CI, the second in the soak (`SCOPEGATE_SOAK=1`), or what
/// `SCOPEGATE_LOAD_ROUNDS` says.
pub(crate) fn rounds(ci: usize, soak: usize) -> usize {
    let asked = std::env::var("SCOPEGATE_LOAD_ROUNDS").ok();
    match asked.and_then(|text| text.parse().ok()) {
        Some(rounds) => rounds,
        None if is_soak() => soak,
        None => ci,
    }
}

/// Whether these are the long campaigns.
pub(crate) fn is_soak() -> bool {
    std::env::var("SCOPEGATE_SOAK").is_ok_and(|text| !text.is_empty() && text != "0")
}

/// Durations, to be printed by their ranks.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Duration>);

impl Spread {
    pub(super) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Adds all of another one.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The duration that so many of a hundred are not above; nothing where none was measured.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.percentile(100)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} measured)",
            ms(self.percentile(50)),
            ms(self.percentile(99)),
            ms(self.max()),
            self.0.len()
        )
    }
}

#[test]
fn ranks() {
    let mut spread = Spread::default();
    assert_eq!(spread.max(), Duration::ZERO);
    for ms in (1..=200).rev() {
        spread.add(Duration::from_millis(ms));
    }
    let ms = [50, 99, 100].map(|percent| spread.percentile(percent).as_millis());
    assert_eq!(ms, [100, 198, 200]);
}
