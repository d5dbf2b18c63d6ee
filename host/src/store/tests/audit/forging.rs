//! Whole histories that are forged by somebody who has the store's file and not the key, and a gate that starts on them.

use std::fs;

use serde_json::{Value, json};

use super::{Chain, DAY, lines, texts};
use crate::{
    audit::{
        Evidence, ExportedHeads,
        chain::{Hash, link},
    },
    store::{
        Store,
        fixture::{Engine, behaviours},
    },
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// 2026-04-01T10:00:00Z, when the first day's records were made.
const FIRST_MS: i64 = 1_775_037_600_000;

fn prune_line(day: usize, detail: &Value) -> String {
    format!(
        r#"{{"time":"{DAY}{day}T10:00:00Z","kind":"change","actor":"gate","action":"audit.prune","subject":"1","detail":{detail}}}"#
    )
}

fn insert(seq: i64, segment: i64, day: i64, line: &str, hash: &Hash) -> String {
    let is_change = line.contains("audit.prune");
    let (kind, more) = if is_change {
        ("change", "NULL, 'audit.prune', '1', NULL, NULL")
    } else {
        ("request", "'acme', NULL, NULL, 'refuse', 'no-route'")
    };
    let at_ms = FIRST_MS + (day - 1) * DAY_MS;
    format!(
        "INSERT INTO audit (seq, segment, at_ms, kind, organization, action, subject, outcome, reason, line, hash) \
         VALUES ({seq}, {segment}, {at_ms}, '{kind}', {more}, '{line}', x'{}');",
        hex::encode(hash)
    )
}

/// Everything replaced: a segment that is said to be pruned, and a history after it that says so.
fn replacement(last_seq: i64, hash: Hash, day: i64) -> String {
    let at_ms = FIRST_MS + (day - 1) * DAY_MS;
    let ended = hex::encode(hash);
    let mut sql = format!(
        "DELETE FROM audit; DELETE FROM audit_segments; \
         INSERT INTO audit_segments (id, first_seq, previous, opened_ms, last_seq, hash, closed_ms, pruned_ms) \
         VALUES (1, 1, zeroblob(32), 1, {last_seq}, x'{ended}', {at_ms}, {at_ms}); \
         INSERT INTO audit_segments (id, first_seq, previous, opened_ms) VALUES (2, {last_seq} + 1, x'{ended}', {at_ms});"
    );
    let named = json!({ "segments": [{ "segment": 1, "hash": ended }] });
    let mut forged = vec![prune_line(usize::try_from(day).unwrap(), &named)];
    forged.extend(lines(usize::try_from(day).unwrap(), 3));
    let mut before = hash;
    for (seq, line) in (last_seq + 1..).zip(&forged) {
        before = link(&before, line);
        sql.push_str(&insert(seq, 2, day, line, &before));
    }
    sql
}

/// Refuses to start, and leaves the exported heads as they are.
async fn is_refused(chain: &mut Chain) -> String {
    let heads = fs::read(chain.path("heads.jsonl")).unwrap();
    let error = chain.open().await.unwrap_err().to_string();
    assert_eq!(fs::read(chain.path("heads.jsonl")).unwrap(), heads);
    chain.close().await;
    error
}

async fn a_replaced_history_is_neither_signed_nor_clean(engine: Engine) {
    for days in [1, 3] {
        for is_true_hash in [true, false] {
            let mut chain = Chain::on(engine).await;
            for day in 1..=days {
                chain.record(day, 5).await;
            }
            chain.close().await;
            let heads = ExportedHeads::read(&chain.path("heads.jsonl")).unwrap();
            let newest = heads.newest().unwrap().clone();
            let (seq, hash) = if is_true_hash {
                (newest.seq, newest.hash)
            } else {
                (newest.seq + 2, [7; 32])
            };
            chain.tamper(&replacement(seq, hash, 4)).await;
            let error = is_refused(&mut chain).await;
            assert!(error.contains("heads.jsonl"), "{error}");
            assert_ne!(chain.findings().await, [""; 0]);

            // A gate that is made to sign it does not make it true: the heads from before still show it.
            let old = chain.path("old.jsonl");
            fs::rename(chain.path("heads.jsonl"), &old).unwrap();
            chain.open().await.unwrap();
            chain.record(5, 1).await;
            let evidence = Evidence {
                heads: Some(ExportedHeads::read(&old).unwrap()),
                ..chain.evidence()
            };
            let found = texts(&chain.verify_with(evidence).await);
            let unsigned = "segment 1 has no signature, though records in or before it were signed";
            assert!(found.contains(&unsigned.to_owned()), "{found:?}");
            let differs =
                "record 5 is not the one whose head was exported: the chain was written anew";
            assert_eq!(found.contains(&differs.to_owned()), days == 3, "{found:?}");
        }
    }
}

/// The records of whole segments taken out, and a record that says so put behind the last exported head.
async fn a_prune_that_no_head_covers_is_not_signed(engine: Engine) {
    let mut chain = Chain::of_three_days(engine).await;
    chain.close().await;
    let heads = ExportedHeads::read(&chain.path("heads.jsonl")).unwrap();
    let end = heads.newest().unwrap();
    let second = heads.heads.iter().find(|head| head.seq == 10).unwrap();
    let named = json!({ "segments": [
        { "segment": 2, "hash": hex::encode(second.hash), "closed_ms": second.at_ms }
    ], "keep_ms": 0 });
    let line = prune_line(3, &named).replace(r#""subject":"1""#, r#""subject":"2""#);
    let record = insert(16, 3, 3, &line, &link(&end.hash, &line)).replace("'1', NULL", "'2', NULL");
    let sql = format!(
        "UPDATE audit_segments SET pruned_ms = 1 WHERE id < 3; DELETE FROM audit WHERE segment < 3; {record}"
    );
    chain.tamper(&sql).await;
    let error = is_refused(&mut chain).await;
    assert!(error.contains("segment"), "{error}");
}

async fn what_was_exported_of_a_segment_is_never_replaced(engine: Engine) {
    for sql in [
        "UPDATE audit_segments SET closed_ms = 1 WHERE id = 2",
        "UPDATE audit_segments SET signature = NULL, key_id = NULL WHERE id = 2",
        "UPDATE audit_segments SET signature = NULL, key_id = NULL, closed_ms = 1 WHERE id = 1",
        "UPDATE audit_segments SET hash = zeroblob(32) WHERE id = 1",
        "UPDATE audit_segments SET key_id = 'other' WHERE id = 1",
        "DELETE FROM audit_segments WHERE id = 1",
    ] {
        let mut chain = Chain::of_three_days(engine).await;
        chain.close().await;
        chain.tamper(sql).await;
        let error = is_refused(&mut chain).await;
        assert!(error.contains("segment"), "{sql}: {error}");
    }
}

async fn heads_that_are_forged_are_not_gone_on_from(engine: Engine) {
    let mut chain = Chain::of_three_days(engine).await;
    chain.close().await;
    let text = fs::read_to_string(chain.path("heads.jsonl")).unwrap();
    let forged = text.replace(
        r#""head":"closed","segment":1,"seq":5"#,
        r#""head":"closed","segment":1,"seq":4"#,
    );
    assert_ne!(forged, text);
    fs::write(chain.path("heads.jsonl"), forged).unwrap();
    is_refused(&mut chain).await;
    // One place that was torn is no reason, while the other is whole.
    let torn = text.replacen(
        r#""head":"running","segment":3,"seq":15"#,
        r#""head":"running","segment":3,"seq":99"#,
        1,
    );
    assert_ne!(torn, text);
    fs::write(chain.path("heads.jsonl"), torn).unwrap();
    chain.open().await.unwrap();
    assert_eq!(chain.findings().await, [""; 0]);
}

async fn retention_believes_no_time_that_is_not_signed(engine: Engine) {
    for sql in [
        "UPDATE audit_segments SET closed_ms = 1 WHERE id < 3",
        "UPDATE audit_segments SET closed_ms = 1, signature = NULL, key_id = NULL WHERE id < 3",
        "UPDATE audit_segments SET closed_ms = 1, signature = NULL, key_id = NULL WHERE id < 3; \
         UPDATE audit_segments SET opened_ms = 1",
        "UPDATE audit_segments SET closed_ms = 1 WHERE id < 3; UPDATE audit_segments SET opened_ms = 1",
        "UPDATE audit_segments SET pruned_ms = 1 WHERE id < 3",
    ] {
        let chain = Chain::of_three_days(engine).await;
        chain.tamper(sql).await;
        let now_ms = FIRST_MS + 2 * DAY_MS;
        let pruned = chain.store().prune_audit(FIRST_MS, now_ms).await.unwrap();
        assert_eq!((pruned.segments, pruned.records), (0, 0), "{sql}");
        assert_eq!(chain.store().audit_after(0, 100).await.unwrap().len(), 15);
    }
}

async fn a_signature_vouches_for_the_age_of_what_was_there_before_the_key(engine: Engine) {
    let mut chain = Chain::on(engine).await;
    chain.close().await;
    fs::remove_file(chain.path("heads.jsonl")).unwrap();
    let store = Chain::unsealed(&chain.url).await;
    store.append_audit(&lines(1, 3)).await.unwrap();
    store.append_audit(&lines(2, 3)).await.unwrap();
    store.close().await;
    chain.open().await.unwrap();
    let prune = async |store: &Store, day: i64| {
        let before_ms = FIRST_MS + day * DAY_MS;
        let pruned = store.prune_audit(before_ms, FIRST_MS + 3 * DAY_MS).await;
        pruned.unwrap().segments
    };
    // Nothing that is signed is as old.
    assert_eq!(prune(chain.store(), 9).await, 0);
    chain.record(3, 1).await;
    assert_eq!(prune(chain.store(), 2).await, 0);
    assert_eq!(prune(chain.store(), 3).await, 2);
    assert_eq!(chain.findings().await, [""; 0]);
    chain.close().await;
    chain.open().await.unwrap();
    assert_eq!(chain.findings().await, [""; 0]);
}

async fn a_record_of_pruning_is_held_against_its_own_keep_time(engine: Engine) {
    let cases = [
        (FIRST_MS + DAY_MS, 0, None),
        (
            FIRST_MS + DAY_MS,
            2 * DAY_MS,
            Some("record 16 pruned segment 1 before its time was over"),
        ),
        (
            1,
            0,
            Some("segment 1: it is not what the record of its pruning says"),
        ),
    ];
    for (closed_ms, keep_ms, expected) in cases {
        let chain = Chain::of_three_days(engine).await;
        let heads = chain.evidence().heads.unwrap();
        let first = heads.heads.iter().find(|head| head.seq == 5).unwrap();
        let named = json!({ "keep_ms": keep_ms, "segments": [
            { "segment": 1, "hash": hex::encode(first.hash), "closed_ms": closed_ms }
        ] });
        chain
            .store()
            .append_audit(&[prune_line(3, &named)])
            .await
            .unwrap();
        let found = chain.findings().await;
        assert_eq!(found, Vec::from_iter(expected), "{keep_ms}");
    }
    let chain = Chain::of_three_days(engine).await;
    chain
        .tamper("UPDATE audit_segments SET opened_ms = 1 WHERE id = 2")
        .await;
    let found = chain.findings().await;
    let expected = "segment 1: it was not closed when the next one was opened".to_owned();
    assert!(found.contains(&expected), "{found:?}");
}

behaviours! {
    a_replaced_history_is_neither_signed_nor_clean,
    a_prune_that_no_head_covers_is_not_signed,
    what_was_exported_of_a_segment_is_never_replaced,
    heads_that_are_forged_are_not_gone_on_from,
    retention_believes_no_time_that_is_not_signed,
    a_signature_vouches_for_the_age_of_what_was_there_before_the_key,
    a_record_of_pruning_is_held_against_its_own_keep_time,
}
