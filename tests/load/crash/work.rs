//! What an administrator and some programs do until the server is killed, and what must hold when it is back.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    ledger::{Entries, Key, Ledger, Life},
    server::{Gate, Server},
};
use crate::harness::random::Random;

const PATH: &str = "/v1/clusters/prod";

/// An administrator at work, and the keys that they gave out.
pub(super) struct Desk<'l> {
    client: Client,
    public: String,
    management: String,
    /// The administrator's.
    token: String,
    ledger: &'l Ledger,
    round: usize,
    random: Random,
}

impl<'l> Desk<'l> {
    /// Signs in.
    pub(super) async fn open(
        server: &Server,
        gate: &Gate,
        ledger: &'l Ledger,
        round: usize,
        random: Random,
    ) -> Self {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20));
        let mut desk = Self {
            client: client.build().expect("a client"),
            public: server.public.clone(),
            management: server.management.clone(),
            token: String::new(),
            ledger,
            round,
            random,
        };
        let body = json!({ "email": "admin@example.com", "password": gate.password });
        let url = format!("{}/auth/login", desk.public);
        let reply = desk.client.post(url).json(&body).send().await;
        let reply: Value = reply.expect("a reply").json().await.expect("JSON");
        desk.token = reply["token"].as_str().expect("a token").to_owned();
        desk
    }

    /// What a program gets with this key; nothing where the server is gone.
    async fn status(&self, method: Method, path: &str, secret: &str) -> Option<u16> {
        let url = format!("{}{path}", self.public);
        let request = self.client.request(method, url).bearer_auth(secret);
        let reply = request.send().await.ok()?;
        let status = reply.status().as_u16();
        // Whole or not: what was decided is in the status.
        let _ = reply.bytes().await;
        Some(status)
    }

    /// What the administrator gets, which must be this status; nothing where the server is gone.
    async fn manage(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Option<Value> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = format!("{}/-/api{path}", self.management);
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.ok()?;
        let answered = reply.status().as_u16();
        // An answer that broke off is none.
        let text = reply.text().await.ok()?;
        assert_eq!(answered, status, "{path}: {text}");
        serde_json::from_str(&text).ok()
    }

    /// Works until the server is gone.
    pub(super) async fn work(&self) {
        let random = |place: u64| {
            let mut random = self.random.clone();
            (1..place).fold(random.fork(), |_, _| random.fork())
        };
        tokio::join!(
            self.mint(),
            self.revoke(random(1)),
            self.rotate(random(2)),
            self.connect(),
            self.decide(random(3)),
            self.decide(random(4)),
        );
        self.ledger.entries().unanswered += 6;
    }

    async fn mint(&self) {
        for count in 0.. {
            let body = json!({ "name": format!("key-{}-{count}", self.round) });
            let Some(key) = self.manage("POST", "/keys", Some(body), 201).await else {
                return;
            };
            let (id, secret) = (text(&key, "id"), text(&key, "secret"));
            self.ledger.entries().minted(id, secret);
        }
    }

    async fn revoke(&self, mut random: Random) {
        loop {
            let Some(id) = self
                .begin(&mut random, |key| key.life = Life::Revoking)
                .await
            else {
                return;
            };
            let path = format!("/organization/keys/{id}");
            let Some(revoked) = self.manage("DELETE", &path, None, 200).await else {
                return;
            };
            assert_eq!(revoked["changed"], true);
            self.ledger.entries().key(&id).life = Life::Revoked;
            // Fewer than are minted.
            tokio::time::sleep(Duration::from_millis(random.below(10))).await;
        }
    }

    async fn rotate(&self, mut random: Random) {
        loop {
            let Some(id) = self.begin(&mut random, |key| key.rotating = true).await else {
                return;
            };
            let path = format!("/keys/{id}/rotate");
            let Some(new) = self.manage("POST", &path, Some(json!({})), 201).await else {
                return;
            };
            self.rotated(&id, &new);
            tokio::time::sleep(Duration::from_millis(random.below(10))).await;
        }
    }

    fn rotated(&self, id: &str, new: &Value) {
        let mut entries = self.ledger.entries();
        entries.minted(text(new, "id"), text(new, "secret"));
        let old = entries.key(id);
        (old.rotating, old.successor) = (false, Some(text(new, "id").to_owned()));
    }

    async fn connect(&self) {
        for count in 0.. {
            let id = format!("both-{}-{count}", self.round);
            let body = json!({ "id": id, "agent": true });
            let Some(made) = self.manage("POST", "/clusters", Some(body), 201).await else {
                return;
            };
            let token = text(&made["agent"], "secret").to_owned();
            self.ledger.entries().clusters.push((id, token));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn decide(&self, mut random: Random) {
        loop {
            let any = {
                let entries = self.ledger.entries();
                let id = entries.any(&mut random, |key| key.life != Life::Revoking);
                id.map(|id| (id.clone(), entries.keys[&id].clone()))
            };
            let Some((id, key)) = any else {
                if self.is_gone().await {
                    return;
                }
                continue;
            };
            let Some(status) = self.status(Method::GET, PATH, &key.secret).await else {
                return;
            };
            let mut entries = self.ledger.entries();
            entries.decided += 1;
            // It may have been revoked meanwhile.
            match entries.key(&id).life {
                Life::Active => assert_eq!(status, 200, "a key that nobody revoked"),
                _ if key.life == Life::Active => assert!([200, 401].contains(&status), "{status}"),
                _ => assert_eq!(status, 401, "a revoked key"),
            }
        }
    }

    /// Takes a key that is active and whole for what is to be done with it; nothing where the server is gone.
    async fn begin(&self, random: &mut Random, mark: impl Fn(&mut Key)) -> Option<String> {
        let is = |key: &Key| key.life == Life::Active && !key.rotating && key.successor.is_none();
        let take = |random: &mut Random| {
            let mut entries = self.ledger.entries();
            let id = entries.any(random, is)?;
            mark(entries.key(&id));
            Some(id)
        };
        loop {
            if let Some(id) = take(random) {
                return Some(id);
            }
            if self.is_gone().await {
                return None;
            }
        }
    }

    /// Whether the server is gone, after a moment.
    async fn is_gone(&self) -> bool {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let health = self.client.get(format!("{}/-/healthy", self.public));
        health.send().await.is_err()
    }

    /// Everything that was acknowledged holds: of so many keys and clusters, the newest and any others.
    pub(super) async fn check(&self, sample: usize) {
        let (ids, clusters) = {
            let entries = self.ledger.entries();
            let mut random = self.random.clone();
            (
                sampled(&entries.ids, sample, &mut random),
                sampled(&entries.clusters, sample / 4, &mut random),
            )
        };
        for id in ids {
            let key = self.ledger.entries().key(&id).clone();
            self.check_key(&id, key).await;
        }
        for (cluster, token) in clusters {
            let status = self.status(Method::POST, "/v1/metrics", &token).await;
            assert_eq!(status, Some(200), "the agent of {cluster}");
        }
    }

    async fn check_key(&self, id: &str, key: Key) {
        let status = self.status(Method::GET, PATH, &key.secret).await;
        let status = status.expect("a running server");
        let expected: &[u16] = match key.life {
            Life::Active => &[200],
            Life::Revoking => &[200, 401],
            Life::Revoked => &[401],
        };
        assert!(expected.contains(&status), "{status} for {id}, {key:?}");
        let path = format!("/organization/keys/{id}");
        let shown = self
            .manage("GET", &path, None, 200)
            .await
            .expect("a running server");
        assert_eq!(shown["state"] == "revoked", status == 401, "{shown}");
        let successor = shown["successor"].as_str();
        match &key.successor {
            Some(known) => assert_eq!(successor, Some(known.as_str()), "{shown}"),
            None => assert!(successor.is_none() || key.rotating, "{shown}"),
        }
        if let Some(successor) = successor {
            let path = format!("/organization/keys/{successor}");
            let shown = self
                .manage("GET", &path, None, 200)
                .await
                .expect("a running server");
            assert_eq!(shown["predecessor"], id);
        }
        // What nobody had heard of is known from now on.
        let mut entries = self.ledger.entries();
        settle(&mut entries, id, status, successor);
    }
}

fn settle(entries: &mut Entries, id: &str, status: u16, successor: Option<&str>) {
    let key = entries.key(id);
    key.life = match status {
        401 => Life::Revoked,
        _ => Life::Active,
    };
    key.successor = successor.map(ToOwned::to_owned);
    key.rotating = false;
}

/// The newest half, and any others: so many in all.
fn sampled<T: Clone>(all: &[T], count: usize, random: &mut Random) -> Vec<T> {
    if all.len() <= count {
        return all.to_vec();
    }
    let newest = all.iter().rev().take(count / 2).cloned();
    let any = (0..count / 2).map(|_| {
        let place = random.below(all.len() as u64);
        all[usize::try_from(place).expect("small")].clone()
    });
    newest.chain(any).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}
