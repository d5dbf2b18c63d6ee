//! What somebody does with the file, and that it shows.

use std::fs;

use super::{Chain, lines, texts};
use crate::{
    audit::{AuditKey, Evidence, ExportedHeads, Seal},
    store::fixture::{Engine, behaviours},
};

/// What is done, and all that is found.
const CASES: [(&str, &[&str]); 16] = [
    (
        "UPDATE audit SET line = replace(line, 'GET', 'PUT') WHERE seq = 7",
        &["record 7 was edited"],
    ),
    (
        "UPDATE audit SET line = 'x' WHERE seq = 1",
        &["record 1 was edited"],
    ),
    (
        "UPDATE audit SET hash = zeroblob(32) WHERE seq = 7",
        &["record 7 was edited"],
    ),
    (
        "UPDATE audit SET hash = x'00' WHERE seq = 7",
        &["record 7 was edited"],
    ),
    (
        "UPDATE audit SET outcome = 'admit' WHERE seq = 7",
        &["column `outcome` of record 7 is not what its line says"],
    ),
    (
        "UPDATE audit SET segment = 1 WHERE seq = 7",
        &["column `segment` of record 7 is not what its line says"],
    ),
    ("DELETE FROM audit WHERE seq = 8", &["record 8 is missing"]),
    (
        "DELETE FROM audit WHERE seq BETWEEN 1 AND 3",
        &["records 1 to 3 are missing"],
    ),
    (
        "UPDATE audit SET seq = -1 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 9; UPDATE audit SET seq = 9 WHERE seq = -1",
        &[
            "the record at 7 belongs at 9: they were reordered",
            "the record at 9 belongs at 7: they were reordered",
        ],
    ),
    (
        "UPDATE audit SET seq = -1 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 8; UPDATE audit SET seq = 8 WHERE seq = -1",
        &[
            "the record at 7 belongs at 8: they were reordered",
            "the record at 8 belongs at 7: they were reordered",
        ],
    ),
    (
        "DELETE FROM audit WHERE seq > 12",
        &["the end is cut off: there was a record 15, and the last is 12"],
    ),
    (
        "DELETE FROM audit WHERE segment = 2; DELETE FROM audit_segments WHERE id = 2",
        &[
            "segment 2 is missing, and no record says that it was pruned",
            "records 6 to 10 are missing",
        ],
    ),
    (
        "DELETE FROM audit WHERE segment = 3; DELETE FROM audit_segments WHERE id = 3",
        &["the end is cut off: there was a record 15, and the last is 10"],
    ),
    (
        "UPDATE audit_segments SET signature = (SELECT signature FROM audit_segments WHERE id = 1) WHERE id = 2",
        &["the signature of segment 2 is wrong"],
    ),
    (
        "UPDATE audit_segments SET signature = NULL, key_id = NULL WHERE id = 2",
        &["segment 2 has no signature, though records in or before it were signed"],
    ),
    (
        "UPDATE audit_segments SET pruned_ms = 1 WHERE id = 1; DELETE FROM audit WHERE segment = 1",
        &["segment 1 is missing, and no record says that it was pruned"],
    ),
];

async fn every_tampering_is_found_with_its_place(engine: Engine) {
    for (sql, expected) in CASES {
        let mut chain = Chain::of_three_days(engine).await;
        assert_eq!(chain.findings().await, [""; 0]);
        chain.close().await;
        chain.tamper(sql).await;
        assert_eq!(chain.findings().await, expected, "{sql}");
    }
}

async fn a_whole_report_says_how_far_a_signature_reaches(engine: Engine) {
    let chain = Chain::of_three_days(engine).await;
    let report = chain.verify().await;
    assert_eq!((report.records, report.segments, report.pruned), (15, 3, 0));
    assert_eq!((report.last_seq, report.signed_through), (15, Some(15)));
}

#[tokio::test]
async fn an_older_copy_of_the_whole_store_is_found_and_not_signed_over() {
    let mut chain = Chain::of_three_days(Engine::Sqlite).await;
    chain.close().await;
    let older = fs::read(chain.path("gate.db")).unwrap();
    chain.open().await.unwrap();
    chain.record(3, 2).await;
    chain.close().await;
    fs::write(chain.path("gate.db"), older).unwrap();
    let cut_off = "the end is cut off: there was a record 17, and the last is 15";
    assert_eq!(chain.findings().await, [cut_off]);
    let error = chain.open().await.unwrap_err().to_string();
    assert!(error.contains("does not go on to record 17"), "{error}");
    // Nothing that is written without the seal replaces the evidence.
    chain.record(4, 5).await;
    chain.close().await;
    let unsigned = "segment 3 has no signature, though records in or before it were signed";
    let differs = "record 17 is not the one whose head was exported: the chain was written anew";
    assert_eq!(chain.findings().await, [unsigned, differs]);
    // Who has looked into it, and goes on from there, puts the heads aside.
    fs::rename(chain.path("heads.jsonl"), chain.path("evidence.jsonl")).unwrap();
    chain.open().await.unwrap();
    chain.close().await;
    assert_eq!(chain.findings().await, [unsigned]);
}

