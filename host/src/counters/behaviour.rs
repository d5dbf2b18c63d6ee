//! What every place where calls are counted does: one list, run over each of them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use futures_util::future::join_all;
use uuid::Uuid;

use super::{
    Bucket, Counters,
    redis::{Redis, RedisConfig, testing::RedisServer},
};
use crate::limit::{self, Cells, Taken, Window};

const START: i64 = 1_775_000_040_000; // an aligned minute
const MINUTE: i64 = Window::MINUTE.ms();

fn caller() -> Bucket {
    Bucket::Credential(Uuid::new_v4())
}

async fn take(counters: &Counters, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
    counters.take(bucket, limit, now_ms).await.unwrap()
}

async fn buckets_are_apart(counters: &Counters) {
    let id = Uuid::new_v4();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for bucket in [
        Bucket::Credential(id),
        Bucket::User(id),
        Bucket::anonymous(address),
        Bucket::anonymous("2001:db8::1".parse().unwrap()),
        Bucket::failures(address),
        Bucket::Account([0; 16]),
    ] {
        assert!(
            take(counters, bucket, 1, START).await.admitted,
            "{bucket:?}"
        );
        assert!(
            !take(counters, bucket, 1, START).await.admitted,
            "{bucket:?}"
        );
        assert!(!counters.look(bucket, 1, START).admitted, "{bucket:?}");
    }
}

async fn a_look_takes_nothing(counters: &Counters) {
    let bucket = caller();
    assert_eq!(counters.look(bucket, 5, START).remaining, 5);
    assert_eq!(take(counters, bucket, 5, START).await.remaining, 4);
    for _ in 0..3 {
        let looked = counters.look(bucket, 5, START);
        assert_eq!((looked.remaining, looked.admitted), (4, true));
    }
}

/// What is said of each call is what the arithmetic says of the same calls.
async fn it_is_the_arithmetic(counters: &Counters) {
    let (bucket, mut cells, limit) = (caller(), Cells::default(), 7);
    for step in 0..200 {
        // Forward, with a jump and a step back now and then.
        let now = START + step * 900 + step % 7 * 40_000 - step % 5 * 20_000;
        let (next, expected) = limit::take(Window::MINUTE, cells, limit, now);
        cells = next;
        assert_eq!(
            take(counters, bucket, limit, now).await,
            expected,
            "step {step}"
        );
    }
}

async fn many_at_once_admit_what_one_would(counters: &Counters) {
    let (bucket, limit) = (caller(), 50);
    for minute in 0..3 {
        // Far enough apart that each starts from nothing.
        let now = START + minute * 3 * MINUTE;
        let takes = (0..4 * limit).map(|_| take(counters, bucket, limit, now));
        let admitted = join_all(takes).await;
        let admitted = admitted.iter().filter(|taken| taken.admitted).count();
        assert_eq!(admitted, limit as usize);
    }
}

async fn never_one_over_in_an_aligned_minute(counters: &Counters) {
    let (bucket, limit) = (caller(), 20);
    let clock = AtomicI64::new(START);
    let takes = (0..3_000).map(async |_| {
        let now = clock.fetch_add(97, Relaxed);
        (now, take(counters, bucket, limit, now).await.admitted)
    });
    let mut minutes: HashMap<i64, u32> = HashMap::new();
    for (now, admitted) in join_all(takes).await {
        *minutes.entry(now / MINUTE).or_default() += u32::from(admitted);
    }
    assert!(minutes.len() >= 4);
    assert!(minutes.values().all(|count| *count <= limit), "{minutes:?}");
}

async fn all(counters: &Counters) {
    buckets_are_apart(counters).await;
    a_look_takes_nothing(counters).await;
    it_is_the_arithmetic(counters).await;
    many_at_once_admit_what_one_would(counters).await;
    never_one_over_in_an_aligned_minute(counters).await;
}

/// Two seconds for requests, a minute for guesses.
async fn a_window_of_seconds(counters: &Counters) {
    let bucket = caller();
    for cell in 0..3 {
        // Every other cell, so that each starts from nothing.
        let now = START + cell * 4_000;
        for _ in 0..3 {
            let taken = take(counters, bucket, 3, now).await;
            assert!(
                taken.admitted && taken.reset_at == now / 1000 + 2,
                "{taken:?}"
            );
        }
        let refused = take(counters, bucket, 3, now + 1_999).await;
        assert_eq!((refused.admitted, refused.retry_after_ms), (false, 2));
    }
    let guesses = Bucket::failures(IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(take(counters, guesses, 1, START).await.admitted);
    let later = take(counters, guesses, 1, START + 4_000).await;
    assert_eq!((later.admitted, later.reset_at), (false, START / 1000 + 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory() {
    all(&Counters::memory()).await;
    a_window_of_seconds(&Counters::memory_of(Window::of_secs(2).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_redis() {
    let server = RedisServer::start().await;
    all(&server.counters().await).await;
    server.say("FLUSHALL").await;
    let config = RedisConfig {
        window: Window::of_secs(2).unwrap(),
        ..server.config()
    };
    let redis = Redis::open(&config).await.unwrap();
    a_window_of_seconds(&Counters::Redis(Arc::clone(&redis))).await;
}
