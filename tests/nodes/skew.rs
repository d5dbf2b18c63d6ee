//! The clocks of gates don't matter: the limits of `limits`, through processes whose clocks are five seconds apart from one to the
//! next.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::{Timestamp, fmt::rfc2822};

use super::{
    limits::{Arrival, Case, WINDOW_MS, Windows},
    office::{Key, Office},
    site::{Options, Site},
};
use crate::{harness::random::Random, load::figures::is_soak};

/// How far the clock of each gate is from that of this machine, in seconds.
const SKEWS: [i64; 5] = [0, 5, -5, 10, -10];
/// Windows in a row in which calls arrive.
const WINDOWS: i64 = 2;
/// Calls that two cores bear in a window, gates and callers together; what is late arrives in another window, where it counts
/// as well.
const CALLS_MAX: usize = 2_000;

/// Puts a clock so many seconds ahead, and leaves that alone by which time is measured.
fn shifted(node: usize) -> Vec<String> {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let library = LIBRARY.replace("x86_64", std::env::consts::ARCH);
    assert!(
        Path::new(&library).is_file(),
        "libfaketime is needed: `apt-get install --no-install-recommends faketime`"
    );
    ["env".to_owned(), format!("LD_PRELOAD={library}")]
        .into_iter()
        .chain([format!("FAKETIME={:+}s", SKEWS[node])])
        .chain(["FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned()])
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_exact_over_gates_whose_clocks_differ() {
    let (mut random, _) = Random::repeatable();
    let mut cases = Case::all(if is_soak() { 1_000 } else { 10 });
    cases.retain(|case| is_soak() || case.gates == 3);
    // A limit is of a site's contract.
    let of_site = |case: &Case| (case.limit, case.gates);
    let mut refused = 0;
    for alike in cases.chunk_by(|one, next| of_site(one) == of_site(next)) {
        let site = Site::start(Options {
            nodes: alike[0].gates,
            limit: alike[0].limit,
            counters: |_| format!("timeout_ms: 2000, window: {}s", WINDOW_MS / 1_000),
            before: shifted,
            ..Options::default()
        })
        .await;
        clocks_differ(&site).await;
        let at_once = CALLS_MAX / usize::try_from(2 * alike[0].limit).expect("few");
        for some in alike.chunks(at_once.clamp(1, alike.len())) {
            let mut begun = Vec::new();
            for case in some {
                let key = site.office.mint(site.address(0), "limited").await;
                begun.push((*case, key));
            }
            // A moment after the beginning of a window.
            let wait = WINDOW_MS - Timestamp::now().as_millisecond().rem_euclid(WINDOW_MS) + 5;
            let begin = Instant::now() + Duration::from_millis(wait.unsigned_abs());
            let mut asked = Vec::new();
            for (case, key) in begun {
                let arrivals = case.arrivals(WINDOWS, &mut random);
                asked.push(in_real_time(&site, case, key, begin, arrivals));
            }
            refused += join_all(asked).await.iter().sum::<u32>();
        }
    }
    assert!(refused > 0, "too slow for any limit");
}

/// Were they not shifted, nothing would be shown. A refusal is dated by the gate itself.
async fn clocks_differ(site: &Site) {
    for (gate, skew) in site.addresses().into_iter().zip(SKEWS) {
        let nobody = Key {
            id: String::new(),
            secret: "sg_live_nobody".to_owned(),
        };
        let answer = site.office.ask(gate, &nobody).await;
        assert_eq!(answer.status, 401);
        let date = rfc2822::parse(answer.header("date")).expect("a date");
        let ahead = date.timestamp().as_second() - Timestamp::now().as_second();
        // The next clock is five seconds from it; an answer takes its time on a busy machine.
        assert!((ahead - skew).abs() <= 2, "{ahead} s ahead, not {skew}");
    }
}

/// The calls of a case, each with a connection of its own: how many were refused.
async fn in_real_time(
    site: &Site,
    case: Case,
    key: Key,
    begin: Instant,
    arrivals: Vec<Arrival>,
) -> u32 {
    let office = &Office::new();
    let gates = site.addresses();
    let key = &key;
    let asked = arrivals.into_iter().map(|(at_ms, gate)| {
        let gate = gates[gate];
        async move {
            let at = begin + Duration::from_millis(at_ms.unsigned_abs());
            tokio::time::sleep_until(at.into()).await;
            let sent = Timestamp::now().as_millisecond() / WINDOW_MS;
            let answer = office.ask(gate, key).await;
            let end = answer.number("x-ratelimit-reset") * 1_000;
            // The window in which Redis has it is one of this machine's, between sending and hearing.
            let heard = Timestamp::now().as_millisecond();
            assert!(
                (sent * WINDOW_MS..=heard).contains(&(end - WINDOW_MS)),
                "{answer:?}"
            );
            match answer.status {
                200 => (end, true),
                429 => (end, false),
                _ => panic!("{answer:?}"),
            }
        }
    });
    let mut windows = Windows::default();
    for (end, is_admitted) in join_all(asked).await {
        windows.add(end, is_admitted);
    }
    let (calls, admitted) = windows.sum();
    println!("{case}: {admitted} of {calls} admitted, {windows:?}");
    windows.check(case);
    calls - admitted
}
