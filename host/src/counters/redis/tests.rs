//! Against a real server, and what may become of one.

mod servers;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rustix::process::Signal;
use scopegate_engines::free_port;

use super::{epochs::Fields, testing::RedisServer, *};
use crate::store::Touch;

const START: i64 = 1_775_000_040_000; // an aligned minute, and every other window of these tests

fn asked(bucket: Bucket, limit: u32, now_ms: i64) -> Asked {
    Asked {
        bucket,
        organization: Uuid::from_u128(1),
        limit,
        now_ms,
        takes: true,
    }
}

fn fields(id: u128) -> Fields {
    let id = Uuid::from_u128(id);
    [Field::Credential(id), Field::Organization]
        .into_iter()
        .collect()
}

async fn ask(redis: &Redis, filled: &FilledUnder) -> Answer {
    let asked = asked(Bucket::Credential(Uuid::from_u128(7)), 1_000, START);
    redis.take_confirmed(&asked, filled).await.unwrap()
}

fn is_taken(answer: Answer) -> bool {
    matches!(answer, Answer::Taken(taken) if taken.admitted)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The script and the function, fed the same calls: the same answers and the same counter, whatever the clock does.
#[test]
fn the_script_is_the_arithmetic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_server, redis) = runtime.block_on(async {
        let server = RedisServer::start().await;
        let redis = Redis::open(&server.config()).await.unwrap();
        (server, redis)
    });
    let cases = match std::env::var_os("SCOPEGATE_SOAK") {
        Some(_) => 5_000,
        None => 150,
    };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    });
    let step = prop_oneof![
        8 => 0..1_200i64,
        2 => 0..3_000_000i64,
        1 => -3_000_000..0i64,
        1 => Just(i64::from(u32::MAX)),
    ];
    // Cells, around the number after which their numbers begin again.
    let jump = prop_oneof![20 => Just(0i64), 1 => Just(1 << 24), 1 => Just((1 << 24) - 3)];
    let limit = prop_oneof![6 => 0..9u32, 1 => Just(u32::MAX), 1 => Just(limit::LIMIT_MAX)];
    let calls = (
        prop::sample::select(vec![1u64, 2, 7, 60, 3600]),
        prop::collection::vec((step, jump, limit, prop::bool::weighted(0.9)), 1..60),
    );
    let compared = std::cell::Cell::new(0);
    let told = runner.run(&calls, |(secs, calls)| {
        let window = Window::of_secs(secs).unwrap();
        // Those of the window under test, on the one server.
        let bucket = Bucket::Credential(Uuid::new_v4());
        let (mut cells, mut now) = (Cells::default(), START);
        for (step, jump, limit, takes) in calls {
            now += step * window.ms() / 7_000 + jump * window.ms();
            let (next, taken) = limit::take(window, cells, limit, now);
            let expected = match takes {
                true => {
                    cells = next;
                    taken
                }
                false => limit::look(window, cells, limit, now),
            };
            let asked = Asked {
                takes,
                ..asked(bucket, limit, now)
            };
            let answer = runtime.block_on(redis.ask_within(window, &asked, None));
            prop_assert_eq!(answer, Ok(Answer::Taken(expected)));
            compared.set(compared.get() + 1);
        }
        Ok(())
    });
    told.unwrap();
    println!(
        "{cases} sequences, {} calls: the script and the function agree",
        compared.get()
    );
}

#[tokio::test]
async fn a_change_takes_the_epochs_away_that_it_touches() {
    let server = RedisServer::start().await;
    let [here, there] = [
        Redis::open(&server.config()).await.unwrap(),
        Redis::open(&server.config()).await.unwrap(),
    ];
    let organization = Uuid::from_u128(1);
    let id = Uuid::from_u128;
    let renew = async |touch| {
        here.renew(Touched {
            organization,
            touch,
        })
        .await
        .unwrap();
    };
    let fields: Fields = [
        Field::Credential(id(5)),
        Field::User(id(6)),
        Field::Successors,
        Field::Organization,
    ]
    .into_iter()
    .collect();
    for (touch, is_touched) in [
        (Touch::Nothing, false),
        (Touch::Credential(id(5)), true),
        (Touch::Credential(id(6)), false),
        (Touch::Session(id(5)), true),
        (Touch::Rotations(id(9)), true),
        (Touch::User(id(6)), true),
        (Touch::User(id(5)), false),
        (Touch::Organization(organization), true),
    ] {
        let filled = there.fill(organization, &fields).await;
        assert!(is_taken(ask(&there, &filled).await), "{touch:?}");
        assert_eq!(there.confirm(organization, &filled).await, Ok(true));
        renew(touch).await;
        assert_eq!(
            is_taken(ask(&there, &filled).await),
            !is_touched,
            "{touch:?}"
        );
        assert_eq!(there.confirm(organization, &filled).await, Ok(!is_touched));
    }
    // Of another organization nothing is known here.
    let filled = there.fill(organization, &fields).await;
    let elsewhere = Touched {
        organization: id(2),
        touch: Touch::User(id(6)),
    };
    here.renew(elsewhere).await.unwrap();
    assert!(is_taken(ask(&there, &filled).await));
}

