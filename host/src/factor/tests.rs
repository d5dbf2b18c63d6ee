//! Second factors by the host's own doors: enrolled, asked for, used once, locked, recovered from, removed.

mod world;

use secrecy::ExposeSecret;
use uuid::Uuid;

use super::*;
use crate::{
    Contract, KeyRing, Sessions,
    directory::LookUp,
    password::Passwords,
    session::LoginOutcome,
    store::{Conflict, fixture::NOW_MS},
};
use world::{Enrolled, PASSWORD, STEP_MS, World, code, wrong};

/// RFC 6238, appendix B, cut to six digits.
#[test]
fn codes_are_those_of_the_standard() {
    let secret = b"12345678901234567890";
    for (secs, digits) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_234_567_890, "005924"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(code(secret, secs * 1000), digits);
        let step = secs / 30;
        for apart in [-30, 0, 30] {
            assert_eq!(
                step_of(secret, digits, (secs + apart) * 1000),
                Some(step),
                "one step either way"
            );
        }
        for apart in [-90, 90] {
            assert_eq!(step_of(secret, digits, (secs + apart) * 1000), None);
        }
    }
    assert_eq!(step_of(secret, "287082", -1), None);
}

#[tokio::test]
async fn an_enrolment_counts_once_it_is_confirmed() {
    let world = World::new().await;
    let (here, there) = (
        world.enter(None, NOW_MS).await,
        world.enter(None, NOW_MS).await,
    );
    let begun = world
        .sessions
        .begin_factor(world.ada, world.origin(), NOW_MS);
    let begun = begun.await.unwrap();
    let (secret, url) = (begun.secret.expose_secret(), begun.url.expose_secret());
    assert_eq!(secret.len(), 32, "160 bits");
    assert_eq!(
        url,
        format!("otpauth://totp/scopegate:ada%40example.com?secret={secret}&issuer=scopegate")
    );
    assert!(!format!("{begun:?}").contains(secret));
    assert!(!world.enter(None, NOW_MS).await.mfa, "not yet");

    // Another one takes its place.
    let secret = world.begin().await;
    let wrong = world.confirm(&here, &wrong(&secret, NOW_MS)).await;
    assert_eq!(wrong.unwrap_err(), FactorError::WrongCode);
    let recovery = world.confirm(&here, &code(&secret, NOW_MS)).await.unwrap();
    assert_eq!(recovery.len(), RECOVERY_CODES);
    assert!(world.is_open(&here).await && !world.is_open(&there).await);
    let facts = world
        .fixture
        .directory
        .store()
        .find_session(here.session)
        .await;
    assert!(facts.unwrap().unwrap().session.mfa);
    let again = world
        .sessions
        .begin_factor(world.ada, world.origin(), NOW_MS)
        .await;
    assert_eq!(
        again.unwrap_err(),
        FactorError::Conflict(Conflict::FactorExists)
    );
    let status = world
        .sessions
        .factor_status(world.ada)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (status.confirmed_at, status.recovery_codes_left),
        (Some(NOW_MS / 1000), 10)
    );
}

#[tokio::test]
async fn nothing_of_a_secret_is_in_the_store_or_its_events() {
    let world = World::new().await;
    let enrolled = world.enrolled().await;
    world.fixture.directory.store().close().await;
    let base32 = base32(&enrolled.secret);
    let plain: Vec<&str> = enrolled
        .recovery
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    for file in std::fs::read_dir(world.fixture.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!has(&enrolled.secret) && !has(base32.as_bytes()));
        assert!(!has(hex::encode(&enrolled.secret).as_bytes()));
        for code in &plain {
            assert!(!has(code.as_bytes()) && !has(code.replace('-', "").as_bytes()));
        }
    }
}

