//! What every proxy that asks over HTTP must do with what it is told.

use scopegate_host::headers;
use serde_json::json;

use super::{Kind, Proxy};
use crate::harness::{Actor, Key, Seen, json_reply, upstream::IDENTITY};

/// A policy with one open route.
pub(super) const OPEN: &str = "policy: open\npermissions:\n  all:read: { category: All, unlocks: All }\nroles: { admin: ['*'] }\nroutes:\n  - { match: 'GET /open', public: true }\n";

/// The same caller, through the proxy.
pub(super) fn through(proxy: &Proxy, actor: &Actor) -> Actor {
    Actor::new(
        &format!("http://{}", proxy.address),
        actor.credential.clone(),
    )
}

fn is_clean(kind: Kind, seen: &Seen) {
    seen.has_one_identity(&format!("{kind:?}"));
    let seen = &seen.headers;
    for name in ["authorization", "x-api-key", "proxy-authorization"] {
        assert!(!seen.contains_key(name), "{kind:?}: {name} went on");
    }
    let others = seen
        .keys()
        .filter(|name| headers::is_reserved(name) && !IDENTITY.contains(&name.as_str()));
    let others: Vec<_> = others.collect();
    assert!(others.is_empty(), "{kind:?}: {others:?} went on");
}

#[tokio::test]
async fn what_is_allowed_reaches_the_upstream_with_the_callers_identity() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = world
            .key(Key {
                clusters: &["prod", "dev"],
                ..Key::default()
            })
            .await;
        let direct = key.get("/v1/clusters/prod").await;
        assert_eq!(direct.status, 200);
        let by_the_gate = world.upstream.last();
        let caller = through(&proxy, &key);
        let reply = caller.get("/v1/clusters/prod?a=%20b&c=%C3%A9&d=1?2").await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        let seen = world.upstream.last();
        assert_eq!(
            (seen.path.as_str(), seen.query.as_str()),
            ("/v1/clusters/prod", "a=%20b&c=%C3%A9&d=1?2"),
            "{kind:?}"
        );
        is_clean(kind, &seen);
        for name in &IDENTITY[..6] {
            assert_eq!(seen.header(name), by_the_gate.header(name), "{kind:?}");
        }
        assert!(!seen.headers.contains_key("x-cluster-id"), "{kind:?}");
        assert!(!seen.headers.contains_key("cookie"), "{kind:?}");
        // Traefik cannot give the client anything of an answer that lets it through.
        if kind != Kind::Traefik {
            assert_eq!(reply.header("x-ratelimit-limit"), "200", "{kind:?}");
            assert_eq!(reply.header("x-ratelimit-remaining"), "198", "{kind:?}");
            assert!(!reply.header("x-ratelimit-reset").is_empty(), "{kind:?}");
            assert_eq!(
                reply.header("x-request-id"),
                seen.header("x-request-id"),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn bodies_and_methods_go_on_as_they_came() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let agent = through(&proxy, &world.agent("prod").await);
        let body = "x".repeat(300_000);
        let sent = agent.request("POST", "/v1/metrics").body(body.clone());
        let reply = agent.send(sent).await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        let seen = world.upstream.last();
        assert_eq!(
            (seen.method.as_str(), seen.body.len()),
            ("POST", body.len()),
            "{kind:?}"
        );
        // The agent's own cluster, which the request did not name.
        assert_eq!(seen.header("x-cluster-id"), "prod", "{kind:?}");
        let other = agent
            .request("POST", "/v1/metrics")
            .header("x-cluster-id", "dev");
        let reply = agent.send(other).await;
        assert_eq!(reply.status, 403, "{kind:?}: {}", reply.body);

        let key = through(&proxy, &world.key(Key::default()).await);
        let reply = key.call("HEAD", "/v1/clusters/prod").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{kind:?}");
        assert_eq!(world.upstream.last().method, "HEAD", "{kind:?}");
        let reply = key.call("DELETE", "/v1/clusters/prod").await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        assert_eq!(world.upstream.last().method, "DELETE", "{kind:?}");
    }
}

/// Each refusal as the client sees it, with the upstream untouched.
#[tokio::test]
async fn refusals_have_their_own_status_and_headers() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let prod = Key {
            clusters: &["prod"],
            ..Key::default()
        };
        let prod = through(&proxy, &world.key(prod).await);
        let anonymous = through(&proxy, &world.anonymous());
        let wrong = through(&proxy, &world.with_key("sg_live_wrong"));
        let cases = [
            (&anonymous, "/v1/clusters/prod", 401, "not-authenticated"),
            (&wrong, "/v1/clusters/prod", 401, "unknown-credential"),
            (&prod, "/v1/clusters/dev", 403, "cluster-not-allowed"),
            (&prod, "/v1/clusters", 403, "list-not-filterable"),
            (&prod, "/v1/nothing-here", 404, "no-route"),
            (&prod, "/-/api/keys", 404, "no-route"),
            (&prod, "/v1/clusters/a;b", 400, "invalid_request"),
        ];
        for (caller, path, status, code) in cases {
            let reply = caller.get(path).await;
            let shown = format!("{kind:?}: {path}: {reply:?}");
            assert_eq!(reply.status, status, "{shown}");
            assert_eq!(reply.code(), code, "{shown}");
            assert_eq!(
                reply.header("content-type"),
                "application/problem+json",
                "{shown}"
            );
            let challenges = reply.headers.get_all("www-authenticate").iter().count();
            assert_eq!(challenges, usize::from(status == 401), "{shown}");
            if status == 401 {
                assert!(
                    reply
                        .header("www-authenticate")
                        .starts_with("Bearer realm="),
                    "{shown}"
                );
            }
            for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-request-id"] {
                assert_eq!(reply.headers.get_all(name).iter().count(), 1, "{shown}");
            }
            // Not for clients.
            for name in ["x-scopegate-subject", "x-scopegate-uri", "cookie"] {
                assert_eq!(reply.header(name), "", "{shown}");
            }
        }
        assert_eq!(world.upstream.count(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_a_429_that_says_when_to_come_back() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let agent = through(&proxy, &world.agent("prod").await);
        let mut last = None;
        for _ in 0..21 {
            last = Some(agent.call("POST", "/v1/metrics").await);
        }
        let last = last.expect("asked");
        assert_eq!(last.status, 429, "{kind:?}: {last:?}");
        assert_eq!(last.code(), "rate-limited", "{kind:?}");
        assert_eq!(last.header("x-ratelimit-remaining"), "0", "{kind:?}");
        let retry: u64 = last.header("retry-after").parse().expect("seconds");
        assert!((1..=120).contains(&retry), "{kind:?}");
        assert_eq!(world.upstream.count(), 20, "{kind:?}");
    }
}

