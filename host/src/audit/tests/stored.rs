//! The audit with a store behind it: requests and changes are one chain, the lines are what is in it, and a store that
//! cannot be written holds requests up.

use std::{fs, path::Path};

use scopegate_policy::{ClusterSource, Description, Grant, Restriction, RouteInfo, Rule};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;
use crate::{
    contract::Authority,
    store::{Store, fixture::Fixture},
};

async fn world(requests: bool) -> (Fixture, Audit, PathBuf) {
    let fixture = Fixture::new(Authority::Owner).await;
    let path = fixture.dir.path().join("audit.jsonl");
    let audit = open(&fixture, requests, &path);
    (fixture, audit, path)
}

fn open(fixture: &Fixture, requests: bool, path: &Path) -> Audit {
    let sink = Sink::File(path.to_owned());
    Audit::in_store(fixture.directory.clone(), requests, &sink).unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The whole chain, verified, as lines with numbers.
async fn stored(store: &Store) -> Vec<String> {
    let unsigned = Evidence {
        unsigned: true,
        ..Evidence::default()
    };
    let report = store.verify_audit(unsigned).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    let found = store.audit_after(0, u32::MAX).await.unwrap();
    found.iter().map(Found::numbered).collect()
}

#[tokio::test]
async fn requests_and_changes_come_in_one_order() {
    let (fixture, audit, path) = world(true).await;
    // What was there before the file was, is not in it.
    let before = stored(fixture.directory.store()).await.len();
    for round in 0..20 {
        audit.record(record(None)).await.unwrap();
        if round % 3 == 0 {
            fixture.make(fixture.cluster(&format!("c{round}"))).await;
        }
        if round % 5 == 0 {
            audit.flush().await;
        }
    }
    audit.close().await;
    let stored = stored(fixture.directory.store()).await;
    assert_eq!(stored.len(), before + 27);
    assert_eq!(lines(&path), stored[before..]);
    assert_eq!(audit.record(record(None)).await, Err(Stuck));
}

#[tokio::test]
async fn lines_alone_leave_requests_out_of_the_store() {
    let (fixture, audit, path) = world(false).await;
    audit.record(record(None)).await.unwrap();
    audit.flush().await;
    fixture.make(fixture.cluster("c")).await;
    audit.close().await;
    let lines: Vec<Value> = lines(&path)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["method"], "GET");
    assert_eq!(lines[1]["action"], "cluster.add");
    assert_eq!(lines.len(), 2);
    let stored = stored(fixture.directory.store()).await;
    assert!(stored.iter().all(|line| line.contains("\"change\"")));
}

/// Killed between the store and the file, in the middle of a line: the next start makes up for it.
#[tokio::test]
async fn a_file_goes_on_where_it_ends() {
    let (fixture, audit, path) = world(true).await;
    for _ in 0..5 {
        audit.record(record(None)).await.unwrap();
    }
    audit.close().await;
    let whole = fs::read_to_string(&path).unwrap();
    for torn in [
        whole.len() - 1,
        whole.len() / 2,
        whole.len() - whole.lines().last().unwrap().len(),
    ] {
        fs::write(&path, &whole[..torn]).unwrap();
        let audit = open(&fixture, true, &path);
        audit.flush().await;
        audit.close().await;
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    }
    // Somebody else's text is left alone.
    fs::write(&path, "hello").unwrap();
    let audit = open(&fixture, true, &path);
    fixture.make(fixture.cluster("c")).await;
    audit.close().await;
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("hello\n{\"seq\":"), "{text}");
}

#[test]
fn a_store_that_cannot_be_written_holds_requests_up_and_loses_none() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (fixture, audit, path, mut lock) = runtime.block_on(async {
        let (fixture, audit, path) = world(true).await;
        let options = SqliteConnectOptions::new().filename(fixture.dir.path().join("gate.db"));
        let mut lock = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut lock)
            .await
            .unwrap();
        (fixture, audit, path, lock)
    });
    let paused = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let mut taken = 0;
    paused.block_on(async {
        while audit.record(record(None)).await.is_ok() {
            taken += 1;
        }
    });
    assert!(taken >= QUEUE_MAX);
    runtime.block_on(async {
        sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
        audit.close().await;
        let stored = stored(fixture.directory.store()).await;
        let requests = stored.iter().filter(|line| line.contains("\"method\""));
        assert_eq!(requests.count(), taken);
        assert_eq!(lines(&path).len(), taken);
    });
}

#[test]
fn a_line_names_the_cluster_that_the_request_is_about() {
    let route = |cluster| RouteInfo {
        method: "GET".to_owned(),
        pattern: "/v1/clusters/{cluster}".to_owned(),
        public: false,
        requires: None,
        when: None,
        cluster,
    };
    let judge = |cluster| {
        Arc::new(Judge {
            digest: "sha256:00".to_owned(),
            description: Arc::new(Description {
                name: "x".to_owned(),
                version: String::new(),
                permissions: Vec::new(),
                roles: Vec::new(),
                routes: vec![route(cluster)],
                headers: Vec::new(),
            }),
        })
    };
    let named = |cluster, path: &str| {
        let record = Record {
            rule: Some(Rule {
                route: Some(0),
                grant: Grant::None,
                restriction: Restriction::None,
            }),
            policy: Some(judge(cluster)),
            path: path.into(),
            ..record(None)
        };
        let line = record.line(&mut record::Times::default()).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        line["cluster"].as_str().map(str::to_owned)
    };
    let header = || ClusterSource::Header("x-cluster-id".to_owned());
    assert_eq!(
        named(ClusterSource::Path(2), "/v1/clusters/dev").as_deref(),
        Some("dev")
    );
    assert_eq!(named(header(), "/v1/metrics").as_deref(), Some("prod"));
    assert_eq!(named(ClusterSource::None, "/v1/metrics"), None);
    let pasted = named(ClusterSource::Path(2), "/v1/clusters/sg_live_abc");
    assert_eq!(pasted.as_deref(), Some("[redacted]"));
}