#[tokio::test]
async fn a_chain_that_was_written_anew_lacks_the_key() {
    let mut chain = Chain::of_three_days(Engine::Sqlite).await;
    chain.close().await;
    fs::remove_file(chain.path("gate.db")).unwrap();
    let forged = Chain::unsealed(&chain.url).await;
    for day in 1..=3 {
        let lines: Vec<String> = lines(day, 5)
            .into_iter()
            .map(|line| line.replace("acme", "none"))
            .collect();
        forged.append_audit(&lines).await.unwrap();
    }
    forged.close().await;
    // Two closed segments and the running head were exported.
    let differs = |seq| {
        format!("record {seq} is not the one whose head was exported: the chain was written anew")
    };
    let nothing = "no signature vouches for the records".to_owned();
    let unsigned = |segment| {
        format!("segment {segment} has no signature, though records in or before it were signed")
    };
    assert_eq!(
        chain.findings().await,
        [
            unsigned(1),
            unsigned(2),
            differs(5),
            differs(10),
            differs(15),
            nothing
        ]
    );

    // Signed with another key, it is no better.
    fs::remove_file(chain.path("gate.db")).unwrap();
    let mut forged = Chain::unsealed(&chain.url).await;
    let key = AuditKey::ephemeral().unwrap();
    let id = key.id().to_owned();
    let seal = Seal::open(key, &chain.path("forged.jsonl")).unwrap();
    forged.seal_audit(seal).await.unwrap();
    for day in 1..=3 {
        forged.append_audit(&lines(day, 5)).await.unwrap();
    }
    forged.close().await;
    let mut evidence = chain.evidence();
    evidence.heads = ExportedHeads::read(&chain.path("forged.jsonl")).ok();
    let found = texts(&chain.verify_with(evidence).await);
    for place in [
        "segment 1 is",
        "segment 2 is",
        "the exported head of record 15 is",
    ] {
        let text = format!("{place} signed with an unknown key `{id}`");
        assert!(found.contains(&text), "{found:?}");
    }
}

async fn heads_that_are_missing_forged_or_damaged_are_no_evidence(engine: Engine) {
    let chain = Chain::of_three_days(engine).await;
    let without = Evidence {
        heads: None,
        ..chain.evidence()
    };
    let no_heads = "there are no exported heads: the end could have been cut off";
    assert_eq!(texts(&chain.verify_with(without).await), [no_heads]);

    let mut forged = chain.evidence();
    for head in &mut forged.heads.as_mut().unwrap().heads {
        head.seq = 12;
    }
    let found = texts(&chain.verify_with(forged).await);
    assert!(found.contains(&"the signature of the exported head of record 12 is wrong".to_owned()));

    fs::write(chain.path("heads.jsonl"), "hello\n").unwrap();
    assert_eq!(
        chain.findings().await,
        ["the exported heads cannot be read: 1 lines are no heads"]
    );
}

async fn without_a_key_the_chain_itself_is_verified(engine: Engine) {
    let mut chain = Chain::on(engine).await;
    chain.close().await;
    fs::remove_file(chain.path("heads.jsonl")).unwrap();
    let store = Chain::unsealed(&chain.url).await;
    store.append_audit(&lines(1, 3)).await.unwrap();
    store.append_audit(&lines(2, 3)).await.unwrap();
    store.close().await;
    let unsigned = || Evidence {
        unsigned: true,
        ..Evidence::default()
    };
    assert!(chain.verify_with(unsigned()).await.is_clean());
    let strict = texts(&chain.verify_with(Evidence::default()).await);
    assert_eq!(strict.len(), 2, "{strict:?}");
    // A key that comes later vouches for what was before.
    chain.open().await.unwrap();
    chain.record(3, 1).await;
    assert_eq!(chain.findings().await, [""; 0]);
    assert_eq!(chain.verify().await.signed_through, Some(7));
    chain
        .tamper("UPDATE audit SET line = 'x' WHERE seq = 2")
        .await;
    assert_eq!(
        texts(&chain.verify_with(unsigned()).await),
        ["record 2 was edited"]
    );
}

behaviours! {
    every_tampering_is_found_with_its_place,
    a_whole_report_says_how_far_a_signature_reaches,
    heads_that_are_missing_forged_or_damaged_are_no_evidence,
    without_a_key_the_chain_itself_is_verified,
}
