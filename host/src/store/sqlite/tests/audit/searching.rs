//! Records are found by what they say, newest first.

use uuid::Uuid;

use super::Chain;
use crate::audit::{Filter, RecordKind};

/// How a filter is set, and what it finds.
type Case = (fn(&mut Filter), &'static [i64]);

const ACME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const USER: Uuid = Uuid::from_u128(3);
const KEY: Uuid = Uuid::from_u128(4);
/// 2026-04-01
const DAY_MS: i64 = 1_775_001_600_000;
const HOUR_MS: i64 = 3_600_000;

fn request(hour: u32, organization: Uuid, path: &str, more: &str) -> String {
    format!(
        r#"{{"time":"2026-04-01T{hour:02}:00:00Z","kind":"api-key","organization":"{organization}","path":"{path}"{more}}}"#
    )
}

async fn chain() -> Chain {
    let chain = Chain::new().await;
    let admit = format!(r#","outcome":"admit","user":"{USER}","credential":"{KEY}""#);
    let refuse = r#","outcome":"refuse","reason":"no-route""#;
    let change =
        r#"{"time":"2026-04-01T04:00:00Z","kind":"change","action":"key.mint","subject":"it"}"#;
    let lines = [
        request(1, ACME, "/v1/clusters", &admit),
        request(2, ACME, "/v1/nodes", refuse),
        request(3, OTHER, "/v1/clusters/x", &admit),
        change.to_owned(),
    ];
    chain.store().append_audit(&lines).await.unwrap();
    chain
}

async fn search(chain: &Chain, filter: &Filter, before: Option<i64>, limit: u32) -> Vec<i64> {
    let found = chain.store().search_audit(filter, before, limit).await;
    found.unwrap().iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn records_are_found_by_what_they_say() {
    let chain = chain().await;
    let text = |text: &str| Some(text.to_owned());
    let cases: [Case; 12] = [
        (|_| {}, &[4, 3, 2, 1]),
        (|it| it.organization = Some(ACME), &[2, 1]),
        (|it| it.user = Some(USER), &[3, 1]),
        (
            |it| (it.credential, it.organization) = (Some(KEY), Some(OTHER)),
            &[3],
        ),
        (|it| it.outcome = Some("refuse".into()), &[2]),
        (|it| it.reason = Some("no-route".into()), &[2]),
        (|it| it.path = Some("/v1/clusters".into()), &[3, 1]),
        (|it| it.path = Some("/v1/%".into()), &[]),
        (|it| it.action = Some("key.mint".into()), &[4]),
        (|it| it.subject = Some("it".into()), &[4]),
        (|it| it.kind = Some(RecordKind::Request), &[3, 2, 1]),
        (
            |it| {
                it.since_ms = Some(DAY_MS + 2 * HOUR_MS);
                it.until_ms = Some(DAY_MS + 4 * HOUR_MS);
            },
            &[3, 2],
        ),
    ];
    for (set, expected) in cases {
        let mut filter = Filter::default();
        set(&mut filter);
        assert_eq!(
            search(&chain, &filter, None, 10).await,
            expected,
            "{filter:?}"
        );
    }
    let none = Filter {
        organization: Some(ACME),
        action: text("key.mint"),
        ..Filter::default()
    };
    assert_eq!(search(&chain, &none, None, 10).await, [0; 0]);
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let chain = chain().await;
    let all = Filter::default();
    assert_eq!(search(&chain, &all, None, 2).await, [4, 3]);
    assert_eq!(search(&chain, &all, Some(3), 2).await, [2, 1]);
    assert_eq!(search(&chain, &all, Some(1), 2).await, [0; 0]);
    let after = chain.store().audit_after(2, 1).await.unwrap();
    assert_eq!(after[0].seq, 3);
    assert!(after[0].numbered().starts_with(r#"{"seq":3,"time":"#));
}
