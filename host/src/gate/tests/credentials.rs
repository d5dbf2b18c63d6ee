//! Who is who: three answers, several credentials, rejected ones and what they cost their address.

use scopegate_policy::Reason;

use super::world::{NOW_MS, World, ask, get, limits};
use crate::{
    Cause, Verdict,
    store::{Change, CredentialKind},
};

#[tokio::test]
async fn three_answers() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    assert_eq!(
        get("/v1/organization").cause(&world).await,
        Cause::NotAuthenticated
    );
    assert_eq!(
        get("/v1/organization").bearer(&key).status(&world).await,
        200
    );
    for rejected in ["sg_live_nothing", "", "x"] {
        assert_eq!(
            get("/v1/organization").bearer(rejected).cause(&world).await,
            Cause::UnknownCredential
        );
        // Not even a public route rescues a rejected credential.
        assert_eq!(get("/v1/health").bearer(rejected).status(&world).await, 401);
    }
    assert_eq!(get("/v1/health").status(&world).await, 200);
}

#[tokio::test]
async fn a_key_in_each_of_the_three_ways() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let agent = world.agent("prod").await;
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bEaReR {key}")),
        ("authorization", format!("ApiKey {key}")),
        ("X-API-Key", key.clone()),
    ] {
        assert_eq!(
            get("/v1/organization")
                .header(name, &value)
                .status(&world)
                .await,
            200,
            "{name}"
        );
    }
    for (name, value) in [
        ("authorization", format!("Bearer {agent}")),
        ("x-api-key", agent.clone()),
    ] {
        assert_eq!(
            ask("POST", "/v1/metrics")
                .header(name, &value)
                .status(&world)
                .await,
            200,
            "{name}"
        );
    }
}

#[tokio::test]
async fn several_credentials_are_refused_before_any_look_up() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    for request in [
        get("/v1/organization")
            .bearer(&key)
            .header("x-api-key", &key),
        get("/v1/organization").bearer(&key).bearer(&key),
        get("/v1/organization")
            .bearer(&key)
            .header("x-api-key", "bad"),
        get("/v1/health")
            .header("x-api-key", &key)
            .header("x-api-key", "bad"),
    ] {
        let refusal = request.refused(&world).await;
        assert_eq!(
            (refusal.status.as_u16(), refusal.cause),
            (400, Cause::SeveralCredentials)
        );
    }
    // No failure was counted.
    assert_eq!(
        limits(
            &get("/v1/organization")
                .bearer("bad")
                .refused(&world)
                .await
                .headers
        ),
        (100, 99)
    );
    for contract in ["kubewatch", "kubeadapt"] {
        let world = World::new(contract).await;
        let refusal = get("/v1/organization")
            .bearer("a")
            .bearer("b")
            .refused(&world)
            .await;
        assert_eq!(
            (refusal.status.as_u16(), refusal.cause),
            (401, Cause::SeveralCredentials)
        );
    }
}

#[tokio::test]
async fn a_bad_checksum_is_refused_without_a_look_up() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    world.fixture.directory.store().close().await;
    let mut wrong = key.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    assert_eq!(
        get("/v1/organization").bearer(&wrong).cause(&world).await,
        Cause::UnknownCredential
    );
    // The right one needs the store, which is gone.
    assert!(matches!(
        get("/v1/organization").bearer(&key).cause(&world).await,
        Cause::Unavailable(_)
    ));
}

#[tokio::test]
async fn a_key_ends_with_its_expiry_its_revocation_and_its_owner() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let expiring = world
        .key(Some(owner), |key| key.expires_at = Some(NOW_MS / 1000 + 10))
        .await;
    let request = get("/v1/organization").bearer(&expiring);
    assert_eq!(request.clone().at(NOW_MS + 9_999).status(&world).await, 200);
    assert_eq!(
        request.at(NOW_MS + 10_000).cause(&world).await,
        Cause::Expired
    );

    let (id, revoked) = world
        .mint(CredentialKind::ApiKey, Some(owner), |_| {})
        .await;
    let kept = world.key(Some(owner), |_| {}).await;
    assert_eq!(
        get("/v1/organization")
            .bearer(&revoked)
            .status(&world)
            .await,
        200
    );
    world.fixture.make(Change::Revoke(id)).await;
    assert_eq!(
        get("/v1/organization").bearer(&revoked).cause(&world).await,
        Cause::Revoked
    );
    assert_eq!(
        get("/v1/organization").bearer(&kept).status(&world).await,
        200
    );
    world.fixture.make(Change::DisableUser(owner)).await;
    assert_eq!(
        get("/v1/organization").bearer(&kept).cause(&world).await,
        Cause::Revoked
    );
}

