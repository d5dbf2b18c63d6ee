mod ends;
mod races;

use std::time::Duration;

use futures_util::FutureExt;
use scopegate_policy::{Caller, CallerKind, Clusters};

use super::*;
use crate::store::{
    Session,
    fixture::{Fixture, NOW_MS},
};

async fn found(directory: &Directory, hash: &KeyHash) -> Arc<Principal> {
    match directory.by_key(hash, NOW_MS).await.unwrap() {
        LookUp::Found(principal) => principal,
        other => panic!("{other:?}"),
    }
}

/// Whose a key or agent token was that has ended: named, and without any authority.
async fn former(directory: &Directory, hash: &KeyHash) -> Arc<Principal> {
    let LookUp::Revoked(former) = directory.by_key(hash, NOW_MS).await.unwrap() else {
        panic!("it has ended");
    };
    let Caller {
        scopes,
        clusters,
        allowed_clusters,
        permissions,
        roles,
        ..
    } = &former.caller;
    assert_eq!(scopes.as_deref(), Some(&[][..]));
    let nothing = Clusters::only([""; 0]);
    assert_eq!((clusters, allowed_clusters), (&nothing, &nothing));
    assert!(permissions.is_empty() && roles.is_empty());
    former
}

async fn open_session(fixture: &Fixture, user: Uuid) -> Uuid {
    let session = Session {
        id: Uuid::new_v4(),
        user,
        auth_time: NOW_MS / 1000,
        mfa: false,
        expires_at: NOW_MS / 1000 + 3600,
        revoked_at: None,
    };
    let id = session.id;
    fixture.make(Change::OpenSession(session)).await;
    id
}

#[tokio::test]
async fn an_owners_key_is_its_owner_as_of_now() {
    let fixture = Fixture::new(Authority::Owner).await;
    let directory = &fixture.directory;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (mut new, _) = fixture.new_key(Some(ada));
    new.credential.scopes = Some(vec!["clusters:read".to_owned()]);
    new.credential.allowed_clusters = Clusters::only(["prod"]);
    let (id, hash) = fixture.mint(new).await;

    let principal = found(directory, &hash).await;
    assert_eq!((principal.credential, principal.user), (id, Some(ada)));
    assert_eq!(principal.name, "ada@example.com");
    assert_eq!(principal.key_name.as_deref(), Some("ci"));
    assert_eq!(principal.caller.subject, ada.to_string());
    assert_eq!(principal.caller.roles, ["viewer"]);
    assert_eq!(
        principal.caller.scopes.as_deref(),
        Some(&["clusters:read".to_owned()][..])
    );
    assert_eq!(
        principal.caller.effective_clusters(),
        Clusters::only(["prod"])
    );
    assert!(
        Arc::ptr_eq(&principal, &found(directory, &hash).await),
        "kept"
    );

    let role = "on-call".to_owned();
    fixture
        .make(Change::SetRole {
            user: ada,
            role: role.clone(),
        })
        .await;
    assert!(directory.cached(&hash, NOW_MS).is_none());
    assert_eq!(found(directory, &hash).await.caller.roles, ["on-call"]);

    let permissions = vec!["clusters:*".to_owned()];
    let organization = fixture.organization;
    fixture
        .make(Change::SetCustomRole {
            organization,
            name: role,
            permissions,
            expected: crate::store::Expected::Anything,
        })
        .await;
    assert_eq!(
        found(directory, &hash).await.caller.permissions,
        ["clusters:*"]
    );

    fixture
        .make(Change::SetClusters {
            user: ada,
            clusters: Clusters::only(["dev"]),
        })
        .await;
    assert_eq!(
        found(directory, &hash).await.caller.effective_clusters(),
        Clusters::only([""; 0])
    );

    let was = found(directory, &hash).await;
    fixture.make(Change::DisableUser(ada)).await;
    let former = former(directory, &hash).await;
    assert_eq!(
        (former.user, &former.name[..]),
        (Some(ada), "ada@example.com")
    );
    assert_eq!(former.key_name, was.key_name);
}

