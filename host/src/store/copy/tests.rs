use tempfile::TempDir;
use uuid::Uuid;

use super::{Copied, CopyError, copy};
use crate::{
    audit::Evidence,
    contract::Authority,
    factor::Sealed,
    key::KeyHash,
    store::{
        Actor, Change, Expected, Missing, NewInvitation, Page, PolicyActivation, PolicyChange,
        PolicyShadow, PolicySource, Purpose, Session, Store,
        fixture::{Engine, Fixture, NOW_MS},
    },
};

const NOW: i64 = NOW_MS / 1000;

async fn fresh(engine: Engine) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let url = engine.url(&dir);
    let store = Store::open(&url, Purpose::Serve, Missing::Create).await;
    (dir, store.unwrap())
}

fn session(user: Uuid) -> Session {
    Session {
        id: Uuid::new_v4(),
        user,
        auth_time: NOW,
        mfa: true,
        expires_at: NOW + 3600,
        revoked_at: None,
    }
}

/// A store with a row in every table; gives a user, and one of their keys with its hash.
async fn filled() -> (Fixture, Uuid, Uuid, KeyHash) {
    let fixture = Fixture::new(Authority::Owner).await;
    let organization = fixture.organization;
    let role = Change::SetCustomRole {
        organization,
        name: "on-call".to_owned(),
        permissions: vec!["*:read".to_owned()],
        expected: Expected::Anything,
    };
    fixture.make(role).await;
    let ada = fixture.user("Ada@example.com", "on-call").await;
    let (key, hash) = fixture.key(Some(ada)).await;
    fixture.agent("prod").await;
    let (mut next, _) = fixture.new_key(Some(ada));
    next.credential.predecessor = Some(key);
    let rotate = Change::Rotate {
        old: key,
        retires_at: NOW + 60,
        new: Box::new(next),
    };
    fixture.make(rotate).await;
    let invitation = NewInvitation {
        hash: KeyHash::of("invitation"),
        expires_at: NOW + 60,
    };
    let component = vec![7; 100_000];
    for change in [
        Change::OpenSession(session(ada)),
        Change::OpenSession(session(ada)),
        Change::Invite {
            user: ada,
            invitation,
        },
        Change::BeginFactor {
            user: ada,
            secret: Sealed::from_bytes(vec![1, 2, 3]),
        },
        Change::Policy(Box::new(PolicyChange::Activate(PolicyActivation {
            digest: "sha256:1".to_owned(),
            name: "one".to_owned(),
            version: "1".to_owned(),
            component: Some(component.clone().into()),
            source: PolicySource::Push,
            configured: "one".to_owned(),
            replaces: None,
            after: None,
            kept_max: 3,
        }))),
        Change::Policy(Box::new(PolicyChange::Shadow(PolicyShadow {
            digest: "sha256:2".to_owned(),
            name: "two".to_owned(),
            version: "1".to_owned(),
            component: component.into(),
            replaces: None,
        }))),
    ] {
        fixture.make(change).await;
    }
    let lines = (0..2500).map(|number| {
        format!(
            r#"{{"time":"2026-0{}-07T10:00:00Z","request_id":"{number}","kind":"api-key","organization":"{organization}","method":"GET","outcome":"admit","micros":{number}}}"#,
            number / 1000 + 1
        )
    });
    let store = fixture.directory.store();
    store
        .append_audit(&lines.collect::<Vec<_>>())
        .await
        .unwrap();
    store
        .set_last_uses(&[(key, NOW), (ada, NOW)])
        .await
        .unwrap();
    (fixture, ada, key, hash)
}

#[tokio::test]
async fn a_copy_is_the_same_and_goes_on_where_it_was() {
    let (fixture, ada, key, hash) = filled().await;
    let source = fixture.directory.store();
    let (_dir, target) = fresh(Engine::Postgres).await;
    let first = copy(source, &target).await.unwrap();
    assert!(
        first.added > 2500 && first.changed + first.removed == 0,
        "{first:?}"
    );
    assert_eq!(first.compared, first.added);

    let facts = target.find_credential_by_hash(&hash).await.unwrap();
    assert_eq!(facts, source.find_credential_by_hash(&hash).await.unwrap());
    assert_eq!(
        target.list_policies().await.unwrap(),
        source.list_policies().await.unwrap()
    );
    let all = Page {
        after: None,
        limit: 10,
    };
    let sessions = source.open_sessions(ada, NOW, &all).await.unwrap();
    assert_eq!(
        target.open_sessions(ada, NOW, &all).await.unwrap(),
        sessions
    );
    let unsigned = Evidence {
        unsigned: true,
        ..Evidence::default()
    };
    let report = target.verify_audit(unsigned).await.unwrap();
    assert!(report.is_clean() && report.records > 2500, "{report:?}");

    // Nothing is left to do; and then only what was changed.
    let again = copy(source, &target).await.unwrap();
    let nothing = Copied {
        compared: first.compared,
        ..Copied::default()
    };
    assert_eq!(again, nothing);
    fixture.make(Change::Revoke(key)).await;
    fixture.make(Change::RemoveFactor(ada)).await;
    let later = copy(source, &target).await.unwrap();
    assert_eq!(
        (later.added, later.changed, later.removed),
        (2, 1, 1),
        "{later:?}"
    );
    let facts = target
        .find_credential_by_hash(&hash)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(facts.credential.revoked_at, Some(NOW));

    // What is opened there comes after what was copied.
    let opened = session(ada);
    let id = opened.id;
    let (open, origin) = (Change::OpenSession(opened), Actor::Machine.into());
    assert!(
        target
            .apply(&open, &origin, NOW_MS, None)
            .await
            .unwrap()
            .changed
    );
    let newest = target.open_sessions(ada, NOW, &all).await.unwrap();
    assert_eq!(newest[0].1.session.id, id);

    // And the way back.
    let (_back, back) = fresh(Engine::Sqlite).await;
    let returned = copy(&target, &back).await.unwrap();
    assert_eq!(returned.compared, returned.added);
    assert_eq!(copy(&back, &target).await.unwrap().added, 0);
}

#[tokio::test]
async fn another_store_is_never_copied_over() {
    let (fixture, ..) = filled().await;
    let other = Fixture::on(Engine::Postgres, Authority::Owner).await;
    let refused = copy(fixture.directory.store(), other.directory.store()).await;
    assert!(matches!(refused, Err(CopyError::Other)), "{refused:?}");
    // Nor one that was a copy and has gone its own way since.
    let (_dir, target) = fresh(Engine::Postgres).await;
    copy(fixture.directory.store(), &target).await.unwrap();
    target.append_audit(&["{}".to_owned()]).await.unwrap();
    let refused = copy(fixture.directory.store(), &target).await;
    assert!(matches!(refused, Err(CopyError::Other)), "{refused:?}");
    assert_eq!(
        other
            .directory
            .store()
            .list_organizations()
            .await
            .unwrap()
            .len(),
        1
    );
}
