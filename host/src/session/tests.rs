use std::time::{Duration, Instant};

use super::*;
use crate::{
    KeyRing,
    contract::Authority,
    directory::LookUp,
    password::{self, PASSWORD_BYTES_MAX},
    store::fixture::{Fixture, NOW_MS},
};

const HOUR_MS: i64 = 3600 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

async fn sessions() -> (Fixture, Sessions, Uuid) {
    let fixture = Fixture::new(Authority::Owner).await;
    let hash = password::hash(&secret("correct horse")).unwrap();
    let ada = fixture.user_with_password("ada@example.com", hash).await;
    let sessions = of(&fixture);
    (fixture, sessions, ada)
}

fn of(fixture: &Fixture) -> Sessions {
    let keys = KeyRing::ephemeral().unwrap().into();
    let contract = Contract::builtin("scopegate").unwrap();
    let passwords = Passwords::new().unwrap();
    Sessions::new(fixture.directory.clone(), passwords, &contract, keys)
}

async fn attempt(sessions: &Sessions, email: &str, password: &str, now_ms: i64) -> LoginOutcome {
    let attempt = Attempt {
        email: email.to_owned(),
        password: secret(password),
        otp: None,
    };
    sessions
        .login(attempt, Actor::Gate.into(), now_ms)
        .await
        .unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

async fn login(sessions: &Sessions) -> Grant {
    match attempt(sessions, "ADA@example.com", "correct horse", NOW_MS).await {
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
    assert!(matches!(found, LookUp::Found(_)));
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
        let outcome = attempt(&sessions, email, password, NOW_MS).await;
        assert!(
            matches!(outcome, LoginOutcome::Refused),
            "{email:?}: {outcome:?}"
        );
    }
    fixture.make(Change::DisableUser(ada)).await;
    let outcome = attempt(&sessions, "ada@example.com", "correct horse", NOW_MS).await;
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
            attempt(&sessions, email, "wrong password", NOW_MS).await;
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
    assert!(matches!(over, LookUp::Expired(_)));
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

    sessions
        .logout(first.session, Actor::User(ada).into(), NOW_MS)
        .await
        .unwrap();
    sessions
        .logout(first.session, Actor::User(ada).into(), NOW_MS)
        .await
        .unwrap();
    sessions
        .logout(Uuid::new_v4(), Actor::User(ada).into(), NOW_MS)
        .await
        .unwrap();
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
    attempt(&sessions, "ada@example.com", "correct horse", later).await;
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

async fn change(sessions: &Sessions, by: &Grant, current: &str, new: &str) -> PasswordOutcome {
    let user = by.user.id;
    sessions
        .change_password(
            by.session,
            user,
            secret(current),
            secret(new),
            Actor::User(user).into(),
            NOW_MS,
        )
        .await
        .unwrap()
}

async fn is_open(fixture: &Fixture, grant: &Grant) -> bool {
    let found = fixture
        .directory
        .by_session(grant.session, grant.user.id, NOW_MS)
        .await;
    matches!(found.unwrap(), LookUp::Found(_))
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let (fixture, sessions, _) = sessions().await;
    let (here, there) = (login(&sessions).await, login(&sessions).await);
    assert!(is_open(&fixture, &here).await && is_open(&fixture, &there).await);
    for (current, new, expected) in [
        (
            "wrong horse",
            "battery staple",
            PasswordOutcome::WrongPassword,
        ),
        (
            "correct horse",
            "short",
            PasswordOutcome::BadPassword(BadPassword::TooShort),
        ),
    ] {
        assert_eq!(change(&sessions, &here, current, new).await, expected);
        assert!(is_open(&fixture, &there).await, "nothing happened");
    }
    assert_eq!(
        change(&sessions, &here, "correct horse", "battery staple").await,
        PasswordOutcome::Changed
    );
    assert!(is_open(&fixture, &here).await);
    assert!(!is_open(&fixture, &there).await);
    let old = attempt(&sessions, "ada@example.com", "correct horse", NOW_MS).await;
    assert!(matches!(old, LoginOutcome::Refused), "{old:?}");
    let new = attempt(&sessions, "ada@example.com", "battery staple", NOW_MS).await;
    assert!(matches!(new, LoginOutcome::Granted(_)), "{new:?}");
    let events = fixture.changes(10).await;
    let event = events
        .iter()
        .find(|event| event["action"] == "user.set-password");
    assert_eq!(event.unwrap()["actor"], here.user.id.to_string());
}

/// The password may be changed between its verification and the opening of the session.
#[tokio::test]
async fn a_password_that_was_changed_meanwhile_opens_nothing() {
    let (fixture, sessions, ada) = sessions().await;
    let old = fixture.directory.store().find_login_of(ada).await.unwrap();
    let old = old.unwrap().password.unwrap();
    let here = login(&sessions).await;
    change(&sessions, &here, "correct horse", "battery staple").await;
    let late = Change::LogIn(Box::new(LogIn {
        session: Session {
            id: Uuid::new_v4(),
            user: ada,
            auth_time: 0,
            mfa: false,
            expires_at: NOW_MS,
            revoked_at: None,
        },
        password: old,
        code: None,
    }));
    assert_eq!(
        fixture.try_make(late).await,
        Err(Conflict::PasswordChanged.into())
    );
}

#[tokio::test]
async fn signing_out_everywhere_leaves_keys() {
    let (fixture, sessions, ada) = sessions().await;
    let (first, second) = (login(&sessions).await, login(&sessions).await);
    let (_, hash) = fixture.key(Some(ada)).await;
    let out = |except| sessions.end_all(ada, except, Actor::User(ada).into(), NOW_MS);
    assert!(out(Some(first.session)).await.unwrap());
    assert!(is_open(&fixture, &first).await && !is_open(&fixture, &second).await);
    assert!(out(None).await.unwrap());
    assert!(!is_open(&fixture, &first).await);
    assert!(!out(None).await.unwrap(), "none is left");
    let key = fixture.directory.by_key(&hash, NOW_MS).await.unwrap();
    assert!(matches!(key, crate::directory::LookUp::Found(_)));
}