#[tokio::test]
async fn nothing_is_taken_from_whoever_is_stale() {
    let server = RedisServer::start().await;
    let redis = Redis::open(&server.config()).await.unwrap();
    assert_eq!(ask(&redis, &FilledUnder::default()).await, Answer::Stale);
    let organization = Uuid::from_u128(1);
    let filled = redis.fill(organization, &fields(5)).await;
    let again = redis.fill(organization, &fields(5)).await;
    assert_eq!(filled, again, "what is there stays");
    server.say("FLUSHALL").await;
    for _ in 0..5 {
        assert_eq!(ask(&redis, &filled).await, Answer::Stale);
    }
    let filled = redis.fill(organization, &fields(5)).await;
    let Answer::Taken(taken) = ask(&redis, &filled).await else {
        panic!("it was just looked up");
    };
    assert_eq!(taken.remaining, 999);
}

/// What it saved before a change is what it has after a restart: the very epochs that were taken away.
#[tokio::test]
async fn a_server_that_went_back_in_time_confirms_nothing() {
    let mut server = RedisServer::start().await;
    let redis = Redis::open(&server.config()).await.unwrap();
    let organization = Uuid::from_u128(1);
    let filled = redis.fill(organization, &fields(5)).await;
    server.say("SAVE").await;
    let touch = Touch::Credential(Uuid::from_u128(5));
    redis
        .renew(Touched {
            organization,
            touch,
        })
        .await
        .unwrap();
    server.kill();
    server.run().await;
    until("Redis is back", || redis.is_here()).await;
    // However the gate finds out: by its next question, or because the connection was lost.
    loop {
        let asked = asked(Bucket::Credential(Uuid::from_u128(7)), 1_000, START);
        match redis.take_confirmed(&asked, &filled).await {
            Ok(answer) => break assert_eq!(answer, Answer::Stale),
            Err(Away) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let value = server.say("DBSIZE").await;
    assert_ne!(value, redis::Value::Int(0), "it has what it saved");
    let filled = redis.fill(organization, &fields(5)).await;
    assert!(is_taken(ask(&redis, &filled).await));
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_another_one() {
    let server = RedisServer::start().await;
    let redis = Redis::open(&server.config()).await.unwrap();
    let organization = Uuid::from_u128(1);
    let filled = redis.fill(organization, &fields(5)).await;
    server.say("SCRIPT FLUSH").await;
    assert_eq!(ask(&redis, &filled).await, Answer::Stale);
    assert_eq!(
        ask(&redis, &filled).await,
        Answer::Stale,
        "of the generation before"
    );
    let filled = redis.fill(organization, &fields(5)).await;
    assert!(is_taken(ask(&redis, &filled).await));
    // A lost connection to the same server changes nothing.
    server.say("CLIENT KILL TYPE normal SKIPME yes").await;
    until("the link is mended", || *redis.mended().borrow() == 2).await;
    assert!(is_taken(ask(&redis, &filled).await));
    // Strangers are counted by a server that forgot, too.
    server.say("SCRIPT FLUSH").await;
    let stranger = Bucket::Account([9; 16]);
    assert_eq!(redis.take(stranger, 5, START).await.unwrap().remaining, 4);
    let counters: Vec<_> = vec![server.say("KEYS sg:{l:*}:b").await];
    assert_ne!(counters, [redis::Value::Array(Vec::new())]);
}

/// Nobody waits for a server that hangs but the first few, and it is taken back when it goes on.
#[tokio::test]
async fn nobody_waits_for_a_server_that_hangs() {
    let server = RedisServer::start().await;
    let config = RedisConfig {
        timeout: Duration::from_millis(100),
        ..server.config()
    };
    let redis = Redis::open(&config).await.unwrap();
    let stranger = Bucket::Account([9; 16]);
    assert_eq!(redis.take(stranger, 50, START).await.unwrap().remaining, 49);
    server.signal(Signal::STOP);
    let began = Instant::now();
    for n in 1..=40 {
        // Counted here meanwhile, from where it stood.
        assert_eq!(
            redis.take(stranger, 50, START).await.unwrap().remaining,
            49 - n
        );
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(!redis.is_here());
    let organization = Uuid::from_u128(1);
    assert!(!redis.fill(organization, &fields(5)).await.is_any());
    let touch = Touch::User(Uuid::from_u128(5));
    let touched = Touched {
        organization,
        touch,
    };
    assert_eq!(redis.renew(touched).await, Err(Away));
    server.signal(Signal::CONT);
    until("Redis is back", || redis.is_here()).await;
    redis.renew(touched).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_without_it_is_not_counted_here() {
    let mut server = RedisServer::start().await;
    let config = RedisConfig {
        when_away: WhenAway::Refuse,
        ..server.config()
    };
    let redis = Redis::open(&config).await.unwrap();
    let stranger = Bucket::Account([9; 16]);
    assert!(redis.take(stranger, 50, START).await.is_ok());
    server.kill();
    assert_eq!(redis.take(stranger, 50, START).await, Err(Away));
    // One that was never there is no other.
    let redis = Redis::open(&config).await.unwrap();
    assert_eq!(redis.take(stranger, 50, START).await, Err(Away));
    server.run().await;
    until("Redis is there", || redis.is_here()).await;
    assert!(redis.take(stranger, 50, START).await.is_ok());
}

/// The clocks of gates don't matter: that of Redis counts.
#[tokio::test]
async fn time_is_that_of_redis() {
    let server = RedisServer::start().await;
    let config = RedisConfig {
        clock: Clock::Redis,
        ..server.config()
    };
    let gates = [
        Redis::open(&config).await.unwrap(),
        Redis::open(&config).await.unwrap(),
    ];
    let now = jiff::Timestamp::now().as_second();
    let stranger = Bucket::Account([9; 16]);
    let mut admitted = 0;
    for n in 0..30 {
        // Years apart.
        let taken = gates[n % 2]
            .take(stranger, 10, START * (n as i64 % 2))
            .await
            .unwrap();
        assert!((0..=61).contains(&(taken.reset_at - now)), "{taken:?}");
        admitted += usize::from(taken.admitted);
    }
    // Two minutes at most were touched.
    assert!((10..=20).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_password_is_needed_where_one_is_set() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = RedisServer::start().await;
    server.say("CONFIG SET requirepass s3cret").await;
    let password = |text: &str| {
        let path = server.directory().join("password");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        RedisConfig {
            password: Some(path),
            ..server.config()
        }
    };
    for wrong in [server.config(), password("other\n")] {
        let refused = Redis::open(&wrong).await.unwrap_err().to_string();
        assert!(refused.starts_with("Redis cannot be used:"), "{refused}");
        assert!(
            !refused.contains("s3cret") && !refused.contains("other"),
            "{refused}"
        );
    }
    let right = password("s3cret\n");
    let redis = Redis::open(&right).await.unwrap();
    assert!(redis.is_here() && !format!("{redis:?}").contains("s3cret"));
    let path = right.password.unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = Redis::open(&password_of(&server, &path)).await.unwrap_err();
    assert!(matches!(exposed, BadRedis::Exposed { .. }), "{exposed}");
    server.kill();
}

fn password_of(server: &RedisServer, path: &std::path::Path) -> RedisConfig {
    RedisConfig {
        password: Some(path.to_owned()),
        ..server.config()
    }
}

#[tokio::test]
async fn over_tls_with_an_authority_of_its_own() {
    let files = tempfile::tempdir().unwrap();
    let place = |name: &str| files.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(place("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(place("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let port = free_port(Ipv4Addr::LOCALHOST.into());
    let text = |path: std::path::PathBuf| path.display().to_string();
    let (certificate, key) = (text(place("cert.pem")), text(place("key.pem")));
    let tls = port.to_string();
    let _server = RedisServer::with(&[
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let url = format!("rediss://localhost:{port}");
    let config = RedisConfig {
        ca: Some(place("cert.pem")),
        timeout: Duration::from_secs(2),
        ..RedisConfig::new(url.parse().unwrap())
    };
    let redis = Redis::open(&config).await.unwrap();
    assert!(redis.is_here());
    assert!(
        redis
            .take(Bucket::Account([9; 16]), 5, START)
            .await
            .unwrap()
            .admitted
    );
    // Nobody else vouches for it.
    let stranger = RedisConfig { ca: None, ..config };
    assert!(!Redis::open(&stranger).await.unwrap().is_here());
}
