//! The log: what a line says, that nothing is lost, that floods are counted, and that a stuck log is noticed.

mod stored;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Barrier,
};

use scopegate_policy::Reason;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::Cause;

const AT: i64 = 1_775_000_040_000;

fn record(cause: Option<Cause>) -> Record {
    Record {
        at_ms: AT,
        request_id: Uuid::from_u128(1),
        principal: None,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: "GET".into(),
        path: "/v1/clusters".into(),
        outcome: if cause.is_some() {
            Outcome::Refuse
        } else {
            Outcome::Admit
        },
        cause,
        rule: None,
        policy: None,
        micros: 7,
        query: Vec::new(),
        headers: vec![("x-cluster-id".into(), "prod".into())],
        count: 1,
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_line_says_what_happened() {
    let memory = Memory::default();
    let audit = Audit::to(Box::new(memory.clone())).unwrap();
    wait(async {
        audit
            .record(record(Some(Cause::UnknownCredential)))
            .await
            .unwrap();
        let pasted = Record {
            path: "/v1/sg_live_abc/x".into(),
            query: vec![
                ("cluster_id".into(), "prod".into()),
                ("other".into(), "sg_agent_abc".into()),
            ],
            ..record(Some(Cause::Denied(Reason::ClusterNotAllowed(
                "sg_live_abc".into(),
            ))))
        };
        audit.record(pasted).await.unwrap();
        audit.flush().await;
    });
    let lines = memory.lines();
    assert_eq!(lines[0]["time"], "2026-03-31T23:34:00Z");
    assert_eq!(lines[0]["kind"], "anonymous");
    assert_eq!(lines[0]["address"], "127.0.0.1");
    assert_eq!(lines[0]["outcome"], "refuse");
    assert_eq!(lines[0]["reason"], "unknown-credential");
    assert_eq!(lines[0]["micros"], 7);
    assert_eq!(lines[0]["headers"]["x-cluster-id"], "prod");
    assert_eq!(lines[1]["path"], "/v1/[redacted]/x");
    assert_eq!(lines[1]["query"]["cluster_id"], "prod");
    assert_eq!(lines[1]["query"]["other"], "[redacted]");
    assert_eq!(lines[1]["about"], "[redacted]");
    for encoded in ["/v1/x;k=sg%5Flive%5Fabc", "/v1/%65yJhbGci.e30.x"] {
        let shown = without_secrets(encoded);
        assert_eq!(shown, "/v1/[redacted]");
    }
    assert!(lines[0].get("query").is_none() && lines[0].get("count").is_none());
}

#[test]
fn a_line_holds_little_of_what_the_caller_sent() {
    let memory = Memory::default();
    let audit = Audit::to(Box::new(memory.clone())).unwrap();
    let long = "ä".repeat(2 << 20);
    let wordy = Reason::Other(long.clone());
    wait(async {
        for cause in [
            Cause::InvalidRequest(long.clone()),
            Cause::Unprocessable(format!("/{long}/sg_live_abc")),
            Cause::Denied(wordy),
        ] {
            audit.record(record(Some(cause))).await.unwrap();
        }
        audit.flush().await;
    });
    let lines = memory.lines();
    assert_eq!(lines[0]["about"], "ä".repeat(256));
    assert_eq!(lines[1]["about"], format!("/{}", "ä".repeat(255)));
    for line in lines {
        assert!(line.to_string().len() < 1024, "{line}");
    }
}

#[test]
fn a_flood_of_anonymous_refusals_is_counted() {
    let memory = Memory::default();
    let audit = Audit::to(Box::new(memory.clone())).unwrap();
    wait(async {
        for _ in 0..1000 {
            audit
                .record(record(Some(Cause::NotAuthenticated)))
                .await
                .unwrap();
        }
        // The next minute ends the one before.
        let next = Record {
            at_ms: AT + 60_000,
            ..record(Some(Cause::NotAuthenticated))
        };
        audit.record(next).await.unwrap();
        audit.flush().await;
    });
    let lines = memory.lines();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[10]["count"], 990);
    assert!(lines[11].get("count").is_none());
}

#[test]
fn everything_handed_in_is_written_when_the_log_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&Sink::File(path.clone())).unwrap();
    wait(async {
        for _ in 0..20_000 {
            audit.record(record(None)).await.unwrap();
        }
    });
    drop(audit);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap().lines().count(),
        20_000
    );
    // It is appended to.
    let audit = Audit::open(&Sink::File(path.clone())).unwrap();
    wait(audit.record(record(None))).unwrap();
    drop(audit);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap().lines().count(),
        20_001
    );
}

#[test]
fn a_log_that_goes_nowhere_takes_everything() {
    let audit = Audit::open(&Sink::None).unwrap();
    assert!(!audit.is_on());
    assert_eq!(wait(audit.record(record(None))), Ok(()));
    wait(audit.flush());
}

/// Takes nothing until it is let go.
struct Blocked(Arc<Barrier>, bool);

impl io::Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.1 {
            self.0.wait();
            self.1 = true;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_queue_makes_requests_wait_and_then_says_so() {
    let barrier = Arc::new(Barrier::new(2));
    let audit = Audit::to(Box::new(Blocked(Arc::clone(&barrier), false))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let stuck = runtime.block_on(async {
        for _ in 0..2 * QUEUE_MAX + BATCH {
            if audit.record(record(None)).await.is_err() {
                return true;
            }
        }
        false
    });
    assert!(stuck);
    barrier.wait();
}

const BATCH: usize = 1024;