#[tokio::test]
async fn a_key_of_the_organization_outlives_its_owner() {
    let authority = Authority::Organization(vec!["metrics:read".to_owned()]);
    let fixture = Fixture::new(authority).await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (id, hash) = fixture.key(Some(ada)).await;
    fixture.make(Change::DisableUser(ada)).await;
    let principal = found(&fixture.directory, &hash).await;
    assert_eq!(principal.user, None);
    assert_eq!(principal.caller.subject, id.to_string());
    assert_eq!(principal.caller.roles, [""; 0]);
    assert_eq!(principal.caller.permissions, ["metrics:read"]);
    assert_eq!(principal.caller.effective_clusters(), Clusters::All);
}

#[tokio::test]
async fn a_key_of_scopes_has_exactly_them() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (mut new, _) = fixture.new_key(None);
    new.credential.scopes = Some(vec!["nodes:read".to_owned()]);
    let (_, narrowed) = fixture.mint(new).await;
    let (_, without) = fixture.key(None).await;
    let principal = found(&fixture.directory, &narrowed).await;
    assert_eq!(principal.caller.permissions, ["*"]);
    assert_eq!(
        principal.caller.scopes.as_deref(),
        Some(&["nodes:read".to_owned()][..])
    );
    let principal = found(&fixture.directory, &without).await;
    assert_eq!(
        principal.caller.scopes.as_deref(),
        Some(&[][..]),
        "nothing, not everything"
    );
}

#[tokio::test]
async fn a_key_without_the_owner_whom_it_needs_stands_for_nobody() {
    let fixture = Fixture::new(Authority::Owner).await;
    let (_, hash) = fixture.key(None).await;
    let former = former(&fixture.directory, &hash).await;
    assert_eq!((former.user, former.kind), (None, CallerKind::ApiKey));
}

#[tokio::test]
async fn an_agent_is_bound_to_its_cluster_and_ends_with_it() {
    let fixture = Fixture::new(Authority::Owner).await;
    let (_, hash) = fixture.agent("prod").await;
    let principal = found(&fixture.directory, &hash).await;
    assert_eq!(principal.kind, CallerKind::Agent);
    assert_eq!(principal.caller.roles, ["agent"]);
    assert_eq!(principal.caller.agent_cluster.as_deref(), Some("prod"));
    assert_eq!(
        principal.caller.effective_clusters(),
        Clusters::only(["prod"])
    );

    let (organization, id) = (fixture.organization, "prod".to_owned());
    fixture
        .make(Change::DeleteCluster { organization, id })
        .await;
    let former = former(&fixture.directory, &hash).await;
    assert_eq!((former.kind, &former.name[..]), (CallerKind::Agent, "prod"));
    assert_eq!(former.key_name, principal.key_name);
}

#[tokio::test]
async fn registered_clusters_are_those_of_now_and_shared() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (_, first) = fixture.key(None).await;
    let (_, second) = fixture.key(None).await;
    let before = found(&fixture.directory, &first).await;
    assert!(Arc::ptr_eq(
        &before.registered,
        &found(&fixture.directory, &second).await.registered
    ));
    fixture.make(fixture.cluster("later")).await;
    let after = found(&fixture.directory, &first).await;
    assert!(!before.registered.contains("later") && after.registered.contains("later"));
}

#[tokio::test]
async fn unknown_keys_are_not_kept() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (new, _) = fixture.new_key(None);
    let hash = new.hash;
    assert!(matches!(
        fixture.directory.by_key(&hash, NOW_MS).await,
        Ok(LookUp::Unknown)
    ));
    assert_eq!(fixture.directory.inner.keys.len(), 0);
    fixture.mint(new).await;
    found(&fixture.directory, &hash).await;
}

#[tokio::test]
async fn expiry_is_checked_at_every_look_up() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (mut new, _) = fixture.new_key(None);
    let end = NOW_MS / 1000 + 60;
    new.credential.expires_at = Some(end);
    let (_, hash) = fixture.mint(new).await;
    let directory = &fixture.directory;
    for (now_ms, valid) in [(NOW_MS, true), (end * 1000 - 1, true), (end * 1000, false)] {
        let looked_up = directory.by_key(&hash, now_ms).await.unwrap();
        assert_eq!(matches!(looked_up, LookUp::Found(_)), valid, "{now_ms}");
        assert_eq!(matches!(looked_up, LookUp::Expired(_)), !valid, "{now_ms}");
        assert_eq!(directory.cached(&hash, now_ms).is_some(), valid, "{now_ms}");
    }
}