#[tokio::test]
async fn a_code_is_asked_for_and_works_once() {
    let world = World::new().await;
    let Enrolled { secret, .. } = world.enrolled().await;
    let asked = world.login(PASSWORD, None, NOW_MS).await;
    assert!(matches!(asked, LoginOutcome::OtpRequired), "{asked:?}");
    let refused =
        |outcome: LoginOutcome| assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
    // Nobody learns of it without the password, nor with any code.
    refused(world.login("wrong horse", None, NOW_MS).await);
    let later = NOW_MS + 10 * STEP_MS;
    refused(
        world
            .login("wrong horse", Some(&code(&secret, later)), later)
            .await,
    );
    // The code of the confirmation is used up, and so are those before it.
    for at in [NOW_MS, NOW_MS - STEP_MS] {
        refused(
            world
                .login(PASSWORD, Some(&code(&secret, at)), NOW_MS)
                .await,
        );
    }
    refused(
        world
            .login(PASSWORD, Some(&wrong(&secret, later)), later)
            .await,
    );
    // The row of wrong codes must not become one that locks.
    world
        .enter(Some(&code(&secret, later - STEP_MS)), later)
        .await;
    for junk in ["", "12345", "1234567", "abcdef", "１２３４５６", "+12345"] {
        refused(world.login(PASSWORD, Some(junk), later).await);
    }
    let digits = code(&secret, later);
    let spaced = format!("{} {}", &digits[..3], &digits[3..]);
    assert!(world.enter(Some(&spaced), later).await.mfa);
    refused(world.login(PASSWORD, Some(&digits), later).await);
    // One step ahead is good; then the present one comes too late.
    let ahead = later + STEP_MS;
    assert!(
        world
            .enter(Some(&code(&secret, ahead + STEP_MS)), ahead)
            .await
            .mfa
    );
    refused(
        world
            .login(PASSWORD, Some(&code(&secret, ahead)), ahead)
            .await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_with_one_code_one_gets_in() {
    let world = World::new().await;
    let Enrolled {
        secret, recovery, ..
    } = world.enrolled().await;
    for round in 1..=10 {
        let at = NOW_MS + round * 10 * STEP_MS;
        let digits = match round {
            1..5 => code(&secret, at),
            round => recovery[usize::try_from(round - 1).unwrap()]
                .expose_secret()
                .to_owned(),
        };
        let (one, two, three) = tokio::join!(
            world.login(PASSWORD, Some(&digits), at),
            world.login(PASSWORD, Some(&digits), at),
            world.login(PASSWORD, Some(&digits), at),
        );
        let outcomes = [one, two, three];
        let granted = outcomes
            .iter()
            .filter(|o| matches!(o, LoginOutcome::Granted(_)));
        let refused = outcomes
            .iter()
            .filter(|o| matches!(o, LoginOutcome::Refused));
        let others = outcomes
            .iter()
            .filter(|o| matches!(o, LoginOutcome::Overloaded));
        assert_eq!(granted.count(), 1, "{outcomes:?}");
        assert_eq!(refused.count() + others.count(), 2, "{outcomes:?}");
    }
}

#[tokio::test]
async fn recovery_codes_work_once_each() {
    let world = World::new().await;
    let Enrolled { recovery, .. } = world.enrolled().await;
    let first = recovery[0].expose_secret();
    let groups: Vec<usize> = first.split('-').map(str::len).collect();
    assert_eq!(groups, [4; 4], "80 bits in base32: {first}");
    let typed = first.to_lowercase().replace('-', " ");
    assert!(world.enter(Some(&typed), NOW_MS).await.mfa);
    let again = world.login(PASSWORD, Some(first), NOW_MS).await;
    assert!(matches!(again, LoginOutcome::Refused), "{again:?}");
    let left = || async {
        let status = world.sessions.factor_status(world.ada).await.unwrap();
        status.unwrap().recovery_codes_left
    };
    assert_eq!(left().await, 9);
    let new = world
        .sessions
        .new_recovery_codes(world.ada, world.origin(), NOW_MS);
    let new = new.await.unwrap();
    assert_eq!((left().await, new.len()), (10, 10));
    let old = world
        .login(PASSWORD, Some(recovery[1].expose_secret()), NOW_MS)
        .await;
    assert!(matches!(old, LoginOutcome::Refused), "{old:?}");
    assert!(world.enter(Some(new[0].expose_secret()), NOW_MS).await.mfa);
    let events = world.fixture.changes(1).await;
    assert_eq!(events[0]["action"], "session.open");
    assert_eq!(events[0]["detail"]["recovery_code"], true);
}

#[tokio::test]
async fn wrong_codes_lock_the_factor_for_a_while() {
    let world = World::new().await;
    let Enrolled {
        secret, recovery, ..
    } = world.enrolled().await;
    let bad = async |at| world.login(PASSWORD, Some(&wrong(&secret, at)), at).await;
    let at = NOW_MS + 10 * STEP_MS;
    // Strangers do not get as far as the code.
    for _ in 0..20 {
        world.login("wrong horse", Some("000000"), at).await;
    }
    for _ in 0..9 {
        assert!(matches!(bad(at).await, LoginOutcome::Refused));
    }
    // A right one ends the row.
    world.enter(Some(&code(&secret, at)), at).await;
    for _ in 0..10 {
        assert!(matches!(bad(at).await, LoginOutcome::Refused));
    }
    let until = at / 1000 + 15 * 60;
    let right = code(&secret, at + 2 * STEP_MS);
    for otp in [&right, "000000", ""] {
        match world.login(PASSWORD, Some(otp), at + 2 * STEP_MS).await {
            LoginOutcome::FactorLocked(locked) => assert_eq!(locked, until),
            other => panic!("{otp}: {other:?}"),
        }
    }
    // Whoever lacks the password sees nothing of it, and a recovery code gets in all the same.
    let stranger = world.login("wrong horse", Some(&right), at).await;
    assert!(matches!(stranger, LoginOutcome::Refused));
    world.enter(Some(recovery[0].expose_secret()), at).await;
    // The next lock is twice as long.
    let at = until * 1000;
    for _ in 0..10 {
        assert!(matches!(bad(at).await, LoginOutcome::Refused));
    }
    match bad(at).await {
        LoginOutcome::FactorLocked(locked) => assert_eq!(locked, until + 30 * 60),
        other => panic!("{other:?}"),
    }
    let at = (until + 30 * 60) * 1000;
    world.enter(Some(&code(&secret, at)), at).await;
}

#[tokio::test]
async fn sessions_without_the_factor_are_over_and_keys_go_on() {
    let world = World::new().await;
    let (_, hash) = world.fixture.key(Some(world.ada)).await;
    let enrolled = world.enrolled().await;
    let key = world.fixture.directory.by_key(&hash, NOW_MS).await.unwrap();
    assert!(matches!(key, LookUp::Found(_)));
    // However one came about.
    let session = crate::store::Session {
        id: Uuid::new_v4(),
        user: world.ada,
        auth_time: NOW_MS / 1000,
        mfa: false,
        expires_at: NOW_MS / 1000 + 60,
        revoked_at: None,
    };
    let id = session.id;
    world
        .fixture
        .make(crate::store::Change::OpenSession(session))
        .await;
    let found = world
        .fixture
        .directory
        .by_session(id, world.ada, NOW_MS)
        .await;
    assert!(matches!(found.unwrap(), LookUp::Revoked(_)));
    let refreshed = world.sessions.refresh(id, world.ada, NOW_MS).await.unwrap();
    assert!(matches!(refreshed, crate::session::RefreshOutcome::Revoked));

    let remove = || {
        world
            .sessions
            .remove_factor(world.ada, world.origin(), NOW_MS)
    };
    assert!(remove().await.unwrap());
    assert!(!remove().await.unwrap());
    assert!(world.is_open(&enrolled.session).await);
    assert!(!world.enter(None, NOW_MS).await.mfa);
    let old = enrolled.recovery[0].expose_secret();
    assert!(
        !world.enter(Some(old), NOW_MS).await.mfa,
        "nobody asks for it any more"
    );
    assert_eq!(world.sessions.factor_status(world.ada).await.unwrap(), None);
    let codes = world
        .sessions
        .new_recovery_codes(world.ada, world.origin(), NOW_MS);
    assert_eq!(
        codes.await.unwrap_err(),
        FactorError::Conflict(Conflict::NoFactor)
    );
}

#[tokio::test]
async fn without_a_sealing_secret_nothing_is_enrolled() {
    let world = World::new().await;
    let path = world.fixture.dir.path().join("keys.json");
    KeyRing::create(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut content: serde_json::Value = serde_json::from_str(&text).unwrap();
    content.as_object_mut().unwrap().remove("sealing");
    std::fs::write(&path, content.to_string()).unwrap();
    let sessions = Sessions::new(
        world.fixture.directory.clone(),
        Passwords::new().unwrap(),
        &Contract::builtin("scopegate").unwrap(),
        KeyRing::load(&path).unwrap().into(),
    );
    let error = sessions
        .begin_factor(world.ada, world.origin(), NOW_MS)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error, FactorError::NoSealing);
    assert!(error.to_string().contains("scopegate signing-key rotate"));
}

#[tokio::test]
async fn every_change_of_a_factor_is_an_event() {
    let world = World::new().await;
    world.enrolled().await;
    let codes = world
        .sessions
        .new_recovery_codes(world.ada, world.origin(), NOW_MS);
    codes.await.unwrap();
    world.login(PASSWORD, Some("000000"), NOW_MS).await;
    world
        .sessions
        .remove_factor(world.ada, world.origin(), NOW_MS)
        .await
        .unwrap();
    let mut events = world.fixture.changes(5).await;
    events.reverse();
    let actions: Vec<_> = events.iter().map(|event| &event["action"]).collect();
    assert_eq!(
        actions,
        [
            "factor.begin",
            "factor.confirm",
            "factor.recovery-codes",
            "factor.fail",
            "factor.remove"
        ]
    );
    for event in &events {
        assert_eq!(event["subject"], world.ada.to_string());
        assert_eq!(
            event["organization"],
            world.fixture.organization.to_string()
        );
    }
}
