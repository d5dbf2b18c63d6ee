//! The other kinds of servers: a cluster, and a master that a sentinel names.

use std::{
    fs::Permissions,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use scopegate_engines::free_port;

use super::{START, ask, asked, fields, is_taken, until};
use crate::{
    counters::redis::{testing::RedisServer, *},
    store::Touch,
};

async fn cluster() -> Vec<RedisServer> {
    let mut servers = Vec::new();
    for slots in ["0 5460", "5461 10922", "10923 16383"] {
        let bus = free_port(Ipv4Addr::LOCALHOST.into());
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ];
        let server = RedisServer::with(&options).await;
        server.say(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        servers.push((server, bus));
    }
    for (server, bus) in &servers {
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", server.port());
        servers[0].0.say(&meet).await;
    }
    for (server, _) in &servers {
        while !format!("{:?}", server.say("CLUSTER INFO").await).contains("cluster_state:ok") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    servers.into_iter().map(|(server, _)| server).collect()
}

#[tokio::test]
async fn a_cluster_confirms_and_counts() {
    let servers = cluster().await;
    let places = servers
        .iter()
        .map(|server| format!("127.0.0.1:{}", server.port()));
    let url = format!("redis+cluster://{}", places.collect::<Vec<_>>().join(","));
    let config = RedisConfig {
        url: url.parse().unwrap(),
        ..servers[0].config()
    };
    let [here, there] = [
        Redis::open(&config).await.unwrap(),
        Redis::open(&config).await.unwrap(),
    ];
    assert!(here.is_here() && there.is_here());
    let mut news = std::pin::pin!(there.listen().await.unwrap());
    // Of many organizations, on all servers.
    for n in 0..30 {
        let organization = Uuid::from_u128(n);
        let asked = Asked {
            organization,
            ..asked(Bucket::Credential(Uuid::from_u128(7)), 2, START)
        };
        let filled = there.fill(organization, &fields(5)).await;
        let own = here.fill(organization, &fields(5)).await;
        assert!(is_taken(here.take_confirmed(&asked, &own).await.unwrap()));
        assert!(is_taken(
            there.take_confirmed(&asked, &filled).await.unwrap()
        ));
        let over = there.take_confirmed(&asked, &filled).await.unwrap();
        assert!(matches!(over, Answer::Taken(taken) if !taken.admitted));

        let touch = Touch::Rotations(Uuid::from_u128(5));
        here.renew(Touched {
            organization,
            touch,
        })
        .await
        .unwrap();
        let stale = there.take_confirmed(&asked, &filled).await.unwrap();
        assert_eq!(stale, Answer::Stale);
        let node = here.node();
        assert_eq!(news.next().await, Some(News { node, touch }));
    }
    // One server alone that forgot makes all of them others: by the next beat, or whoever asks it.
    let organization = Uuid::from_u128(1);
    let filled = there.fill(organization, &fields(5)).await;
    assert!(is_taken(ask(&there, &filled).await));
    servers[1].say("SCRIPT FLUSH").await;
    let began = Instant::now();
    while is_taken(ask(&there, &filled).await) {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_master_is_the_one_that_sentinels_name() {
    let mut server = RedisServer::start().await;
    let sentinel = RedisServer::sentinel_of(&server, "main", "").await;
    let url = |name: &str| format!("redis+sentinel://127.0.0.1:{}/{name}", sentinel.port());
    let config = RedisConfig {
        url: url("main").parse().unwrap(),
        ..server.config()
    };
    let redis = Redis::open(&config).await.unwrap();
    assert!(redis.is_here());
    let organization = Uuid::from_u128(1);
    let filled = redis.fill(organization, &fields(5)).await;
    assert!(is_taken(ask(&redis, &filled).await));
    let mut news = std::pin::pin!(redis.listen().await.unwrap());
    let touch = Touch::User(Uuid::from_u128(5));
    redis
        .renew(Touched {
            organization,
            touch,
        })
        .await
        .unwrap();
    assert_eq!(news.next().await.map(|news| news.touch), Some(touch));
    server.kill();
    assert_eq!(news.next().await, None, "something may be missed now");
    server.run().await;
    until("Redis is back", || redis.is_here()).await;

    let other = RedisConfig {
        url: url("other").parse().unwrap(),
        ..server.config()
    };
    assert!(!Redis::open(&other).await.unwrap().is_here());
}

#[tokio::test]
async fn sentinels_are_shown_a_password_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        Some(path)
    };
    let server = RedisServer::start().await;
    // Nobody is asked for one until both run, so that it can be seen that they do.
    let sentinel =
        RedisServer::sentinel_of(&server, "main", "sentinel auth-pass main s3cret").await;
    server.say("CONFIG SET requirepass s3cret").await;
    sentinel.say("ACL SETUSER default resetpass >w4tch").await;
    let config = RedisConfig {
        url: format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port())
            .parse()
            .unwrap(),
        password: secret("password", "s3cret\n"),
        ..server.config()
    };
    let refused = Redis::open(&config).await.err();
    assert!(
        matches!(&refused, Some(BadRedis::Refused(why)) if why.contains("NOAUTH")),
        "{refused:?}"
    );
    let config = RedisConfig {
        sentinel_password: secret("sentinel", "w4tch\n"),
        ..config
    };
    let redis = Redis::open(&config).await.unwrap();
    assert!(redis.is_here());
    let filled = redis.fill(Uuid::from_u128(1), &fields(5)).await;
    assert!(is_taken(ask(&redis, &filled).await));
    assert!(redis.listen().await.is_ok());
}
