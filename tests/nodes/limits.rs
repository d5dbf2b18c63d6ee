//! Limits that several gates share, over many sizes of them, loads and ways in which calls arrive. The gates are their connections
//! to one Redis, which is all that counting takes of one; `skew` has them as processes.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use scopegate_engines::OwnRedis;
use scopegate_host::counters::{
    Bucket, Counters,
    redis::{Clock, Redis, RedisConfig},
};
use scopegate_policy::wire::limit::{self, Cells, Taken, Window};
use uuid::Uuid;

use crate::{harness::random::Random, load::figures::is_soak};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const WINDOW_MS: i64 = 2_000;
/// The beginning of a window.
const START_MS: i64 = 1_775_000_040_000;
/// Windows in a row in which calls arrive.
const WINDOWS: i64 = 3;
/// How much longer the windows are where time is an argument: Redis forgets a bucket by its own clock, and must not while one
/// is gone through on a busy machine.
const STRETCHED: i64 = 30;
/// How far the clock of each gate is from that of Redis.
const SKEWS_MS: [i64; 5] = [0, 5_000, -5_000, 10_000, -10_000];

/// One of the matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) gates: usize,
    pub(super) limit: u32,
    /// Of the limit, in percent, in each window.
    load: u32,
    /// In bursts, most of them at one gate; or else evenly.
    is_skewed: bool,
}

/// A call: when, in milliseconds since the first window's beginning, and through which gate.
pub(super) type Arrival = (i64, usize);

impl Case {
    /// All of those up to this limit.
    pub(super) fn all(limit_max: u32) -> Vec<Self> {
        let mut all = Vec::new();
        for limit in [10, 37, 100, 1_000, 10_000] {
            for gates in [1, 3, 5] {
                for load in [90, 100, 130, 200] {
                    for is_skewed in [false, true] {
                        all.push(Self {
                            gates,
                            limit,
                            load,
                            is_skewed,
                        });
                    }
                }
            }
        }
        all.retain(|case| case.limit <= limit_max);
        all
    }

    /// How many calls arrive in each window.
    fn calls(self) -> i64 {
        i64::from(self.limit) * i64::from(self.load) / 100
    }

    /// Calls in so many windows, in their order.
    pub(super) fn arrivals(self, windows: i64, random: &mut Random) -> Vec<Arrival> {
        let (mut arrivals, gates) = (Vec::new(), self.gates as u64);
        for window in 0..windows {
            for call in 0..self.calls() {
                let (at, gate) = match self.is_skewed {
                    false => (call * WINDOW_MS / self.calls(), call.unsigned_abs() % gates),
                    true => {
                        // One of eight moments of the window, and the time just after it.
                        let burst = random.below(8) * 250 + random.below(20);
                        let gate = match random.below(5) {
                            0 => random.below(gates),
                            _ => window.unsigned_abs() % gates,
                        };
                        (burst.cast_signed(), gate)
                    }
                };
                arrivals.push((
                    window * WINDOW_MS + at,
                    usize::try_from(gate).expect("small"),
                ));
            }
        }
        arrivals.sort_unstable();
        arrivals
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_skewed {
            "in bursts"
        } else {
            "evenly"
        };
        let (load, limit, gates) = (self.load, self.limit, self.gates);
        write!(f, "{load} % of {limit} over {gates} gates, {how}")
    }
}

/// What gates have to count with.
async fn gates(redis: &OwnRedis, clock: Clock, window: Window) -> Vec<Counters> {
    let url = redis.url(HERE).parse().expect("a URL");
    let config = RedisConfig {
        clock,
        window,
        // Beside whatever else a machine does that runs tests.
        timeout: Duration::from_secs(20),
        ..RedisConfig::new(url)
    };
    let mut gates = Vec::new();
    for _ in SKEWS_MS {
        let redis = Redis::open(&config).await.expect("a Redis");
        assert!(redis.is_here());
        gates.push(Counters::Redis(redis));
    }
    gates
}

async fn take(gates: &[Counters], gate: usize, key: Uuid, limit: u32, now_ms: i64) -> Taken {
    let taken = gates[gate].take(Bucket::Credential(key), limit, now_ms);
    taken.await.expect("Redis is there")
}