/// A fault of the gate's own: 503, and 403 where a 5xx would be taken for its absence.
#[tokio::test]
async fn a_fault_of_the_gate_is_a_refusal() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = through(&proxy, &world.key(Key::default()).await);
        assert_eq!(key.get("/v1/clusters/prod").await.status, 200);
        // Nothing is admitted unrecorded.
        world.running().gate().close_audit().await;
        let reply = key.get("/v1/clusters/prod").await;
        let status = if kind == Kind::Envoy { 403 } else { 503 };
        assert_eq!(reply.status, status, "{kind:?}: {reply:?}");
        assert_eq!(reply.code(), "unavailable", "{kind:?}");
        assert_eq!(reply.header("retry-after"), "1", "{kind:?}");
        assert_eq!(world.upstream.count(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn of_the_cookies_the_gates_own_stays_behind() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = through(&proxy, &world.key(Key::default()).await);
        let cases = [
            ("theme=dark; lang=en", "theme=dark; lang=en"),
            (
                "theme=dark; __Host-scopegate=secret; lang=en",
                "theme=dark; lang=en",
            ),
            ("__Host-scopegate=secret", "-"),
        ];
        for (sent, expected) in cases {
            let reply = key.get_with("/v1/clusters/prod", &[("cookie", sent)]).await;
            assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
            assert_eq!(world.upstream.last().header("cookie"), expected, "{kind:?}");
        }
    }
}

/// Whoever is counted without a credential is the client and not the proxy; a forged address counts as the forger's.
#[tokio::test]
async fn clients_are_counted_by_their_own_address() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let anonymous = through(&proxy, &world.anonymous());
        let health = anonymous.get("/v1/health").await;
        assert_eq!(health.status, 200, "{kind:?}: {health:?}");
        let records = world.audit().await;
        // To Envoy, a client on the same machine has the machine's address.
        let seen = world.upstream.last();
        let expected = match kind {
            Kind::Envoy => seen.header("x-forwarded-for"),
            _ => "127.0.0.1",
        };
        assert_eq!(
            records.last().expect("a record")["address"],
            expected,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn signing_in_is_the_gates_own() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let anonymous = through(&proxy, &world.anonymous());
        let body = json!({ "email": "admin@acme.example", "password": crate::harness::PASSWORD });
        let reply = anonymous.post("/auth/login", body).await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        let token = reply.json()["token"].as_str().expect("a token").to_owned();
        let session = Actor::new(
            &anonymous_base(&proxy),
            Some(("authorization", format!("Bearer {token}"))),
        );
        world.upstream.answers(|_| json_reply(200, json!({})));
        assert_eq!(
            session.get("/v1/clusters/prod").await.status,
            200,
            "{kind:?}"
        );
        assert_eq!(world.upstream.count(), 1, "{kind:?}");
    }
}

/// Each request is asked about, so a revocation counts from the next one on.
#[tokio::test]
async fn what_was_revoked_is_refused_at_the_next_question() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = world.key(Key::default()).await;
        let caller = through(&proxy, &key);
        assert_eq!(
            caller.get("/v1/clusters/prod").await.status,
            200,
            "{kind:?}"
        );
        world.revoke(&key).await;
        let reply = caller.get("/v1/clusters/prod").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "revoked"),
            "{kind:?}"
        );
        assert_eq!(world.upstream.count(), 1, "{kind:?}");
    }
}

fn anonymous_base(proxy: &Proxy) -> String {
    format!("http://{}", proxy.address)
}

/// Large headers: a long cookie, and a credential that is restricted to many clusters.
#[tokio::test]
async fn large_headers_come_through() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let many: Vec<String> = (0..200).map(|n| format!("cluster-number-{n:04}")).collect();
        for id in &many {
            world.add_cluster(crate::harness::ORGANIZATION, id).await;
        }
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let key = world
            .key(Key {
                clusters: &many,
                ..Key::default()
            })
            .await;
        let key = through(&proxy, &key);
        let cookie = format!("big={}", "c".repeat(6000));
        // The upstream narrows it, by all of them.
        let reply = key.get_with("/v1/summary", &[("cookie", &cookie)]).await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        let seen = world.upstream.last();
        assert_eq!(seen.header("cookie"), cookie, "{kind:?}");
        let told = seen.header("x-scopegate-clusters").split(',').count();
        assert_eq!(told, many.len(), "{kind:?}");
    }
}
