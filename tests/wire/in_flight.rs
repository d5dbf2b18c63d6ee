//! A request that is under way ends with its credential: 401 while the reply has not begun, broken off afterwards.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use scopegate_host::{
    admin::Command,
    store::{Actor as By, Change},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::harness::{Actor, Key, START_MS, World, json_reply};

const PATH: &str = "/api/v1/clusters/prod";

/// An upstream that has a request and never answers; resolves when it has it.
fn silent(world: &World) -> Arc<Notify> {
    let arrived = Arc::new(Notify::new());
    let notify = Arc::clone(&arrived);
    world.upstream.streams(move |_| {
        notify.notify_one();
        std::future::pending()
    });
    arrived
}

/// An upstream that sends one piece and then nothing.
fn endless(world: &World) {
    world.upstream.streams(|_| async {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]);
        Response::new(Body::from_stream(first.chain(stream::pending())))
    });
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("soon")
}

/// Begins a request, lets `end` happen, and gives the status that the client got.
async fn ended_before_the_reply<F: Future<Output = ()>>(
    world: &World,
    actor: &Actor,
    end: F,
) -> (u16, String) {
    let arrived = silent(world);
    let waiting = tokio::spawn({
        let actor = actor.clone();
        async move { actor.get(PATH).await }
    });
    soon(arrived.notified()).await;
    end.await;
    let reply = soon(waiting).await.unwrap();
    (reply.status, reply.code())
}

#[tokio::test]
async fn revoking_a_key_ends_what_waits() {
    let world = World::start("kubevision").await;
    let key = world.key(Key::default()).await;
    let ended = ended_before_the_reply(&world, &key, world.revoke(&key)).await;
    assert_eq!(ended, (401, "revoked".into()));
    assert_eq!(key.get(PATH).await.status, 401);
}

/// Somebody may have changed something, and nobody can tell what: that is no word on the credential.
#[tokio::test]
async fn what_waits_is_refused_when_the_store_cannot_confirm_it() {
    let world = World::start("kubevision").await;
    let key = world.key(Key::default()).await;
    let fails = async {
        let directory = world.running().gate().directory();
        directory.store().close().await;
        let revoke = Change::Revoke(key.id.unwrap());
        let revoked = directory.apply(revoke, By::Machine, START_MS).await;
        revoked.unwrap_err();
    };
    let ended = ended_before_the_reply(&world, &key, fails).await;
    assert_eq!(ended, (503, "unavailable".into()));
}

#[tokio::test]
async fn revoking_a_key_breaks_a_reply_off() {
    let world = World::start("kubevision").await;
    endless(&world);
    let key = world.key(Key::default()).await;
    let mut body = key
        .request("GET", PATH)
        .send()
        .await
        .unwrap()
        .bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");
    world.revoke(&key).await;
    assert!(soon(body.next()).await.unwrap().is_err());
    // Nobody can be told any more, but the audit is.
    soon(async {
        while world.audit().await.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let records = world.audit().await;
    assert_eq!(records[0]["outcome"], "admit");
    assert_eq!(records[1]["reason"], "revoked");
    assert_eq!(records[1]["request_id"], records[0]["request_id"]);
}

#[tokio::test]
async fn a_key_that_expires_ends_what_waits() {
    let world = World::start("scopegate").await;
    let key = world
        .key(Key {
            expires_at: Some(START_MS / 1000 + 60),
            ..Key::default()
        })
        .await;
    let end = async { world.clock.advance(Duration::from_secs(60)) };
    assert_eq!(
        ended_before_the_reply(&world, &key, end).await,
        (401, "expired".into())
    );
}

#[tokio::test]
async fn a_token_that_expires_breaks_a_reply_off() {
    let world = World::start("k8cost").await;
    endless(&world);
    let session = world.session("admin").await;
    let mut body = session
        .request("GET", PATH)
        .send()
        .await
        .unwrap()
        .bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");
    world.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), body.next())
            .await
            .is_err()
    );
    world.clock.advance(Duration::from_secs(1));
    assert!(soon(body.next()).await.unwrap().is_err());
}

#[tokio::test]
async fn disabling_a_user_ends_their_sessions_and_keys() {
    let world = World::start("k8cost").await;
    let disable = || async {
        world
            .command(Command::UserDisable {
                email: "viewer@acme.example".into(),
            })
            .await
            .unwrap();
    };
    let session = world.session("viewer").await;
    let key = world
        .key(Key {
            owner: "viewer@acme.example",
            ..Key::default()
        })
        .await;
    let arrived = silent(&world);
    let both = [session, key].map(|actor| tokio::spawn(async move { actor.get(PATH).await }));
    soon(arrived.notified()).await;
    soon(arrived.notified()).await;
    disable().await;
    for waiting in both {
        assert_eq!(soon(waiting).await.unwrap().status, 401);
    }
}

#[tokio::test]
async fn logging_out_ends_what_waits() {
    let world = World::start("k8cost").await;
    let session = world.session("admin").await;
    let logout = async {
        assert_eq!(session.call("POST", "/auth/logout").await.status, 204);
    };
    assert_eq!(
        ended_before_the_reply(&world, &session, logout).await,
        (401, "revoked".into())
    );
}

/// A change that leaves the credential good leaves the request alone.
#[tokio::test]
async fn other_changes_end_nothing() {
    let world = World::start("k8cost").await;
    let (key, other) = (
        world.key(Key::default()).await,
        world.key(Key::default()).await,
    );
    let go_on = Arc::new(Notify::new());
    let (arrived, going) = (Arc::new(Notify::new()), Arc::clone(&go_on));
    let notify = Arc::clone(&arrived);
    world.upstream.streams(move |_| {
        let (notify, going) = (Arc::clone(&notify), Arc::clone(&going));
        async move {
            notify.notify_one();
            going.notified().await;
            json_reply(200, serde_json::json!({}))
        }
    });
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { key.get(PATH).await }
    });
    soon(arrived.notified()).await;
    world.revoke(&other).await;
    world.add_cluster("acme", "further").await;
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    go_on.notify_one();
    assert_eq!(soon(waiting).await.unwrap().status, 200);
}

/// Rotated while the reply is on its way: it has an end now that it had not when it was admitted.
#[tokio::test]
async fn the_end_of_a_rotated_key_breaks_a_reply_off() {
    let world = World::start("scopegate").await;
    endless(&world);
    let key = world.key(Key::default()).await;
    let mut body = key
        .request("GET", "/v1/clusters/prod")
        .send()
        .await
        .unwrap()
        .bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");
    let at = jiff::Timestamp::from_millisecond(START_MS + 60_000).unwrap();
    let rotated = world
        .manages(&key)
        .post("/-/api/keys/self/rotate", json!({ "retires_at": at }))
        .await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    world.clock.advance(Duration::from_secs(59));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), body.next())
            .await
            .is_err(),
        "the overlap"
    );
    world.clock.advance(Duration::from_secs(1));
    assert!(soon(body.next()).await.unwrap().is_err());
}