/// Calls of one millisecond come at once, through all gates, in any order: as many are admitted as by the pure function.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_together_admit_what_the_arithmetic_does() {
    let (mut random, seed) = Random::repeatable();
    let redis = OwnRedis::start(&[HERE]);
    let window_ms = WINDOW_MS * STRETCHED;
    let window = Window::of_secs(window_ms.unsigned_abs() / 1000).expect("a window");
    let gates = gates(&redis, Clock::Caller, window).await;
    let cases = Case::all(if is_soak() { 10_000 } else { 100 });
    let (mut calls, mut admitted) = (0, 0);
    for case in &cases {
        let arrivals = case.arrivals(WINDOWS, &mut random);
        let (key, mut cells) = (Uuid::new_v4(), Cells::default());
        let mut in_window = BTreeMap::<i64, u32>::new();
        for together in arrivals.chunk_by(|one, next| one.0 == next.0) {
            let now_ms = START_MS + together[0].0 * STRETCHED;
            let asked = together
                .iter()
                .map(|(_, gate)| take(&gates, *gate, key, case.limit, now_ms));
            let taken = join_all(asked).await;
            let is = taken.iter().filter(|taken| taken.admitted).count();
            let mut expected = 0;
            for _ in together {
                let (next, taken) = limit::take(window, cells, case.limit, now_ms);
                (cells, expected) = (next, expected + usize::from(taken.admitted));
            }
            assert_eq!(is, expected, "{case}, seed {seed}, {} ms", together[0].0);
            *in_window.entry(now_ms / window_ms).or_default() += u32::try_from(is).expect("few");
            (calls, admitted) = (calls + together.len(), admitted + is);
        }
        assert!(in_window.values().all(|is| *is <= case.limit), "{case}");
        // What came of it is neither all nor nothing by chance.
        let all = u32::try_from(case.calls()).expect("few").min(case.limit);
        assert_eq!(in_window[&(START_MS / window_ms)], all, "{case}");
    }
    println!(
        "{} cases, {calls} calls: {admitted} admitted, as many as by the pure function, window by window",
        cases.len()
    );
}

/// In real time, which is that of Redis: each answer says in which window Redis counted it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_admits_more_than_its_limit_whatever_the_clocks_of_gates_say() {
    let (mut random, _) = Random::repeatable();
    let redis = OwnRedis::start(&[HERE]);
    let window = Window::of_secs(2).expect("a window");
    let gates = gates(&redis, Clock::Redis, window).await;
    // As many at once as two cores bear: what is late arrives in another window, where it counts as well.
    let (limit_max, at_once) = if is_soak() { (10_000, 8) } else { (100, 72) };
    let mut calls = 0;
    let cases = Case::all(limit_max);
    for some in cases.chunks(at_once) {
        let some: Vec<_> = some
            .iter()
            .map(|case| (*case, case.arrivals(2, &mut random)))
            .collect();
        calls += some
            .iter()
            .map(|(_, arrivals)| arrivals.len())
            .sum::<usize>();
        // A moment after the beginning of a window.
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let wait = WINDOW_MS - now_ms.rem_euclid(WINDOW_MS) + 5;
        let begin = Instant::now() + Duration::from_millis(wait.unsigned_abs());
        join_all(
            some.iter()
                .map(|(case, arrivals)| in_real_time(&gates, *case, arrivals, begin)),
        )
        .await;
    }
    println!(
        "{} cases, {calls} calls through gates whose clocks are {SKEWS_MS:?} ms off: no window admits more than its limit",
        cases.len()
    );
}

async fn in_real_time(gates: &[Counters], case: Case, arrivals: &[Arrival], begin: Instant) {
    let key = Uuid::new_v4();
    let asked = arrivals.iter().map(|(at_ms, gate)| async move {
        let at = begin + Duration::from_millis(at_ms.unsigned_abs());
        tokio::time::sleep_until(at.into()).await;
        let now_ms = jiff::Timestamp::now().as_millisecond() + SKEWS_MS[*gate];
        take(gates, *gate, key, case.limit, now_ms).await
    });
    let mut windows = Windows::default();
    for taken in join_all(asked).await {
        windows.add(taken.reset_at, taken.admitted);
    }
    windows.check(case);
}

/// What came of the calls of a case, by the end of the window in which Redis counted each: how many were admitted, of how
/// many.
#[derive(Debug, Default)]
pub(super) struct Windows(BTreeMap<i64, (u32, u32)>);

impl Windows {
    pub(super) fn add(&mut self, reset_at: i64, is_admitted: bool) {
        let (admitted, arrived) = self.0.entry(reset_at).or_default();
        *admitted += u32::from(is_admitted);
        *arrived += 1;
    }

    /// What holds whenever the calls arrive.
    pub(super) fn check(&self, case: Case) {
        for (admitted, _) in self.0.values() {
            assert!(*admitted <= case.limit, "{case}: {self:?}");
        }
        // Nothing weighs on the first: it admits the limit, or all that arrived.
        let (admitted, arrived) = self.0.values().next().expect("a window");
        assert_eq!(*admitted, case.limit.min(*arrived), "{case}: {self:?}");
    }

    /// Calls, and how many of them were admitted.
    pub(super) fn sum(&self) -> (u32, u32) {
        let sum = |(calls, all): (u32, u32), (admitted, arrived): &(u32, u32)| {
            (calls + arrived, all + admitted)
        };
        self.0.values().fold((0, 0), sum)
    }
}
