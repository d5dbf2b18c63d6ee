//! The log: what a line says, that nothing is lost, that floods are counted, and that a stuck log is noticed.

mod stored;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Barrier,
};

use scopegate_policy::{
    Caller, CallerKind, Clusters, Description, Grant, Reason, Restriction, Rule,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{Cause, Principal, engine::PackedCaller};

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
        visible: None,
        policy: None,
        micros: 7,
        query: Vec::new(),
        headers: vec![("x-cluster-id".into(), "prod".into())],
        count: 1,
        evaluation: None,
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

fn principal(caller: Caller) -> Arc<Principal> {
    Arc::new(Principal {
        credential: Uuid::from_u128(2),
        kind: caller.kind,
        organization: Uuid::from_u128(3),
        user: None,
        name: "ada@acme.example".to_owned(),
        key_name: Some("ci".to_owned()),
        expires_at: None,
        caller,
        packed: PackedCaller::default(),
        registered: Arc::default(),
        standing: Default::default(),
        version: None,
        is_successor: false,
        filled: Default::default(),
        identity: Default::default(),
        in_log: Default::default(),
    })
}

fn line(record: &Record) -> Value {
    let line = record.line(&mut record::Times::default()).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn facts_leave_out_what_most_callers_have() {
    let key = Caller {
        kind: CallerKind::ApiKey,
        subject: Uuid::from_u128(2).to_string(),
        organization: Uuid::from_u128(3).to_string(),
        clusters: Clusters::All,
        allowed_clusters: Clusters::All,
        ..Caller::anonymous()
    };
    let shown = |caller: Caller| {
        let record = Record {
            principal: Some(principal(caller)),
            ..record(None)
        };
        line(&record)["facts"].clone()
    };
    assert_eq!(shown(key.clone()), json!({}));
    let full = Caller {
        subject: "https://issuer.example#7".to_owned(),
        organization: String::new(),
        roles: vec!["viewer".to_owned()],
        permissions: vec!["costs:read".to_owned()],
        scopes: Some(Vec::new()),
        clusters: Clusters::only(["dev", "prod"]),
        allowed_clusters: Clusters::Only(Vec::new()),
        agent_cluster: Some("dev".to_owned()),
        operator: true,
        mfa: true,
        auth_time: Some(7),
        credential_created: Some(8),
        ..key.clone()
    };
    let expected = json!({
        "subject": "https://issuer.example#7", "organization": "", "roles": ["viewer"],
        "permissions": ["costs:read"], "scopes": [], "clusters": ["dev", "prod"], "allowed_clusters": [],
        "agent_cluster": "dev", "operator": true, "mfa": true, "auth_time": 7, "credential_created": 8,
    });
    assert_eq!(shown(full), expected);

    // What looks like a secret, and what would fill the log, is there as a hash alone.
    let many = (0..1000).map(|number| format!("cluster-{number}"));
    for clusters in [Clusters::only(["sg_live_abc"]), Clusters::only(many)] {
        let withheld = shown(Caller {
            clusters,
            ..key.clone()
        });
        let members: Vec<&String> = withheld.as_object().unwrap().keys().collect();
        assert_eq!(members, ["sha256"]);
    }
}

fn judge() -> Arc<Judge> {
    let description = Description {
        name: "x".to_owned(),
        version: String::new(),
        permissions: Vec::new(),
        roles: Vec::new(),
        routes: Vec::new(),
        headers: Vec::new(),
    };
    let judge = Judge {
        digest: format!("sha256:{}", "0".repeat(64)),
        description: Arc::new(description),
    };
    Arc::new(judge)
}

#[test]
fn what_a_policy_was_told_and_the_log_must_not_say_is_hashed() {
    let asked = Record {
        path: "/v1/sg_live_abc".into(),
        query: vec![("cluster".to_owned(), "sg_agent_abc".to_owned())],
        policy: Some(judge()),
        ..record(Some(Cause::Denied(Reason::ClusterNotAllowed(
            "sg_agent_abc".to_owned(),
        ))))
    };
    let hash = |text: &str| redacted_sha256(&asked.request_id.to_string(), text);
    let expected = json!({
        "path": hash("/v1/sg_live_abc"),
        "about": hash("sg_agent_abc"),
        "query.cluster": hash("sg_agent_abc"),
    });
    assert_eq!(line(&asked)["redacted"], expected);
    // Of no other record, so that it links nothing.
    let other = Record {
        request_id: Uuid::from_u128(9),
        ..asked.clone()
    };
    assert_ne!(line(&other)["redacted"]["path"], expected["path"]);
    // And no hash of what no policy was told.
    let unasked = Record {
        policy: None,
        ..asked
    };
    assert!(line(&unasked).get("redacted").is_none());
}

/// The figures of docs/audit.md.
#[test]
fn facts_make_a_line_no_more_than_a_third_longer() {
    let key = Caller {
        kind: CallerKind::ApiKey,
        subject: Uuid::from_u128(2).to_string(),
        organization: Uuid::from_u128(3).to_string(),
        roles: vec!["editor".to_owned()],
        scopes: Some(vec!["clusters:read".to_owned(), "costs:read".to_owned()]),
        clusters: Clusters::All,
        allowed_clusters: Clusters::only(["dev", "prod"]),
        credential_created: Some(1_775_000_000),
        ..Caller::anonymous()
    };
    let with = Record {
        principal: Some(principal(key)),
        policy: Some(judge()),
        rule: Some(Rule {
            route: Some(4),
            grant: Grant::Role(1),
            restriction: Restriction::KeyClusters,
        }),
        visible: Some(Visible::Only(
            vec!["dev".to_owned(), "prod".to_owned()].into(),
        )),
        headers: Vec::new(),
        ..record(None)
    };
    let line = |record: &Record| record.line(&mut record::Times::default()).unwrap();
    let now = line(&with).len();
    let known = with.principal.clone().unwrap();
    let bytes = known.in_log.get().unwrap();
    let facts = bytes.windows(9).position(|part| part == b",\"facts\":");
    let facts = bytes.len() - facts.unwrap();
    let visible = ",\"visible\":[\"dev\",\"prod\"]".len();
    assert_eq!((now - facts - visible, now), (483, 643));
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

/// Whoever has a key that has ended can try it as often as they like.
#[test]
fn a_flood_of_requests_with_an_ended_credential_is_counted() {
    let memory = Memory::default();
    let audit = Audit::to(Box::new(memory.clone())).unwrap();
    let holder = principal(Caller::anonymous());
    let refused = |cause, rule| Record {
        principal: Some(Arc::clone(&holder)),
        rule,
        ..record(Some(cause))
    };
    wait(async {
        for cause in [Cause::Revoked, Cause::Expired, Cause::TooManyFailures] {
            for _ in 0..100 {
                audit.record(refused(cause.clone(), None)).await.unwrap();
            }
        }
        // Those were admitted each.
        let rule = Rule {
            route: None,
            grant: Grant::Role(1),
            restriction: Restriction::KeyClusters,
        };
        for _ in 0..100 {
            audit
                .record(refused(Cause::Revoked, Some(rule)))
                .await
                .unwrap();
        }
        audit.flush().await;
    });
    drop(audit);
    let lines = memory.lines();
    let mut counts: Vec<_> = lines
        .iter()
        .filter_map(|line| line["count"].as_u64())
        .collect();
    counts.sort_unstable();
    assert_eq!((lines.len(), counts), (3 * 11 + 100, vec![90; 3]));
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
