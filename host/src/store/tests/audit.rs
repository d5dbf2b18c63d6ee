//! The chain in a real store: clean after whatever happens to it, and every tampering found with its place.

mod forging;
mod keeping;
mod searching;
mod tampering;

use std::path::PathBuf;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    audit::{AuditKey, Evidence, ExportedHeads, Finding, Report, Seal, SealError},
    store::{
        Missing, Purpose, Store,
        fixture::{Engine, meddle},
    },
};

/// The first day that records here are of.
const DAY: &str = "2026-04-0";

/// A store with its key and its exported heads.
struct Chain {
    dir: TempDir,
    url: String,
    store: Option<Store>,
}

impl Chain {
    async fn on(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        AuditKey::create(&dir.path().join("key.json")).unwrap();
        let mut chain = Self {
            url: engine.url(&dir),
            dir,
            store: None,
        };
        chain.open().await.unwrap();
        chain
    }

    /// Three days of five records; the last one's segment is open.
    async fn of_three_days(engine: Engine) -> Self {
        let chain = Self::on(engine).await;
        for day in 1..=3 {
            chain.record(day, 5).await;
        }
        chain
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn key(&self) -> AuditKey {
        AuditKey::load(&self.path("key.json")).unwrap()
    }

    async fn unsealed(url: &str) -> Store {
        let opened = Store::open(url, Purpose::Serve, Missing::Create).await;
        opened.unwrap()
    }

    async fn open(&mut self) -> Result<(), SealError> {
        let mut store = Self::unsealed(&self.url).await;
        let seal = Seal::open(self.key(), &self.path("heads.jsonl"))?;
        let sealed = store.seal_audit(seal).await;
        self.store = Some(store);
        sealed
    }

    async fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().await;
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    async fn record(&self, day: usize, count: usize) {
        self.store().append_audit(&lines(day, count)).await.unwrap();
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            keys: vec![self.key().public()],
            heads: ExportedHeads::read(&self.path("heads.jsonl")).ok(),
            unsigned: false,
        }
    }

    async fn verify_with(&self, evidence: Evidence) -> Report {
        let store = Store::open_to_read(&self.url).await.unwrap();
        let report = store.verify_audit(evidence).await.unwrap();
        store.close().await;
        report
    }

    async fn verify(&self) -> Report {
        self.verify_with(self.evidence()).await
    }

    async fn findings(&self) -> Vec<String> {
        texts(&self.verify().await)
    }

    /// What somebody does who has the database: no trigger and no check stops them.
    async fn tamper(&self, sql: &str) {
        let script = match self.url.starts_with("sqlite://") {
            true => format!("{}{sql}", self.without_triggers().await),
            false => sql
                .replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
                .replace(" x'", " '\\x"),
        };
        meddle(&self.url, &script).await.unwrap();
    }

    async fn without_triggers(&self) -> String {
        let options = SqliteConnectOptions::new().filename(self.path("gate.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let triggers: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        let drops = triggers.iter().map(|name| format!("DROP TRIGGER {name};"));
        drops.collect()
    }
}

fn texts(report: &Report) -> Vec<String> {
    report.findings.iter().map(Finding::to_string).collect()
}

fn lines(day: usize, count: usize) -> Vec<String> {
    let line = |number| {
        format!(
            r#"{{"time":"{DAY}{day}T10:00:00Z","request_id":"{number}","kind":"api-key","organization":"acme","method":"GET","outcome":"refuse","reason":"no-route"}}"#
        )
    };
    (0..count).map(line).collect()
}
