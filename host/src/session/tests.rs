use std::time::{Duration, Instant};

use super::*;
use crate::{
    contract::Authority,
    directory::SessionLookup,
    password::{self, PASSWORD_BYTES_MAX},
    store::fixture::{Fixture, NOW_MS},
};

const HOUR_MS: i64 = 3600 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

async fn sessions() -> (Fixture, Sessions, Uuid) {
    let fixture = Fixture::new(Authority::Owner).await;
    let hash = password::hash(&secret("correct horse")).unwrap();
    let ada = fixture.user_with_password("ada@example.com", hash).await;
    let rules = SessionRules {
        ttl_secs: 24 * 3600,
        life_secs_max: 7 * 24 * 3600,
    };
    let sessions = Sessions::new(fixture.directory.clone(), Passwords::new().unwrap(), rules);
    (fixture, sessions, ada)
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

async fn login(sessions: &Sessions) -> Grant {
    match sessions
        .login("ADA@example.com", secret("correct horse"), NOW_MS)
        .await
        .unwrap()
    {
        LoginOutcome::Granted(grant) => *grant,
        other => panic!("{other:?}"),
    }
}

async fn refresh(sessions: &Sessions, of: &Grant, now_ms: i64) -> RefreshOutcome {
    sessions
        .refresh(of.session, of.user.id, now_ms)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_right_password_opens_a_session() {
    let (fixture, sessions, ada) = sessions().await;
    let grant = login(&sessions).await;
    assert_eq!(
        (grant.user.id, grant.user.email.as_str()),
        (ada, "ada@example.com")
    );
    assert_eq!(grant.user.organization, Some(fixture.organization));
    assert_eq!(
        (grant.auth_time, grant.issued_at),
        (NOW_MS / 1000, NOW_MS / 1000)
    );
    assert_eq!(grant.expires_at, (NOW_MS + DAY_MS) / 1000);
    assert!(!grant.mfa);
    let found = fixture
        .directory
        .by_session(grant.session, ada, NOW_MS)
        .await
        .unwrap();
    assert!(matches!(found, SessionLookup::Found(_)));
    assert_ne!(grant.session, login(&sessions).await.session);
}

#[tokio::test]
async fn every_other_login_is_refused_alike() {
    let (fixture, sessions, ada) = sessions().await;
    fixture.user("no-password@example.com", "viewer").await;
    let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
    for (email, password) in [
        ("ada@example.com", "wrong password"),
        ("ada@example.com", ""),
        ("ada@example.com", long.as_str()),
        ("nobody@example.com", "correct horse"),
        ("no-password@example.com", "correct horse"),
        ("not an address", "correct horse"),
        ("ada@example.com\0", "correct horse"),
        ("%", "correct horse"),
    ] {
        let outcome = sessions
            .login(email, secret(password), NOW_MS)
            .await
            .unwrap();
        assert!(
            matches!(outcome, LoginOutcome::Refused),
            "{email:?}: {outcome:?}"
        );
    }
    fixture.make(Change::DisableUser(ada)).await;
    let outcome = sessions
        .login("ada@example.com", secret("correct horse"), NOW_MS)
        .await
        .unwrap();
    assert!(
        matches!(outcome, LoginOutcome::Refused),
        "disabled: {outcome:?}"
    );
}

/// The best of several times, so that a busy machine does not decide the test.
#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let (_fixture, sessions, _) = sessions().await;
    let mut best = [Duration::MAX; 2];
    for _ in 0..8 {
        for (email, best) in ["ada@example.com", "nobody@example.com"]
            .into_iter()
            .zip(&mut best)
        {
            let start = Instant::now();
            sessions
                .login(email, secret("wrong password"), NOW_MS)
                .await
                .unwrap();
            *best = start.elapsed().min(*best);
        }
    }
    let [known, unknown] = best.map(|time| time.as_secs_f64());
    assert!(
        (0.5..2.0).contains(&(known / unknown)),
        "{known} s against {unknown} s"
    );
}

#[tokio::test]
async fn a_refresh_keeps_the_session_and_ends_with_it() {
    let (fixture, sessions, ada) = sessions().await;
    let first = login(&sessions).await;
    fixture
        .make(Change::SetRole {
            user: ada,
            role: "editor".to_owned(),
        })
        .await;
    let RefreshOutcome::Granted(second) = refresh(&sessions, &first, NOW_MS + 20 * HOUR_MS).await
    else {
        panic!()
    };
    assert_eq!(
        (second.session, second.auth_time),
        (first.session, first.auth_time)
    );
    assert_eq!(second.expires_at, (NOW_MS + 20 * HOUR_MS + DAY_MS) / 1000);
    assert_eq!(second.user.role.as_deref(), Some("editor"), "as of now");

    let end = NOW_MS + 7 * DAY_MS;
    let RefreshOutcome::Granted(last) = refresh(&sessions, &first, end - HOUR_MS).await else {
        panic!()
    };
    assert_eq!(last.expires_at, end / 1000, "not beyond the session");
    assert!(matches!(
        refresh(&sessions, &first, end).await,
        RefreshOutcome::Expired
    ));
    let over = fixture
        .directory
        .by_session(first.session, ada, end)
        .await
        .unwrap();
    assert!(matches!(over, SessionLookup::Expired));
}

#[tokio::test]
async fn nobody_refreshes_what_has_ended() {
    let (fixture, sessions, ada) = sessions().await;
    let (first, second) = (login(&sessions).await, login(&sessions).await);
    let stolen = sessions
        .refresh(first.session, Uuid::now_v7(), NOW_MS)
        .await
        .unwrap();
    assert!(
        matches!(stolen, RefreshOutcome::Revoked),
        "for another user"
    );
    let unknown = sessions.refresh(Uuid::new_v4(), ada, NOW_MS).await.unwrap();
    assert!(matches!(unknown, RefreshOutcome::Revoked));

    sessions.logout(first.session, ada, NOW_MS).await.unwrap();
    sessions.logout(first.session, ada, NOW_MS).await.unwrap();
    sessions.logout(Uuid::new_v4(), ada, NOW_MS).await.unwrap();
    assert!(matches!(
        refresh(&sessions, &first, NOW_MS).await,
        RefreshOutcome::Revoked
    ));
    assert!(matches!(
        refresh(&sessions, &second, NOW_MS).await,
        RefreshOutcome::Granted(_)
    ));
    fixture.make(Change::DisableUser(ada)).await;
    assert!(matches!(
        refresh(&sessions, &second, NOW_MS).await,
        RefreshOutcome::Revoked
    ));
}

#[tokio::test]
async fn ended_sessions_are_forgotten_in_time() {
    let (fixture, sessions, _) = sessions().await;
    let old = login(&sessions).await;
    let later = NOW_MS + 40 * DAY_MS;
    sessions
        .login("ada@example.com", secret("correct horse"), later)
        .await
        .unwrap();
    assert!(
        fixture
            .directory
            .store()
            .find_session(old.session)
            .await
            .unwrap()
            .is_none()
    );
}