#[tokio::test]
async fn a_session_is_its_user_as_of_now() {
    let fixture = Fixture::new(Authority::Owner).await;
    let directory = &fixture.directory;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let session = open_session(&fixture, ada).await;
    let look_up = || directory.by_session(session, ada, NOW_MS);
    let Ok(LookUp::Found(principal)) = look_up().await else {
        panic!()
    };
    assert_eq!(principal.caller.roles, ["viewer"]);
    assert_eq!(principal.caller.auth_time, Some(NOW_MS / 1000));
    assert!(directory.cached_session(session, ada, NOW_MS).is_some());

    let other = directory.by_session(session, Uuid::now_v7(), NOW_MS).await;
    assert!(matches!(other, Ok(LookUp::Unknown)), "of another user");
    let over = directory
        .by_session(session, ada, NOW_MS + 3600 * 1000)
        .await;
    assert!(matches!(over, Ok(LookUp::Expired(_))));

    fixture
        .make(Change::SetRole {
            user: ada,
            role: "editor".to_owned(),
        })
        .await;
    let Ok(LookUp::Found(principal)) = look_up().await else {
        panic!()
    };
    assert_eq!(principal.caller.roles, ["editor"]);

    fixture.make(Change::EndSession(session)).await;
    assert!(matches!(look_up().await, Ok(LookUp::Revoked(_))));
    let second = open_session(&fixture, ada).await;
    directory.by_session(second, ada, NOW_MS).await.unwrap();
    fixture.make(Change::DisableUser(ada)).await;
    let disabled = directory.by_session(second, ada, NOW_MS).await;
    assert!(matches!(disabled, Ok(LookUp::Revoked(_))));
}

#[tokio::test]
async fn an_operators_session_is_in_no_organization() {
    let fixture = Fixture::new(Authority::Owner).await;
    let mut root = fixture.new_user("root@example.com", "");
    root.place = None;
    let id = root.id;
    fixture.make(Change::AddUser(Box::new(root))).await;
    let session = open_session(&fixture, id).await;
    let Ok(LookUp::Found(principal)) = fixture.directory.by_session(session, id, NOW_MS).await
    else {
        panic!()
    };
    assert!(principal.caller.operator && principal.organization.is_nil());
    assert_eq!(principal.caller.roles, [""; 0]);
    assert_eq!(
        principal.caller.effective_clusters(),
        Clusters::only([""; 0])
    );
    assert!(principal.registered.is_empty());
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (_, hash) = fixture.key(None).await;
    let principal = found(&fixture.directory, &hash).await;
    let each = cache::bytes_of(&principal);
    let room = each * 5 - 1;
    let fixture =
        Fixture::with(|store| Directory::with_capacity(store, Authority::Scopes, room, room)).await;
    let kept = || fixture.directory.inner.keys.len();
    for _ in 0..10 {
        let (_, hash) = fixture.key(None).await;
        found(&fixture.directory, &hash).await;
        assert!(kept() <= 4);
    }
    assert_eq!(kept(), 4);
    // One with long lists takes the places of several.
    let (mut new, _) = fixture.new_key(None);
    new.credential.scopes = Some((0..100).map(|n| format!("thing{n}:read")).collect());
    let (_, hash) = fixture.mint(new).await;
    found(&fixture.directory, &hash).await;
    assert!(kept() <= 2);
}