#[tokio::test]
async fn shape_comes_before_the_credential() {
    let world = World::new("scopegate").await;
    for (method, target) in [
        ("GET", "/v1/clusters/a%2Fb"),
        ("GET", "/../etc"),
        ("GET", "/v1/costs?cluster=a&cluster=b"),
        ("TRACE", "/v1/health"),
        ("CONNECT", "/v1/health"),
        ("get", "/v1/health"),
    ] {
        let refusal = ask(method, target).bearer("bad").refused(&world).await;
        assert_eq!(refusal.status.as_u16(), 400, "{method} {target}");
        // The limit headers are there all the same.
        assert_eq!(limits(&refusal.headers), (100, 100));
    }
    let twice = ask("POST", "/v1/metrics")
        .header("x-cluster-id", "a")
        .header("x-cluster-id", "a");
    assert_eq!(twice.status(&world).await, 400);
    assert_eq!(
        get("/V1/health").cause(&world).await,
        Cause::Denied(Reason::AmbiguousPath)
    );
}

#[tokio::test]
async fn rejected_credentials_count_against_their_address() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let (cached, uncached) = (
        world.key(Some(owner), |_| {}).await,
        world.key(Some(owner), |_| {}).await,
    );
    let session = world.session(owner).await;
    let unknown_session = world.session(owner).await;
    assert_eq!(
        get("/v1/organization").bearer(&cached).status(&world).await,
        200
    );
    assert_eq!(
        get("/v1/organization")
            .bearer(&session)
            .status(&world)
            .await,
        200
    );
    let most = world.gate.contract().limits.failures;
    for n in 0..most {
        let refusal = get("/v1/organization").bearer("bad").refused(&world).await;
        assert_eq!(refusal.cause, Cause::UnknownCredential);
        assert_eq!(
            limits(&refusal.headers),
            (most, most - 1 - n),
            "the 401 shows the failures' bucket"
        );
    }
    let over = get("/v1/organization").bearer("bad").refused(&world).await;
    assert_eq!(
        (over.status.as_u16(), &over.cause),
        (429, &Cause::TooManyFailures)
    );
    assert!(over.headers.contains_key("retry-after"));
    // What is cached and valid still gets in; nothing else does, and nothing is looked up for it.
    assert_eq!(
        get("/v1/organization").bearer(&cached).status(&world).await,
        200
    );
    assert_eq!(
        get("/v1/organization")
            .bearer(&session)
            .status(&world)
            .await,
        200
    );
    for request in [
        get("/v1/organization").bearer(&uncached),
        get("/v1/organization").bearer(&unknown_session),
        get("/v1/organization").header("authorization", "Basic eDp5"),
        get("/v1/health"),
    ] {
        assert_eq!(request.cause(&world).await, Cause::TooManyFailures);
    }
    // Others are not concerned, and it ends.
    assert_eq!(
        get("/v1/organization")
            .bearer(&uncached)
            .from("192.0.2.2")
            .status(&world)
            .await,
        200
    );
    assert_eq!(
        get("/v1/health").at(NOW_MS + 120_000).status(&world).await,
        200
    );
}

#[tokio::test]
async fn addresses_are_counted_by_64_and_through_trusted_proxies() {
    let world = World::with("scopegate", |parts| {
        parts.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let remaining = |verdict: Verdict| match verdict {
        Verdict::Refuse(refusal) => limits(&refusal.headers).1,
        Verdict::Admit(_) => panic!("admitted"),
    };
    let bad = || get("/v1/organization").bearer("bad");
    assert_eq!(remaining(bad().from("2001:db8::1").on(&world).await), 99);
    assert_eq!(remaining(bad().from("2001:db8::2:2").on(&world).await), 98);
    assert_eq!(
        remaining(bad().from("2001:db8:0:1::1").on(&world).await),
        99
    );
    let forwarded = bad().header("x-forwarded-for", "198.51.100.7");
    assert_eq!(
        remaining(forwarded.clone().from("10.1.1.1").on(&world).await),
        99
    );
    assert_eq!(
        remaining(forwarded.clone().from("10.1.1.2").on(&world).await),
        98
    );
    // Not believed from anybody else.
    assert_eq!(
        remaining(forwarded.from("198.51.100.9").on(&world).await),
        99
    );
    assert_eq!(
        remaining(bad().from("::ffff:198.51.100.7").on(&world).await),
        97
    );
}

#[tokio::test]
async fn management_is_not_for_the_nameless() {
    let world = World::new("scopegate").await;
    assert_eq!(
        get("/-/api/keys").cause(&world).await,
        Cause::NotAuthenticated
    );
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_in_debug_texts() {
    let world = World::new("scopegate").await;
    let owner = world.admin().await;
    let (key, session) = (
        world.key(Some(owner), |_| {}).await,
        world.session(owner).await,
    );
    for secret in [&key, &session] {
        for request in [
            get("/v1/organization").bearer(secret),
            get(&format!("/v1/organization?token={secret}")).bearer(secret),
            get(&format!("/v1/{secret}/x")),
            get("/v1/organization")
                .bearer(secret)
                .header("x-api-key", secret),
        ] {
            let text = format!("{:?} {:?}", request.request(), request.on(&world).await);
            let shown = text.replace(&format!("/v1/{secret}/x"), "");
            assert!(!shown.contains(secret.as_str()), "{shown}");
        }
        assert!(!world.text_of_log().await.contains(secret.as_str()));
    }
}
