//! More requests than places: the ones that find none are told so quickly, and nothing else happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use scopegate_host::engine::{DecideError, Isolation, Limits, Worlds};

use super::{ask, assert_unharmed, get, good, guest::Guest, sandbox_with, viewer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_place_is_told_within_milliseconds() {
    let limits = Limits {
        places: 1,
        // A second for the bad policy, so that it surely holds its place while the others ask.
        decide_ticks_max: 500,
        ..Limits::default()
    };
    let sandbox = Arc::new(sandbox_with(Isolation::Fresh, limits, Worlds::All));
    let good = good(&sandbox);
    let endless = sandbox
        .load(&Guest::deciding("(loop $again (br $again))").build())
        .unwrap();

    let busy = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            // Until it has the place: the others ask for it meanwhile, and any of them may be quicker.
            loop {
                let answer = ask(&endless, &viewer(), &get("/v1/x")).await;
                if answer != Err(DecideError::Overloaded) {
                    return answer;
                }
            }
        })
    });
    let mut overloaded = 0;
    let mut slowest = Duration::ZERO;
    while !busy.is_finished() {
        let start = Instant::now();
        if ask(&good, &viewer(), &get("/v1/organization")).await == Err(DecideError::Overloaded) {
            overloaded += 1;
            slowest = slowest.max(start.elapsed());
        }
    }
    assert!(overloaded > 10, "only {overloaded} requests found no place");
    assert!(
        slowest < Duration::from_millis(500),
        "one waited {slowest:?}"
    );
    assert!(matches!(busy.join().unwrap(), Err(DecideError::Fault(_))));
    assert_unharmed(&good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_is_free_again_after_every_kind_of_end() {
    let limits = Limits {
        places: 2,
        place_wait: Duration::from_secs(30),
        ..Limits::default()
    };
    let sandbox = sandbox_with(Isolation::Fresh, limits, Worlds::All);
    let good = Arc::new(good(&sandbox));
    let trap = Arc::new(
        sandbox
            .load(&Guest::deciding("unreachable").build())
            .unwrap(),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let (good, trap) = (Arc::clone(&good), Arc::clone(&trap));
        tasks.spawn(async move {
            for round in 0..50 {
                let policy = if (task + round) % 2 == 0 {
                    &good
                } else {
                    &trap
                };
                let answer = ask(policy, &viewer(), &get("/v1/organization")).await;
                assert_ne!(answer, Err(DecideError::Overloaded));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