/// Whoever is thrown out while a request holds it would not hear of its revocation, or would have to be read again at
/// once, throwing out the next one.
#[tokio::test]
async fn what_requests_hold_is_not_thrown_out() {
    let room = 4 * 2_000;
    let fixture =
        Fixture::with(|store| Directory::with_capacity(store, Authority::Scopes, room, room)).await;
    let (id, hash) = fixture.key(None).await;
    let mut held = vec![found(&fixture.directory, &hash).await];
    for _ in 0..20 {
        let (_, hash) = fixture.key(None).await;
        held.push(found(&fixture.directory, &hash).await);
    }
    let are_stale = |held: &[Arc<Principal>]| {
        let stale = held
            .iter()
            .filter(|principal| principal.standing.is_stale());
        stale.count()
    };
    assert_eq!(are_stale(&held), 0);
    assert!(
        fixture.directory.inner.keys.len() > 20,
        "more than there is room for"
    );
    fixture.make(Change::Revoke(id)).await;
    assert!(held[0].standing.is_stale());
    assert_eq!(are_stale(&held), 1);

    held.clear();
    for _ in 0..20 {
        let (_, hash) = fixture.key(None).await;
        found(&fixture.directory, &hash).await;
    }
    assert!(
        fixture.directory.inner.keys.len() <= 4,
        "nobody holds them now"
    );
}

/// However many keys take turns, one that is asked for all the time is there, and each new one is at once.
#[tokio::test]
async fn a_full_cache_keeps_what_is_used() {
    let room = 8 * 2_000;
    let fixture =
        Fixture::with(|store| Directory::with_capacity(store, Authority::Scopes, room, room)).await;
    let directory = &fixture.directory;
    let (_, busy) = fixture.key(None).await;
    found(directory, &busy).await;
    for _ in 0..100 {
        assert!(directory.cached(&busy, NOW_MS).is_some());
        let (_, hash) = fixture.key(None).await;
        found(directory, &hash).await;
        assert!(directory.cached(&hash, NOW_MS).is_some());
    }
}

/// Resolves when the credential behind a principal is no longer good, whatever else becomes of it before.
async fn until_ended(directory: &Directory, principal: &Principal) {
    let mut renewed = directory.renewed(principal).await;
    while let Ok(current) = renewed {
        renewed = directory.renewed(&current).await;
    }
    assert_eq!(renewed.unwrap_err(), Cause::Revoked);
}

#[tokio::test]
async fn in_flight_requests_learn_of_the_end() {
    let fixture = Fixture::new(Authority::Owner).await;
    let directory = &fixture.directory;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (id, hash) = fixture.key(Some(ada)).await;
    let (_, other) = fixture.key(Some(ada)).await;
    let (principal, other) = (
        found(directory, &hash).await,
        found(directory, &other).await,
    );
    let mut ended = Box::pin(until_ended(directory, &principal));
    let mut other_ended = Box::pin(until_ended(directory, &other));
    let soon = Duration::from_millis(50);

    assert!(ended.as_mut().now_or_never().is_none());
    fixture
        .make(Change::SetRole {
            user: ada,
            role: "editor".to_owned(),
        })
        .await;
    assert!(
        tokio::time::timeout(soon, ended.as_mut()).await.is_err(),
        "only a role changed"
    );
    fixture.make(Change::Revoke(id)).await;
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .unwrap();
    assert!(
        tokio::time::timeout(soon, other_ended.as_mut())
            .await
            .is_err(),
        "another key"
    );
    fixture.make(Change::DisableUser(ada)).await;
    tokio::time::timeout(Duration::from_secs(10), other_ended)
        .await
        .unwrap();
    // Whoever asks after the fact learns of it too.
    tokio::time::timeout(Duration::from_secs(10), until_ended(directory, &principal))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_goes_away() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (id, hash) = fixture.key(None).await;
    let principal = found(&fixture.directory, &hash).await;
    let revoke = fixture.try_make(Change::Revoke(id));
    // Polled once, then dropped.
    assert!(revoke.now_or_never().is_none());
    tokio::time::timeout(Duration::from_secs(10), principal.standing.stale())
        .await
        .unwrap();
    assert!(matches!(
        fixture.directory.by_key(&hash, NOW_MS).await,
        Ok(LookUp::Revoked(_))
    ));
}

#[tokio::test]
async fn a_failed_change_empties_all_the_same() {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (id, hash) = fixture.key(None).await;
    found(&fixture.directory, &hash).await;
    fixture.directory.store().close().await;
    assert!(fixture.try_make(Change::Revoke(id)).await.is_err());
    assert!(fixture.directory.cached(&hash, NOW_MS).is_none());
    assert!(
        fixture.directory.by_key(&hash, NOW_MS).await.is_err(),
        "an error is no answer"
    );
}
