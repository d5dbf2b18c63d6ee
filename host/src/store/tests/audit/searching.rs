//! Records are found by what they say, newest first.

use uuid::Uuid;

use super::Chain;
use crate::{
    audit::{Filter, RecordKind},
    store::fixture::{Engine, behaviours},
};

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

async fn chain(engine: Engine) -> Chain {
    let chain = Chain::on(engine).await;
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
    found
        .unwrap()
        .records
        .iter()
        .map(|record| record.seq)
        .collect()
}

async fn records_are_found_by_what_they_say(engine: Engine) {
    let chain = chain(engine).await;
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

async fn pages_go_on_where_the_last_one_ended(engine: Engine) {
    let chain = chain(engine).await;
    let all = Filter::default();
    assert_eq!(search(&chain, &all, None, 2).await, [4, 3]);
    assert_eq!(search(&chain, &all, Some(3), 2).await, [2, 1]);
    assert_eq!(search(&chain, &all, Some(1), 2).await, [0; 0]);
    let after = chain.store().audit_after(2, 1).await.unwrap();
    assert_eq!(after[0].seq, 3);
    assert!(after[0].numbered().starts_with(r#"{"seq":3,"time":"#));
}

/// One call looks at so many records and says where it stopped, whatever it found.
async fn a_search_is_a_bounded_piece_and_goes_on(engine: Engine) {
    const LOOKED_AT: u32 = 10;
    let chain = Chain::on(engine).await;
    let rare = r#","outcome":"refuse","reason":"no-route""#;
    let lines: Vec<String> = (0..60)
        .map(|n| match n {
            // Of another, in between: they do not count against this one's.
            n if n % 2 == 1 => request(n / 10, OTHER, "/zzz", ""),
            4 => request(0, ACME, "/rare", rare),
            n => request(n / 10, ACME, "/v1", ""),
        })
        .collect();
    chain.store().append_audit(&lines).await.unwrap();
    let piece = async |filter: &Filter, before, limit| {
        let found = chain
            .store()
            .search_audit_within(filter, before, limit, LOOKED_AT);
        let found = found.await.unwrap();
        let seqs: Vec<i64> = found.records.iter().map(|record| record.seq).collect();
        (seqs, found.older)
    };
    let of_acme = |set: fn(&mut Filter)| {
        let mut filter = Filter {
            organization: Some(ACME),
            ..Filter::default()
        };
        set(&mut filter);
        filter
    };
    let by_path = of_acme(|it| it.path = Some("/rare".to_owned()));
    let by_kind = of_acme(|it| {
        it.kind = Some(RecordKind::Request);
        it.path = Some("/rare".to_owned());
    });
    for filter in [by_path, by_kind] {
        // Thirty of ACME's, ten at a time; the one that is found is the third.
        assert_eq!(piece(&filter, None, 5).await, (vec![], Some(41)));
        assert_eq!(piece(&filter, Some(41), 5).await, (vec![], Some(21)));
        assert_eq!(piece(&filter, Some(21), 5).await, (vec![5], Some(1)));
        assert_eq!(piece(&filter, Some(1), 5).await, (vec![], None));
        assert_eq!(piece(&filter, Some(21), 1).await, (vec![5], Some(5)));
    }
    // What is rare has an index of its own.
    for set in [
        (|it| it.reason = Some("no-route".to_owned())) as fn(&mut Filter),
        |it| it.outcome = Some("refuse".to_owned()),
        |it| (it.outcome, it.path) = (Some("refuse".to_owned()), Some("/rare".to_owned())),
    ] {
        assert_eq!(piece(&of_acme(set), None, 5).await, (vec![5], None));
        assert_eq!(piece(&of_acme(set), None, 1).await, (vec![5], Some(5)));
    }
    let minted = of_acme(|it| it.action = Some("key.mint".to_owned()));
    assert_eq!(piece(&minted, None, 5).await, (vec![], None));
    let changes = of_acme(|it| it.kind = Some(RecordKind::Change));
    assert_eq!(piece(&changes, None, 5).await, (vec![], None));
    // Where every record that is looked at is found, nothing but the page ends it.
    let all = of_acme(|_| {});
    assert_eq!(piece(&all, None, 2).await, (vec![59, 57], Some(57)));
    let (seqs, older) = piece(&all, None, 40).await;
    assert_eq!((seqs.len(), older), (30, None));
    let nobodys = of_acme(|it| it.organization = Some(KEY));
    assert_eq!(piece(&nobodys, None, 5).await, (vec![], None));
    // Without an organization, the records are walked themselves.
    let everywhere = Filter {
        path: Some("/rare".to_owned()),
        ..Filter::default()
    };
    assert_eq!(piece(&everywhere, None, 5).await, (vec![], Some(51)));
}

/// A time that few records are of is found at once, however long ago it was.
async fn a_time_bounds_what_is_looked_at(engine: Engine) {
    let chain = Chain::on(engine).await;
    let lines: Vec<String> = (0..60).map(|n| request(n / 5, ACME, "/v1", "")).collect();
    chain.store().append_audit(&lines).await.unwrap();
    let within = |since: Option<i64>, until: Option<i64>| Filter {
        organization: Some(ACME),
        since_ms: since.map(|hour| DAY_MS + hour * HOUR_MS),
        until_ms: until.map(|hour| DAY_MS + hour * HOUR_MS),
        ..Filter::default()
    };
    for (filter, expected, older) in [
        (within(Some(1), Some(2)), vec![10, 9, 8, 7, 6], None),
        (within(None, Some(1)), vec![5, 4, 3, 2, 1], None),
        (within(Some(11), None), vec![60, 59, 58, 57, 56], None),
        (within(Some(20), None), vec![], None),
        (within(Some(3), Some(3)), vec![], None),
        // Too many to count: a piece at a time.
        (within(None, Some(9)), vec![], Some(51)),
    ] {
        let found = chain.store().search_audit_within(&filter, None, 50, 10);
        let found = found.await.unwrap();
        let seqs: Vec<i64> = found.records.iter().map(|record| record.seq).collect();
        assert_eq!((seqs, found.older), (expected, older), "{filter:?}");
    }
}

behaviours! {
    records_are_found_by_what_they_say,
    pages_go_on_where_the_last_one_ended,
    a_search_is_a_bounded_piece_and_goes_on,
    a_time_bounds_what_is_looked_at,
}
