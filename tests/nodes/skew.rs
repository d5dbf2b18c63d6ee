//! The clocks of gates don't matter: processes whose clocks are five seconds apart from one to the next.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use jiff::{Timestamp, fmt::rfc2822};
use tokio::task::JoinSet;

use super::{
    office::{Key, Office},
    site::{Options, Site},
};

const LIMIT: u32 = 100;
const WINDOW_SECS: i64 = 2;
/// How far each clock is from that of this machine.
const SKEWS: [i64; 3] = [0, 5, -5];
/// Who ask on each gate at once.
const CLIENTS: usize = 2;

/// By the end of each window, in seconds by Redis: how many were admitted and refused.
type Windows = Arc<Mutex<BTreeMap<i64, (u32, u32)>>>;

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
    let site = Site::start(Options {
        limit: LIMIT,
        counters: |_| format!("timeout_ms: 2000, window: {WINDOW_SECS}s"),
        before: shifted,
        ..Options::default()
    })
    .await;
    let key = site.office.mint(site.address(0), "limited").await;
    for (gate, skew) in site.addresses().into_iter().zip(SKEWS) {
        // Were it not shifted, nothing would be shown. A refusal is dated by the gate itself.
        let nobody = Key {
            id: String::new(),
            secret: "sg_live_nobody".to_owned(),
        };
        let answer = site.office.ask(gate, &nobody).await;
        assert_eq!(answer.status, 401);
        let date = rfc2822::parse(answer.header("date")).expect("a date");
        let ahead = date.timestamp().as_second() - Timestamp::now().as_second();
        assert!((ahead - skew).abs() <= 1, "{ahead} s ahead, not {skew}");
    }
    // Two windows later nothing weighs any more: at the beginning of one.
    let idle = 3 * WINDOW_SECS - now().rem_euclid(WINDOW_SECS);
    tokio::time::sleep(Duration::from_secs(idle.unsigned_abs())).await;
    let windows = Windows::default();
    let mut asking = JoinSet::new();
    let until = Instant::now() + Duration::from_secs(2 * WINDOW_SECS.unsigned_abs());
    for gate in site.addresses() {
        for _ in 0..CLIENTS {
            let (key, windows) = (key.clone(), Arc::clone(&windows));
            asking.spawn(async move {
                let office = Office::new();
                while Instant::now() < until {
                    let sent = now();
                    let answer = office.ask(gate, &key).await;
                    let end = answer.number("x-ratelimit-reset");
                    // The window in which Redis has it is one of this machine's, between sending and hearing.
                    let sent = sent.div_euclid(WINDOW_SECS) * WINDOW_SECS;
                    assert!((sent..=now()).contains(&(end - WINDOW_SECS)), "{answer:?}");
                    let mut windows = windows.lock().expect("no panic");
                    let (admitted, refused) = windows.entry(end).or_default();
                    match answer.status {
                        200 => *admitted += 1,
                        429 => *refused += 1,
                        _ => panic!("{answer:?}"),
                    }
                }
            });
        }
    }
    while let Some(asked) = asking.join_next().await {
        asked.expect("it asks");
    }
    let windows = windows.lock().expect("no panic");
    println!("limit {LIMIT}, clocks of {SKEWS:?} s, admitted and refused: {windows:?}");
    assert!(windows.values().all(|(admitted, _)| *admitted <= LIMIT));
    // Before the first there was nothing: it admits the whole limit.
    let first = windows.values().next().expect("a window");
    assert!(first.1 > 0, "too slow for the limit");
    assert_eq!(first.0, LIMIT);
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs().cast_signed()
}
