//! A server that is told to stop lets what is under way finish, and cuts what does not.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{net::TcpStream, sync::Notify};

use crate::harness::{Options, World, json_reply};

/// An upstream that answers once it is let; resolves when it has a request.
fn gated(world: &World) -> (Arc<Notify>, Arc<Notify>) {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (notify, going) = (Arc::clone(&arrived), Arc::clone(&go_on));
    world.upstream.streams(move |_| {
        let (notify, going) = (Arc::clone(&notify), Arc::clone(&going));
        async move {
            notify.notify_one();
            going.notified().await;
            json_reply(200, json!({}))
        }
    });
    (arrived, go_on)
}

#[tokio::test]
async fn what_is_under_way_finishes() {
    let mut world = World::start("k8cost").await;
    let (arrived, go_on) = gated(&world);
    let admin = world.session("admin").await;
    let waiting = tokio::spawn(async move { admin.get("/api/v1/clusters/prod").await });
    arrived.notified().await;
    let address = world.running().public_addr();
    let stopping = tokio::spawn(world.running.take().unwrap().shutdown());
    // Nobody new gets in.
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!stopping.is_finished());
    go_on.notify_one();
    assert_eq!(waiting.await.unwrap().status, 200);
    tokio::time::timeout(Duration::from_secs(10), stopping)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let mut world = World::with(Options {
        drain: Duration::from_millis(200),
        ..Options::of("k8cost")
    })
    .await;
    let (arrived, _) = gated(&world);
    let admin = world.session("admin").await;
    let waiting = tokio::spawn(admin.request("GET", "/api/v1/clusters/prod").send());
    arrived.notified().await;
    // A connection on which nothing was ever asked holds nothing up.
    let _idle = world.connect().await;
    tokio::time::timeout(Duration::from_secs(5), world.shutdown())
        .await
        .unwrap();
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn what_was_recorded_is_written() {
    let mut world = World::start("k8cost").await;
    world
        .session("admin")
        .await
        .get("/api/v1/clusters/prod")
        .await;
    let before = world.audit().await.len();
    assert!(before >= 2, "{before}");
    world.shutdown().await;
}
